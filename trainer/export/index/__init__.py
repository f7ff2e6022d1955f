"""Choosing, building and measuring the index that is searched."""
