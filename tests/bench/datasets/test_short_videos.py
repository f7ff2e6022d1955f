"""KuaiRand's log as tables, on a planted one."""

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
    """What was shown; the second row repeats the first's user, video and time."""
    return pl.DataFrame(LOG, schema=COLUMNS, orient="row").with_columns(pl.col("part").cast(pl.Categorical))


@pytest.fixture(scope="module")
def past() -> pl.DataFrame:
    """What was watched before."""
    columns = {"user_id": pl.Int32, "last_time_ms": pl.Int64}
    lists = dict.fromkeys(["watch_seq", "like_seq", "long_watch_seq"], pl.List(pl.Int16))
    return pl.DataFrame(PAST, schema={**columns, **lists}, orient="row")


@pytest.fixture(scope="module")
def out(log: pl.DataFrame, past: pl.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the command makes of them, where there are no statistics of the whole period."""
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


def test_a_list_ends_when_its_last_video_was_watched(past: pl.DataFrame) -> None:
    """Proves the times, a second apart in the list's order and none after the last, and the values: 2 for liked, 1 for
    long, 0 else; an empty list gives nothing.
    """
    night = NIGHT // SECOND
    assert watched_before(past).rows() == [
        (1, 13, night - 3, 2.0),
        (1, 11, night - 2, 1.0),
        (1, 13, night - 1, 2.0),
        (2, 14, night - 1, 0.0),
        (2, 10, night, 1.0),
    ]


def test_what_came_of_a_video_is_its_own_rows(out: Path) -> None:
    """Proves the objectives, that a repeated row counts once, as it was first, and that nothing else that a row knows
    only afterwards is there.
    """
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
    """Proves that a second before 16:00 UTC is in the last hour of the day, and the next one in the first."""
    hours = impressions(log.with_columns(item_id="video_id", timestamp=pl.col("time_ms") // SECOND))["hour"]
    assert hours.to_list() == ["23", "23", "23", "0", "0", "0"]


def test_interactions_are_what_was_clicked(out: Path) -> None:
    """Proves that of the log only clicks are in a history, each once and valued as the lists are."""
    found = pl.read_parquet(out / "interactions.parquet").tail(-5)
    night = NIGHT // SECOND
    assert found.rows() == [(1, 10, night, 0.0), (1, 10, night + 1, 1.0), (1, 12, night + 2, 2.0)]


def test_no_impression_sees_what_came_of_it_or_later(out: Path, tmp_path: Path) -> None:
    """Proves, as the trainer reads the tables, that the history of an impression ends before its second: its own click
    is not in it, nor one of the same second, and what was clicked before is.
    """
    (tmp_path / "recipe.toml").write_text(RECIPE)
    dataset = load(out, Recipe.read(tmp_path / "recipe.toml"))
    assert dataset.impressions is not None
    impressions = dataset.impressions
    histories = HistorySlices.before_times(dataset, impressions.user_rows, impressions.times).listed(np.arange(5))
    named = [[int(dataset.item_ids[row]) for row in history.rows] for history in histories]
    assert named == [[13, 11, 13], [13, 11, 13], [13, 11, 13, 10], [13, 11, 13, 10, 10], [14, 10]]
