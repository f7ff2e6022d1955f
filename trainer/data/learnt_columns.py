"""What is learnt of a table's columns, so that another table's rows become the same features: a class for each kind."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.linalg import svds

from trainer.data.sentences import embeddings
from trainer.errors import DataError
from trainer.recipe import FeatureColumns

Floats = NDArray[np.float32]
_CATEGORIES = 256
_BINS = 8
_IN_ROWS = 2
_SAMPLE = "A film about two friends who travel to the moon."
_AWAY = 0.01  # far more than machines differ by, and far less than models do


@dataclass(frozen=True, kw_only=True, eq=False)
class Column(ABC):
    """How the cells of one column become features."""

    @classmethod
    @abstractmethod
    def learnt(cls, cells: pl.Series, columns: FeatureColumns) -> Self:
        """What the cells [n] of a column say of it."""

    @abstractmethod
    def names(self, name: str) -> list[str]:
        """The features' [F], in a column of that name."""

    @abstractmethod
    def matrix(self, cells: pl.Series, columns: FeatureColumns) -> Floats:
        """Features of cells [n], those that were learnt from or others: [n, F]; zeros for what is not known of them."""


@dataclass(frozen=True, kw_only=True, eq=False)
class MultiHot(Column):
    """Ones and zeros for each of the most frequent values of lists of text.

    Of two equally frequent, the one that sorts first is kept.
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
        return [f"{name}={value}" for value in self.values]

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
        # Of equal numbers the deviation may be a rounding error instead of zero.
        scale = np.array([known.mean(), known.std() if np.ptp(known) else 1.0])
        edges = np.unique(np.quantile(known, np.arange(1, _BINS) / _BINS))
        used = np.unique(np.searchsorted(edges, known, side="right"))
        return cls(scale=scale, edges=edges[used[1:] - 1])

    def names(self, name: str) -> list[str]:
        """See :class:`Column`."""
        if len(self.scale) == 0:
            return []
        return [name, *(f"{name}[{position}]" for position in range(1 + len(self.edges)))]

    def matrix(self, cells: pl.Series, columns: FeatureColumns) -> Floats:
        """See :class:`Column`."""
        matrix = np.zeros((len(cells), len(self.names(""))), dtype=np.float32)
        if matrix.shape[1] == 0:
            return matrix
        known, rows = _known(cells), np.flatnonzero(cells.is_not_null().to_numpy())
        mean, deviation = self.scale
        matrix[rows, 0] = (known - mean) / deviation
        matrix[rows, 1 + np.searchsorted(self.edges, known, side="right")] = 1
        return matrix


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
        return [f"{name}.{position}" for position in range(int(self.length))]

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
    """The main directions of the TF-IDF of texts, or of lists of words, scaled by their singular values: latent
    semantic analysis.

    Deerwester et al. 1990. The sign of each is such that its largest loading is positive.
    """

    words: pl.Series
    """[W], ascending: tokens in at least two rows."""
    idf: NDArray[np.float64]
    """[W], as in scikit-learn, smoothed."""
    directions: NDArray[np.float64]
    """[F, W], orthonormal."""

    @classmethod
    def learnt(cls, cells: pl.Series, columns: FeatureColumns) -> Self:
        """See :class:`Column`."""
        rows = _token_counts(cells)["word"].value_counts(name="rows").filter(pl.col("rows") >= _IN_ROWS).sort("word")
        idf = np.log((1 + len(cells)) / (1 + rows["rows"].to_numpy())) + 1
        whole = cls(words=rows["word"], idf=idf, directions=np.zeros((0, len(idf))))
        return cls(words=whole.words, idf=idf, directions=_main_directions(whole.weights(cells), columns.directions))

    def names(self, name: str) -> list[str]:
        """See :class:`Column`."""
        return [f"{name}~{position}" for position in range(len(self.directions))]

    def matrix(self, cells: pl.Series, columns: FeatureColumns) -> Floats:
        """See :class:`Column`."""
        if len(self.directions) == 0:
            return np.zeros((len(cells), 0), dtype=np.float32)
        matrix: Floats = (self.weights(cells) @ self.directions.T).astype(np.float32)
        return matrix

    def weights(self, cells: pl.Series) -> csr_array:
        """TF-IDF of the words, [n, W], rows of length one."""
        counts = _token_counts(cells).filter(pl.col("word").is_in(self.words.implode()))
        row, column = counts["row"].to_numpy(), self.words.search_sorted(counts["word"]).to_numpy()
        weight = counts["count"].to_numpy() * self.idf[column]
        weight /= np.sqrt(np.bincount(row, weights=weight**2, minlength=len(cells)))[row]
        return csr_array((weight, (row, column)), shape=(len(cells), len(self.words)))


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
        return [f"{name}.{position}" for position in range(len(self.sample))]

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
    """Of both tables, by `kind:column`."""

    items: Mapping[str, Column]
    users: Mapping[str, Column]


KINDS: Mapping[str, type[Column]] = {
    "categorical": MultiHot,
    "multi_valued": MultiHot,
    "numeric": Numeric,
    "text": Text,
    "sentences": Sentences,
    "vectors": Vectors,
}


def _main_directions(weights: csr_array, most: int) -> NDArray[np.float64]:
    count = min(most, min(weights.shape) - 1)
    if count < 1:
        return np.zeros((0, weights.shape[1]))
    _, scale, right = svds(weights, k=count, rng=np.random.default_rng(0))
    order = np.argsort(-scale, kind="stable")
    order = order[scale[order] > 1e-6 * scale.max()]  # a direction without weight is noise
    signs = np.sign(right[order, np.abs(right[order]).argmax(axis=1)])
    directions: NDArray[np.float64] = right[order] * signs[:, None]
    return directions


def _token_counts(texts: pl.Series) -> pl.DataFrame:
    """(row, word, count) of texts, or of lists of words, in this order."""
    listed = texts.dtype == pl.List(pl.String)
    tokens = _pairs(texts if listed else texts.str.to_lowercase().str.extract_all(r"\w+"))
    return tokens.group_by("row", "word").len("count").sort("row", "word")


def _stripped(lists: pl.Series) -> pl.DataFrame:
    """(row, word) of lists of text, once however often a row has it."""
    return _pairs(lists.list.eval(pl.element().str.strip_chars())).unique(maintain_order=True)


def _pairs(lists: pl.Series) -> pl.DataFrame:
    """(row, word) of lists of text, without empty words."""
    frame = pl.DataFrame({"row": np.arange(len(lists)), "word": lists}, schema_overrides={"word": pl.List(pl.String)})
    return frame.explode("word").filter(pl.col("word").str.len_bytes() > 0)


def _known(numbers: pl.Series) -> NDArray[np.float64]:
    return numbers.drop_nulls().cast(pl.Float64).to_numpy()


def _length(lists: pl.Series) -> int:
    known = lists.drop_nulls()
    return len(known[0]) if len(known) else 0
