"""Measures the figures of docs/quality.md."""
