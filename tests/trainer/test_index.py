"""The index that is chosen: fast enough to win, good enough to be let in."""

from dataclasses import replace
from pathlib import Path

import faiss
import numpy as np
import pytest

from retrieval_service.index import FaissIndex
from shortlist.bundle import Bundle
from trainer.build_index import choose
from trainer.index_families import Family, families
from trainer.index_trials import Queries, build, set_parameters

_COUNT = 50


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> None:
    """PyTorch, which other tests of this process load, brings an OpenMP of its own."""
    faiss.omp_set_num_threads(1)


@pytest.fixture(scope="module")
def items() -> np.ndarray:
    """8,000 items in 80 clusters, ``[8000, 16]``."""
    random = np.random.default_rng(5)
    centres = random.normal(size=(80, 16))
    return (centres[np.arange(8000) % 80] + random.normal(scale=0.3, size=(8000, 16))).astype(np.float32)


@pytest.fixture(scope="module")
def users(items: np.ndarray) -> np.ndarray:
    """200 users near an item each."""
    random = np.random.default_rng(6)
    near = items[random.integers(len(items), size=200)]
    return (near + random.normal(scale=0.2, size=near.shape)).astype(np.float32)


def test_the_chosen_index_reaches_the_target_on_other_users(
    items: np.ndarray, users: np.ndarray, tmp_path: Path
) -> None:
    """Proves that what is written finds enough for users that chose nothing, with the parameters that are said."""
    path = tmp_path / "index.faiss"
    info = choose(items, users[:100], _COUNT, 0.95, families(len(items), 16, _COUNT), path)
    index = faiss.read_index(str(path))
    set_parameters(index, info.parameters)
    unseen = Queries.of(users[100:], items, _COUNT)
    assert unseen.recall(index) > 0.93
    assert info.recall > 0.93
    assert {trial.spec.split(",")[0] for trial in info.trials} >= {"Flat", "HNSW32"}


def test_the_fastest_that_reaches_the_target_is_chosen(items: np.ndarray, users: np.ndarray, tmp_path: Path) -> None:
    """Proves that what is fast and finds too little does not win, and that among the others time decides."""
    tried = [
        Family(spec="IVF128,Flat", ladders=(("nprobe=1",),)),
        Family(spec="IVF128,Flat", ladders=(("nprobe=1", "nprobe=16", "nprobe=32", "nprobe=128"),)),
        Family(spec="Flat", ladders=(("",),)),
    ]
    info = choose(items, users, _COUNT, 0.99, tried, tmp_path / "index.faiss")
    poor, good, flat = info.trials
    assert poor.recall < 0.99
    assert poor.search_us < flat.search_us
    assert min(good.recall, flat.recall) >= 0.98
    fastest = min((good, flat), key=lambda trial: trial.search_us)
    assert (info.spec, info.parameters) == (fastest.spec, fastest.parameters)


def test_a_target_that_only_a_scan_reaches_gives_a_scan(items: np.ndarray, users: np.ndarray, tmp_path: Path) -> None:
    """Proves that an approximate index is never taken for want of a better one."""
    tried = [Family(spec="IVF128,SQ8", ladders=(("nprobe=1", "nprobe=4"),)), Family(spec="Flat", ladders=(("",),))]
    info = choose(items, users, _COUNT, 1.0, tried, tmp_path / "index.faiss")
    assert (info.spec, info.recall) == ("Flat", 1.0)


def test_a_small_catalogue_is_scanned() -> None:
    """Proves that a shop of 1,700 items waits for no trial."""
    assert [family.spec for family in families(1700, 64, 200)] == ["Flat"]


def test_a_large_catalogue_gets_no_graph_and_no_scan() -> None:
    """Proves that nothing is tried that takes hours to build or to search."""
    specs = [family.spec for family in families(10_000_000, 64, 500)]
    assert not any(spec.startswith(("Flat", "HNSW")) for spec in specs)
    assert any("PQ" in spec for spec in specs)


def test_the_exact_neighbours_are_those_of_a_product_with_everything(items: np.ndarray, users: np.ndarray) -> None:
    """Proves the oracle that every recall is counted against."""
    expected = np.argsort(-(users[:20] @ items.T), axis=1)[:, :_COUNT]
    found = Queries.of(users[:20], items, _COUNT).exact
    assert [set(row) for row in found.tolist()] == [set(row) for row in expected.tolist()]


def test_the_service_searches_with_the_parameters_of_the_manifest(
    items: np.ndarray, users: np.ndarray, exported: Path, tmp_path: Path
) -> None:
    """Proves that what was measured is what is served: with one list visited a search finds what one list has."""
    index = build(items, "IVF128,Flat")
    faiss.write_index(index, str(tmp_path / "index.faiss"))
    bundle = Bundle.open(exported)
    found = {}
    for parameters in ("nprobe=1", "nprobe=128"):
        info = replace(bundle.manifest.index, parameters=parameters)
        manifest = replace(bundle.manifest, index=info, item_count=len(items), dimension=16)
        served = FaissIndex(replace(bundle, directory=tmp_path, manifest=manifest))
        found[parameters] = len(served.search(users[0], 8000).rows)
    assert found["nprobe=128"] == 8000
    assert found["nprobe=1"] < 1000
