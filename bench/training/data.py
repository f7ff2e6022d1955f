"""Planted logs of interactions for the training benchmarks, written a part at a time with a fixed seed.

The events of a user are adjacent rows with random times of one year, so that loading has to sort by time. Lengths of
histories are log-normal: most are short, a few are long.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from bench.harness.planted import Planted, genre_of
from trainer.recipe import InteractionsConfig, ItemsConfig, Recipe
from trainer.recipe.encoders import TransformerConfig
from trainer.recipe.rankers import NtnMlpConfig

ENCODER = TransformerConfig()
RECIPE = Recipe(
    interactions=InteractionsConfig(file="interactions", value="rating", positive_value=4),
    items=ItemsConfig(categorical=("genre",)),
    encoder=ENCODER,
    ranker=NtnMlpConfig(),
)
_YEAR = 365 * 86_400
_SPREAD_OF_LENGTHS = 0.8
_SHORTEST, _LONGEST = 5, 3000
_PART_EVENTS = 1_000_000
_SECOND_TASTE = 0.1


@dataclass(frozen=True, kw_only=True)
class Log:
    """The size of a log: ``users`` with ``events`` each on average, and a catalogue of ``items``."""

    users: int
    events: int
    items: int

    def write(self, folder: Path) -> None:
        """Writes the item table, and the interactions as a folder of Parquet files."""
        planted = Planted.of(self.items)
        rows = np.arange(self.items)
        genres = pl.Series("genre", genre_of(rows, planted)).cast(pl.String)
        pl.DataFrame({"item_id": _ids("i", rows), "genre": genres}).write_parquet(folder / "items.parquet")
        parts = folder / RECIPE.interactions.file
        parts.mkdir()
        users = max(1, _PART_EVENTS // self.events)
        for start in range(0, self.users, users):
            part = self._part(planted, np.arange(start, min(start + users, self.users)))
            part.write_parquet(parts / f"{start:08}.parquet")

    def _part(self, planted: Planted, users: NDArray[np.int64]) -> pl.DataFrame:
        random = np.random.default_rng((planted.seed, int(users[0])))
        mean = np.log(self.events) - _SPREAD_OF_LENGTHS**2 / 2
        lengths = np.exp(random.normal(mean, _SPREAD_OF_LENGTHS, len(users))).astype(np.int64)
        user = np.repeat(np.arange(len(users)), lengths.clip(_SHORTEST, _LONGEST))
        tastes = random.integers(len(planted.centres), size=(len(users), 2))
        cluster = tastes[user, (random.random(len(user)) < _SECOND_TASTE).astype(np.int64)]
        in_cluster = -(-(self.items - cluster) // len(planted.centres))
        place = (random.random(len(user)) ** 2 * in_cluster).astype(np.int64)
        return pl.DataFrame(
            {
                "user_id": _ids("u", users[user]),
                "item_id": _ids("i", cluster + place * len(planted.centres)),
                "timestamp": random.integers(_YEAR, size=len(user)),
                "rating": random.integers(1, 6, size=len(user)).astype(np.float32),
            }
        )


def _ids(letter: str, rows: NDArray[np.int64]) -> pl.Series:
    return pl.select(pl.lit(letter) + pl.Series(rows).cast(pl.String).str.zfill(8)).to_series()
