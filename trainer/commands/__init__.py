"""The commands of the trainer, one file each."""
