"""From the value of one column of an item to its features: a reader for each kind of column.

A value is given as the item table has it. A whole number of a column of categories is the category of its digits.
"""

import re
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from shortlist.bundle.item_columns import (
    CategoricalColumn,
    ItemColumn,
    MultiValuedColumn,
    NumericColumn,
    TextArrays,
    TextColumn,
    VectorColumn,
)
from shortlist.inference.column_features import latent, places_of, scaled_and_binned, stripped
from shortlist.inference.words import words_of

ItemValue = str | float | Sequence[str] | Sequence[float]
Features = NDArray[np.float32]
Reader = Callable[[ItemValue], Features]
"""From a value to the features ``[F]`` of its column. Raises :class:`Unfit`."""
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
# More than rounding to 32 bits makes of a length of one, and less than a forgotten normalisation.
_LENGTH_TOLERANCE = 0.01


class Unfit(ValueError):  # noqa: N818 - the field's own word
    """A value is not of its column's kind; says how it is given."""


def reader_of(kind: str, column: ItemColumn, arrays: TextArrays | None) -> Reader:
    """The reader of a column; ``arrays`` are those of a column of texts."""
    if isinstance(column, CategoricalColumn):
        return _Categories(column)
    if isinstance(column, NumericColumn):
        return _Number(column)
    if isinstance(column, TextColumn):
        assert arrays is not None
        return _Text(column, arrays)
    return _Embedding(column) if kind == "sentences" else _Vector(column)


class _Categories:
    def __init__(self, column: CategoricalColumn) -> None:
        self._places = places_of(column.values)
        self._separator = column.separator if isinstance(column, MultiValuedColumn) else None

    def __call__(self, value: ItemValue) -> Features:
        features = np.zeros(len(self._places), dtype=np.float32)
        for one in self._values(value):
            place = self._places.get(stripped(one))
            if place is not None:
                features[place] = 1
        return features

    def _values(self, value: ItemValue) -> Sequence[str]:
        if isinstance(value, str):
            return [value] if self._separator is None else value.split(self._separator)
        if isinstance(value, int | float) and _is_number(value) and float(value).is_integer():
            return [str(int(value))]
        if self._separator is None:
            raise Unfit("has to be one text, or a whole number; give any other number as the item table's text of it")
        return _texts(value, "has to be a list of texts")


class _Number:
    def __init__(self, column: NumericColumn) -> None:
        self._scale = column.scale
        self._edges = np.array(column.edges, dtype=np.float64)

    def __call__(self, value: ItemValue) -> Features:
        if isinstance(value, str) and _NUMBER.fullmatch(stripped(value)):
            value = float(value)
        if not _is_number(value):
            raise Unfit("has to be one number")
        numbers = _narrow([value])
        if self._scale is None:
            return numbers[:0]
        with np.errstate(over="ignore"):
            (features,) = scaled_and_binned(numbers, self._scale.mean, self._scale.deviation, self._edges)
        if not np.isfinite(features).all():
            raise Unfit("is too far from all numbers of the training data")
        return np.asarray(features)


class _Text:
    def __init__(self, column: TextColumn, arrays: TextArrays) -> None:
        self._is_list, self._arrays = column.is_list, arrays
        self._places = places_of(column.words)

    def __call__(self, value: ItemValue) -> Features:
        (features,) = latent([self._words(value)], self._places, self._arrays.idf, self._arrays.directions)
        return np.asarray(features)

    def _words(self, value: ItemValue) -> Sequence[str]:
        if self._is_list:
            return _texts(value, "has to be a list of words, as the item table has it")
        if not isinstance(value, str):
            raise Unfit("has to be one text, as the item table has it")
        return words_of(value)


class _Vector:
    def __init__(self, column: VectorColumn) -> None:
        self._length = column.length

    def __call__(self, value: ItemValue) -> Features:
        if isinstance(value, str) or not isinstance(value, Sequence) or not all(map(_is_number, value)):
            raise Unfit(f"has to be a list of {self._length} numbers")
        if self._length and len(value) != self._length:
            raise Unfit(f"has to be a list of {self._length} numbers, not of {len(value)}")
        return _narrow(value)[: self._length]


class _Embedding:
    """The bundle has no sentence encoder, so that services need no tokenizer and no large model."""

    def __init__(self, column: VectorColumn) -> None:
        self._vector = _Vector(column)

    def __call__(self, value: ItemValue) -> Features:
        if isinstance(value, str):
            raise Unfit(
                "holds the embedding of a text, not the text: give the numbers that the recipe's sentence model makes "
                "of it, of length one"
            )
        features = self._vector(value)
        length = float(np.linalg.norm(features))
        if length and abs(length - 1) > _LENGTH_TOLERANCE:
            raise Unfit(f"holds an embedding of length {length:.3g}; the recipe's sentence model gives length one")
        return features


def _texts(value: ItemValue, wanted: str) -> Sequence[str]:
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise Unfit(wanted)
    texts = [one for one in value if isinstance(one, str)]
    if len(texts) != len(value):
        raise Unfit(wanted)
    return texts


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _narrow(numbers: Sequence[object]) -> Features:
    """Numbers in the 32 bits that the trainer reads."""
    try:
        with np.errstate(over="ignore"):
            narrow = np.array(numbers, dtype=np.float64).astype(np.float32)
    except OverflowError as error:
        raise Unfit("has a number that is too large") from error
    if not np.isfinite(narrow).all():
        raise Unfit("has a number that is not finite in 32 bits")
    return narrow
