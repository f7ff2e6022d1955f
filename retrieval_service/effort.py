"""Search parameters for searches deeper than the one that the index was measured at."""

import math
from typing import Any

import faiss

# FAISS's stubs do not know the keyword arguments of these classes.
_FAISS: Any = faiss


def with_effort(index: faiss.Index, times: float) -> faiss.SearchParameters | None:
    """Parameters of one search: the index's own ``nprobe`` or ``efSearch`` times ``times``; None for 1 and less.

    A query that excludes five thousand items searches for five thousand more than it answers with. The inverted lists
    that hold the nearest five hundred items do not hold all of those.
    """
    return _parameters(index, times) if times > 1 else None


def _parameters(index: faiss.Index, times: float) -> Any:  # noqa: ANN401 - SearchParameters or None
    index = faiss.downcast_index(index)
    if isinstance(index, faiss.IndexRefine):
        inner = _parameters(index.base_index, times)
        return _FAISS.IndexRefineSearchParameters(k_factor=index.k_factor, base_index_params=inner)
    if isinstance(index, faiss.IndexPreTransform):
        return _FAISS.SearchParametersPreTransform(index_params=_parameters(index.index, times))
    if isinstance(index, faiss.IndexIVF):
        return _FAISS.SearchParametersIVF(nprobe=min(index.nlist, math.ceil(index.nprobe * times)))
    if isinstance(index, faiss.IndexHNSW):
        return _FAISS.SearchParametersHNSW(efSearch=min(index.ntotal, math.ceil(index.hnsw.efSearch * times)))
    return None
