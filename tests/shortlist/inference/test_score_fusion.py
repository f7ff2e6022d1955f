"""The fusion of the objectives' predictions into one order."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from shortlist.bundle.ranker_columns import Objective
from shortlist.inference.score_fusion import ScoreFusion


def objective(name: str, weight: float, kind: str = "event") -> Objective:
    return Objective(name=name, kind=kind, weight=weight, min_weight=-4.0, max_weight=4.0)


def scores(order: ScoreFusion, columns: np.ndarray) -> np.ndarray:
    return order.scores(order.keys(columns), order.predictions(columns))


LIKE, BUY, STARS = objective("like", 1.0), objective("buy", 2.0), objective("stars", 0.5, "value")
_COLUMNS = arrays.arrays(np.float32, (7, 3), elements=st.floats(-30, 30, width=32))
_POWERS = st.tuples(*[st.floats(-4, 4, width=32)] * 3).filter(
    # A value with the only weight is no product.
    lambda weights: any(weights[:2])
)


def _product(columns: np.ndarray, weights: tuple[float, ...]) -> np.ndarray:
    """The formula as written; floats overflow in it."""
    odds = np.exp(columns[:, :2].astype(np.longdouble))
    likely, stars = odds / (1 + odds), np.maximum(columns[:, 2], np.finfo(np.float32).tiny).astype(np.longdouble)
    product: np.ndarray = likely[:, 0] ** weights[0] * likely[:, 1] ** weights[1] * stars ** weights[2]
    return product


@given(columns=_COLUMNS, weights=_POWERS)
def test_the_order_is_that_of_the_product(columns: np.ndarray, weights: tuple[float, ...]) -> None:
    """Keys and scores agree with the product, for events and a value, and for weights of either sign."""
    order = ScoreFusion(objectives=(LIKE, BUY, STARS), weights=weights)
    product = _product(columns, weights)
    by_product = product[np.argsort(-order.keys(columns), kind="stable")]
    assert (by_product[1:] <= by_product[:-1] * (1 + 1e-6)).all()
    known = product < np.finfo(np.float32).max / 2
    np.testing.assert_allclose(scores(order, columns)[known], product[known].astype(np.float32), rtol=1e-4, atol=1e-37)


def test_a_calls_weights_replace_the_bundles() -> None:
    """An objective that the call does not name has weight 0."""
    objectives = (LIKE, BUY, STARS)
    assert ScoreFusion.of(objectives).weights == (1.0, 2.0, 0.5)
    assert ScoreFusion.of(objectives, {}).weights == (1.0, 2.0, 0.5)
    assert ScoreFusion.of(objectives, {"stars": 3.0}).weights == (0.0, 0.0, 3.0)


def test_a_single_event_orders_two_certain_items() -> None:
    """Log-odds decide where both probabilities round to 1, or their product to 0."""
    order = ScoreFusion.of((LIKE, STARS), {"like": 4.0})
    columns = np.array([[20.0, 0.0], [40.0, 0.0], [-300.0, 0.0], [-200.0, 0.0]], dtype=np.float32)
    assert np.argsort(-order.keys(columns)).tolist() == [1, 0, 3, 2]
    assert scores(order, columns).tolist() == [1.0, 1.0, 0.0, 0.0]


def test_an_event_of_negative_weight_puts_the_least_likely_first() -> None:
    """The shortcut for a single event must not reverse the order."""
    order = ScoreFusion.of((LIKE,), {"like": -1.0})
    keys = order.keys(np.array([[2.0], [-2.0], [0.0]], dtype=np.float32))
    assert np.argsort(-keys).tolist() == [1, 2, 0]


@pytest.mark.parametrize("weights", [(1.0, 0.0, 0.0), (1.0, 1.0, 1.0), (-1.0, 0.0, -1.0)])
@pytest.mark.parametrize("broken", [np.nan, np.inf, -np.inf])
def test_a_broken_prediction_breaks_the_score_only_where_it_counts(weights: tuple[float, ...], broken: float) -> None:
    """Infinite log-odds are not certainty, and a value of minus infinity is not a small value."""
    order = ScoreFusion(objectives=(LIKE, BUY, STARS), weights=weights)
    columns = np.zeros((3, 3), dtype=np.float32)
    np.fill_diagonal(columns, broken)
    counts = np.array(weights) != 0
    np.testing.assert_array_equal(np.isfinite(order.keys(columns)), ~counts)
    np.testing.assert_array_equal(np.isnan(scores(order, columns)), counts)
    np.testing.assert_array_equal(np.isnan(order.predictions(columns)), np.eye(3, dtype=bool))


def test_a_prediction_is_a_probability_or_the_value() -> None:
    """An answer shows one of the two for each objective, at the ends of the scale too; the logits stay unchanged."""
    columns = np.array([[0.0, -1.5], [200.0, 4.0], [-200.0, 0.0]], dtype=np.float32)
    shown = ScoreFusion.of((LIKE, STARS)).predictions(columns)
    np.testing.assert_allclose(shown, [[0.5, -1.5], [1.0, 4.0], [0.0, 0.0]], atol=1e-7)
    assert columns[0].tolist() == [0.0, -1.5]


def test_lists_of_several_users_are_scored_as_each_alone() -> None:
    """Only the last axis holds the objectives, since the trainer scores many lists at once."""
    columns = np.random.default_rng(3).normal(size=(4, 5, 3)).astype(np.float32)
    order = ScoreFusion.of((LIKE, BUY, STARS))
    np.testing.assert_array_equal(order.keys(columns), np.stack([order.keys(one) for one in columns]))
    np.testing.assert_array_equal(order.predictions(columns), np.stack([order.predictions(one) for one in columns]))


def test_a_single_value_orders_by_the_value_itself_whatever_its_sign() -> None:
    """Ratings from -10 to 10: the scores are the predicted ratings, and a negative weight turns the order round."""
    columns = np.array([[0.0, -6.0], [0.0, 2.0], [0.0, -1.0], [0.0, 0.0]], dtype=np.float32)
    for weight, expected in ((2.0, [2.0, 0.0, -1.0, -6.0]), (-1.0, [6.0, 1.0, 0.0, -2.0])):
        fusion = ScoreFusion.of((LIKE, STARS), {"stars": weight})
        order = np.argsort(-fusion.keys(columns), kind="stable")
        assert scores(fusion, columns)[order].tolist() == expected
    broken = scores(ScoreFusion.of((STARS,), {"stars": 1.0}), np.array([[np.inf]], dtype=np.float32))
    assert np.isnan(broken).all()
