"""The learnt columns of the tables as plain arrays, and back: reading them can run no code."""

import json
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from trainer.data.learnt_columns import KINDS, Column, LearntColumns

Arrays = Mapping[str, NDArray[Any]]


def as_arrays(learnt: LearntColumns) -> dict[str, NDArray[Any]]:
    """By `table.kind:column.field`; text is JSON, for an array of texts is as wide as the longest of them."""
    tables = {"items": learnt.items, "users": learnt.users}
    return {
        f"{table}.{key}.{one.name}": _as_array(getattr(column, one.name))
        for table, columns in tables.items()
        for key, column in columns.items()
        for one in fields(column)
    }


def of_arrays(arrays: Arrays) -> LearntColumns:
    """The inverse of :func:`as_arrays`; other arrays are ignored."""
    return LearntColumns(items=_table("items.", arrays), users=_table("users.", arrays))


def _table(prefix: str, arrays: Arrays) -> dict[str, Column]:
    keys = {name.removeprefix(prefix).rpartition(".")[0] for name in arrays if name.startswith(prefix)}
    return {key: _column(KINDS[key.partition(":")[0]].column, prefix + key, arrays) for key in keys}


def _column(kind: type[Column], key: str, arrays: Arrays) -> Column:
    given = {one.name: arrays[f"{key}.{one.name}"] for one in fields(kind)}
    texts = {one.name for one in fields(kind) if one.type is pl.Series}
    return kind(**{name: _as_texts(array) if name in texts else array for name, array in given.items()})


def _as_array(value: pl.Series | NDArray[Any]) -> NDArray[Any]:
    if isinstance(value, pl.Series):
        return np.frombuffer(json.dumps(value.to_list()).encode(), dtype=np.uint8)
    return value


def _as_texts(array: NDArray[np.uint8]) -> pl.Series:
    return pl.Series(json.loads(array.tobytes()), dtype=pl.String)
