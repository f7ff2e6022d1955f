"""The columns of the item table as the trainer learnt them, from which services make the features of new items.

They are JSON, and two arrays for each column of texts. Only a service that takes new items reads them.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Self

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from shortlist.bundle.array_files import Expected, map_array
from shortlist.bundle.feature_names import category_names, number_names, text_names, vector_names
from shortlist.bundle.json_text import json_text
from shortlist.bundle.manifest import Manifest
from shortlist.bundle.regular_files import read_at_most
from shortlist.errors import BundleError

ITEM_COLUMNS = "item_columns.json"
_MAX_BYTES = 2**28
_DOUBLES = ("<f8",)
Name = Annotated[str, Meta(min_length=1)]
Names = tuple[Name, ...]
# Twice the largest 32-bit number, since the cells are of 32 bits.
Number = Annotated[float, Meta(ge=-1e39, le=1e39)]
Deviation = Annotated[float, Meta(gt=0, le=1e39)]
Length = Annotated[int, Meta(ge=0, le=2**20)]
# Smoothed idf is at most 1 + ln(rows); the directions are orthonormal.
_MOST_IDF, _MOST_LOADING = 1000.0, 2.0


@dataclass(frozen=True, kw_only=True)
class CategoricalColumn:
    """A column of texts with one feature for each of its ``values``, which ascend."""

    name: Name
    values: Names

    @property
    def names(self) -> list[str]:
        """The names of the features."""
        return category_names(self.name, self.values)


@dataclass(frozen=True, kw_only=True)
class MultiValuedColumn(CategoricalColumn):
    """A column of lists of texts, or of texts that a ``separator`` parts."""

    separator: Name


@dataclass(frozen=True, kw_only=True)
class Scale:
    """The mean and the deviation of a column of numbers, in its own unit."""

    mean: Number
    deviation: Deviation


@dataclass(frozen=True, kw_only=True)
class NumericColumn:
    """A column of numbers; ``edges`` are the smallest number of each bin but the first, ascending.

    Without a ``scale``, the trainer knew no number, and there are no features.
    """

    name: Name
    scale: Scale | None = None
    edges: tuple[Number, ...] = ()

    @property
    def names(self) -> list[str]:
        """The names of the features."""
        return [] if self.scale is None else number_names(self.name, len(self.edges))


@dataclass(frozen=True, kw_only=True)
class TextColumn:
    """A column of texts, or of lists of words, with ``directions`` features; its ``words`` ascend."""

    name: Name
    is_list: bool
    words: Names
    directions: Length

    @property
    def names(self) -> list[str]:
        """The names of the features."""
        return text_names(self.name, self.directions)


@dataclass(frozen=True, kw_only=True)
class VectorColumn:
    """A column of vectors of so many numbers, or of texts whose embeddings have so many."""

    name: Name
    length: Length

    @property
    def names(self) -> list[str]:
        """The names of the features."""
        return vector_names(self.name, self.length)


ItemColumn = CategoricalColumn | NumericColumn | TextColumn | VectorColumn


@dataclass(frozen=True, kw_only=True, eq=False)
class TextArrays:
    """The weights ``idf`` ``[W]`` of a text column's words, and the ``directions`` ``[F, W]`` of its features."""

    idf: NDArray[np.float64]
    directions: NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class _Columns:
    """The content of :data:`ITEM_COLUMNS`, by the keys of a recipe's table."""

    categorical: tuple[CategoricalColumn, ...] = ()
    multi_valued: tuple[MultiValuedColumn, ...] = ()
    numeric: tuple[NumericColumn, ...] = ()
    text: tuple[TextColumn, ...] = ()
    sentences: tuple[VectorColumn, ...] = ()
    vectors: tuple[VectorColumn, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ItemColumns(_Columns):
    """The columns, and the arrays of each text column. Their features are in the order of the fields here."""

    text_arrays: tuple[TextArrays, ...] = ()

    @property
    def in_order(self) -> Iterator[tuple[str, ItemColumn]]:
        """Each column with its kind, in the order of the features."""
        for kind in _KINDS:
            for column in getattr(self, kind):
                yield kind, column

    @property
    def names(self) -> list[str]:
        """The names ``[F]`` of all features."""
        return [name for _, column in self.in_order for name in column.names]

    @classmethod
    def load(cls, directory: Path, manifest: Manifest) -> Self:
        """Reads the columns of a bundle whose files are verified, and maps their arrays.

        Raises:
            BundleError: a file is not in the manifest, or is none of these. Or the features are not those of the
                manifest.
        """
        columns = _read(directory, manifest)
        arrays = tuple(_map(directory, manifest, *one) for one in enumerate(columns.text))
        return cls(**{kind: getattr(columns, kind) for kind in _KINDS}, text_arrays=arrays)

    def save(self, directory: Path) -> None:
        """Writes the files that :meth:`load` reads."""
        plain = _Columns(**{kind: getattr(self, kind) for kind in _KINDS})
        (directory / ITEM_COLUMNS).write_text(json_text(plain), encoding="utf-8")
        for place, arrays in enumerate(self.text_arrays):
            for name, array in ((_idf(place), arrays.idf), (_directions(place), arrays.directions)):
                np.save(directory / name, np.ascontiguousarray(array, dtype="<f8"), allow_pickle=False)


_KINDS = ("categorical", "multi_valued", "numeric", "text", "sentences", "vectors")


def _idf(place: int) -> str:
    return f"item_text_{place}_idf.npy"


def _directions(place: int) -> str:
    return f"item_text_{place}_directions.npy"


def _read(directory: Path, manifest: Manifest) -> _Columns:
    path = _listed(directory, manifest, ITEM_COLUMNS)
    try:
        columns = msgspec.json.decode(read_at_most(path, _MAX_BYTES), type=_Columns)
        for one in (*columns.categorical, *columns.multi_valued):
            _require_ascending(one.values, f"{one.name[:80]!r}: values")
        for column in columns.numeric:
            _require_ascending(column.edges, f"{column.name[:80]!r}: edges")
        for text in columns.text:
            _require_ascending(text.words, f"{text.name[:80]!r}: words")
    except (OSError, ValueError, RecursionError) as error:
        raise BundleError(path, f"has no columns of items: {str(error)[:200]}") from error
    return columns


def _map(directory: Path, manifest: Manifest, place: int, column: TextColumn) -> TextArrays:
    words = len(column.words)
    idf_path, directions_path = (_listed(directory, manifest, name(place)) for name in (_idf, _directions))
    idf = map_array(idf_path, Expected(_DOUBLES, (words,)))
    directions = map_array(directions_path, Expected(_DOUBLES, (column.directions, words)))
    # Negated, so that NaN is refused.
    if not ((idf > 0) & (idf <= _MOST_IDF)).all():
        raise BundleError(idf_path, f"has a weight outside 0 to {_MOST_IDF:g}")
    if not all((np.abs(one) <= _MOST_LOADING).all() for one in directions):
        raise BundleError(directions_path, f"has a number outside -{_MOST_LOADING:g} to {_MOST_LOADING:g}")
    return TextArrays(idf=idf, directions=directions)


def _listed(directory: Path, manifest: Manifest, name: str) -> Path:
    # A file that the manifest does not list was not verified.
    if name not in manifest.files:
        raise BundleError(directory / name, "is not in the manifest's list of files")
    return directory / name


def _require_ascending(values: Sequence[Any], name: str) -> None:
    if not all(former < later for former, later in pairwise(values)):
        raise ValueError(f"{name} do not ascend")
