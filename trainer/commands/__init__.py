"""What each command of the trainer does, a file each."""
