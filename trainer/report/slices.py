"""The users and items that a model serves well: its recall by their number of known events.

Legend of shapes: Q queries, P relevant items of all queries (a query may have several), G groups of one kind.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

import numpy as np
from numpy.typing import NDArray

from trainer.evaluation.metrics import Rankings
from trainer.protocols.task import Task

POPULARITY, HISTORY, USERS, ITEMS = "popularity", "history", "users", "items"
_DECILES = 10
_HISTORY_EDGES = (1, 5, 10, 20, 50, 100, 200, 500)
# Nothing, hardly anything, or enough learnt from.
_KNOWN_EDGES = (1, 5)


@dataclass(frozen=True, kw_only=True, eq=False)
class Grouping:
    """One way to part the relevant items: ``codes`` ``[P]`` are places in the ``labels`` ``[G]``."""

    labels: tuple[str, ...]
    codes: NDArray[np.int64]

    @classmethod
    def by_count(cls, counts: NDArray[np.int64], edges: tuple[int, ...]) -> Self:
        """Counts ``[P]``, cut below each of the edges."""
        starts = (0, *edges)
        labels = [_span(start, end) for start, end in zip(starts, [*starts[1:], None], strict=True)]
        return cls(labels=tuple(labels), codes=np.searchsorted(edges, counts, side="right"))

    @property
    def sizes(self) -> NDArray[np.int64]:
        """How many relevant items each group has, ``[G]``."""
        return np.bincount(self.codes, minlength=len(self.labels))

    def means(self, values: NDArray[np.bool_]) -> NDArray[np.float64]:
        """The mean of values ``[P]`` in each group, NaN in an empty one."""
        sums = np.bincount(self.codes, weights=values, minlength=len(self.labels))
        means: NDArray[np.float64] = np.full(len(sums), np.nan)
        np.divide(sums, self.sizes, out=means, where=self.sizes > 0)
        return means


@dataclass(frozen=True, kw_only=True, eq=False)
class Groups:
    """The relevant items of a task's test, ``lines`` ``[P]`` of whose queries ``items`` ``[P]`` are relevant, by kind.

    ``cut`` is the length of the lists that are looked at: that of the metric which decides. ``by_event`` is the number
    of questions about each kind of event.
    """

    cut: int
    lines: NDArray[np.int64]
    items: NDArray[np.int64]
    kinds: Mapping[str, Grouping]
    by_event: Mapping[str, int] = field(default_factory=dict)

    @property
    def queries(self) -> int:
        """Q."""
        return int(self.lines[-1]) + 1

    @classmethod
    def of(cls, task: Task) -> Self:
        """The groups of a task, by the number of an item's or a user's events in the training data."""
        data, queries = task.dataset, task.test
        learnt = task.known_end if task.refit else task.learn_end
        lines, items = queries.relevant_pairs()
        of_items = np.bincount(data.item_rows[:learnt], minlength=len(data.item_ids))
        of_users = np.bincount(data.user_rows[:learnt], minlength=len(data.user_ids))
        known = queries.histories[:, 1] - queries.histories[:, 0]
        kinds = {
            POPULARITY: Grouping(labels=_decile_labels(), codes=_deciles(of_items)[items]),
            HISTORY: Grouping.by_count(known[lines], _HISTORY_EDGES),
            USERS: Grouping.by_count(of_users[queries.users[lines]], _KNOWN_EDGES),
            ITEMS: Grouping.by_count(of_items[items], _KNOWN_EDGES),
        }
        by_event = {name: len(asked) for name, asked in task.by_event.items()}
        cut = int(task.chosen_by.partition("@")[2])
        return cls(cut=cut, lines=lines, items=items, kinds=kinds, by_event=by_event)


@dataclass(frozen=True, kw_only=True, eq=False)
class Slices:
    """Recall of one model: ``by_k`` ``[K]`` at 1, 2, …, and of each kind of group ``[G]`` within the groups' cut."""

    by_k: NDArray[np.float64]
    by_group: Mapping[str, NDArray[np.float64]]

    @classmethod
    def of(cls, rankings: Rankings, groups: Groups) -> Self:
        """The slices of a model's answers to the test."""
        by_k = (np.cumsum(rankings.hits, axis=1) / rankings.relevant[:, None]).mean(axis=0)
        found = _found(rankings, groups)
        return cls(by_k=by_k, by_group={kind: grouping.means(found) for kind, grouping in groups.kinds.items()})


def _found(rankings: Rankings, groups: Groups) -> NDArray[np.bool_]:
    """Which of the relevant items ``[P]`` are within the cut."""
    lines, places = np.nonzero(rankings.hits[:, : groups.cut])
    rows = rankings.rows[lines, places]
    # Lists of places know no rows, but have one relevant item each.
    first = np.searchsorted(groups.lines, lines)
    items = np.where(rows < 0, groups.items[first], rows)
    size = int(max(groups.items.max(), items.max(initial=0))) + 1
    return np.isin(groups.lines * size + groups.items, lines * size + items)


def _deciles(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """The tenth of the catalogue that each item is in, 0 for the least popular."""
    places = np.empty(len(counts), dtype=np.int64)
    places[np.argsort(counts, kind="stable")] = np.arange(len(counts))
    return places * _DECILES // len(counts)


def _decile_labels() -> tuple[str, ...]:
    return tuple(str(decile + 1) for decile in range(_DECILES))


def _span(start: int, end: int | None) -> str:
    if end is None:
        return f"{start}+"
    return str(start) if end == start + 1 else f"{start}-{end - 1}"
