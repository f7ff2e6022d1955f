"""Impressions: the ranker alone, on impressions and their outcomes.

A column of the impressions names the part of each: training, validation or test. Without one, the latest impressions
are the test, as many as the recipe says.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from trainer.data import Dataset
from trainer.data.bad_rows import BadRows
from trainer.data.tables import read_tables
from trainer.errors import DataError, RecipeError
from trainer.protocols.given_parts import part_codes
from trainer.protocols.task import TEST, TRAIN, VALIDATION
from trainer.recipe import DataRecipe


@dataclass(frozen=True, kw_only=True, eq=False)
class ImpressionSplit:
    """The rows of the training, validation and test impressions.

    Without a validation part, the latest fifth of the training rows decides.
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
        DataError: the column has another name than a part's, or a part is empty.
    """
    rows, section = dataset.impressions, recipe.impressions
    if rows is None or section is None:
        raise RecipeError("[impressions]: is missing, and the protocol needs it")
    column = recipe.split.column
    if column is None:
        if recipe.interactions.rows_in_order:
            raise RecipeError("[split] column: is missing; without times, nothing else says what the test is")
        end = round(len(rows) * (1 - recipe.split.test))
        none = np.zeros(0, dtype=np.int64)
        return ImpressionSplit(learn=np.arange(end), deciding=none, test=np.arange(end, len(rows)))
    tables = read_tables(data / section.file, [column], BadRows.of(recipe, section.file))
    codes = np.concatenate([part_codes(table, column).to_numpy() for table in tables])[rows.places]
    parts = [np.flatnonzero(codes == part) for part in (TRAIN, VALIDATION, TEST)]
    return ImpressionSplit(learn=parts[0], deciding=parts[1], test=parts[2])
