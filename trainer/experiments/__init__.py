"""Experiments that are measured and never served."""
