"""The context of impressions: columns as they were read, and what a ranker is given of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import accumulate
from typing import Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from trainer.data.cells import measures, words
from trainer.data.tables import Table
from trainer.recipe import Impressions as ImpressionsRecipe

_CATEGORIES = 256
_LEAST_SPREAD = 1e-6


@dataclass(frozen=True, kw_only=True, eq=False)
class Context:
    """What was known of n requests.

    ``codes`` ``[n, c]`` are places among each column's ``categories``, ``[c]`` of arrays of text, -1 where there is
    none; ``numbers`` ``[n, m]`` are NaN where there is none.
    """

    categorical: tuple[str, ...]
    numeric: tuple[str, ...]
    categories: tuple[tuple[str, ...], ...]
    codes: NDArray[np.int64]
    numbers: NDArray[np.float32]

    @classmethod
    def read(cls, table: Table, columns: ImpressionsRecipe) -> Self:
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
        """Of requests of which nothing is known."""
        codes, numbers = np.zeros((count, 0), dtype=np.int64), np.zeros((count, 0), dtype=np.float32)
        return cls(categorical=(), numeric=(), categories=(), codes=codes, numbers=numbers)

    def at(self, places: NDArray[np.int64]) -> Self:
        """Of some of the requests."""
        return type(self)(
            categorical=self.categorical,
            numeric=self.numeric,
            categories=self.categories,
            codes=self.codes[places],
            numbers=self.numbers[places],
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class ContextVectors:
    """How a context becomes numbers: a one for each known category, and of numbers the deviation and a one.

    ``known`` are for each categorical column its categories, of which ``places`` says where each is among those that
    were read; ``means`` and ``spreads`` are of the numeric columns.
    """

    categorical: Mapping[str, tuple[str, ...]]
    numeric: Mapping[str, tuple[float, float]]
    places: tuple[NDArray[np.int64], ...]

    @classmethod
    def learnt(cls, context: Context) -> Self:
        """From the requests that are learnt from: what never occurs in them is unknown, as is what is rare."""
        kept, places = {}, []
        for name, categories, codes in zip(context.categorical, context.categories, context.codes.T, strict=True):
            counts = np.bincount(codes[codes >= 0], minlength=len(categories))
            frequent = np.sort(np.argsort(-counts, kind="stable")[:_CATEGORIES])
            frequent = frequent[counts[frequent] > 0]
            kept[name] = tuple(categories[place] for place in frequent)
            place = np.full(len(categories) + 1, -1)
            place[frequent] = np.arange(len(frequent))
            places.append(place)
        numeric = {
            name: _scale(numbers[np.isfinite(numbers)])
            for name, numbers in zip(context.numeric, context.numbers.T, strict=True)
        }
        return cls(categorical=kept, numeric=numeric, places=tuple(places))

    @property
    def columns(self) -> dict[str, slice]:
        """By the name of each column, its part of the vector; one without a known category has none."""
        widths = {name: len(one) for name, one in self.categorical.items()} | dict.fromkeys(self.numeric, 2)
        ends = list(accumulate(widths.values()))
        return {name: slice(end - width, end) for (name, width), end in zip(widths.items(), ends, strict=True) if width}

    def of(self, context: Context) -> NDArray[np.float32]:
        """The vectors ``[n, K]`` of requests; what is unknown or missing is zeros."""
        count, columns = len(context.codes), self.columns
        vectors = np.zeros((count, max((part.stop for part in columns.values()), default=0)), dtype=np.float32)
        for name, places, codes in zip(self.categorical, self.places, context.codes.T, strict=True):
            place = places[codes]
            known = np.flatnonzero(place >= 0)
            if len(known):
                vectors[known, columns[name].start + place[known]] = 1.0
        for (name, (mean, spread)), numbers in zip(self.numeric.items(), context.numbers.T, strict=True):
            known = np.flatnonzero(np.isfinite(numbers))
            vectors[known, columns[name].start] = (numbers[known] - mean) / spread
            vectors[known, columns[name].start + 1] = 1.0
        return vectors


def _scale(known: NDArray[np.float32]) -> tuple[float, float]:
    if not len(known):
        return 0.0, 1.0
    return float(known.mean()), max(float(known.std()), _LEAST_SPREAD)
