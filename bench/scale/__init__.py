"""Benchmark of catalogues from ten thousand to ten million items."""
