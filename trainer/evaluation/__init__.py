"""Metrics, and the rankings that they measure."""
