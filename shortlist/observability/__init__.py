"""Metrics, logs and traces of a service."""
