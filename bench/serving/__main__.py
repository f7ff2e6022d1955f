"""``python -m bench.serving``."""

from bench.serving.measure import main

if __name__ == "__main__":
    main()
