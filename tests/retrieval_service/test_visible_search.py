"""Searches leave out the hidden items and nothing else, whatever the index, and however many are hidden."""

from pathlib import Path
from types import SimpleNamespace
from typing import cast

import faiss
import numpy as np
import pytest

from retrieval_service.index import FaissIndex
from retrieval_service.visible_search import VisibleSearch
from shortlist.bundle import Bundle
from shortlist.bundle.index_info import IndexInfo
from shortlist.inference.hidden_rows import HiddenRows

_ITEMS, _DIMENSION, _MEASURED = 2000, 8, 40
# Searched so widely that each finds the exact nearest.
_SPECS = {
    "Flat": "",
    "IVF16,Flat": "nprobe=16",
    "IVF16,PQ4x4fs,RFlat": "nprobe=16,k_factor_rf=50",
    "HNSW32": "efSearch=800",
}
_COUNTS = [1, 10, 40, 200]


@pytest.fixture(scope="module")
def vectors() -> np.ndarray:
    """2,000 items in 20 clusters, ``[2000, 8]``."""
    random = np.random.default_rng(5)
    centres = random.normal(size=(20, _DIMENSION))
    return (centres[np.arange(_ITEMS) % 20] + random.normal(scale=0.4, size=(_ITEMS, _DIMENSION))).astype(np.float32)


def index_of(vectors: np.ndarray, spec: str, folder: Path) -> FaissIndex:
    index = faiss.index_factory(_DIMENSION, spec, faiss.METRIC_INNER_PRODUCT)
    index.train(vectors)
    index.add(vectors)
    faiss.write_index(index, str(folder / "index.faiss"))
    info = IndexInfo(spec=spec, parameters=_SPECS[spec], recall=1.0, recall_at=_MEASURED, target=0.9, trials=())
    manifest = SimpleNamespace(index=info, dimension=_DIMENSION)
    items = SimpleNamespace(vectors=vectors, listed=None, listed_count=_ITEMS)
    return FaissIndex(cast(Bundle, SimpleNamespace(directory=folder, manifest=manifest, items=items)))


def hidden_rows(which: np.ndarray) -> HiddenRows:
    rows = HiddenRows(np.array([f"{row:04}".encode() for row in range(_ITEMS)]))
    rows.change([f"{row:04}" for row in np.flatnonzero(which)], hidden=True)
    return rows


@pytest.mark.parametrize("spec", _SPECS)
@pytest.mark.parametrize("which", ["none", "1 %", "half", "all but 30", "all", "the clusters of the users"])
def test_the_nearest_items_that_are_shown_are_found(vectors: np.ndarray, spec: str, which: str, tmp_path: Path) -> None:
    """Proves it against a scan of everything, for several users at once, each with another count."""
    random, users = np.random.default_rng(6), vectors[:4]
    is_hidden = {
        "none": np.zeros(_ITEMS, dtype=bool),
        "1 %": random.random(_ITEMS) < 0.01,
        "half": random.random(_ITEMS) < 0.5,
        "all but 30": np.arange(_ITEMS) % 67 > 0,
        "all": np.ones(_ITEMS, dtype=bool),
        "the clusters of the users": np.arange(_ITEMS) % 20 < 4,
    }[which]
    hidden = hidden_rows(is_hidden)
    found = VisibleSearch(index_of(vectors, spec, tmp_path), hidden).search_each(users, _COUNTS)
    for user, count, candidates in zip(users, _COUNTS, found, strict=True):
        expected = [row for row in np.argsort(-(vectors @ user), kind="stable") if not is_hidden[row]][:count]
        if spec == "HNSW32" and len(expected) == np.count_nonzero(~is_hidden):
            # A graph does not reach every node, with hidden items or without.
            assert np.isin(candidates.rows, expected).all()
        else:
            assert sorted(candidates.rows.tolist()) == sorted(expected)


def test_an_answer_is_the_same_in_any_company(vectors: np.ndarray, tmp_path: Path) -> None:
    """Proves it for users of whom some are searched for again, because their nearest items are hidden."""
    hidden = hidden_rows(np.arange(_ITEMS) % 20 < 3)
    search = VisibleSearch(index_of(vectors, "IVF16,Flat", tmp_path), hidden)
    users, counts = vectors[:20], [1 + 17 * place % 60 for place in range(20)]
    together = search.search_each(users, counts)
    for place, (user, count) in enumerate(zip(users, counts, strict=True)):
        [alone] = search.search_each(user[None], [count])
        assert np.array_equal(alone.rows, together[place].rows)
        assert np.array_equal(alone.scores, together[place].scores)
