"""The item index."""

import logging
from dataclasses import dataclass
from pathlib import Path

import faiss
import numpy as np
from numpy.typing import NDArray

from shortlist.bundle.bundle import INDEX, Bundle
from shortlist.errors import BundleError

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Neighbours:
    """The nearest items, best first: rows ``[found]`` and inner products ``[found]``."""

    rows: NDArray[np.int64]
    scores: NDArray[np.float32]

    def keep(self, mask: NDArray[np.bool_]) -> "Neighbours":
        """Those that the mask is true for."""
        return Neighbours(rows=self.rows[mask], scores=self.scores[mask])


class FaissIndex:
    """Item vectors → neighbours by inner product. No other module sees FAISS, or its ``-1`` for "nothing found"."""

    def __init__(self, bundle: Bundle) -> None:
        path = bundle.directory / INDEX
        self._index = _read(path)
        found, expected = (self._index.ntotal, self._index.d), (bundle.manifest.item_count, bundle.manifest.dimension)
        if found != expected:
            raise BundleError(path, f"has {found} vectors and components, the manifest says {expected}")
        if self._index.metric_type != faiss.METRIC_INNER_PRODUCT:
            raise BundleError(path, "does not search by inner product")
        self._set_parameters(path, bundle.manifest.index.parameters)
        _LOG.info("index %s %s", bundle.manifest.index.spec, bundle.manifest.index.parameters)

    def _set_parameters(self, path: Path, parameters: str) -> None:
        try:
            if parameters:
                faiss.ParameterSpace().set_index_parameters(self._index, parameters)  # type: ignore[arg-type]  # one of its two forms
        except RuntimeError as error:
            raise BundleError(path, f"does not take the manifest's parameters {parameters!r}") from error

    def search(self, vector: NDArray[np.float32], count: int) -> Neighbours:
        """At most ``count`` nearest items to a vector ``[dimension]``."""
        # Of this thread only, hence at each call: requests share the cores, a search is not to take them all.
        faiss.omp_set_num_threads(1)
        scores, rows = self._index.search(vector[None, :], min(count, self._index.ntotal))
        return Neighbours(rows=rows[0], scores=scores[0]).keep(rows[0] >= 0)


def _read(path: Path) -> faiss.Index:
    try:
        # Mapped, so that the workers share its pages. A file cut short under a map would kill the process; this one is
        # verified and immutable.
        return faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC)
    except RuntimeError as error:
        raise BundleError(path, f"FAISS cannot read it: {error}") from error
