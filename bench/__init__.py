"""The benchmarks whose results the README quotes. Results go to ``build/bench``."""
