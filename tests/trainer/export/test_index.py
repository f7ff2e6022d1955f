"""The index that is chosen: fast enough to win, good enough to be let in."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import faiss
import numpy as np
import pytest

from shortlist.bundle.index_info import IndexInfo, IndexTrial
from trainer.analysis.tables import index_table
from trainer.export.index.builder import Builder, set_parameters
from trainer.export.index.choice import choose, finalists
from trainer.export.index.families import Family, families, inverted, not_tried
from trainer.export.index.process import main, run
from trainer.export.index.queries import Queries

_COUNT = 50


@pytest.fixture(scope="module")
def items() -> np.ndarray:
    """8,000 items in 80 clusters, ``[8000, 16]``."""
    random = np.random.default_rng(5)
    centres = random.normal(size=(80, 16))
    return (centres[np.arange(8000) % 80] + random.normal(scale=0.3, size=(8000, 16))).astype(np.float32)


@pytest.fixture(scope="module")
def users(items: np.ndarray) -> np.ndarray:
    """400 users near an item each."""
    random = np.random.default_rng(6)
    near = items[random.integers(len(items), size=400)]
    return (near + random.normal(scale=0.2, size=near.shape)).astype(np.float32)


def chosen_of(info: IndexInfo) -> IndexTrial:
    """The one trial that is marked."""
    (chosen,) = (trial for trial in info.trials if trial.chosen)
    return chosen


@pytest.mark.parametrize("target", [0.9, 0.97])
def test_the_chosen_index_reaches_the_target_on_other_users(
    items: np.ndarray, users: np.ndarray, tmp_path: Path, target: float
) -> None:
    """Proves that the index has the recall for users that chose nothing, with the stated parameters."""
    path = tmp_path / "index.faiss"
    info = choose(items, users[:200], _COUNT, target, families(len(items), 16, _COUNT), path)
    index = faiss.read_index(str(path))
    set_parameters(index, info.parameters)
    assert Queries.of(users[200:], items, _COUNT).shares(index).mean() >= target
    assert info.recall >= target
    assert {trial.spec.split(",")[0] for trial in info.trials} >= {"Flat", "HNSW32"}


def test_the_fastest_that_reaches_the_target_is_chosen(items: np.ndarray, users: np.ndarray, tmp_path: Path) -> None:
    """Proves that a fast index of low recall does not win, and that among the others time decides."""
    tried = [
        Family(spec="IVF128,Flat", ladders=(("nprobe=1",),)),
        Family(spec="IVF128,Flat", ladders=(("nprobe=1", "nprobe=16", "nprobe=32", "nprobe=128"),)),
        Family(spec="Flat", ladders=(("",),)),
    ]
    info = choose(items, users, _COUNT, 0.99, tried, tmp_path / "index.faiss")
    poor, good, flat = info.trials
    assert poor.recall < 0.99
    assert poor.search_us < flat.search_us
    assert min(good.recall, flat.recall) >= 0.99
    assert chosen_of(info) == min((good, flat), key=lambda trial: trial.search_us)


def test_a_target_that_only_a_scan_reaches_gives_a_scan(items: np.ndarray, users: np.ndarray, tmp_path: Path) -> None:
    """Proves that an approximate index is never taken for want of a better one."""
    tried = [Family(spec="IVF128,SQ8", ladders=(("nprobe=1", "nprobe=4"),)), Family(spec="Flat", ladders=(("",),))]
    info = choose(items, users, _COUNT, 1.0, tried, tmp_path / "index.faiss")
    assert (info.spec, info.recall) == ("Flat", 1.0)


def test_a_target_that_nothing_reaches_gives_what_finds_the_most_and_says_so(
    items: np.ndarray, users: np.ndarray, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Proves that a bundle is still made, and that a message says that its index misses the target."""
    tried = [Family(spec="IVF128,Flat", ladders=((step,),)) for step in ("nprobe=1", "nprobe=2")]
    info = choose(items, users, _COUNT, 0.99, tried, tmp_path / "index.faiss")
    assert (info.parameters, info.recall < info.target) == ("nprobe=2", True)
    assert "nothing that was tried surely reaches a recall of 0.99; IVF128,Flat has 0." in capsys.readouterr().err


def test_indexes_with_as_many_lists_share_them(items: np.ndarray) -> None:
    """Proves that sharing centroids changes nothing: an index built second is the one built alone."""
    builder = Builder(items)
    builder.build("IVF64,SQ8")
    second, alone = builder.build("IVF64,Flat")[0], Builder(items).build("IVF64,Flat")[0]
    for index in (second, alone):
        set_parameters(index, "nprobe=2")
    assert second.ntotal == len(items)
    for found, expected in zip(second.search(items[:50], _COUNT), alone.search(items[:50], _COUNT), strict=True):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    ("spec", "rounds"),
    [
        ("Flat", False),
        ("IVF64,Flat", False),
        ("HNSW16", False),
        ("IVF64,PQ8x4fs,RFlat", False),
        ("PCA8,Flat", True),
        ("IVF64,SQfp16", True),
        ("IVF64,SQ8", True),
        ("IVF64,PQ8x4fs,Refine(SQfp16)", True),
    ],
)
def test_an_index_whose_scores_are_rounded_is_known(
    items: np.ndarray, users: np.ndarray, tmp_path: Path, spec: str, rounds: bool
) -> None:
    """Proves that it is measured, not read off the name: services compute these scores again, and only these."""
    ladder = (f"{'nprobe=8' if 'IVF' in spec else ''}{',k_factor_rf=4' if 'R' in spec else ''}",)
    info = choose(items, users, _COUNT, 0.5, [Family(spec=spec, ladders=(ladder,))], tmp_path / "index.faiss")
    assert (info.rescored, info.trials[0].rescored) == (rounds, rounds)


def test_the_exact_neighbours_are_those_of_a_product_with_everything(
    items: np.ndarray, users: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Proves the oracle that every recall is counted against, also when it goes through the items part by part."""
    monkeypatch.setattr("trainer.export.index.queries._AT_ONCE", 3000)
    expected = np.argsort(-(users[:20] @ items.T), axis=1)[:, :_COUNT]
    found = Queries.of(users[:20], items, _COUNT).exact
    assert [set(row) for row in found.tolist()] == [set(row) for row in expected.tolist()]


def test_a_small_catalogue_is_scanned() -> None:
    """Proves that a shop of 1,700 items waits for no trial, and that the manifest says why."""
    assert [family.spec for family in families(1700, 64, 200)] == ["Flat"]
    assert list(not_tried(1700)) == ["IVF, HNSW"]


def test_a_large_catalogue_gets_no_graph_and_no_scan() -> None:
    """Proves that nothing is tried that takes hours to build or to search, and that the table says so."""
    specs = [family.spec for family in families(10_000_000, 64, 500)]
    assert not any(spec.startswith(("Flat", "HNSW")) for spec in specs)
    assert any("PQ" in spec for spec in specs)
    assert list(not_tried(10_000_000)) == ["Flat", "HNSW32"]


def test_the_lists_grow_with_the_root_of_the_catalogue() -> None:
    """Proves that each kind has as many lists as suit the size, whose nearest are found by a graph when too many."""
    assert inverted(100_000, 64)[:3] == ["IVF256,Flat", "IVF256,SQfp16", "IVF1024,Flat"]
    assert inverted(10_000_000, 64)[2] == "IVF16384,Flat"
    assert inverted(100_000_000, 64)[2] == "IVF32768,Flat"
    assert inverted(1_000_000_000, 64)[2] == "IVF131072_HNSW32,Flat"
    assert not any("PQ" in spec for spec in inverted(100_000, 63))


def test_the_ladder_ends_where_every_list_is_visited() -> None:
    """Proves that no trial asks for more lists than there are, and that a target of 1 can be reached."""
    (ladder,) = Family.of("IVF100,Flat", 50).ladders
    assert ladder[:5] == ("nprobe=1", "nprobe=2", "nprobe=3", "nprobe=4", "nprobe=6")
    assert ladder[-1] == "nprobe=100"


def test_a_very_large_catalogue_builds_only_what_is_best_on_a_sample(
    items: np.ndarray, users: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Proves that choosing stays affordable: two are built whole, and each of the others has its reason."""
    monkeypatch.setattr("trainer.export.index.choice.MOST_IN_GRAPH", 5000)
    monkeypatch.setattr("trainer.export.index.choice._SAMPLE", 2000)
    tried = [Family.of(spec, _COUNT) for spec in inverted(len(items), 16)]
    kept, reasons = finalists(items, users[:100], _COUNT, 0.9, tried, tmp_path)
    assert len(kept) == 2
    assert {family.spec for family in kept} | set(reasons) == {family.spec for family in tried}
    assert all("on a sample of 2,000 items" in reason for reason in reasons.values())
    assert list(tmp_path.iterdir()) == []


def task_of(items: np.ndarray, users: np.ndarray, folder: Path, **recipe: object) -> dict[str, object]:
    """The task that :mod:`trainer.export.index.build` gives to the process that builds."""
    np.save(folder / "items.npy", items)
    np.save(folder / "users.npy", users)
    files = {"vectors": "items.npy", "queries": "users.npy", "index": "index.faiss"}
    paths = {name: str(folder / file) for name, file in files.items()}
    return {**paths, "count": _COUNT, "recall": 0.9, "spec": None, "parameters": None, **recipe}


def test_a_fixed_spec_is_obeyed(items: np.ndarray, users: np.ndarray, tmp_path: Path) -> None:
    """Proves that the recipe's own index is the only one built, and that its parameters are found or taken as given."""
    found = run(task_of(items, users, tmp_path, spec="IVF128,SQ8"))
    given = run(task_of(items, users, tmp_path, spec="IVF128,SQ8", parameters="nprobe=1"))
    assert [trial.spec for trial in (*found.trials, *given.trials)] == ["IVF128,SQ8", "IVF128,SQ8"]
    assert found.recall >= 0.9
    assert (given.parameters, given.recall < 0.9) == ("nprobe=1", True)


def test_more_neighbours_than_items_are_all_the_items(users: np.ndarray, items: np.ndarray, tmp_path: Path) -> None:
    """Proves that a catalogue smaller than the ranker's candidates gets an index too."""
    info = run(task_of(items[:30], users, tmp_path))
    assert (info.spec, info.recall, info.recall_at) == ("Flat", 1.0, 30)


@pytest.mark.parametrize(
    ("spec", "parameters", "said"),
    [
        ("Bogus", None, "could not parse index string Bogus"),
        ("IVF9000,Flat", None, "Number of training points"),
        ("Flat", "nprobe=4", "could not set parameter nprobe"),
        ("IVF32,Flat", "nprobe=many", "nprobe=many"),
        ("IVF32,Flat", "nprobe=0", "nprobe"),
    ],
)
def test_what_faiss_refuses_is_said_in_its_words(
    items: np.ndarray,
    users: np.ndarray,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    spec: str,
    parameters: str | None,
    said: str,
) -> None:
    """Proves that a mistake in the recipe comes back as a reason, without FAISS' file names and signatures."""
    task = tmp_path / "task.json"
    task.write_text(json.dumps(task_of(items, users, tmp_path, spec=spec, parameters=parameters)))
    main(str(task))
    refused = json.loads(capsys.readouterr().out)["refused"]
    assert said in refused
    assert "Error in" not in refused


def test_the_table_shows_the_chosen_and_the_untried() -> None:
    """Proves that one screen shows the trials, the winner and the kinds left out."""
    trial = IndexTrial(
        spec="Flat",
        parameters="",
        recall=1.0,
        search_us=20.4,
        search_us_batch=18.6,
        bytes_per_vector=256.0,
        build_seconds=0.02,
        chosen=True,
    )
    info = IndexInfo(
        spec="Flat",
        parameters="",
        recall=1.0,
        recall_at=200,
        target=0.99,
        trials=(trial, replace(trial, spec="HNSW32", parameters="efSearch=512", chosen=False)),
        not_tried={"IVF": "too few items"},
    )
    lines = index_table(info).splitlines()
    assert lines[1].split() == ["*", "Flat", "1.0000", "20", "19", "256", "0.0"]
    assert lines[2].startswith("  HNSW32 efSearch=512")
    assert lines[3] == "  IVF not tried: too few items"
    assert IndexInfo.from_json(json.loads(json.dumps(asdict(info)))) == info
