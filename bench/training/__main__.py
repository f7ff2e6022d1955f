"""``python -m bench.training``."""

from bench.training.measure import main

if __name__ == "__main__":
    main()
