"""Recall by group of users and items, on answers small enough to count."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from trainer.data import Dataset
from trainer.data.dataset import Features
from trainer.evaluation.metrics import Rankings
from trainer.evaluation.queries import Queries
from trainer.protocols.task import Task
from trainer.report.item_map import ItemMap
from trainer.report.slices import HISTORY, ITEMS, POPULARITY, USERS, Groups, Slices

Row = tuple[str, str, int, float]


@pytest.fixture
def task(dataset_of: Callable[[Sequence[Row]], Dataset]) -> Task:
    """Ten items a to j; ten users have a, six of them b. Then "new" wants c and d with no history, "old" c after a."""
    rows = [(f"u{user}", "a", user, 5.0) for user in range(10)]
    rows += [(f"u{user}", "b", 10 + user, 5.0) for user in range(6)]
    rows += [("old", "a", 20, 5.0), ("zzz", "e", 21, 5.0)]
    rows += [("zzz", item, 30, 5.0) for item in "fghij"]
    rows += [("new", "c", 40, 5.0), ("new", "d", 41, 5.0), ("old", "c", 42, 5.0)]
    data = dataset_of(rows)
    new, old = (int(np.flatnonzero(data.user_ids == name)[0]) for name in (b"new", b"old"))
    starts = data.user_offsets
    queries = Queries(
        dataset=data,
        users=np.array([new, old]),
        histories=np.array([[starts[new], starts[new]], [starts[old], starts[old] + 1]]),
        targets=np.array([[starts[new], starts[new] + 2], [starts[old] + 1, starts[old] + 2]]),
    )
    metrics = ("recall@2",)
    end = len(rows) - 3
    return Task(
        dataset=data,
        learn_end=end,
        known_end=end,
        validation=queries,
        test=queries,
        metrics=metrics,
        chosen_by="ndcg@2",
    )


def rankings(rows: list[list[int]], relevant: list[set[int]]) -> Rankings:
    """Lists of item rows, and what they should have had."""
    return Rankings(
        hits=np.array([[row in some for row in line] for line, some in zip(rows, relevant, strict=True)]),
        relevant=np.array([len(some) for some in relevant]),
        rows=np.array(rows),
        allowed=np.ones(10, dtype=np.bool_),
        owners=np.ones(10),
    )


def test_each_wanted_item_counts_in_its_groups(task: Task) -> None:
    """Proves the groups by hand: three relevant items of two users, within lists of two."""
    groups = Groups.of(task)
    assert groups.cut == 2
    assert groups.queries == 2
    # "new" finds d at the first place and c at the third, which is too late; "old" finds c.
    found = Slices.of(rankings([[3, 0, 2], [2, 1, 4]], [{2, 3}, {2}]), groups)
    np.testing.assert_allclose(found.by_k, [0.75, 0.75, 1.0])
    assert dict(zip(groups.kinds[USERS].labels, groups.kinds[USERS].sizes, strict=True)) == {
        "0": 2,
        "1-4": 1,
        "5+": 0,
    }
    np.testing.assert_array_equal(found.by_group[USERS], [0.5, 1.0, np.nan])
    np.testing.assert_allclose(found.by_group[ITEMS], [2 / 3, np.nan, np.nan])
    np.testing.assert_array_equal(found.by_group[HISTORY][:2], [0.5, 1.0])
    assert groups.kinds[HISTORY].labels[:3] == ("0", "1-4", "5-9")


def test_the_popular_are_in_the_last_tenth(task: Task) -> None:
    """Proves the order of the tenths: of ten items c and d, which nobody had, are the two least popular."""
    popularity = Groups.of(task).kinds[POPULARITY]
    assert popularity.codes.tolist() == [0, 1, 0]
    assert popularity.labels[-1] == "10"


def test_lists_of_places_are_sliced_like_lists_of_rows(task: Task) -> None:
    """Proves that both stages' answers, of which only the place of the relevant item is known, are counted alike."""
    queries = task.test.at(np.array([1]))
    one = Groups.of(Task(**{**vars(task), "test": queries}))
    assert Slices.of(Rankings.of_places(np.array([1]), 5), one).by_group[USERS][1] == 1.0
    assert Slices.of(Rankings.of_places(np.array([2]), 5), one).by_group[USERS][1] == 0.0


def test_the_map_keeps_what_lies_together_together() -> None:
    """Proves the projection on vectors of two planted directions, and that an item has its rarest frequent category."""
    random = np.random.default_rng(0)
    sides = np.repeat([[10.0, 0, 0, 0], [-10.0, 0, 0, 0]], 50, axis=0)
    vectors = (sides + random.normal(size=(100, 4)) * [1, 3, 0.1, 0.1]).astype(np.float32)
    matrix = np.zeros((100, 3), dtype=np.float32)
    matrix[:, 0], matrix[:50, 1], matrix[:, 2] = 1, 1, 7
    features = Features(
        names=("genre=all", "genre=some", "year"), kinds=("categorical", "categorical", "numeric"), matrix=matrix
    )
    found = ItemMap.of(vectors, features)
    assert found.explained > 0.99
    assert np.sign(found.points[:50, 0]).sum() in (-50, 50)
    assert (found.column, found.labels) == ("genre", ("all", "some", "other"))
    assert found.codes.tolist() == [1] * 50 + [0] * 50
