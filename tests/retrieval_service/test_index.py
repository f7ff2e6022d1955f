"""The index as a service searches it: with the manifest's parameters, in any company, as deep as asked."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import faiss
import numpy as np
import pytest

from retrieval_service.index import FaissIndex
from shortlist.bundle import Bundle
from shortlist.bundle.index_info import IndexInfo
from shortlist.errors import BundleError
from shortlist.inference.candidates import Candidates

_ITEMS, _DIMENSION, _MEASURED = 4000, 16, 40
_SPECS = {
    "Flat": "",
    "IVF64,Flat": "nprobe=4",
    "IVF64,SQ8": "nprobe=4",
    "IVF64,PQ8x4fs,RFlat": "nprobe=4,k_factor_rf=4",
    "IVF64,PQ8x4fs,Refine(SQfp16)": "nprobe=4,k_factor_rf=4",
    "IVF64_HNSW16,Flat": "nprobe=4",
    "PCA12,IVF64,SQfp16": "nprobe=4",
    "HNSW16": "efSearch=60",
}

MakeIndex = Callable[..., FaissIndex]


@pytest.fixture(scope="module")
def vectors() -> np.ndarray:
    """4,000 items in 40 clusters, ``[4000, 16]``."""
    random = np.random.default_rng(5)
    centres = random.normal(size=(40, _DIMENSION))
    spread = random.normal(scale=0.4, size=(_ITEMS, _DIMENSION))
    return (centres[np.arange(_ITEMS) % 40] + spread).astype(np.float32)


@pytest.fixture(scope="module")
def queries(vectors: np.ndarray) -> np.ndarray:
    """40 users near an item each, ``[40, 16]``."""
    random = np.random.default_rng(6)
    return (vectors[:40] + random.normal(scale=0.2, size=(40, _DIMENSION))).astype(np.float32)


@pytest.fixture
def served(vectors: np.ndarray, tmp_path: Path) -> MakeIndex:
    """From a specification and parameters to the index of a bundle with that in its manifest."""

    def make(spec: str, parameters: str | None = None, *, rescored: bool = False) -> FaissIndex:
        index = faiss.index_factory(_DIMENSION, spec, faiss.METRIC_INNER_PRODUCT)
        index.train(vectors)
        index.add(vectors)
        faiss.write_index(index, str(tmp_path / "index.faiss"))
        info = IndexInfo(
            spec=spec,
            parameters=_SPECS[spec] if parameters is None else parameters,
            recall=0.9,
            recall_at=_MEASURED,
            target=0.9,
            trials=(),
            rescored=rescored,
        )
        # The part of a bundle that the index reads.
        manifest = SimpleNamespace(index=info, dimension=_DIMENSION)
        items = SimpleNamespace(vectors=vectors, listed=None, listed_count=_ITEMS)
        bundle = SimpleNamespace(directory=tmp_path, manifest=manifest, items=items)
        return FaissIndex(cast(Bundle, bundle))

    return make


def recall(index: FaissIndex, queries: np.ndarray, vectors: np.ndarray, count: int) -> float:
    """Share of the exact nearest that a service finds."""
    exact = np.argsort(-(queries @ vectors.T), axis=1)[:, :count]
    found = index.search_many(queries, count)
    return float(np.mean([np.isin(one, other.rows).mean() for one, other in zip(exact, found, strict=True)]))


@pytest.mark.parametrize(
    ("spec", "few", "many"),
    [
        ("IVF64,Flat", "nprobe=1", "nprobe=32"),
        ("HNSW16", "efSearch=8", "efSearch=400"),
        ("IVF64,PQ8x4fs,RFlat", "nprobe=32,k_factor_rf=1", "nprobe=32,k_factor_rf=8"),
        ("IVF64,PQ8x4fs,Refine(SQfp16)", "nprobe=1,k_factor_rf=8", "nprobe=32,k_factor_rf=8"),
    ],
)
def test_the_parameters_of_the_manifest_are_searched_with(
    served: MakeIndex, queries: np.ndarray, vectors: np.ndarray, spec: str, few: str, many: str
) -> None:
    """Proves that what was measured is what is served: each parameter, when it is lower, finds less."""
    lower, higher = (recall(served(spec, parameters), queries, vectors, _MEASURED) for parameters in (few, many))
    assert lower < higher - 0.02
    assert higher > 0.95


def test_parameters_that_the_index_does_not_have_are_refused(served: MakeIndex) -> None:
    """Proves that a service does not start with an index that it would search otherwise than measured."""
    with pytest.raises(BundleError, match="does not take the manifest's parameters 'nprobe=4'"):
        served("Flat", "nprobe=4")


def same(one: Candidates, other: Candidates) -> bool:
    """Whether two answers are equal to the last bit."""
    return np.array_equal(one.rows, other.rows) and np.array_equal(one.scores, other.scores)


@pytest.mark.parametrize("rescored", [False, True])
# Not what starts with a rotation: BLAS sums it in another order for a batch, and a recipe has to ask for it.
@pytest.mark.parametrize("spec", [spec for spec in _SPECS if not spec.startswith("PCA")])
def test_an_answer_is_the_same_in_any_company(
    served: MakeIndex, queries: np.ndarray, spec: str, rescored: bool
) -> None:
    """Proves that who shares a call, and what the others want of it, changes neither rows nor a bit of a score."""
    index = served(spec, rescored=rescored)
    counts = [1 + 13 * place % 150 for place in range(len(queries))]
    alone = [index.search(query, count) for query, count in zip(queries, counts, strict=True)]
    assert all(map(same, alone, index.search_each(queries, counts)))
    assert all(map(same, [index.search(query, 50) for query in queries], index.search_many(queries, 50)))


def test_as_many_as_are_asked_for_are_found(served: MakeIndex, queries: np.ndarray) -> None:
    """Proves that the steps by which a search goes deeper never end before the count, whatever that is."""
    index = served("Flat")
    for count in (*range(1, 3 * _MEASURED), 1001, _ITEMS - 1):
        assert len(index.search(queries[0], count).rows) == count


@pytest.mark.parametrize("spec", _SPECS)
def test_nothing_found_is_never_a_row(served: MakeIndex, queries: np.ndarray, spec: str) -> None:
    """Proves that the -1 of an index that visits too little stays inside, however much is asked for."""
    for count in (1, _MEASURED, _ITEMS - 1, _ITEMS, 3 * _ITEMS):
        for found in served(spec).search_many(queries[:4], count):
            assert 0 < len(found.rows) <= min(count, _ITEMS)
            assert found.rows.min() >= 0
            assert len(np.unique(found.rows)) == len(found.rows) == len(found.scores)
            assert np.isfinite(found.scores).all()


@pytest.mark.parametrize("spec", [spec for spec in _SPECS if spec != "Flat"])
def test_whoever_asks_for_more_is_searched_for_longer(
    served: MakeIndex, queries: np.ndarray, vectors: np.ndarray, spec: str
) -> None:
    """Proves that somebody who has seen 2,000 items, and so asks for as many more, is still found most of them."""
    index = served(spec)
    assert recall(index, queries, vectors, _MEASURED) > 0.8
    assert recall(index, queries, vectors, 2000 + _MEASURED) > 0.8


def test_the_scores_of_a_rounding_index_are_the_inner_products(
    served: MakeIndex, queries: np.ndarray, vectors: np.ndarray
) -> None:
    """Proves that a served score is the one the ranker learnt from, and that the order is by it; else both are off."""
    exact = served("IVF64,SQ8", rescored=True).search_many(queries, _MEASURED)
    rounded = served("IVF64,SQ8").search_many(queries, _MEASURED)
    for query, found in zip(queries, exact, strict=True):
        np.testing.assert_allclose(found.scores, vectors[found.rows] @ query, rtol=1e-5, atol=1e-5)
        assert (np.diff(found.scores) <= 0).all()
    off = [
        np.abs(found.scores - vectors[found.rows] @ query).max() for query, found in zip(queries, rounded, strict=True)
    ]
    assert max(off) > 1e-3


def test_no_queries_have_no_answers(served: MakeIndex) -> None:
    """Proves that a batch of people whom nobody knows is no special case for the caller."""
    nobody = np.zeros((0, _DIMENSION), dtype=np.float32)
    assert served("Flat").search_many(nobody, 5) == []
    assert served("IVF64,SQ8", rescored=True).search_each(nobody, []) == []
