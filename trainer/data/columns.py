"""A table's columns as features: ones for categories, numbers standardised and binned, text as its main directions
or as its embedding.
"""

from collections.abc import Iterator, Mapping

import numpy as np
import polars as pl

from trainer.data.cells import ids, refuse_repeated
from trainer.data.dataset import Features
from trainer.data.learnt_columns import KINDS, Column
from trainer.data.table import Table
from trainer.errors import DataError
from trainer.recipe import FeatureColumns

_SEPARATORS = ("|", ",", ";")
_MANY_SEPARATED = 0.1
"""From this share of cells on, a text of several values is likelier than a value with such a sign in it."""


def parsed(table: Table, columns: FeatureColumns) -> pl.DataFrame:
    """`id` and the columns that become features, in the file's order: lists of text or numbers, numbers, text.

    Missing cells are null, and skipped rows left out.

    Raises DataError for a column that is missing or of another type, and for an id that is there twice.
    """
    frame = pl.DataFrame(
        [
            ids(table, columns.id).alias("id"),
            *(
                kind.read(table, name, columns).alias(f"{key}:{name}")
                for key, kind in KINDS.items()
                for name in getattr(columns, key)
            ),
        ]
    )
    refuse_repeated(table, columns.id)
    return table.kept(frame)


def features(frame: pl.DataFrame, columns: FeatureColumns, before: Mapping[str, Column] | None = None) -> Features:
    """Features of what `parsed` gave of the columns, once its rows are those of the dataset.

    They are learnt from these rows, or made as they were `before`, with what other features have `learnt`.

    Raises DataError where that has no such column, vectors of another length or another sentence encoder.
    """
    learnt: dict[str, Column] = {}
    names: list[str] = []
    kinds: list[str] = []
    matrices = [np.zeros((frame.height, 0), dtype=np.float32)]
    for cells in frame.drop("id").iter_columns():
        kind, _, name = cells.name.partition(":")
        column = KINDS[kind].column.learnt(cells, columns) if before is None else _as_before(cells.name, before)
        own = column.names(name)
        names += own
        kinds += [kind] * len(own)
        matrices.append(column.matrix(cells, columns))
        learnt[cells.name] = column
    return Features(names=tuple(names), kinds=tuple(kinds), matrix=np.concatenate(matrices, axis=1), learnt=learnt)


def silent_columns(name: str, found: Features) -> Iterator[str]:
    """A warning for each column of a table that tells its rows apart by nothing; ``name`` is the table's."""
    start = 0
    for key, column in found.learnt.items():
        kind, _, cells = key.partition(":")
        width = len(column.names(cells))
        matrix, start = found.matrix[:, start : start + width], start + width
        if not width:
            yield f"{name}: the {kind} column {cells!r} gives no feature; all of its cells are empty, or none repeats"
        elif len(matrix) > 1 and (matrix == matrix[0]).all():
            yield f"{name}: the {kind} column {cells!r} has the same value in all rows, and tells nothing apart"


def other_separators(table: Table, columns: FeatureColumns) -> Iterator[str]:
    """A warning for each column of several values whose cells have another separator than the recipe's."""
    for name in columns.multi_valued:
        cells = table.column(name)
        if cells.dtype != pl.String or cells.str.contains(columns.separator, literal=True).any():
            continue
        for other in _SEPARATORS:
            count = int(cells.str.contains(other, literal=True).sum())
            if count > _MANY_SEPARATED * len(cells):
                yield (
                    f"{table.name}: no cell of the multi_valued column {name!r} has the separator "
                    f"{columns.separator!r}, and {count:,} of {len(cells):,} have {other!r}; the key separator says "
                    "which one counts"
                )


def _as_before(key: str, before: Mapping[str, Column]) -> Column:
    if key not in before:
        raise DataError(f"column {key.partition(':')[2]!r}: it is not known how it became features before; fit again")
    return before[key]
