"""Training of stage one."""
