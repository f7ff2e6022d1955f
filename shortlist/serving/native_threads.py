"""One thread of numpy's and FAISS's native libraries, set before they are imported.

Requests share the cores, so that none may take all. The threads of OpenBLAS also spin for milliseconds after each
product of matrices: with 10,000 new items, a search took twice the processor's time. A value that somebody has set
stays.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
