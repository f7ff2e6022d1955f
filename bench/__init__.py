"""Benchmarks of speed, memory and quality. Results go to ``build/bench`` and ``build/quality``."""
