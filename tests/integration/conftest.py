"""Real services over a bundle that was really trained, on planted data."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from testbed.services import Running, start_both
from tests.support.once import once
from tests.support.training import train

_RECIPE = """
[interactions]
file = "interactions.csv"
value = "rating"
positive_value = 4
[items]
file = "items.csv"
multi_valued = ["genres"]
text = ["title"]
[users]
file = "users.csv"
categorical = ["taste"]
[split]
refit = false
[encoder]
dimension = 16
history = 16
epochs = 8
history_dropout = 0.5
[ranker]
candidates = 40
history = 10
slices = 2
hidden = 16
epochs = 2
"""
_USERS, _ITEMS, _EVENTS, _GENRES = 150, 120, 20, 4


@dataclass(frozen=True, kw_only=True)
class Trained:
    """The result of a training run: a directory with one bundle."""

    bundles: Path

    @property
    def bundle(self) -> Path:
        """The current bundle's directory."""
        return self.bundles / (self.bundles / "CURRENT").read_text().strip()


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """A bundle of planted data: users walk along the items of one genre; users without events have a taste."""

    def make(folder: Path) -> None:
        _write_planted(folder)
        (folder / "recipe.toml").write_text(_RECIPE)
        train(folder / "recipe.toml", folder, folder / "bundles")

    return Trained(bundles=once(tmp_path_factory, "planted", make) / "bundles")


@pytest.fixture(scope="session")
def bundle(trained: Trained) -> Path:
    """The directory of the trained bundle, for tests that look into it."""
    return trained.bundle


@pytest.fixture(scope="session")
def running(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Both services over the trained bundle."""
    with start_both(trained.bundles, tmp_path_factory.mktemp("logs")) as both:
        yield both


def _write_planted(folder: Path) -> None:
    random = np.random.default_rng(7)
    lines = ["user_id,item_id,timestamp,rating"]
    for user in range(_USERS):
        genre, place, seen = user % _GENRES, int(random.integers(_ITEMS)), set[int]()
        start = int(random.integers(1_000_000))
        for step in range(_EVENTS):
            place = (place + 1) % _ITEMS
            own = random.random() < 0.85
            item = place - place % _GENRES + genre if own else int(random.integers(_ITEMS))
            if item not in seen:
                seen.add(item)
                lines.append(f"u{user},i{item},{start + step * 60},{5 if item % _GENRES == genre else 2}")
            place += 3
    (folder / "interactions.csv").write_text("\n".join(lines) + "\n")
    items = [f"i{item},Film number {item},genre{item % _GENRES}" for item in range(_ITEMS)]
    (folder / "items.csv").write_text(
        "\n".join(["item_id,title,genres", *items, "untouched,Nobody saw this,genre1"]) + "\n"
    )
    known = [f"u{user},genre{user % _GENRES}" for user in range(_USERS)]
    new = [f"new{taste},genre{taste}" for taste in range(_GENRES)]
    (folder / "users.csv").write_text("\n".join(["user_id,taste", *known, *new]) + "\n")
