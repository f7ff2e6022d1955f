"""Real user vectors that an index is measured with. Runs in a process without PyTorch."""

import time
from dataclasses import dataclass

import faiss
import numpy as np
from numpy.typing import NDArray

from shortlist.inference.rescoring import rescored
from trainer.export.index.builder import Vectors

_AT_ONCE = 500_000
_TIMED = 100
# A share of the largest score. Float32 sums in another order differ by a fiftieth of it, half floats by six times it.
_ROUNDING = 1e-5


@dataclass(frozen=True, kw_only=True)
class Queries:
    """User vectors ``[n, D]``, the exact nearest items of each, ``[n, count]``, and all item vectors ``[items, D]``."""

    vectors: Vectors
    exact: NDArray[np.int64]
    items: Vectors

    @classmethod
    def of(cls, vectors: Vectors, items: Vectors, count: int) -> "Queries":
        """Searched for among all items, a part of them at a time."""
        vectors, items = np.ascontiguousarray(vectors), np.asarray(items).view(np.ndarray)
        best = faiss.ResultHeap(len(vectors), count, keep_max=True)
        for start in range(0, len(items), _AT_ONCE):
            part = np.ascontiguousarray(items[start : start + _AT_ONCE])
            scores, rows = faiss.knn(vectors, part, min(count, len(part)), metric=faiss.METRIC_INNER_PRODUCT)
            best.add_result(scores, rows + start)
        best.finalize()
        return cls(vectors=vectors, exact=best.I, items=items)

    @property
    def count(self) -> int:
        """How many neighbours are asked for."""
        return int(self.exact.shape[1])

    def shares(self, index: faiss.Index) -> NDArray[np.float64]:
        """The share of the exact nearest that the index finds for each query, ``[n]``; their mean is the recall."""
        found = index.search(self.vectors, self.count)[1]
        shared = [np.intersect1d(one, other).size for one, other in zip(self.exact, found, strict=True)]
        return np.array(shared) / self.count

    def rounds(self, index: faiss.Index) -> bool:
        """Whether the index's scores are not the inner products but rounded."""
        scores, rows = index.search(self.vectors[:_TIMED], self.count)
        found = rows >= 0
        exact = np.einsum("qnd,qd->qn", self.items[np.where(found, rows, 0)], self.vectors[:_TIMED])
        return bool(np.abs(scores - exact)[found].max() > _ROUNDING * np.abs(exact).max())

    def microseconds(self, index: faiss.Index, rounds: bool, together: int = 1) -> float:
        """Median time of a query, so many of them in a call, on one thread, as a service searches."""
        threads = faiss.omp_get_max_threads()
        faiss.omp_set_num_threads(1)
        times = []
        for start in range(0, max(1, min(len(self.vectors), _TIMED) - together + 1), together):
            batch = self.vectors[start : start + together]
            started = time.perf_counter()
            rows = index.search(batch, self.count)[1]
            if rounds:
                for vector, found in zip(batch, rows, strict=True):
                    rescored(found[found >= 0], vector, self.items)
            times.append((time.perf_counter() - started) / len(batch))
        faiss.omp_set_num_threads(threads)
        return float(np.median(times)) * 1e6
