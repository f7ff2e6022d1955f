"""Training: examples a second and memory."""
