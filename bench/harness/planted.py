"""Planted data of a fixed seed, and the bundle that the benchmarks serve.

Items and tastes lie in clusters, so that a search has true neighbours. Popular items have longer vectors, as after
training. The models have the default recipe's shapes and planted weights. A user's vector points to the mean of the
user's items, which is enough for a benchmark of speed.

``python -m bench.harness.planted`` builds the bundle unless it exists, and prints its directory.
"""

import argparse
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
    """A catalogue in clusters with ``centres`` ``[clusters, DIMENSION]``; item ``i`` is in cluster ``i % clusters``."""

    items: int
    seed: int
    centres: NDArray[np.float32]

    @classmethod
    def of(cls, items: int, seed: int = 7) -> "Planted":
        """A catalogue with about 500 items in each cluster."""
        random = np.random.default_rng(seed)
        clusters = max(10, items // _CLUSTER_SIZE)
        # Clusters of clusters, so that tastes are both broad and narrow.
        broad = random.normal(size=(max(4, int(clusters**0.5)), DIMENSION))
        centres = broad[random.integers(len(broad), size=clusters)] + random.normal(size=(clusters, DIMENSION))
        centres /= np.linalg.norm(centres, axis=1, keepdims=True)
        return cls(items=items, seed=seed, centres=centres.astype(np.float32))

    def vectors(self) -> Iterator[NDArray[np.float32]]:
        """The item vectors in chunks ``[chunk, DIMENSION]``."""
        for start in range(0, self.items, _CHUNK):
            random = np.random.default_rng((self.seed, start))
            rows = np.arange(start, min(start + _CHUNK, self.items))
            noise = random.standard_normal((len(rows), DIMENSION), dtype=np.float32) * (_SPREAD / DIMENSION**0.5)
            lengths = np.exp(_LENGTHS * random.standard_normal((len(rows), 1), dtype=np.float32))
            yield (self.centres[rows % len(self.centres)] + noise) * lengths

    def histories(self, users: int, length: int = HISTORY) -> NDArray[np.int64]:
        """Item rows ``[users, length]``: three tastes a user, mostly the first; some items are far more popular."""
        random = np.random.default_rng((self.seed, users))
        clusters = len(self.centres)
        tastes = random.integers(clusters, size=(users, len(_TASTES)))
        taste = random.choice(len(_TASTES), p=_TASTES, size=(users, length))
        cluster = np.take_along_axis(tastes, taste, axis=1)
        in_cluster = -(-(self.items - cluster) // clusters)
        place = (random.random((users, length)) ** 2 * in_cluster).astype(np.int64)
        return cluster + place * clusters


def genre_of(rows: NDArray[np.int64], planted: Planted) -> NDArray[np.int64]:
    """A category for each item; all items of a cluster share it."""
    return rows % len(planted.centres) % _GENRES


def main() -> None:
    """See the module."""
    argparse.ArgumentParser(prog="python -m bench.harness.planted", description=__doc__).parse_args()
    # PyTorch is loaded for this step only.
    from bench.harness.planted_bundle import planted_bundle

    print(planted_bundle())


if __name__ == "__main__":
    main()
