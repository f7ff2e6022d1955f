"""Ranking metrics of queries with one right item each.

With one right item at 0-based place r of the whole ranking: HR@k = recall@k = [r < k], and nDCG@k = [r < k] /
log2(r + 2), since the ideal gain is 1 (Järvelin and Kekäläinen, 2002).
"""

import numpy as np
from numpy.typing import NDArray


def hit_rate(places: NDArray[np.int64], k: int) -> float:
    """Share of the queries ``[n]`` whose right item is among the first ``k``."""
    return float((places < k).mean())


def ndcg(places: NDArray[np.int64], k: int) -> float:
    """Mean discounted gain within the first ``k``."""
    return float(np.where(places < k, 1.0 / np.log2(places + 2.0), 0.0).mean())


def report(places: NDArray[np.int64]) -> dict[str, float]:
    """The three figures of every report."""
    return {"hr@10": hit_rate(places, 10), "ndcg@10": ndcg(places, 10), "recall@200": hit_rate(places, 200)}


def places_of(scores: NDArray[np.floating], targets: NDArray[np.int64]) -> NDArray[np.int64]:
    """0-based place of each target among the scores ``[queries, items]``; of equal ones the lower row is first."""
    target = np.take_along_axis(scores, targets[:, None], axis=1)
    before = (scores > target) | ((scores == target) & (np.arange(scores.shape[1]) < targets[:, None]))
    return np.asarray(before.sum(axis=1))
