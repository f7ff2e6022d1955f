"""Starts the services, a proxy and new bundles as real processes, for the demo, the benchmarks and the tests."""
