"""Checks an index that FAISS has read: a search must end, return rows that exist, and return each once.

FAISS believes its file. A number of a neighbour that is out of range reads foreign memory, and a wrong id becomes the
row of an answer. Every check is linear in the size of the index, and reads it where it lies.
"""

from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

# The ladders of the trainer end at 4,096 and 8.
_WIDEST_SEARCH, _MOST_REFINED = 2**16, 2**10


def check_index(index: faiss.Index) -> None:
    """Refuses an index of a kind that the trainer does not build, or with contents that cannot be searched.

    Raises:
        ValueError: names the fault.
    """
    # By another name: it does not keep the index that it is a view of.
    kind = faiss.downcast_index(index)
    if isinstance(kind, faiss.IndexRefine):
        _check_refined(kind)
    elif isinstance(kind, faiss.IndexPreTransform):
        _check_transformed(kind)
    elif isinstance(kind, faiss.IndexIVF):
        _check_lists(kind)
    elif isinstance(kind, faiss.IndexHNSW):
        _check_same_size(kind, kind.storage)
        _check_graph(kind.hnsw, kind.ntotal)
        check_index(kind.storage)
    elif isinstance(kind, faiss.IndexFlatCodes):
        _require(kind.codes.size() == kind.ntotal * kind.code_size, "has not one code for each vector")
    else:
        _require(isinstance(kind, faiss.IndexPQFastScan), f"is of the kind {type(kind).__name__}")


def _check_refined(index: faiss.IndexRefine) -> None:
    _require(1 <= index.k_factor <= _MOST_REFINED, f"refines {index.k_factor:g} times as many as it returns")
    for inner in (index.base_index, index.refine_index):
        _check_same_size(index, inner)
        check_index(inner)


def _check_transformed(index: faiss.IndexPreTransform) -> None:
    _check_same_size(index, index.index, transformed=True)
    width = index.d
    # FAISS's stubs take it for a list.
    chain: Any = index.chain
    for place in range(chain.size()):
        step = chain.at(place)
        _require(step.d_in == width, "has transformations that do not fit together")
        width = step.d_out
    _require(width == index.index.d, "has transformations that do not fit together")
    check_index(index.index)


def _check_lists(index: faiss.IndexIVF) -> None:
    lists, quantizer = index.invlists, index.quantizer
    if lists is None:
        raise ValueError("has no lists")
    _require(lists.nlist == index.nlist == quantizer.ntotal, "has not one centroid for each list")
    _require(quantizer.d == index.d, "has centroids of another dimension")
    # Fast scans keep the codes of 32 vectors together, and FAISS checks the size of those.
    same = lists.code_size == index.code_size or isinstance(index, faiss.IndexIVFFastScan)
    _require(same, "has codes of another size")
    _require(index.nprobe >= 1, "visits no list")
    check_index(quantizer)
    seen = np.zeros(index.ntotal, dtype=np.bool_)
    entries = 0
    for number in range(index.nlist):
        size = lists.list_size(number)
        if not size:
            continue
        rows = faiss.rev_swig_ptr(lists.get_ids(number), size)
        _require(rows.min() >= 0 and rows.max() < index.ntotal, f"has a row outside 0 to {index.ntotal - 1}")
        seen[rows] = True
        entries += size
    _require(entries == index.ntotal and bool(seen.all()), "has not each row once")


def _check_graph(graph: Any, count: int) -> None:  # noqa: ANN401 - faiss.HNSW
    """Levels count from 1: a node of level 1 has neighbours in the lowest layer alone."""
    _require(1 <= graph.efSearch <= _WIDEST_SEARCH, f"searches {graph.efSearch} nodes wide")
    _require(graph.levels.size() == count and graph.offsets.size() == count + 1, "has not one node for each vector")
    levels, offsets = _view(graph.levels), _view(graph.offsets)
    neighbours, widths = _view(graph.neighbors), _view(graph.cum_nneighbor_per_level).astype(np.int64)
    _require(0 <= graph.max_level < len(widths) - 1, "has more levels than it describes")
    _require(widths[0] == 0 and bool((np.diff(widths) >= 0).all()), "has levels of a negative width")
    _require(levels.min() >= 1 and levels.max() <= graph.max_level + 1, "has a node above its highest level")
    _require(0 <= graph.entry_point < count, "begins at a node that does not exist")
    _require(int(levels[graph.entry_point]) == graph.max_level + 1, "begins below its highest level")
    _require(int(offsets[0]) == 0 and int(offsets[-1]) == len(neighbours), "has other neighbours than its nodes")
    _require(bool((offsets[1:] - offsets[:-1] == widths[levels]).all()), "has other neighbours than its nodes")
    _require(neighbours.min() >= -1 and neighbours.max() < count, "has a neighbour that does not exist")
    for level in range(1, graph.max_level + 1):
        _check_level(level, levels, offsets, neighbours, widths)


def _check_level(
    level: int,
    levels: NDArray[np.int32],
    offsets: NDArray[np.uint64],
    neighbours: NDArray[np.int32],
    widths: NDArray[np.int64],
) -> None:
    """Neighbours in a layer are nodes of it; a search would read the neighbours of another node otherwise."""
    nodes = np.flatnonzero(levels > level)
    starts = offsets[nodes].astype(np.int64) + widths[level]
    found = neighbours[starts[:, None] + np.arange(widths[level + 1] - widths[level])]
    _require(bool((levels[found[found >= 0]] > level).all()), "has a neighbour of another level")


def _check_same_size(index: faiss.Index, inner: faiss.Index, *, transformed: bool = False) -> None:
    _require(inner.ntotal == index.ntotal, "has parts with different numbers of vectors")
    _require(transformed or inner.d == index.d, "has parts of different dimensions")
    _require(inner.metric_type == index.metric_type, "has parts with different metrics")


def _view(vector: Any) -> NDArray[Any]:  # noqa: ANN401 - one of FAISS's vectors
    """The numbers of a vector of FAISS, in place."""
    view: NDArray[Any] = faiss.rev_swig_ptr(vector.data(), vector.size())
    return view


def _require(holds: bool, reason: str) -> None:
    if not holds:
        raise ValueError(reason)
