"""Rating: each fold of the ratings is predicted by the others, without a validation: settings are a recipe's."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from trainer.data import Dataset
from trainer.data.events import checked_pairs
from trainer.data.load import interactions_table
from trainer.errors import DataError
from trainer.experiments.ratings.ratings import Ratings
from trainer.protocols.given_parts import parts_of
from trainer.recipe import DataRecipe


@dataclass(frozen=True, kw_only=True, eq=False)
class Fold:
    """Places of the ratings to learn from and of those to predict."""

    name: str
    learn: NDArray[np.int64]
    test: NDArray[np.int64]


def rating_folds(dataset: Dataset, ratings: Ratings, recipe: DataRecipe, data: Path) -> list[Fold]:
    """The folds that the recipe's column names, or as many as it says, at random and always the same.

    Raises:
        DataError: a rating has no fold or several, there is one fold, or there are fewer ratings than folds.
    """
    of_rating = _named(dataset, ratings, recipe, data) if recipe.split.column else _random(ratings, recipe.split.folds)
    names = sorted(set(of_rating.tolist()), key=lambda name: (len(name), name))
    if len(names) < 2:
        raise DataError(f"{len(ratings):,} ratings in {len(names)} fold; each fold is predicted by the others")
    return [
        Fold(name=name, learn=np.flatnonzero(of_rating != name), test=np.flatnonzero(of_rating == name))
        for name in names
    ]


def _named(dataset: Dataset, ratings: Ratings, recipe: DataRecipe, data: Path) -> NDArray[np.str_]:
    table, column = interactions_table(data, recipe), str(recipe.split.column)
    pairs, fold = checked_pairs(table, recipe.interactions), table.column(column).cast(pl.String)
    table.refuse(column, fold.is_null(), "no fold", always=True)
    given = table.kept(pairs.with_columns(part=fold))
    return np.array(parts_of(dataset, ratings.user_rows, ratings.item_rows, given, recipe).to_list())


def _random(ratings: Ratings, folds: int) -> NDArray[np.str_]:
    if len(ratings) < folds:
        raise DataError(f"{len(ratings):,} ratings are fewer than the {folds} folds of [split] folds")
    return (np.random.default_rng(0).permutation(len(ratings)) % folds + 1).astype(np.str_)
