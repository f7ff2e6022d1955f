"""Ten people of the test, their histories and lists; and how far the lists of each model spread over the catalogue.

Figures say how often lists are right. A reader also has to see whether they make sense.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from trainer.data import Dataset
from trainer.evaluation.metrics import Lists, Rankings, figures
from trainer.protocols.task import Task

_PEOPLE, _ITEMS, _LATEST = 10, 10, 8
_TITLES = ("title", "name")
_POPULAR_SHARE = 0.01
_MOST_CHARS = 60


@dataclass(frozen=True, kw_only=True)
class ListedItem:
    """An item of a list: its title, whether it was the one to find, and its place in retrieval's list, from 1."""

    title: str
    is_hit: bool
    retrieved: int | None


@dataclass(frozen=True, kw_only=True)
class Person:
    """A question of the test: the latest titles of the history, the newest first, the relevant titles, and the list."""

    history: Sequence[str]
    earlier: int
    wanted: Sequence[str]
    items: Sequence[ListedItem]


@dataclass(frozen=True, kw_only=True)
class Reach:
    """How far the first ten of a model's lists spread.

    ``coverage`` is the share of the items that are in any list. ``popular`` is the share of mostly popular lists: more
    than half of their items are among the 1 % with the most users.
    """

    coverage: float
    popular: float

    @classmethod
    def of(cls, rankings: Rankings) -> Self:
        """The reach of one model's lists."""
        owners = np.where(rankings.allowed, rankings.owners, -1.0)
        popular = np.zeros(len(owners), dtype=np.bool_)
        popular[np.argsort(-owners, kind="stable")[: max(1, round(_POPULAR_SHARE * int(rankings.allowed.sum())))]] = (
            True
        )
        rows = rankings.rows[:, :_ITEMS]
        shares = np.where(rows >= 0, popular[rows], False).sum(axis=1) / np.maximum((rows >= 0).sum(axis=1), 1)
        coverage = figures(rankings, (f"coverage@{min(_ITEMS, rankings.rows.shape[1])}",))
        return cls(coverage=next(iter(coverage.values())), popular=float((shares > 0.5).mean()))


@dataclass(frozen=True, kw_only=True)
class People:
    """Some people with the lists of ``model``, and the reach of every model's lists."""

    model: str
    people: Sequence[Person]
    reach: Mapping[str, Reach]

    @classmethod
    def of(cls, lists: Lists, task: Task) -> Self:
        """Ten questions of a task's test, drawn by a fixed seed, with the lists of both stages or else of retrieval."""
        model = "two_stage" if "two_stage" in lists else "retrieval"
        chosen = np.sort(np.random.default_rng(0).choice(len(task.test), min(_PEOPLE, len(task.test)), replace=False))
        titles = _Titles(task.dataset)
        people = [_person(int(query), lists[model], lists["retrieval"].rows, task, titles) for query in chosen]
        return cls(model=model, people=people, reach={name: Reach.of(one) for name, one in lists.items()})


class _Titles:
    """The titles of items, where their table has a column of them; else their ids."""

    def __init__(self, dataset: Dataset) -> None:
        self._ids = dataset.item_ids
        table = dataset.item_table
        names = [one for one in table.columns if one.lower() in _TITLES and table.schema[one] == pl.String]
        self._titles = table[names[0]] if names else None

    def __call__(self, row: int) -> str:
        title = self._titles[row] if self._titles is not None else None
        text = title or bytes(self._ids[row]).decode()
        return text if len(text) <= _MOST_CHARS else f"{text[: _MOST_CHARS - 1]}…"


def _person(query: int, rankings: Rankings, retrieved: NDArray[np.int64], task: Task, titles: _Titles) -> Person:
    asked = task.test.at(np.array([query]))
    start, end = asked.histories[0].tolist()
    latest = task.dataset.histories.item_rows[max(start, end - _LATEST) : end][::-1]
    _, wanted = asked.relevant_pairs()
    places = {row: place for place, row in enumerate(retrieved[query].tolist(), start=1)}
    listed = rankings.rows[query, :_ITEMS].tolist()
    items = [
        ListedItem(title=titles(row), is_hit=bool(is_hit), retrieved=places.get(row))
        for row, is_hit in zip(listed, rankings.hits[query, :_ITEMS].tolist(), strict=True)
        if row >= 0
    ]
    return Person(
        history=[titles(int(row)) for row in latest],
        earlier=max(0, end - start - _LATEST),
        wanted=[titles(int(row)) for row in wanted],
        items=items,
    )
