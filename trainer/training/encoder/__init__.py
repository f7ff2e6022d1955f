"""Training of stage one. An encoder names its training."""
