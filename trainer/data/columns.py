"""A table's columns as features: ones for categories, numbers standardised and binned, text as its main directions."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl
from scipy.sparse import csr_array
from scipy.sparse.linalg import svds

from trainer.data.cells import measures, texts, unique_ids, vectors, word_lists, words
from trainer.data.dataset import Features, Floats
from trainer.data.tables import Table
from trainer.recipe import FeatureColumns

_CATEGORIES = 256
_BINS = 8
_IN_ROWS = 2


@dataclass(frozen=True, kw_only=True, eq=False)
class Block:
    """The features of one column: their names [F] and values [n, F]."""

    names: list[str]
    matrix: Floats


def parsed(table: Table, columns: FeatureColumns) -> pl.DataFrame:
    """`id` and the columns that become features, in the file's order: lists of text or numbers, numbers, text.

    What is missing is null.

    Raises DataError for a column that is missing or of another type, and for an id that is there twice.
    """
    return pl.DataFrame(
        [
            unique_ids(table, columns.id).alias("id"),
            *(_singles(words(table, name)).alias(f"categorical:{name}") for name in columns.categorical),
            *(
                word_lists(table, name, columns.separator).alias(f"multi_valued:{name}")
                for name in columns.multi_valued
            ),
            *(measures(table, name).alias(f"numeric:{name}") for name in columns.numeric),
            *(texts(table, name).alias(f"text:{name}") for name in columns.text),
            *(vectors(table, name).alias(f"vectors:{name}") for name in columns.vectors),
        ]
    )


def features(frame: pl.DataFrame, columns: FeatureColumns) -> Features:
    """Features of what `parsed` gave of the columns, once its rows are those of the dataset."""
    names: list[str] = []
    kinds: list[str] = []
    matrices = [np.zeros((frame.height, 0), dtype=np.float32)]
    for column in frame.drop("id").iter_columns():
        kind, _, name = column.name.partition(":")
        block = text(name, column, columns.directions) if kind == "text" else _MAKERS[kind](name, column)
        names += block.names
        kinds += [kind] * len(block.names)
        matrices.append(block.matrix)
    return Features(names=tuple(names), kinds=tuple(kinds), matrix=np.concatenate(matrices, axis=1))


def multi_hot(name: str, lists: pl.Series) -> Block:
    """A column of ones and zeros for each of the most frequent values of lists of text [n], by name.

    Of two equally frequent, the one that sorts first is kept.
    """
    pairs = _pairs(lists.list.eval(pl.element().str.strip_chars()))
    counted = pairs["word"].value_counts().sort(["count", "word"], descending=[True, False])
    kept = counted["word"].head(_CATEGORIES).sort()
    pairs = pairs.filter(pl.col("word").is_in(kept.implode()))
    matrix = np.zeros((len(lists), len(kept)), dtype=np.float32)
    matrix[pairs["row"].to_numpy(), kept.search_sorted(pairs["word"]).to_numpy()] = 1
    return Block(names=[f"{name}={value}" for value in kept], matrix=matrix)


def numeric(name: str, numbers: pl.Series) -> Block:
    """Numbers [n] less their mean in standard deviations, then ones for the quantile bin; all zeros where null."""
    present = numbers.is_not_null().to_numpy()
    known = numbers.drop_nulls().cast(pl.Float64).to_numpy()
    if len(known) == 0:
        return Block(names=[], matrix=np.zeros((len(numbers), 0), dtype=np.float32))
    edges = np.unique(np.quantile(known, np.arange(1, _BINS) / _BINS))
    used, bins = np.unique(np.searchsorted(edges, known, side="right"), return_inverse=True)
    matrix = np.zeros((len(numbers), 1 + len(used)), dtype=np.float32)
    # Of equal numbers the deviation may be a rounding error instead of zero.
    matrix[present, 0] = (known - known.mean()) / (known.std() if np.ptp(known) else 1.0)
    matrix[np.flatnonzero(present), 1 + bins] = 1
    return Block(names=[name, *(f"{name}[{position}]" for position in range(len(used)))], matrix=matrix)


def vector(name: str, lists: pl.Series) -> Block:
    """The numbers of vectors [n] of one length; all zeros where null."""
    present = lists.is_not_null().to_numpy()
    known = lists.drop_nulls()
    length = len(known[0]) if len(known) else 0
    matrix = np.zeros((len(lists), length), dtype=np.float32)
    matrix[present] = known.explode().to_numpy().reshape(len(known), length) if length else 0
    return Block(names=[f"{name}.{position}" for position in range(length)], matrix=matrix)


def text(name: str, texts: pl.Series, most: int) -> Block:
    """The main directions of the TF-IDF of texts, or of lists of words, [n], scaled by their singular values: latent
    semantic analysis.

    Deerwester et al. 1990. The sign of each is such that its largest loading is positive.
    """
    weights = _tf_idf(texts)
    directions = min(most, min(weights.shape) - 1)
    if directions < 1:
        return Block(names=[], matrix=np.zeros((len(texts), 0), dtype=np.float32))
    left, scale, right = svds(weights, k=directions, rng=np.random.default_rng(0))
    order = np.argsort(-scale, kind="stable")
    order = order[scale[order] > 1e-6 * scale.max()]  # a direction without weight is noise
    signs = np.sign(right[order, np.abs(right[order]).argmax(axis=1)])
    matrix = (left[:, order] * scale[order] * signs).astype(np.float32)
    return Block(names=[f"{name}~{position}" for position in range(len(order))], matrix=matrix)


def _tf_idf(texts: pl.Series) -> csr_array:
    """[n, tokens] of tokens in at least two rows, rows of length one; idf as in scikit-learn, smoothed."""
    listed = texts.dtype == pl.List(pl.String)
    tokens = _pairs(texts if listed else texts.str.to_lowercase().str.extract_all(r"\w+"), repeats=True)
    counts = tokens.group_by("row", "word").len("count").sort("row", "word")
    shared = counts["word"].value_counts(name="rows").filter(pl.col("rows") >= _IN_ROWS).sort("word")
    counts = counts.join(shared, on="word", maintain_order="left")
    idf = np.log((1 + len(texts)) / (1 + counts["rows"].to_numpy())) + 1
    weight = counts["count"].to_numpy() * idf
    row = counts["row"].to_numpy()
    weight /= np.sqrt(np.bincount(row, weights=weight**2, minlength=len(texts)))[row]
    column = shared["word"].search_sorted(counts["word"]).to_numpy()
    return csr_array((weight, (row, column)), shape=(len(texts), len(shared)))


def _pairs(lists: pl.Series, *, repeats: bool = False) -> pl.DataFrame:
    """(row, word) of lists of text, without empty words; a word that a row has twice is there once unless `repeats`."""
    frame = pl.DataFrame({"row": np.arange(len(lists)), "word": lists}, schema_overrides={"word": pl.List(pl.String)})
    pairs = frame.explode("word").filter(pl.col("word").str.len_bytes() > 0)
    return pairs if repeats else pairs.unique(maintain_order=True)


def _singles(texts: pl.Series) -> pl.Series:
    return texts.to_frame().select(pl.concat_list(texts.name)).to_series()


_MAKERS: Mapping[str, Callable[[str, pl.Series], Block]] = {
    "categorical": multi_hot,
    "multi_valued": multi_hot,
    "numeric": numeric,
    "vectors": vector,
}
