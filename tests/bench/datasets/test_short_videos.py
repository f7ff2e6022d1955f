"""KuaiRand's log as tables, on a planted log."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from bench.datasets.short_videos import impressions, main, watched_before
from trainer.data import load
from trainer.data.history_slices import HistorySlices
from trainer.recipe import Recipe

SECOND = 1000
NIGHT = int(datetime(2022, 4, 25, 15, 59, 59, tzinfo=UTC).timestamp()) * SECOND
RECIPE = """
[interactions]
value = "value"
positive_value = 1
[impressions]
categorical = ["tab", "hour"]
[items]
multi_valued = ["tag"]
[objectives.click]
column = "click"
[split]
column = "split"
"""
COLUMNS = ["user_id", "video_id", "time_ms", "is_click", "is_like", "long_view", "tab", "part", "play_time_ms"]
LOG = [
    (1, 10, NIGHT, 1, 0, 0, 1, "val", 9),
    (1, 10, NIGHT, 0, 0, 0, 1, "val", 9),
    (1, 11, NIGHT + 5, 0, 0, 0, 1, "val", 9),
    (1, 10, NIGHT + SECOND, 1, 0, 1, 2, "val", 9),
    (1, 12, NIGHT + 2 * SECOND, 1, 1, 1, 2, "test", 9),
    (2, 12, NIGHT + 2 * SECOND, 0, 1, 1, 2, "test", 9),
]
# A list without anything, videos watched twice, and one user whose list ends within the log.
PAST = [(1, NIGHT - SECOND, [13, 11, 13], [13], [11, 13]), (2, NIGHT, [14, 10], [], [10]), (3, NIGHT, [], [], [])]


@pytest.fixture(scope="module")
def log() -> pl.DataFrame:
    """Impressions; the second row repeats the first one's user, video and time."""
    return pl.DataFrame(LOG, schema=COLUMNS, orient="row").with_columns(pl.col("part").cast(pl.Categorical))


@pytest.fixture(scope="module")
def past() -> pl.DataFrame:
    """Each user's videos before the log."""
    columns = {"user_id": pl.Int32, "last_time_ms": pl.Int64}
    lists = dict.fromkeys(["watch_seq", "like_seq", "long_watch_seq"], pl.List(pl.Int16))
    return pl.DataFrame(PAST, schema={**columns, **lists}, orient="row")


@pytest.fixture(scope="module")
def out(log: pl.DataFrame, past: pl.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The command's output, from a folder without statistics of the whole period."""
    folder = tmp_path_factory.mktemp("videos")
    log.cast({"user_id": pl.Int32, "video_id": pl.Int16}).write_parquet(folder / "log.parquet")
    past.write_parquet(folder / "user_history_before.parquet")
    pl.DataFrame({"user_id": [1, 2, 3]}).write_parquet(folder / "users.parquet")
    videos = pl.DataFrame({"video_id": range(10, 15), "tag": ["1", "1,2", None, "2", "3"]})
    videos.write_parquet(folder / "videos.parquet")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["short_videos", "--data", str(folder), "--out", str(folder / "out")])
        main()
    return folder / "out"


def test_a_list_ends_at_the_time_of_its_last_video(past: pl.DataFrame) -> None:
    """Proves the times, one second apart, and the values 2 for likes, 1 for long views and 0 else."""
    night = NIGHT // SECOND
    assert watched_before(past).rows() == [
        (1, 13, night - 3, 2.0),
        (1, 11, night - 2, 1.0),
        (1, 13, night - 1, 2.0),
        (2, 14, night - 1, 0.0),
        (2, 10, night, 1.0),
    ]


def test_an_impression_has_the_outcomes_of_its_own_row(out: Path) -> None:
    """Proves that the first of repeated rows counts, and that other later knowledge is left out."""
    found = pl.read_parquet(out / "impressions.parquet")
    assert found.columns == ["user_id", "item_id", "timestamp", "tab", "hour", "click", "like", "long_view", "split"]
    assert found.select("user_id", "item_id", "click", "like", "long_view", "split").rows() == [
        (1, 10, 1, 0, 0, "train"),
        (1, 11, 0, 0, 0, "train"),
        (1, 10, 1, 0, 1, "train"),
        (1, 12, 1, 1, 1, "test"),
        (2, 12, 0, 1, 1, "test"),
    ]


def test_the_hour_is_chinas(log: pl.DataFrame) -> None:
    """Proves that 16:00 UTC begins a day: the second before it has hour 23."""
    hours = impressions(log.with_columns(item_id="video_id", timestamp=pl.col("time_ms") // SECOND))["hour"]
    assert hours.to_list() == ["23", "23", "23", "0", "0", "0"]


def test_interactions_of_the_log_are_its_clicks(out: Path) -> None:
    """Proves that each click appears once, with a value as in the lists."""
    found = pl.read_parquet(out / "interactions.parquet").tail(-5)
    night = NIGHT // SECOND
    assert found.rows() == [(1, 10, night, 0.0), (1, 10, night + 1, 1.0), (1, 12, night + 2, 2.0)]


def test_no_impression_sees_its_own_outcome_or_a_later_one(out: Path, tmp_path: Path) -> None:
    """Proves that a history has the clicks before the impression's second and no others, by the trainer's reader."""
    (tmp_path / "recipe.toml").write_text(RECIPE)
    dataset = load(out, Recipe.read(tmp_path / "recipe.toml"))
    assert dataset.impressions is not None
    impressions = dataset.impressions
    histories = HistorySlices.before_times(dataset, impressions.user_rows, impressions.times).at(np.arange(5)).listed()
    named = [[int(dataset.item_ids[row]) for row in history.rows] for history in histories]
    assert named == [[13, 11, 13], [13, 11, 13], [13, 11, 13, 10], [13, 11, 13, 10, 10], [14, 10]]
