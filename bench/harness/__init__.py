"""Load, processes and planted data that the benchmarks share."""
