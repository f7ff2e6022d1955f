"""An index that FAISS reads without complaint is refused when a search could return or read what does not exist."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import pytest

from retrieval_service.index_check import check_index

_ITEMS, _DIMENSION = 400, 8


@pytest.fixture(scope="module")
def vectors() -> np.ndarray:
    """400 items, ``[400, 8]``."""
    return np.random.default_rng(3).normal(size=(_ITEMS, _DIMENSION)).astype(np.float32)


def _made(spec: str, vectors: np.ndarray, rows: np.ndarray | None = None) -> Any:  # noqa: ANN401 - a kind of index
    index = faiss.index_factory(_DIMENSION, spec, faiss.METRIC_INNER_PRODUCT)
    index.train(vectors)
    index.add(vectors) if rows is None else index.add_with_ids(vectors, rows)
    return index


def _read_back(index: faiss.Index, folder: Path) -> faiss.Index:
    faiss.write_index(index, str(folder / "index.faiss"))
    return faiss.read_index(str(folder / "index.faiss"), faiss.IO_FLAG_MMAP_IFC)


@pytest.mark.parametrize(
    "spec",
    [
        *("Flat", "SQ8", "PQ4x4fs", "HNSW8", "HNSW8_SQ8", "IVF4,Flat", "IVF4,SQ8", "IVF4,PQ4x4fs,RFlat"),
        *("IVF4,PQ4x4fs,Refine(SQfp16)", "IVF4_HNSW4,Flat", "PCA6,IVF4,SQfp16"),
    ],
)
def test_every_kind_that_the_trainer_builds_passes(vectors: np.ndarray, tmp_path: Path, spec: str) -> None:
    """Proves that the check refuses nothing good: the trainer's families, and others that a recipe may name."""
    check_index(_read_back(_made(spec, vectors), tmp_path))


def test_an_empty_list_of_an_index_passes(vectors: np.ndarray, tmp_path: Path) -> None:
    """Proves that many more lists than items are no fault."""
    index = _made("IVF64,Flat", np.repeat(vectors[:64], 2, axis=0)[:100])
    check_index(_read_back(index, tmp_path))


@pytest.mark.parametrize("start", [10**9, 1, -1, -2])
def test_rows_that_do_not_exist_are_refused(vectors: np.ndarray, tmp_path: Path, start: int) -> None:
    """Proves it for ids above and below the rows in inverted lists, also inside another index."""
    index = _made("IVF4,Flat", vectors, np.arange(start, start + _ITEMS))
    with pytest.raises(ValueError, match="has a row outside 0 to 399"):
        check_index(_read_back(index, tmp_path))
    refined = faiss.IndexRefineFlat(index, faiss.swig_ptr(vectors))
    with pytest.raises(ValueError, match="has a row outside 0 to 399"):
        check_index(refined)


def test_a_row_that_is_there_twice_is_refused(vectors: np.ndarray, tmp_path: Path) -> None:
    """Proves that no list has an item twice, and none lacks one."""
    index = _made("IVF4,Flat", vectors, np.arange(_ITEMS) // 2)
    with pytest.raises(ValueError, match="has not each row once"):
        check_index(_read_back(index, tmp_path))


def test_an_index_that_renames_rows_is_refused(vectors: np.ndarray, tmp_path: Path) -> None:
    """Proves that kinds which the trainer never builds are not searched."""
    for kind in (faiss.IndexIDMap, faiss.IndexIDMap2):
        index = kind(faiss.IndexFlatIP(_DIMENSION))
        index.add_with_ids(vectors, np.zeros(_ITEMS, dtype=np.int64))
        with pytest.raises(ValueError, match=f"is of the kind {kind.__name__}"):
            check_index(_read_back(index, tmp_path))


def _filled(name: str, value: int, start: int = 0) -> Callable[[Any], None]:
    def change(graph: Any) -> None:  # noqa: ANN401
        array = faiss.vector_to_array(getattr(graph, name)).copy()
        array[start:] = value
        faiss.copy_array_to_vector(array, getattr(graph, name))

    return change


def _set(name: str, value: int) -> Callable[[Any], None]:
    return lambda graph: setattr(graph, name, value)


def _linked_upwards(graph: Any) -> None:  # noqa: ANN401
    """A node of the second layer has a neighbour that is in the first one alone."""
    levels, neighbours = faiss.vector_to_array(graph.levels), faiss.vector_to_array(graph.neighbors).copy()
    node = int(np.flatnonzero(levels > 1)[0])
    start = int(faiss.vector_to_array(graph.offsets)[node]) + int(graph.cum_nneighbor_per_level.at(1))
    neighbours[start] = int(np.flatnonzero(levels == 1)[0])
    faiss.copy_array_to_vector(neighbours, graph.neighbors)


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (_set("entry_point", 10**8), "begins at a node"),
        (_set("entry_point", -5), "begins at a node"),
        (_set("max_level", 1000), "more levels"),
        (_set("max_level", 0), "above its highest level"),
        (_filled("neighbors", 10**8), "a neighbour that does not exist"),
        (_filled("neighbors", -2), "a neighbour that does not exist"),
        (_filled("offsets", 2**40, 1), "other neighbours than its nodes"),
        (_filled("offsets", 0, 1), "other neighbours than its nodes"),
        (_filled("levels", 0), "above its highest level"),
        (_linked_upwards, "a neighbour of another level"),
        (_set("efSearch", 2_000_000_000), "searches 2000000000 nodes wide"),
        (_set("efSearch", 0), "searches 0 nodes wide"),
    ],
)
def test_a_graph_that_leads_nowhere_is_refused(vectors: np.ndarray, damage: Callable[[Any], None], reason: str) -> None:
    """Proves that a search reads no neighbours outside the graph, and ends."""
    index = _made("HNSW8", vectors)
    damage(index.hnsw)
    with pytest.raises(ValueError, match=reason):
        check_index(index)
    # Without this, its destructor may stumble.
    index.hnsw.entry_point = 0


def test_parts_that_do_not_fit_together_are_refused(vectors: np.ndarray) -> None:
    """Proves it for a refined index, whose parts have different numbers of vectors."""
    index = faiss.IndexRefineFlat(_made("IVF4,Flat", vectors), faiss.swig_ptr(vectors))
    index.refine_index.add(vectors[:1])
    with pytest.raises(ValueError, match="different numbers of vectors"):
        check_index(index)
