"""Metrics of ranked lists, by name, such as ``ndcg@10``.

Legend of shapes: Q queries, K places of a list, N items. A query has n relevant items; those in its list are hits.

========== =============================================================================================================
recall     hits among the first k / n: of NGCF, LightGCN and Heater
recall_min hits among the first k / min(k, n): of Mult-VAE and EASE
hr         whether there is a hit among the first k; with one relevant item, recall
ndcg       sum of 1 / log2(place + 2) over the hits among the first k / that sum over places 0 to min(k, n) - 1: binary
           gains (Järvelin and Kekäläinen, 2002)
mrr        1 / (place + 1) of the first hit among the first k
coverage   share of the items that may be recommended and are among the first k of any list
gini       inequality of how often each of them is listed, from 0 (all equal) to 1 (one item alone; Gini, 1912)
novelty    mean over the first k of -log2 of the share of users who have the item, with one user added
           (Castells, Hurley and Vargas, 2022, "self-information")
========== =============================================================================================================

The first five are means over the queries.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from trainer.errors import TrainerError

_NOTHING = -1


@dataclass(frozen=True, kw_only=True, eq=False)
class Rankings:
    """Lists, best first, and their hits.

    ``hits`` ``[Q, K]``; ``relevant`` ``[Q]`` how many items are relevant to each query, at least one. ``rows``
    ``[Q, K]`` are the items, -1 behind the end of a shorter list. ``allowed`` ``[N]`` are the items that may be
    recommended, ``owners`` ``[N]`` the shares of users who have each item. ``by_event`` are the lists for the test's
    questions about each kind of event.
    """

    hits: NDArray[np.bool_]
    relevant: NDArray[np.int64]
    rows: NDArray[np.int64]
    allowed: NDArray[np.bool_]
    owners: NDArray[np.float64]
    by_event: "Mapping[str, Rankings]" = field(default_factory=dict)

    @classmethod
    def of_places(cls, places: NDArray[np.int64], depth: int) -> Self:
        """Lists of queries with one relevant item, at a 0-based place ``[Q]`` of the whole ranking; without items."""
        return cls(
            hits=np.arange(depth) == places[:, None],
            relevant=np.ones(len(places), dtype=np.int64),
            rows=np.full((len(places), depth), _NOTHING),
            allowed=np.zeros(0, dtype=np.bool_),
            owners=np.zeros(0),
        )

    def at(self, places: NDArray[np.integer] | NDArray[np.bool_]) -> Self:
        """The lists of some of the queries."""
        return type(self)(
            hits=self.hits[places],
            relevant=self.relevant[places],
            rows=self.rows[places],
            allowed=self.allowed,
            owners=self.owners,
        )

    def first(self, k: int) -> Self:
        """The first ``k`` of each list."""
        return replace(self, hits=self.hits[:, :k], rows=self.rows[:, :k])

    def exposure(self, k: int) -> NDArray[np.int64]:
        """How often each item that may be recommended is among the first ``k``."""
        rows = self.rows[:, :k]
        return np.bincount(rows[rows >= 0], minlength=len(self.allowed))[self.allowed]


Figures = dict[str, dict[str, float]]
"""Each metric by its name, by the name of a model."""
Lists = dict[str, Rankings]
"""The answers of each model, by its name."""


def figures(rankings: Rankings, names: Sequence[str]) -> dict[str, float]:
    """The metrics of these names.

    Raises:
        TrainerError: there is no such metric, or the lists are not long enough for it.
    """
    return {name: _figure(rankings, name) for name in names}


def depth_of(names: Sequence[str]) -> int:
    """The length of lists that metrics of these names need."""
    return max(int(name.partition("@")[2]) for name in names)


def report(places: NDArray[np.int64]) -> dict[str, float]:
    """The figures of queries with one relevant item each, at these 0-based places ``[Q]``."""
    return figures(Rankings.of_places(places, 200), ("hr@10", "ndcg@10", "recall@200"))


def places_of(scores: NDArray[np.floating], targets: NDArray[np.int64]) -> NDArray[np.int64]:
    """0-based place of each target among the scores ``[queries, items]``; the lower row comes first among equals."""
    target = np.take_along_axis(scores, targets[:, None], axis=1)
    before = (scores > target) | ((scores == target) & (np.arange(scores.shape[1]) < targets[:, None]))
    return np.asarray(before.sum(axis=1))


def of_queries(rankings: Rankings, name: str) -> NDArray[np.float64]:
    """One of the metrics that are means over the queries, of each query, ``[Q]``.

    Raises:
        TrainerError: there is no such metric, or the lists are not long enough for it.
    """
    kind, k = _parsed(rankings, name)
    if kind not in _OF_QUERIES:
        raise TrainerError(f"{name} is not a mean over the queries")
    return _OF_QUERIES[kind](rankings, k)


def _figure(rankings: Rankings, name: str) -> float:
    kind, k = _parsed(rankings, name)
    return float(_OF_QUERIES[kind](rankings, k).mean()) if kind in _OF_QUERIES else _OF_LISTS[kind](rankings, k)


def _parsed(rankings: Rankings, name: str) -> tuple[str, int]:
    kind, _, cut = name.partition("@")
    if kind not in (*_OF_QUERIES, *_OF_LISTS) or not cut.isdecimal():
        there = ", ".join(f"{one}@k" for one in (*_OF_QUERIES, *_OF_LISTS))
        raise TrainerError(f"no metric {name!r}; there are {there}")
    k = int(cut)
    if not 1 <= k <= rankings.hits.shape[1]:
        raise TrainerError(f"{name}: the lists have {rankings.hits.shape[1]} places")
    return kind, k


def _recall(rankings: Rankings, k: int) -> NDArray[np.float64]:
    return np.asarray(rankings.hits[:, :k].sum(axis=1) / rankings.relevant)


def _recall_min(rankings: Rankings, k: int) -> NDArray[np.float64]:
    return np.asarray(rankings.hits[:, :k].sum(axis=1) / np.minimum(rankings.relevant, k))


def _hit_rate(rankings: Rankings, k: int) -> NDArray[np.float64]:
    return np.asarray(rankings.hits[:, :k].any(axis=1), dtype=np.float64)


def _ndcg(rankings: Rankings, k: int) -> NDArray[np.float64]:
    gains = 1.0 / np.log2(np.arange(k) + 2.0)
    ideal = np.cumsum(gains)[np.minimum(rankings.relevant, k) - 1]
    return np.asarray(rankings.hits[:, :k] @ gains / ideal)


def _mrr(rankings: Rankings, k: int) -> NDArray[np.float64]:
    hits = rankings.hits[:, :k]
    return np.asarray(np.where(hits.any(axis=1), 1.0 / (hits.argmax(axis=1) + 1.0), 0.0))


def _coverage(rankings: Rankings, k: int) -> float:
    return float((rankings.exposure(k) > 0).mean())


def _gini(rankings: Rankings, k: int) -> float:
    exposure = np.sort(rankings.exposure(k))
    order = 2 * np.arange(1, len(exposure) + 1) - len(exposure) - 1
    return float(order @ exposure / (len(exposure) * max(exposure.sum(), 1)))


def _novelty(rankings: Rankings, k: int) -> float:
    rows = rankings.rows[:, :k]
    return float(-np.log2(rankings.owners[rows[rows >= 0]]).mean())


_OF_QUERIES: dict[str, Callable[[Rankings, int], NDArray[np.float64]]] = {
    "recall": _recall,
    "recall_min": _recall_min,
    "hr": _hit_rate,
    "ndcg": _ndcg,
    "mrr": _mrr,
}
_OF_LISTS: dict[str, Callable[[Rankings, int], float]] = {
    "coverage": _coverage,
    "gini": _gini,
    "novelty": _novelty,
}
