"""The item index."""

import functools
import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import faiss
import numpy as np
from numpy.typing import NDArray

from retrieval_service.effort import with_effort
from shortlist.bundle.bundle import INDEX, Bundle
from shortlist.errors import BundleError
from shortlist.inference.rescoring import rescored

_LOG = logging.getLogger(__name__)

# A search goes deeper than was measured by tenths of that.
_STEPS = 10


@dataclass(frozen=True, kw_only=True)
class Neighbours:
    """The nearest items, best first: rows ``[found]`` and inner products ``[found]``."""

    rows: NDArray[np.int64]
    scores: NDArray[np.float32]

    def keep(self, mask: NDArray[np.bool_]) -> "Neighbours":
        """Those that the mask is true for."""
        return Neighbours(rows=self.rows[mask], scores=self.scores[mask])

    def first(self, count: int) -> "Neighbours":
        """The best ``count``, or fewer."""
        return Neighbours(rows=self.rows[:count], scores=self.scores[:count])


class FaissIndex:
    """Item vectors → neighbours by inner product. No other module sees FAISS, or its ``-1`` for "nothing found"."""

    def __init__(self, bundle: Bundle) -> None:
        path, self._info = bundle.directory / INDEX, bundle.manifest.index
        self._index = _read(path)
        found, expected = (self._index.ntotal, self._index.d), (bundle.manifest.item_count, bundle.manifest.dimension)
        if found != expected:
            raise BundleError(path, f"has {found} vectors and components, the manifest says {expected}")
        if self._index.metric_type != faiss.METRIC_INNER_PRODUCT:
            raise BundleError(path, "does not search by inner product")
        self._set_parameters(path, self._info.parameters)
        self._exact = bundle.items.vectors if self._info.rescored else None
        # Making them costs a tenth of a search, and there are few different ones.
        self._effort = functools.lru_cache(functools.partial(with_effort, self._index))
        _LOG.info("index %s %s, recall %.4f", self._info.spec, self._info.parameters, self._info.recall)

    def _set_parameters(self, path: Path, parameters: str) -> None:
        try:
            if parameters:
                faiss.ParameterSpace().set_index_parameters(self._index, parameters)  # type: ignore[arg-type]  # one of its two forms
        except RuntimeError as error:
            raise BundleError(path, f"does not take the manifest's parameters {parameters!r}") from error

    def search(self, vector: NDArray[np.float32], count: int) -> Neighbours:
        """At most ``count`` nearest items to a vector ``[dimension]``."""
        return self.search_many(vector[None, :], count)[0]

    def search_many(self, vectors: NDArray[np.float32], count: int) -> list[Neighbours]:
        """At most ``count`` nearest items to each of the vectors ``[n, dimension]``, in one native call.

        A larger count is searched for with more effort, so the best few of an answer depend on the count. Queries that
        want different counts, and the same answer in any company, go to :meth:`search_each`.
        """
        return [found.first(count) for found in self._find(vectors, self._depth(count))]

    def search_each(self, vectors: NDArray[np.float32], counts: Sequence[int]) -> list[Neighbours]:
        """At most ``counts[i]`` nearest items to ``vectors[i]``: what :meth:`search` gives for each of them alone.

        One native call for all that are searched for as deep.
        """
        depths = [self._depth(count) for count in counts]
        found: dict[int, Neighbours] = {}
        for depth in set(depths):
            places = [place for place, other in enumerate(depths) if other == depth]
            found.update(zip(places, self._find(vectors[places], depth), strict=True))
        return [found[place].first(count) for place, count in enumerate(counts)]

    def _depth(self, count: int) -> int:
        """Steps beyond the depth that the recall was measured at, alike for queries that want about the same."""
        return max(0, -(-(count - self._info.recall_at) * _STEPS // self._info.recall_at))

    def _find(self, vectors: NDArray[np.float32], depth: int) -> list[Neighbours]:
        # Of this thread only, hence at each call: requests share the cores, a search is not to take them all.
        faiss.omp_set_num_threads(1)
        times = 1 + depth / _STEPS
        count = min(math.ceil(times * self._info.recall_at), self._index.ntotal)
        scores, rows = self._index.search(np.ascontiguousarray(vectors), count, params=self._effort(times))
        return [self._neighbours(*found) for found in zip(rows, scores, vectors, strict=True)]

    def _neighbours(
        self, rows: NDArray[np.int64], scores: NDArray[np.float32], vector: NDArray[np.float32]
    ) -> Neighbours:
        if rows.min() < 0:
            rows, scores = rows[rows >= 0], scores[rows >= 0]
        if self._exact is not None:
            rows, scores = rescored(rows, vector, self._exact)
        return Neighbours(rows=rows, scores=scores)


def _read(path: Path) -> faiss.Index:
    try:
        # Mapped, so that the workers share its pages. A file cut short under a map would kill the process; this one is
        # verified and immutable.
        return faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC)
    except RuntimeError as error:
        raise BundleError(path, f"FAISS cannot read it: {error}") from error
