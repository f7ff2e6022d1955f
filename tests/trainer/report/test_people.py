"""The people of the page: their lists are the measured ones, and the reach of lists is counted by hand."""

from dataclasses import replace

import numpy as np
import polars as pl

from tests.trainer.report.test_page import Texts
from trainer.data import Dataset
from trainer.data.split import Split
from trainer.evaluation.metrics import Lists, Rankings
from trainer.protocols.next_like import next_like_task
from trainer.report import Findings, People, Report
from trainer.report.people import Reach

_DEPTH = 12


def _lists(queries: int, items: int, wanted: np.ndarray[tuple[int], np.dtype[np.int64]]) -> Lists:
    """Retrieval lists the items in the order of their rows, and both stages the other way round."""
    rows = np.tile(np.arange(_DEPTH), (queries, 1))
    one = Rankings(
        hits=rows == wanted[:, None],
        relevant=np.ones(queries, dtype=np.int64),
        rows=rows,
        allowed=np.ones(items, dtype=np.bool_),
        owners=np.linspace(1.0, 0.1, items),
    )
    return {"retrieval": one, "two_stage": replace(one, hits=one.hits[:, ::-1], rows=rows[:, ::-1])}


def test_a_person_has_the_measured_list_with_titles(planted: Dataset, split: Split) -> None:
    """Proves it for the titles of the table, ids where it has none, the order of the history, hits and places."""
    count = len(planted.item_ids)
    titles = [None if row == 3 else f"Title {row}" for row in range(count)]
    data = replace(planted, item_table=planted.item_table.with_columns(pl.Series("Title", titles)))
    task = next_like_task(data, split)
    wanted = task.test.dataset.histories.item_rows[task.test.targets[:, 0]].astype(np.int64)
    people = People.of(_lists(len(task.test), count, wanted), task)
    assert (people.model, len(people.people)) == ("two_stage", 10)
    by_id = [bytes(item).decode() if row == 3 else f"Title {row}" for row, item in enumerate(planted.item_ids)]
    for person in people.people:
        assert [item.title for item in person.items] == by_id[_DEPTH - 1 : 1 : -1]
        assert [item.retrieved for item in person.items] == [*range(_DEPTH, 2, -1)]
        assert {item.title for item in person.items if item.is_hit} <= set(person.wanted)
    chosen = np.sort(np.random.default_rng(0).choice(len(task.test), 10, replace=False))
    for person, query in zip(people.people, chosen.tolist(), strict=True):
        start, end = task.test.histories[query].tolist()
        history = [by_id[row] for row in data.histories.item_rows[start:end][::-1].tolist()]
        assert person.history == history[:8]
        assert person.earlier == len(history) - len(person.history)


def test_the_reach_is_counted() -> None:
    """Proves coverage and the share of popular lists: half popular is not mostly popular, and short lists count."""
    rows = np.array([[0, 1, 2, 3], [0, 1, 4, -1], [0, 5, -1, -1]])
    rankings = Rankings(
        hits=np.zeros((3, 4), dtype=np.bool_),
        relevant=np.ones(3, dtype=np.int64),
        rows=rows,
        allowed=np.ones(200, dtype=np.bool_),
        owners=np.linspace(1.0, 0.1, 200),
    )
    # The two most popular of 200 items are rows 0 and 1.
    assert Reach.of(rankings) == Reach(coverage=6 / 200, popular=1 / 3)


def test_the_page_shows_them(report: Report, found: Findings) -> None:
    """Proves that every title of every list is on the page, and the reach of every model."""
    assert found.people is not None
    texts = " ".join(Texts(report.html()).found)
    for person in found.people.people:
        assert all(item.title in texts for item in person.items)
    assert set(found.people.reach) == set(found.figures)
    assert "share of lists that are mostly the most popular 1 %" in texts
