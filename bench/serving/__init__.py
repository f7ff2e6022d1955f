"""Serving: latency, throughput, overload, start-up, soak."""
