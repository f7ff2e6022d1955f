"""See :mod:`bench.hostile.measure`."""

from bench.hostile.measure import main

if __name__ == "__main__":
    main()
