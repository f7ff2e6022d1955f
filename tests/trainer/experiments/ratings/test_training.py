"""Training on ratings whose factors are planted."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from trainer.errors import DataError
from trainer.evaluation.regression import figures_of_values
from trainer.experiments.ratings.ratings import Ratings, Scale
from trainer.experiments.ratings.residuals import Means
from trainer.experiments.ratings.training import RatingTraining
from trainer.progress import Reporter
from trainer.recipe import RatingsConfig


def predicted(
    learn: Ratings, asked: Ratings, recipe: RatingsConfig, reporter: Reporter, seed: int = 0
) -> NDArray[np.float64]:
    """Of the pairs that are asked, without features."""
    of_users, of_items = (np.zeros((size, 0), dtype=np.float32) for size in (learn.users, learn.items))
    trained = RatingTraining(learn, of_users, of_items, recipe, seed).run(reporter, "ratings")
    return trained.predict(asked.user_rows, asked.item_rows)


def halves(ratings: Ratings) -> tuple[Ratings, Ratings]:
    """Most to learn from, and the others."""
    places, end = np.arange(len(ratings)), len(ratings) * 4 // 5
    return ratings.at(places[:end]), ratings.at(places[end:])


@pytest.mark.parametrize("ordinal", [0.0, 0.5])
def test_what_is_planted_is_learnt_better_than_means_know_it(
    planted_ratings: Ratings, quick_ratings: RatingsConfig, reporter: Reporter, ordinal: float
) -> None:
    """Proves that the factors are found, by the squares alone and by levels: the error is half of the means'."""
    learn, test = halves(planted_ratings)
    scale = Scale.of(learn)
    means = Means.of(learn, scale)
    by_means = scale.clipped(means.of_items[test.item_rows] + means.of_users[test.user_rows])
    found = predicted(learn, test, replace(quick_ratings, ordinal=ordinal), reporter)
    rmse = figures_of_values(found, test.values)["rmse"]
    assert rmse < 0.5 * figures_of_values(by_means, test.values)["rmse"]


def test_the_same_seed_predicts_the_same(
    planted_ratings: Ratings, quick_ratings: RatingsConfig, reporter: Reporter
) -> None:
    """Proves that nothing but the seed decides what comes out, and that it does."""
    learn, test = halves(planted_ratings)
    recipe = replace(quick_ratings, epochs=3, dropout=0.5)
    first, again, other = (predicted(learn, test, recipe, reporter, seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert not np.allclose(first, other)


def test_another_scale_gives_the_same_ratings_on_it(
    planted_ratings: Ratings, quick_ratings: RatingsConfig, reporter: Reporter
) -> None:
    """Proves that settings suit any scale: of 1 to 5 in tenths of a percent the predictions are the same."""
    learn, test = halves(planted_ratings)
    recipe = replace(quick_ratings, epochs=10)
    wide = replace(learn, values=learn.values * 250 - 250)
    found, stretched = predicted(learn, test, recipe, reporter), predicted(wide, test, recipe, reporter)
    np.testing.assert_allclose(stretched, found * 250 - 250, atol=0.5)


def test_no_prediction_is_outside_of_the_scale(
    planted_ratings: Ratings, quick_ratings: RatingsConfig, reporter: Reporter
) -> None:
    """Proves the clipping to what was learnt from, of which the factors often go beyond."""
    learn, test = halves(planted_ratings)
    kept = learn.at(np.flatnonzero((learn.values > 1) & (learn.values < 5)))
    found = predicted(kept, test, replace(quick_ratings, ordinal=0.0, epochs=40), reporter)
    assert (found.min(), found.max()) == (2, 4)


def test_who_and_what_has_no_ratings_is_near_the_mean(
    planted_ratings: Ratings, quick_ratings: RatingsConfig, reporter: Reporter
) -> None:
    """Proves that a stranger and a new item are no division by zero."""
    users, items = planted_ratings.users, planted_ratings.items
    more = replace(planted_ratings, users=users + 1, items=items + 1)
    asked = replace(more, user_rows=np.array([users, users, 0]), item_rows=np.array([items, 0, items]))
    found = predicted(more, asked, replace(quick_ratings, epochs=10), reporter)
    assert np.abs(found[0] - more.values.mean()) < 1
    assert np.isfinite(found).all()


def test_ratings_that_cannot_be_learnt_are_refused(planted_ratings: Ratings, reporter: Reporter) -> None:
    """Proves the words for ratings that are all the same, and for numbers that are no levels, which squares learn."""
    same = replace(planted_ratings, values=np.full_like(planted_ratings.values, 3))
    with pytest.raises(DataError, match=r"^all 2,400 ratings to learn from are the same$"):
        predicted(same, same, RatingsConfig(), reporter)
    many = replace(planted_ratings, values=np.arange(len(planted_ratings), dtype=np.float32))
    with pytest.raises(DataError, match=r"2,400 different ratings; of more than 100, \[ratings\] ordinal has to be 0"):
        predicted(many, many, RatingsConfig(), reporter)
    predicted(many, many, RatingsConfig(ordinal=0, epochs=1), reporter)
