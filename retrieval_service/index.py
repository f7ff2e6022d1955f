"""The item index: nearest neighbours by inner product."""

import functools
import logging
import math
from collections.abc import Sequence
from pathlib import Path

import faiss
import numpy as np
from numpy.typing import NDArray

from retrieval_service.effort import with_effort
from retrieval_service.index_check import check_index
from shortlist.bundle.bundle import INDEX, Bundle
from shortlist.errors import BundleError
from shortlist.inference.candidates import Candidates
from shortlist.inference.rescoring import rescored

_LOG = logging.getLogger(__name__)

# A search for more items than the recall was measured at goes deeper by steps of a tenth of that number.
_STEPS = 10


class FaissIndex:
    """Finds the items with the highest inner products. No other module sees FAISS, or its ``-1`` for no item."""

    def __init__(self, bundle: Bundle) -> None:
        path, self._info = bundle.directory / INDEX, bundle.manifest.index
        self._index = _read(path)
        found, expected = (self._index.ntotal, self._index.d), (bundle.items.listed_count, bundle.manifest.dimension)
        if found != expected:
            raise BundleError(path, f"has {found} vectors and components, the bundle says {expected}")
        if self._index.metric_type != faiss.METRIC_INNER_PRODUCT:
            raise BundleError(path, "does not search by inner product")
        self._set_parameters(path, self._info.parameters)
        try:
            check_index(self._index)
        except ValueError as error:
            raise BundleError(path, str(error)) from error
        # The index numbers the items that lists may hold.
        self._rows = None if bundle.items.listed is None else bundle.items.listed.astype(np.int64)
        self._exact = bundle.items.vectors if self._info.rescored else None
        # Making search parameters costs a tenth of a search, and few different ones occur.
        self._effort = functools.lru_cache(functools.partial(with_effort, self._index))
        _LOG.info("index %s %s, recall %.4f", self._info.spec, self._info.parameters, self._info.recall)

    def _set_parameters(self, path: Path, parameters: str) -> None:
        try:
            if parameters:
                faiss.ParameterSpace().set_index_parameters(self._index, parameters)  # type: ignore[arg-type]  # one of its two forms
        except RuntimeError as error:
            raise BundleError(path, f"does not take the manifest's parameters {parameters!r}") from error

    @property
    def size(self) -> int:
        """The number of items."""
        return int(self._index.ntotal)

    def search(self, vector: NDArray[np.float32], count: int) -> Candidates:
        """The ``count`` nearest items to a vector ``[D]``, best first, or fewer."""
        return self.search_many(vector[None, :], count)[0]

    def search_many(self, vectors: NDArray[np.float32], count: int) -> list[Candidates]:
        """The ``count`` nearest items to each of the vectors ``[n, D]``, or fewer, in one native call.

        A search for a larger count takes more effort, so the first items depend on the count. Queries with different
        counts go to :meth:`search_each`, which gives each the answer that it gets alone.
        """
        return [found.first(count) for found in self._find(vectors, self._depth(count))]

    def search_each(self, vectors: NDArray[np.float32], counts: Sequence[int]) -> list[Candidates]:
        """The ``counts[i]`` nearest items to ``vectors[i]``, as :meth:`search` gives them for each vector alone.

        Queries of one depth share a native call.
        """
        depths = [self._depth(count) for count in counts]
        found: dict[int, Candidates] = {}
        for depth in set(depths):
            places = [place for place, other in enumerate(depths) if other == depth]
            found.update(zip(places, self._find(vectors[places], depth), strict=True))
        return [found[place].first(count) for place, count in enumerate(counts)]

    def _depth(self, count: int) -> int:
        """Steps beyond the depth that the recall was measured at; similar counts have the same depth."""
        return max(0, -(-(count - self._info.recall_at) * _STEPS // self._info.recall_at))

    def _find(self, vectors: NDArray[np.float32], depth: int) -> list[Candidates]:
        # Set at each call, because it holds for one thread only: requests share the cores, and no search may take all.
        faiss.omp_set_num_threads(1)
        times = 1 + depth / _STEPS
        count = min(math.ceil(times * self._info.recall_at), self._index.ntotal)
        scores, rows = self._index.search(np.ascontiguousarray(vectors), count, params=self._effort(times))
        return [self._candidates(*found) for found in zip(rows, scores, vectors, strict=True)]

    def _candidates(
        self, rows: NDArray[np.int64], scores: NDArray[np.float32], vector: NDArray[np.float32]
    ) -> Candidates:
        if rows.min() < 0:
            rows, scores = rows[rows >= 0], scores[rows >= 0]
        if self._rows is not None:
            rows = self._rows[rows]
        if self._exact is not None:
            rows, scores = rescored(rows, vector, self._exact)
        return Candidates.from_model(rows, scores)


def _read(path: Path) -> faiss.Index:
    try:
        # Mapped, so that the workers share its pages. A file that is cut short while it is mapped kills the process;
        # this one is verified and never changes.
        return faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC)
    except RuntimeError as error:
        raise BundleError(path, f"FAISS cannot read it: {error}") from error
