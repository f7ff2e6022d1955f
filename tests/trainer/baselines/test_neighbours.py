"""The sparse item-item baselines against the same models written with dense matrices and loops."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from shortlist.bundle.history import EMPTY_HISTORY, History
from tests.support.events import events_of
from trainer.baselines import neighbours
from trainer.baselines.neighbours import cooccurrence, item_knn, transitions
from trainer.data import Dataset
from trainer.data.history_slices import HistorySlices
from trainer.evaluation.queries import STRANGER, Profiles
from trainer.features import cooccurrence as counting

END = 1500
Fit = Callable[[Dataset, int], Callable[[Profiles], NDArray[np.floating]]]


@pytest.fixture(scope="module")
def histories(planted: Dataset) -> list[History]:
    """A few histories, one that has the same item twice, and an empty one."""
    rows = np.array([3, 4, 3], dtype=np.int32)
    twice = History(rows=rows, values=np.zeros(3, dtype=np.float32), events=np.zeros(3, dtype=np.int64))
    return [*HistorySlices.before(planted, [END, END + 40, END + 80]).listed(), twice, EMPTY_HISTORY]


@pytest.fixture(params=[200, 5], ids=["all neighbours", "five neighbours"])
def kept(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """How many neighbours an item keeps; counted three items or so at a time."""
    monkeypatch.setattr(neighbours, "NEIGHBOURS", request.param)
    monkeypatch.setattr(counting, "BLOCK", 200)
    return int(request.param)


def scores_of(fit: Fit, planted: Dataset, histories: Sequence[History]) -> NDArray[np.floating]:
    """The scores for unknown users with histories."""
    features = np.zeros((len(histories), 1), dtype=np.float32)
    return fit(planted, END)(Profiles(users=np.full(len(histories), STRANGER), histories=histories, features=features))


def pruned(weights: NDArray[np.float64], keep: int) -> NDArray[np.float64]:
    """The largest weights of each row, the lower column first among equals; zeros elsewhere."""
    result = np.zeros_like(weights)
    for row, line in enumerate(weights):
        best = np.argsort(-line.astype(np.float32), kind="stable")[:keep]
        result[row, best] = line[best]
    return result


def with_popular(planted: Dataset, scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Popularity, between -1 and 0, where the history says nothing."""
    count = np.bincount(planted.item_rows[:END], minlength=scores.shape[1])
    return np.where(scores > 0, scores, count / (count.max() + 1.0) - 1.0)


def followers(planted: Dataset, window: int, decay: float) -> NDArray[np.float64]:
    """The probability of each item within the window after another one."""
    follows = np.zeros((len(planted.item_ids), len(planted.item_ids)))
    for user in range(len(planted.user_ids)):
        walk = [planted.item_rows[event] for event in events_of(planted, user) if event < END]
        for earlier, first in enumerate(walk):
            for step, second in enumerate(walk[earlier + 1 : earlier + 1 + window]):
                follows[first, second] += decay**step
    return np.asarray(follows / (follows.sum(axis=1, keepdims=True) + 10.0))


def latest_first(weights: NDArray[np.float64], histories: Sequence[History], decay: float) -> NDArray[np.float64]:
    """The rows of each history's items, each step back by a factor less."""
    sums = [sum(decay**back * weights[row] for back, row in enumerate(one.rows[::-1])) for one in histories]
    return np.stack([np.zeros(len(weights)) + one for one in sums])


def test_item_knn_sums_shrunk_cosines(planted: Dataset, histories: list[History], kept: int) -> None:
    """Proves the cosine of the items' users, with ten added below, summed over a history with each item once."""
    has = np.zeros((len(planted.user_ids), len(planted.item_ids)))
    has[planted.user_rows[:END], planted.item_rows[:END]] = 1.0
    together, lengths = has.T @ has, np.sqrt(np.maximum(has.sum(axis=0), 1.0))
    weights = pruned(together / (np.outer(lengths, lengths) + 10.0), kept)
    expected = np.stack([weights[np.unique(one.rows)].sum(axis=0) for one in histories])
    np.testing.assert_allclose(
        scores_of(item_knn, planted, histories), with_popular(planted, expected), rtol=1e-5, atol=1e-6
    )


def test_cooccurrence_follows_the_latest_most(planted: Dataset, histories: list[History], kept: int) -> None:
    """Proves the counts of followers within 20 events, and the decay of 0.8 for each step back in the history."""
    expected = latest_first(pruned(followers(planted, 20, 0.85), kept), histories, 0.8)
    np.testing.assert_allclose(
        scores_of(cooccurrence, planted, histories), with_popular(planted, expected), rtol=1e-5, atol=1e-6
    )


def test_transitions_follow_the_last_items(planted: Dataset, histories: list[History], kept: int) -> None:
    """Proves the counts of the very next items, and that each step back in the history halves their weight."""
    expected = latest_first(pruned(followers(planted, 1, 1.0), kept), histories, 0.5)
    np.testing.assert_allclose(
        scores_of(transitions, planted, histories), with_popular(planted, expected), rtol=1e-5, atol=1e-6
    )
