"""Indexes built from factory strings. Runs in a process without PyTorch."""

import sys
import time

import faiss
import numpy as np
from numpy.typing import NDArray

# k-means gains nothing from more vectors for a list.
_TRAINED_PER_LIST = 64
_LEAST_TRAINED = 100_000
_AT_ONCE = 500_000
_SILENCE_SECONDS = 10.0

Vectors = NDArray[np.float32]


def say(text: str) -> None:
    """Prints a line of progress to stderr; stdout holds the result."""
    print(f"index: {text}", file=sys.stderr, flush=True)


class Builder:
    """Builds indexes of the same item vectors ``[items, D]`` by inner product.

    Indexes with as many lists share their centroids, whose training is most of the work.
    """

    def __init__(self, items: Vectors) -> None:
        self._items = items
        self._centroids: dict[int, tuple[Vectors, float]] = {}

    def build(self, spec: str) -> tuple[faiss.Index, float]:
        """The index of a FAISS factory string, and the seconds that it takes when nothing is shared.

        Raises:
            RuntimeError: FAISS refuses the string.
        """
        started = time.monotonic()
        index = faiss.index_factory(self._items.shape[1], spec, faiss.METRIC_INNER_PRODUCT)
        saved = self._train(index)
        self._add(index, spec)
        return index, time.monotonic() - started + saved

    def _train(self, index: faiss.Index) -> float:
        if index.is_trained:
            return 0.0
        inverted = faiss.try_extract_index_ivf(index)
        lists = inverted.nlist if inverted else 0
        centroids, saved = self._centroids.get(lists, (None, 0.0))
        if inverted and centroids is not None:
            # FAISS does not train a quantiser that has its centroids.
            inverted.quantizer.add(centroids)
        started = time.monotonic()
        wanted = max(_LEAST_TRAINED, _TRAINED_PER_LIST * lists)
        index.train(np.ascontiguousarray(self._items[:: max(1, len(self._items) // wanted)]))
        if inverted and centroids is None:
            trained = inverted.quantizer.reconstruct_n(0, lists)
            self._centroids[lists] = (trained, time.monotonic() - started)
        return saved

    def _add(self, index: faiss.Index, spec: str) -> None:
        last = time.monotonic()
        for start in range(0, len(self._items), _AT_ONCE):
            index.add(np.ascontiguousarray(self._items[start : start + _AT_ONCE]))
            if time.monotonic() - last > _SILENCE_SECONDS:
                last = time.monotonic()
                say(f"{spec} has {index.ntotal:,} of {len(self._items):,} items")


def set_parameters(index: faiss.Index, parameters: str) -> None:
    """Sets the parameters, by their names in FAISS's parameter space."""
    if parameters:
        faiss.ParameterSpace().set_index_parameters(index, parameters)  # type: ignore[arg-type]  # one of its two forms
