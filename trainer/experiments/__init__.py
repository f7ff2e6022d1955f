"""What is measured and never served."""
