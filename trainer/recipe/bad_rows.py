"""The section of a recipe about bad rows."""

import re
from dataclasses import dataclass
from fractions import Fraction

from trainer.errors import RecipeError
from trainer.recipe.sections import Text

_SKIPPED = re.compile(r"skip up to (\d+(?:\.\d+)?) ?%")


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """The treatment of `bad_rows` in each table: "refuse", or "skip up to 0.1 %", with any percentage.

    A row is bad when the recipe names a column whose cell is missing there or unreadable. So is a time more than a day
    beyond now. A line is bad with too few or too many cells, or with text beside a quoted cell. A warning counts
    skipped rows by reason.
    """

    bad_rows: Text = "refuse"

    def __post_init__(self) -> None:
        if self.bad_rows != "refuse" and self.skipped_share is None:
            raise RecipeError(
                f'bad_rows: must be "refuse" or a percentage of rows to skip, such as "skip up to 0.1 %", not '
                f"{self.bad_rows!r}"
            )

    @property
    def skipped_share(self) -> Fraction | None:
        """The exact share of a table's rows that may be skipped, 0 to 1; None where bad rows are refused."""
        found = _SKIPPED.fullmatch(self.bad_rows)
        percent = None if found is None else Fraction(found[1])
        return None if percent is None or percent > 100 else percent / 100
