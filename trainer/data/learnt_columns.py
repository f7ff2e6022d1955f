"""Learnt columns: they turn another table's rows into the same features. A class for each kind."""

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.sparse import csr_array
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer

from shortlist.bundle.feature_names import category_names, number_names, text_names, vector_names
from shortlist.inference.column_features import latent, places_of, scaled_and_binned
from shortlist.inference.words import words_of
from trainer.data.cells import measures, texts, vectors, word_lists, words
from trainer.data.sentences import embeddings
from trainer.data.table import Table
from trainer.errors import DataError
from trainer.recipe import FeatureColumns

Floats = NDArray[np.float32]
_CATEGORIES = 256
_BINS = 8
_IN_ROWS = 2
_SAMPLE = "A film about two friends who travel to the moon."
# Texts are worked on by so many rows, since they take far more memory as objects of Python.
_TOGETHER = 2**16
_AWAY = 0.01  # far more than machines differ by, and far less than models do


@dataclass(frozen=True, kw_only=True, eq=False)
class Column(ABC):
    """How the cells of one column become features."""

    @classmethod
    @abstractmethod
    def learnt(cls, cells: pl.Series, columns: FeatureColumns) -> Self:
        """Learns from the cells [n] of a column."""

    @abstractmethod
    def names(self, name: str) -> list[str]:
        """The names of the features [F] of a column."""

    @abstractmethod
    def matrix(self, cells: pl.Series, columns: FeatureColumns) -> Floats:
        """Features [n, F] of the learnt or other cells [n]; zeros where unknown."""


@dataclass(frozen=True, kw_only=True, eq=False)
class MultiHot(Column):
    """Ones and zeros for each of the most frequent values of lists of text.

    Between equally frequent values, the one that sorts first is kept.
    """

    values: pl.Series
    """[F], ascending."""

    @classmethod
    def learnt(cls, cells: pl.Series, columns: FeatureColumns) -> Self:
        """See :class:`Column`."""
        counted = _stripped(cells)["word"].value_counts().sort(["count", "word"], descending=[True, False])
        return cls(values=counted["word"].head(_CATEGORIES).sort())

    def names(self, name: str) -> list[str]:
        """See :class:`Column`."""
        return category_names(name, self.values)

    def matrix(self, cells: pl.Series, columns: FeatureColumns) -> Floats:
        """See :class:`Column`."""
        pairs = _stripped(cells).filter(pl.col("word").is_in(self.values.implode()))
        matrix = np.zeros((len(cells), len(self.values)), dtype=np.float32)
        matrix[pairs["row"].to_numpy(), self.values.search_sorted(pairs["word"]).to_numpy()] = 1
        return matrix


@dataclass(frozen=True, kw_only=True, eq=False)
class Numeric(Column):
    """Numbers less their mean in standard deviations, then ones for the quantile bin; all zeros where null."""

    scale: NDArray[np.float64]
    """[2], the mean and the deviation; [0] where no number was known, and there are no features."""
    edges: NDArray[np.float64]
    """The smallest number of each bin but the first, ascending."""

    @classmethod
    def learnt(cls, cells: pl.Series, columns: FeatureColumns) -> Self:
        """See :class:`Column`."""
        known = _known(cells)
        if len(known) == 0:
            return cls(scale=np.zeros(0), edges=np.zeros(0))
        # The deviation of equal numbers may be a rounding error instead of zero.
        scale = np.array([known.mean(), known.std() if np.ptp(known) else 1.0])
        edges = np.unique(np.quantile(known, np.arange(1, _BINS) / _BINS))
        used = np.unique(np.searchsorted(edges, known, side="right"))
        return cls(scale=scale, edges=edges[used[1:] - 1])

    def names(self, name: str) -> list[str]:
        """See :class:`Column`."""
        if len(self.scale) == 0:
            return []
        return number_names(name, len(self.edges))

    def matrix(self, cells: pl.Series, columns: FeatureColumns) -> Floats:
        """See :class:`Column`."""
        if len(self.scale) == 0:
            return np.zeros((len(cells), 0), dtype=np.float32)
        numbers = cells.cast(pl.Float32).fill_null(float("nan")).to_numpy()
        mean, deviation = self.scale
        return scaled_and_binned(numbers, mean, deviation, self.edges)


@dataclass(frozen=True, kw_only=True, eq=False)
class Vectors(Column):
    """The numbers of vectors of one length; all zeros where null."""

    length: NDArray[np.int64]
    """A single number; 0 where no vector was known, and there are no features."""

    @classmethod
    def learnt(cls, cells: pl.Series, columns: FeatureColumns) -> Self:
        """See :class:`Column`."""
        return cls(length=np.array(_length(cells)))

    def names(self, name: str) -> list[str]:
        """See :class:`Column`."""
        return vector_names(name, int(self.length))

    def matrix(self, cells: pl.Series, columns: FeatureColumns) -> Floats:
        """See :class:`Column`. Raises DataError for vectors of another length."""
        known, length = cells.drop_nulls(), int(self.length)
        matrix = np.zeros((len(cells), length), dtype=np.float32)
        if length and len(known):
            if _length(cells) != length:
                name = cells.name.partition(":")[2]
                raise DataError(f"column {name!r}: vectors of {_length(cells)} numbers, not of {length} as before")
            matrix[cells.is_not_null().to_numpy()] = known.explode().to_numpy().reshape(len(known), length)
        return matrix


@dataclass(frozen=True, kw_only=True, eq=False)
class Text(Column):
    """Latent semantic analysis of texts, or of lists of words (Deerwester et al., 1990).

    Features are the projections of TF-IDF rows on their first singular vectors. scikit-learn computes both; plain
    arrays hold the result, so that a bundle needs no pickle.
    """

    words: pl.Series
    """[W], ascending: tokens in at least two rows."""
    idf: NDArray[np.float64]
    """[W], smoothed."""
    directions: NDArray[np.float64]
    """[F, W], orthonormal; the largest loading of each is positive."""

    @classmethod
    def learnt(cls, cells: pl.Series, columns: FeatureColumns) -> Self:
        """See :class:`Column`."""
        vectorizer = TfidfVectorizer(analyzer=list, min_df=_IN_ROWS)
        try:
            weights = vectorizer.fit_transform(_tokens(cell) for rows in _in_parts(cells) for cell in rows)
        except ValueError:  # no token is in enough rows
            return cls(words=pl.Series([], dtype=pl.String), idf=np.zeros(0), directions=np.zeros((0, 0)))
        words = pl.Series(vectorizer.get_feature_names_out(), dtype=pl.String)
        return cls(words=words, idf=vectorizer.idf_, directions=_main_directions(weights, columns.directions))

    def names(self, name: str) -> list[str]:
        """See :class:`Column`."""
        return text_names(name, len(self.directions))

    def matrix(self, cells: pl.Series, columns: FeatureColumns) -> Floats:
        """See :class:`Column`."""
        places = places_of(self.words)
        parts = (latent([*map(_tokens, rows)], places, self.idf, self.directions) for rows in _in_parts(cells))
        return np.concatenate([np.zeros((0, len(self.directions)), dtype=np.float32), *parts])


@dataclass(frozen=True, kw_only=True, eq=False)
class Sentences(Column):
    """Embeddings by a sentence encoder, of length one; all zeros where there is no text."""

    sample: NDArray[np.float32]
    """[F], of a text that is always the same: it tells whether the encoder is."""

    @classmethod
    def learnt(cls, cells: pl.Series, columns: FeatureColumns) -> Self:
        """See :class:`Column`."""
        return cls(sample=embeddings([_SAMPLE], columns.sentence_model)[0])

    def names(self, name: str) -> list[str]:
        """See :class:`Column`."""
        return vector_names(name, len(self.sample))

    def matrix(self, cells: pl.Series, columns: FeatureColumns) -> Floats:
        """See :class:`Column`. Raises DataError for another encoder than was learnt with."""
        texts = cells.str.strip_chars()
        known = (texts.str.len_bytes() > 0).fill_null(False)
        found = embeddings([_SAMPLE, *texts.filter(known)], columns.sentence_model)
        if found.shape[1] != len(self.sample) or np.linalg.norm(found[0] - self.sample) > _AWAY:
            raise DataError(
                f"column {cells.name.partition(':')[2]!r}: the sentence model, of {found.shape[1]} numbers, is another "
                f"than before, which gave {len(self.sample)}; put that one in its place, or fit again"
            )
        matrix = np.zeros((len(cells), len(self.sample)), dtype=np.float32)
        matrix[known.to_numpy()] = found[1:]
        return matrix


@dataclass(frozen=True, kw_only=True, eq=False)
class LearntColumns:
    """The learnt columns of both tables, by `kind:column`."""

    items: Mapping[str, Column]
    users: Mapping[str, Column]


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A kind of column of a recipe.

    ``read`` gives the cells of a column by name. ``separator`` is between the column's name and the rest of the name of
    a feature.
    """

    column: type[Column]
    read: Callable[[Table, str, FeatureColumns], pl.Series]
    separator: re.Pattern[str]


KINDS: Mapping[str, Kind] = {
    "categorical": Kind(
        column=MultiHot, read=lambda table, name, _: _singles(words(table, name)), separator=re.compile("=")
    ),
    "multi_valued": Kind(
        column=MultiHot,
        read=lambda table, name, columns: word_lists(table, name, columns.separator),
        separator=re.compile("="),
    ),
    "numeric": Kind(
        column=Numeric, read=lambda table, name, _: measures(table, name), separator=re.compile(r"\[\d+\]$")
    ),
    "text": Kind(column=Text, read=lambda table, name, _: texts(table, name), separator=re.compile(r"~\d+$")),
    "sentences": Kind(
        column=Sentences, read=lambda table, name, _: words(table, name), separator=re.compile(r"\.\d+$")
    ),
    "vectors": Kind(column=Vectors, read=lambda table, name, _: vectors(table, name), separator=re.compile(r"\.\d+$")),
}
"""By the key of a recipe's table, in the order of the features."""


def _singles(cells: pl.Series) -> pl.Series:
    return cells.to_frame().select(pl.concat_list(cells.name)).to_series()


def _main_directions(weights: csr_array, most: int) -> NDArray[np.float64]:
    """The first ``most`` right singular vectors of ``weights`` ``[n, W]``, fewer if its rank is lower, ``[F, W]``."""
    count = min(most, min(weights.shape) - 1)
    if count < 1:
        return np.zeros((0, weights.shape[1]))
    with np.errstate(divide="ignore", invalid="ignore"):  # if all rows are equal, no variance is to be explained
        found = TruncatedSVD(count, algorithm="arpack", random_state=0).fit(weights)
    scale = found.singular_values_
    # A direction without weight is noise.
    directions: NDArray[np.float64] = found.components_[scale > 1e-6 * scale.max()]
    return directions


def _tokens(cell: str | list[str | None] | None) -> list[str]:
    """The words of a text, or of a list of words as they are, without empty ones; none where null."""
    if cell is None:
        return []
    return words_of(cell) if isinstance(cell, str) else [word for word in cell if word]


def _stripped(lists: pl.Series) -> pl.DataFrame:
    """(row, word) of lists of text, once however often a row has it."""
    return _pairs(lists.list.eval(pl.element().str.strip_chars())).unique(maintain_order=True)


def _pairs(lists: pl.Series) -> pl.DataFrame:
    """(row, word) of lists of text, without empty words."""
    frame = pl.DataFrame({"row": np.arange(len(lists)), "word": lists}, schema_overrides={"word": pl.List(pl.String)})
    return frame.explode("word").filter(pl.col("word").str.len_bytes() > 0)


def _in_parts(cells: pl.Series) -> Iterator[list[Any]]:
    """The cells as lists of Python's own objects."""
    return (cells[start : start + _TOGETHER].to_list() for start in range(0, len(cells), _TOGETHER))


def _known(numbers: pl.Series) -> NDArray[np.float64]:
    return numbers.drop_nulls().cast(pl.Float64).to_numpy()


def _length(lists: pl.Series) -> int:
    known = lists.drop_nulls()
    return len(known[0]) if len(known) else 0
