"""Benchmarks of serving: latency, throughput, overload, start-up, soak."""
