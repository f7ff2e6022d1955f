"""Nothing of forgotten users from before the forgetting is read."""

from pathlib import Path

import polars as pl
import pytest

from shortlist.forgotten_list import Forgetting, ForgottenList
from shortlist.user_hash import user_hash
from trainer.data import Dataset, load
from trainer.data.forgotten import read_forgotten
from trainer.data.time_texts import SECOND
from trainer.errors import DataError
from trainer.recipe import DataRecipe, ImpressionsConfig, InteractionsConfig, ObjectiveConfig, UsersConfig

_KEY = b"k" * 32


def forgotten(**seconds: int) -> ForgottenList:
    """A list with the seconds since 1970 at which users were forgotten."""
    users = {
        user_hash(_KEY, user_id): Forgetting(position=place, time=moment * SECOND)
        for place, (user_id, moment) in enumerate(seconds.items(), start=1)
    }
    return ForgottenList(position=9, hash_key=_KEY, users=users)


def loaded(folder: Path, listed: ForgottenList | None, *, rows_in_order: bool = False) -> Dataset:
    """Events of "ann", "bob" and "eve" at 10 to 60 seconds, with a table of users and impressions."""
    users = ["ann", "bob", "eve"] * 2
    events = {"user_id": users, "item_id": list("abcabc"), "timestamp": [10, 20, 30, 40, 50, 60]}
    pl.DataFrame(events).write_csv(folder / "plays.csv")
    pl.DataFrame(events | {"clicked": [1, 0, 1, 0, 1, 0]}).write_csv(folder / "shown.csv")
    pl.DataFrame({"user_id": ["ann", "bob", "new"], "taste": ["x", "y", "x"]}).write_csv(folder / "users.csv")
    recipe = DataRecipe(
        interactions=InteractionsConfig(file="plays.csv", rows_in_order=rows_in_order),
        users=UsersConfig(file="users.csv", id="user_id", categorical=("taste",)),
        impressions=ImpressionsConfig(file="shown.csv"),
        objectives={"click": ObjectiveConfig(column="clicked")},
    )
    return load(folder, recipe, forgotten=listed)


def test_events_from_before_the_forgetting_are_left_out(tmp_path: Path) -> None:
    """Proves it for interactions, impressions and rows of users; later ones stay, and a warning counts the others."""
    data = loaded(tmp_path, forgotten(ann=25, new=1, eve=100))
    assert data.user_ids.tolist() == [b"ann", b"bob"]
    assert [time // SECOND for time in data.times.tolist()] == [20, 40, 50]
    assert data.impressions is not None
    assert [time // SECOND for time in data.impressions.times.tolist()] == [20, 40, 50]
    assert not data.user_features.matrix[0].any()
    assert data.user_features.matrix[1].any()
    assert "plays.csv: 3 interactions of forgotten users were left out" in data.warnings
    assert data.forgotten_position == 9


def test_without_times_everything_of_a_forgotten_user_is_left_out(tmp_path: Path) -> None:
    """Proves that nothing counts as later where rows have an order alone."""
    data = loaded(tmp_path, forgotten(eve=1), rows_in_order=True)
    assert data.user_ids.tolist() == [b"ann", b"bob", b"new"]
    assert data.item_rows.tolist() == [0, 1, 0, 1]


def test_a_list_without_the_users_of_the_data_changes_nothing(tmp_path: Path) -> None:
    """Proves that all rows stay, and that no warning comes."""
    data = loaded(tmp_path, forgotten(somebody=100))
    assert (len(data.times), len(data.user_ids)) == (6, 4)
    assert not [text for text in data.warnings if "forgotten" in text]
    assert loaded(tmp_path, None).forgotten_position is None


def test_a_list_is_read_as_it_was_written(tmp_path: Path) -> None:
    """Proves that its file is for its owner alone, and that another file is refused."""
    path = tmp_path / "forgotten.json"
    forgotten(ann=25).write(path)
    assert read_forgotten(path) == forgotten(ann=25)
    assert path.stat().st_mode & 0o777 == 0o600
    path.write_text("{}")
    with pytest.raises(DataError, match="is no list of forgotten users; make one with"):
        read_forgotten(path)
    with pytest.raises(DataError, match="cannot be read"):
        read_forgotten(tmp_path / "missing")
