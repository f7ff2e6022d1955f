"""``python -m bench.scale``."""

from bench.scale.measure import main

if __name__ == "__main__":
    main()
