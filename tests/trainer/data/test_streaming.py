"""Data that does not fit in memory: the same as in memory, and in memory that does not grow with it."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest

from trainer.data import Dataset, load
from trainer.data import arrays as arrays_module
from trainer.data import events as events_module
from trainer.errors import DataError
from trainer.recipe import DataRecipe, InteractionsConfig

RECIPE = DataRecipe(interactions=InteractionsConfig(file="events.parquet", value="stars", positive_value=4))
WITH_EVENTS = DataRecipe(interactions=replace(RECIPE.interactions, event="kind", positive_events=("buy",)))
_CHUNK = 64
_PEAK_OF_LOADING = """
import sys, threading
from pathlib import Path
from trainer.data import arrays, load
from trainer.recipe import InteractionsConfig, DataRecipe

def held(*kinds):
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return sum(int(status[kind].split()[0]) for kind in kinds) // 1024

def watch():
    while not done.wait(0.01):
        peaks.append(held("RssAnon"))

arrays.CHUNK = arrays._IN_MEMORY = 2**17
peaks, done = [], threading.Event()
watcher = threading.Thread(target=watch)
watcher.start()
dataset = load(Path(sys.argv[1]), DataRecipe(interactions=InteractionsConfig(value="stars", positive_value=4)))
done.set()
watcher.join()
print(max(peaks), held("RssFile", "RssShmem"))
"""


def rows(count: int, seed: int = 3) -> pl.DataFrame:
    """Events of two kinds in no order, with many of one time, and each tenth of them twice with another value."""
    random = np.random.default_rng(seed)
    frame = pl.DataFrame(
        {
            "user_id": random.integers(0, 40, count),
            "item_id": random.integers(0, 30, count),
            "timestamp": random.integers(0, count // 4, count),
            "stars": random.integers(1, 6, count),
            "kind": random.choice(["view", "buy"], count),
        }
    )
    return pl.concat([frame, frame.gather_every(10).with_columns(stars=pl.lit(5, pl.Int64))])


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Everything in chunks of 64 events, and arrays of more than that in files."""
    with monkeypatch.context() as patched:
        patched.setattr(arrays_module, "CHUNK", _CHUNK)
        patched.setattr(arrays_module, "_IN_MEMORY", _CHUNK)
        patched.setattr(events_module, "_SAMPLED", 4)
        yield


def arrays(dataset: Dataset) -> dict[str, np.ndarray]:
    """All of its arrays by name."""
    found = {key.name: getattr(dataset, key.name) for key in fields(dataset)}
    found |= {f"histories.{key}": value for key, value in vars(dataset.histories).items()}
    return {name: value for name, value in found.items() if isinstance(value, np.ndarray)}


@pytest.mark.parametrize("recipe", [RECIPE, WITH_EVENTS])
def test_a_log_read_in_parts_is_the_log_read_at_once(
    tmp_path: Path, request: pytest.FixtureRequest, recipe: DataRecipe
) -> None:
    """Proves that the merge of runs keeps the order of time and of the file, and drops duplicates across runs."""
    table = rows(1000)
    table.write_parquet(tmp_path / "events.parquet")
    at_once = load(tmp_path, recipe)
    request.getfixturevalue("small_chunks")
    in_parts = load(tmp_path, recipe)
    assert in_parts.counts == at_once.counts
    key = ["user_id", "item_id", "timestamp", *([] if recipe is RECIPE else ["kind"])]
    assert in_parts.counts.duplicates_dropped == len(table) - table.n_unique(key) >= 100
    assert in_parts.times.base is not None
    assert isinstance(backing(in_parts.times), np.memmap)
    assert not isinstance(backing(at_once.times), np.memmap)
    expected = arrays(at_once)
    assert len(expected) > 12
    for name, array in arrays(in_parts).items():
        np.testing.assert_array_equal(array, expected[name], err_msg=name)


def backing(array: np.ndarray) -> object:
    """The array at the bottom of a view, or the map itself."""
    while isinstance(array.base, np.ndarray) and not isinstance(array, np.memmap):
        array = array.base
    return array


def test_a_folder_of_parquet_files_is_one_log(tmp_path: Path) -> None:
    """Proves that parts are read in the order of their names."""
    whole = rows(300)
    whole.write_parquet(tmp_path / "events.parquet")
    at_once = load(tmp_path, RECIPE)
    (tmp_path / "events.parquet").unlink()
    (tmp_path / "events.parquet").mkdir()
    for part in range(3):
        whole.slice(110 * part, 110).write_parquet(tmp_path / "events.parquet" / f"{part}.parquet")
    in_parts = load(tmp_path, RECIPE)
    for name, array in arrays(in_parts).items():
        np.testing.assert_array_equal(array, arrays(at_once)[name], err_msg=name)


def test_a_bad_row_is_named_by_its_place_in_the_file(tmp_path: Path, small_chunks: None) -> None:
    """Proves that the message does not count from the start of the part that is read."""
    frame = rows(200).with_columns(stars=pl.when(pl.int_range(pl.len()) == 150).then(None).otherwise(pl.col("stars")))
    frame.write_parquet(tmp_path / "events.parquet")
    with pytest.raises(DataError, match=r"'stars': no finite number in 1 of 64 rows from row 129 on; first row 151: N"):
        load(tmp_path, RECIPE)


def test_no_room_for_the_arrays_is_refused(tmp_path: Path, small_chunks: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Proves that a full disk is an error with the way out, and not a process killed while it writes to a map."""
    rows(200).write_parquet(tmp_path / "events.parquet")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=100))
    with pytest.raises(DataError, match=r"has no room for .* GB of events; TMPDIR names another directory"):
        load(tmp_path, RECIPE)


def test_private_memory_does_not_grow_with_the_events(tmp_path: Path) -> None:
    """Proves it at the peak of loading, in processes of their own: what 2 million events more hold is in files alone.

    At 63 bytes an event the arrays of 2 million take 120 MB.
    """
    held = []
    for millions in (1, 3):
        folder = tmp_path / str(millions)
        (folder / "interactions.parquet").mkdir(parents=True)
        for part in range(millions):
            rows(900_000, part).write_parquet(folder / "interactions.parquet" / f"{part}.parquet")
        command = [sys.executable, "-c", _PEAK_OF_LOADING, str(folder)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        held.append([int(megabytes) for megabytes in done.stdout.split()])
    (private, in_files), (private_of_more, in_files_of_more) = held
    assert in_files_of_more - in_files > 60
    assert private_of_more - private < 60, held
