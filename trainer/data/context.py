"""The context of impressions: columns as they were read, and a ranker's inputs from them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from shortlist.bundle.ranker_columns import CATEGORICAL, NUMERIC, ContextColumn
from shortlist.inference.context import encode_contexts
from trainer.data.cells import measures, words
from trainer.data.table import Table
from trainer.recipe import ImpressionsConfig

_CATEGORIES = 256


@dataclass(frozen=True, kw_only=True, eq=False)
class Context:
    """The context of n requests.

    ``codes`` ``[n, c]`` are places among each column's ``categories``, ``[c]`` arrays of text, or -1. ``numbers``
    ``[n, m]`` are NaN where missing.
    """

    categorical: tuple[str, ...]
    numeric: tuple[str, ...]
    categories: tuple[tuple[str, ...], ...]
    codes: NDArray[np.int64]
    numbers: NDArray[np.float32]

    @classmethod
    def read(cls, table: Table, columns: ImpressionsConfig) -> Self:
        """The columns that a recipe names. Raises DataError for one that is missing or of another type."""
        texts = [words(table, name) for name in columns.categorical]
        known = [text.drop_nulls().unique().sort() for text in texts]
        codes = [
            text.cast(pl.Enum(one)).to_physical().cast(pl.Int64).fill_null(-1).to_numpy()
            for text, one in zip(texts, known, strict=True)
        ]
        numbers = [measures(table, name).fill_null(np.nan).to_numpy() for name in columns.numeric]
        height = table.frame.height
        return cls(
            categorical=columns.categorical,
            numeric=columns.numeric,
            categories=tuple(tuple(one) for one in known),
            codes=np.stack(codes, axis=1) if codes else np.zeros((height, 0), dtype=np.int64),
            numbers=np.stack(numbers, axis=1) if numbers else np.zeros((height, 0), dtype=np.float32),
        )

    @classmethod
    def none(cls, count: int) -> Self:
        """The context of requests without any values."""
        codes, numbers = np.zeros((count, 0), dtype=np.int64), np.zeros((count, 0), dtype=np.float32)
        return cls(categorical=(), numeric=(), categories=(), codes=codes, numbers=numbers)

    def at(self, places: NDArray[np.int64]) -> Self:
        """The context of some of the requests."""
        return type(self)(
            categorical=self.categorical,
            numeric=self.numeric,
            categories=self.categories,
            codes=self.codes[places],
            numbers=self.numbers[places],
        )

    def learnt_columns(self) -> tuple[ContextColumn, ...]:
        """The columns of a ranker that learns from these requests: their categories, scales and means.

        The mean of the present values stands for an absent one. A column without values is left out. With many
        categories, only the most frequent are known.
        """
        texts = zip(self.categorical, self.categories, self.codes.T, strict=True)
        numbers = zip(self.numeric, self.numbers.T, strict=True)
        columns = [*(_categorical(*one) for one in texts), *(_numeric(*one) for one in numbers)]
        return tuple(column for column in columns if column is not None)

    def encoded(self, columns: Sequence[ContextColumn]) -> NDArray[np.float32]:
        """The ranker's context input of each request, ``[n, K]``."""
        texts = {
            name: np.array([*categories, None], dtype=object)[codes]
            for name, categories, codes in zip(self.categorical, self.categories, self.codes.T, strict=True)
        }
        return encode_contexts(columns, texts | dict(zip(self.numeric, self.numbers.T, strict=True)), len(self.codes))


def _categorical(name: str, categories: Sequence[str], codes: NDArray[np.int64]) -> ContextColumn | None:
    counts = np.bincount(codes[codes >= 0], minlength=len(categories))
    frequent = np.sort(np.argsort(-counts, kind="stable")[:_CATEGORIES])
    frequent = frequent[counts[frequent] > 0]
    if not len(frequent):
        return None
    shares = (counts[frequent] / counts.sum()).tolist()
    known = tuple(categories[place] for place in frequent)
    return ContextColumn(name=name, kind=CATEGORICAL, categories=known, absent=tuple(shares))


def _numeric(name: str, numbers: NDArray[np.float32]) -> ContextColumn | None:
    known = numbers[np.isfinite(numbers)].astype(np.float64)
    if not len(known):
        return None
    mean, std = float(known.mean()), float(known.std()) or 1.0
    return ContextColumn(name=name, kind=NUMERIC, mean=mean, std=std, absent=(0.0, 1.0))
