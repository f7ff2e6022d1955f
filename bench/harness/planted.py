"""Planted data of a fixed seed, and the bundle that the benchmarks serve.

Items and tastes lie in clusters, so that a search has neighbours to find, and a popular item has a longer vector, as
training makes it. The models have the default recipe's shapes and planted weights: a user's vector is the direction of
what they did, which is all that a benchmark of speed needs.

``python -m bench.harness.planted`` builds the bundle, if it is not there yet, and prints its directory.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

BUILD = Path("build") / "bench"
BUNDLES = BUILD / "bundles"
ITEMS = 100_000
USERS = 20_000
DIMENSION = 64
CANDIDATES = 500
HISTORY = 50
_CLUSTER_SIZE = 500
_TASTES = (0.9, 0.07, 0.03)
_SPREAD = 0.4
_LENGTHS = 0.1
_CHUNK = 250_000
_GENRES = 20


@dataclass(frozen=True, kw_only=True)
class Planted:
    """A catalogue in clusters: ``centres`` ``[clusters, DIMENSION]``; item ``i`` is of cluster ``i % clusters``."""

    items: int
    seed: int
    centres: NDArray[np.float32]

    @classmethod
    def of(cls, items: int, seed: int = 7) -> "Planted":
        """Five hundred items a cluster."""
        random = np.random.default_rng(seed)
        clusters = max(10, items // _CLUSTER_SIZE)
        # Clusters of clusters: tastes are broad and narrow at once.
        broad = random.normal(size=(max(4, int(clusters**0.5)), DIMENSION))
        centres = broad[random.integers(len(broad), size=clusters)] + random.normal(size=(clusters, DIMENSION))
        centres /= np.linalg.norm(centres, axis=1, keepdims=True)
        return cls(items=items, seed=seed, centres=centres.astype(np.float32))

    def vectors(self) -> Iterator[NDArray[np.float32]]:
        """The item vectors, a chunk ``[chunk, DIMENSION]`` at a time."""
        for start in range(0, self.items, _CHUNK):
            random = np.random.default_rng((self.seed, start))
            rows = np.arange(start, min(start + _CHUNK, self.items))
            noise = random.standard_normal((len(rows), DIMENSION), dtype=np.float32) * (_SPREAD / DIMENSION**0.5)
            lengths = np.exp(_LENGTHS * random.standard_normal((len(rows), 1), dtype=np.float32))
            yield (self.centres[rows % len(self.centres)] + noise) * lengths

    def histories(self, users: int, length: int = HISTORY) -> NDArray[np.int64]:
        """Item rows ``[users, length]``: three tastes a user, most of it the first, and some items far more liked."""
        random = np.random.default_rng((self.seed, users))
        clusters = len(self.centres)
        tastes = random.integers(clusters, size=(users, len(_TASTES)))
        taste = random.choice(len(_TASTES), p=_TASTES, size=(users, length))
        cluster = np.take_along_axis(tastes, taste, axis=1)
        in_cluster = -(-(self.items - cluster) // clusters)
        place = (random.random((users, length)) ** 2 * in_cluster).astype(np.int64)
        return cluster + place * clusters


def genre_of(rows: NDArray[np.int64], planted: Planted) -> NDArray[np.int64]:
    """A category for each item, the same for all of a cluster."""
    return rows % len(planted.centres) % _GENRES


def main() -> None:
    """See the module."""
    # Only who builds the bundle needs PyTorch.
    from bench.harness.planted_bundle import planted_bundle

    print(planted_bundle())


if __name__ == "__main__":
    main()
