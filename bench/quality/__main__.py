"""``python -m bench.quality``."""

import sys

from bench.quality.measure import main

if __name__ == "__main__":
    sys.exit(main())
