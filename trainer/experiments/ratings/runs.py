"""Measuring of rating prediction: on each fold by the others."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from trainer.analysis.evaluation_result import EvaluationResult
from trainer.data import Dataset
from trainer.evaluation.metrics import Figures
from trainer.evaluation.regression import figures_of_values
from trainer.experiments.ratings.protocol import Fold, rating_folds
from trainer.experiments.ratings.ratings import Ratings, Scale
from trainer.experiments.ratings.residuals import Means
from trainer.experiments.ratings.training import RatingTraining
from trainer.progress import Reporter
from trainer.recipe import Recipe

MODEL, CHOSEN_BY = "two_sided", "rmse"


def evaluate_ratings(dataset: Dataset, recipe: Recipe, data: Path, seeds: int, reporter: Reporter) -> EvaluationResult:
    """The figures of each seed by model, ``two_sided`` and the baselines ``biases`` and ``mean``.

    They are ``rmse`` and ``mae``, as means over the folds, and ``rmse[1]`` and so on for each fold by its name.
    """
    ratings = Ratings.of(dataset)
    folds = rating_folds(dataset, ratings, recipe, data)
    reporter.say(f"{len(ratings):,} ratings in {len(folds)} folds, each predicted from the others")
    baselines = _by_model([_baselines(ratings, fold) for fold in folds], folds)
    runs: list[Figures] = []
    for seed in range(seeds):
        measured = []
        for fold in folds:
            training = RatingTraining(
                ratings.at(fold.learn),
                dataset.user_features.matrix,
                dataset.item_features.matrix,
                recipe.ratings,
                seed,
            )
            trained = training.run(reporter, f"seed {seed}, fold {fold.name}")
            test = ratings.at(fold.test)
            measured.append({MODEL: figures_of_values(trained.predict(test.user_rows, test.item_rows), test.values)})
        runs.append(_by_model(measured, folds) | baselines)
    return EvaluationResult(runs=runs, chosen_by=CHOSEN_BY, tested=sum(len(fold.test) for fold in folds))


def _baselines(ratings: Ratings, fold: Fold) -> dict[str, dict[str, float]]:
    """The mean of all, and that with the shrunk means of the item and of the user."""
    learn, test = ratings.at(fold.learn), ratings.at(fold.test)
    scale = Scale.of(learn)
    means = Means.of(learn, scale)
    biases = means.of_items[test.item_rows] + means.of_users[test.user_rows]
    return {
        "biases": figures_of_values(scale.clipped(biases), test.values),
        "mean": figures_of_values(scale.clipped(np.zeros(len(test))), test.values),
    }


def _by_model(of_folds: Sequence[dict[str, dict[str, float]]], folds: Sequence[Fold]) -> Figures:
    figures: Figures = {}
    for model in of_folds[0]:
        rows = [one[model] for one in of_folds]
        means = {key: float(np.mean([row[key] for row in rows])) for key in rows[0]}
        each = {f"{key}[{fold.name}]": row[key] for fold, row in zip(folds, rows, strict=True) for key in row}
        figures[model] = means | each
    return figures
