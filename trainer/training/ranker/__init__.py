"""Training of stage two."""
