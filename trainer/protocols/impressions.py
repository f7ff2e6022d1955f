"""Impressions: the ranker by itself, on what was shown and what came of it.

A column of the impressions says which are learnt from, which decide and which are the test; without one the latest are
the test, as many as the recipe says.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from trainer.data import Dataset
from trainer.data.tables import read_tables
from trainer.errors import DataError, RecipeError
from trainer.protocols.given_parts import part_codes
from trainer.protocols.task import TEST, TRAIN, VALIDATION
from trainer.recipe import DataRecipe

IMPRESSIONS = "impressions"


@dataclass(frozen=True, kw_only=True, eq=False)
class ImpressionSplit:
    """Which rows of the data set's impressions are learnt from, decide and are the test.

    Without any that decide, the latest fifth of what is learnt from does.
    """

    learn: NDArray[np.int64]
    deciding: NDArray[np.int64]
    test: NDArray[np.int64]

    def __post_init__(self) -> None:
        for name, rows in {"train": self.learn, "test": self.test}.items():
            if not len(rows):
                raise DataError(f"the {name} part has no impression of a known item")


def impressions(dataset: Dataset, recipe: DataRecipe, data: Path) -> ImpressionSplit:
    """See the module.

    Raises:
        RecipeError: there are no impressions, or neither times nor a column to split them by.
        DataError: the column has something else than a part's name, or a part is empty.
    """
    shown, section = dataset.impressions, recipe.impressions
    if shown is None or section is None:
        raise RecipeError("[impressions]: is missing, and the protocol is about them")
    column = recipe.split.column
    if column is None:
        if recipe.interactions.rows_in_order:
            raise RecipeError("[split] column: is missing; without times, nothing else says what the test is")
        end = round(len(shown) * (1 - recipe.split.test))
        none = np.zeros(0, dtype=np.int64)
        return ImpressionSplit(learn=np.arange(end), deciding=none, test=np.arange(end, len(shown)))
    codes = np.concatenate(
        [part_codes(table, column).to_numpy() for table in read_tables(data / section.file, [column])]
    )[shown.places]
    parts = [np.flatnonzero(codes == part) for part in (TRAIN, VALIDATION, TEST)]
    return ImpressionSplit(learn=parts[0], deciding=parts[1], test=parts[2])
