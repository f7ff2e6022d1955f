"""From the cells of a column to features, one formula for each kind: for the trainer's tables and for single items.

Legend of shapes: n cells, F features, W words.
"""

import itertools
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
# White space as Unicode has it. Python's own also has the separators of ASCII, which no text editor shows.
_SPACE = "\t\n\v\f\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(map(chr, range(0x2000, 0x200B)))


def stripped(text: str) -> str:
    """The text without white space at its ends."""
    return text.strip(_SPACE)


def places_of(values: Iterable[str]) -> dict[str, int]:
    """The feature of each value."""
    return {value: place for place, value in enumerate(values)}


def scaled_and_binned(numbers: Floats, mean: float, deviation: float, edges: NDArray[np.float64]) -> Floats:
    """Numbers ``[n]`` less their mean in deviations, then ones for the bin, ``[n, 2 + edges]``; zeros where NaN."""
    matrix = np.zeros((len(numbers), 2 + len(edges)), dtype=np.float32)
    rows = np.flatnonzero(~np.isnan(numbers))
    known = numbers[rows].astype(np.float64)
    matrix[rows, 0] = (known - mean) / deviation
    matrix[rows, 1 + np.searchsorted(edges, known, side="right")] = 1
    return matrix


def latent(
    texts: Sequence[Sequence[str]],
    places: Mapping[str, int],
    idf: NDArray[np.float64],
    directions: NDArray[np.float64],
) -> Floats:
    """The words of texts, as TF-IDF of length one, on ``directions`` ``[F, W]``: ``[n, F]``; zeros without a known one.

    ``places`` are those of the words in ``idf`` ``[W]``. No text changes the features of another by a bit.
    """
    known = [[places[word] for word in text if word in places] for text in texts]
    owners = np.repeat(np.arange(len(texts)), [len(one) for one in known])
    words = np.fromiter(itertools.chain.from_iterable(known), dtype=np.int64, count=len(owners))
    pairs, counts = np.unique(owners * len(idf) + words, return_counts=True)
    owners, words = np.divmod(pairs, max(1, len(idf)))
    weights = counts * idf[words]
    lengths = np.sqrt(np.bincount(owners, weights**2, minlength=len(texts)))
    weights /= lengths[owners]
    matrix = np.zeros((len(texts), len(directions)), dtype=np.float32)
    for feature, direction in enumerate(directions):
        matrix[:, feature] = np.bincount(owners, weights * direction[words], minlength=len(texts))
    return matrix
