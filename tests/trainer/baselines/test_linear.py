"""Each baseline against the same model written with dense matrices."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from shortlist.bundle.history import History
from trainer.baselines.linear import BASELINES, baselines_for, content_knn, ease, not_run, popularity
from trainer.data import Dataset
from trainer.data.history_slices import HistorySlices
from trainer.evaluation.queries import STRANGER, Profiles

END = 1500


@pytest.fixture(scope="module")
def dense(planted: Dataset) -> NDArray[np.float64]:
    """Ones for each user and item with an event before the end, [users, items]."""
    matrix = np.zeros((len(planted.user_ids), len(planted.item_ids)))
    matrix[planted.user_rows[:END], planted.item_rows[:END]] = 1.0
    return matrix


@pytest.fixture(scope="module")
def profiles(planted: Dataset) -> Profiles:
    """A few histories, and one that has the same item twice."""
    rows = np.array([3, 4, 3], dtype=np.int32)
    twice = History(rows=rows, values=np.zeros(3, dtype=np.float32), events=np.zeros(3, dtype=np.int64))
    return profiles_of([*HistorySlices.before(planted, [END, END + 40, END + 80]).listed(), twice])


def profiles_of(histories: Sequence[History]) -> Profiles:
    """Unknown users with histories."""
    return Profiles(
        users=np.full(len(histories), STRANGER),
        histories=histories,
        features=np.zeros((len(histories), 1), dtype=np.float32),
    )


def summed(weights: NDArray[np.float64], histories: Sequence[History]) -> NDArray[np.float64]:
    """The weights' rows of each history's items, each item once."""
    has = np.zeros((len(histories), len(weights)))
    for line, history in enumerate(histories):
        has[line, history.rows] = 1.0
    return np.asarray(has @ weights)


def test_popularity_is_the_number_of_events(planted: Dataset, profiles: Profiles) -> None:
    """Proves that everybody gets the same counts, of the events before the end only."""
    counts = [int((planted.item_rows[:END] == row).sum()) for row in range(len(planted.item_ids))]
    assert popularity(planted, END)(profiles).tolist() == [counts] * len(profiles)


def test_content_knn_sums_the_cosines_of_features(planted: Dataset, profiles: Profiles) -> None:
    """Proves that the score of an item is how many of the history are of its genre, though nobody had it."""
    same = np.arange(60)[:, None] // 15 == np.arange(60) // 15
    found = content_knn(planted, 0)(profiles)
    np.testing.assert_allclose(found, summed(same.astype(np.float64), profiles.histories), rtol=1e-5)


def test_without_features_there_is_no_content_to_compare(dataset_of: Callable[..., Dataset]) -> None:
    """Proves that the report has no line of zeros, and says why."""
    small = dataset_of([("u", "a", 0, 5.0), ("v", "b", 1, 5.0)])
    assert baselines_for(small).keys() == BASELINES.keys() - {"contentknn"}
    assert not_run(small) == {"contentknn": "the items have no features"}


def test_a_large_catalogue_rules_out_the_dense_inverse_alone(planted: Dataset) -> None:
    """Proves that neighbours, co-occurrence and transitions run at 50,000 items, and that EASE is missed by name."""
    large = replace(planted, item_ids=np.zeros(50_000, dtype="S1"))
    assert baselines_for(large).keys() == BASELINES.keys() - {"ease"}
    assert not_run(large) == {"ease": "it inverts a dense matrix of 50,000 items; the limit is 20,000"}


def test_ease_solves_its_regression(planted: Dataset, dense: NDArray[np.float64], profiles: Profiles) -> None:
    """Proves the closed form: each column is the ridge regression of an item on all the others."""
    gram = dense.T @ dense + 500.0 * np.eye(dense.shape[1])
    weights = np.zeros_like(gram)
    for item in range(len(gram)):
        others = np.arange(len(gram)) != item
        weights[others, item] = np.linalg.solve(gram[np.ix_(others, others)], (dense.T @ dense)[others, item])
    np.testing.assert_allclose(ease(planted, END)(profiles), summed(weights, profiles.histories), atol=1e-5)


def test_ease_says_nothing_of_an_item_from_itself(planted: Dataset) -> None:
    """Proves the zero diagonal: a history of one item gives that item a score of exactly 0."""
    one, zero = np.zeros(1, dtype=np.float32), np.zeros(1, dtype=np.int64)
    alone = [History(rows=np.array([row], dtype=np.int32), values=one, events=zero) for row in range(60)]
    assert not ease(planted, END)(profiles_of(alone)).diagonal().any()


@pytest.mark.parametrize("name", BASELINES)
def test_a_baseline_learns_from_nothing_after_the_end(planted: Dataset, profiles: Profiles, name: str) -> None:
    """Proves that the figures a model is compared with are as honest as its own."""
    late = np.arange(len(planted.times)) >= END
    altered = replace(planted, item_rows=np.where(late, 0, planted.item_rows))
    fit = BASELINES[name]
    np.testing.assert_array_equal(fit(planted, END)(profiles), fit(altered, END)(profiles))
