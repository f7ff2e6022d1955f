"""The ranker by itself, on impressions."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from trainer.analysis import RankerAttribution, attribute_ranker
from trainer.analysis.evaluation_result import EvaluationResult
from trainer.baselines.trees import has_lightgbm
from trainer.data import Dataset
from trainer.data.split import subsample, targets
from trainer.errors import RecipeError
from trainer.evaluation.metrics import Figures
from trainer.evaluation.queries import Queries
from trainer.models.encoders.encoded import Encoded
from trainer.progress import Reporter
from trainer.protocols.impressions import ImpressionSplit, impressions
from trainer.protocols.next_like import CHOSEN_BY, METRICS, VALIDATION_EVENTS
from trainer.recipe import Recipe
from trainer.training.encoder.fit import fit_encoder
from trainer.training.encoder.training import Trained, Validation
from trainer.training.log import TrainingLog
from trainer.training.ranker.impression_examples import ImpressionExamples, figures_of_impressions
from trainer.training.ranker.impressions import RankerImpressions
from trainer.training.ranker.labels import warn_of_one_class

_SAMPLE = 20_000


def evaluate_impressions(
    dataset: Dataset, recipe: Recipe, data: Path, seeds: int, reporter: Reporter
) -> EvaluationResult:
    """The figures of each seed, by the objectives, of the ``ranker`` and where there is LightGBM of its trees."""
    split, with_trees = impressions(dataset, recipe, data), has_lightgbm(reporter)
    runs, attributions, logs = list[Figures](), list[RankerAttribution](), dict[str, TrainingLog]()
    for seed in range(seeds):
        reporter.say(name := f"seed {seed}")
        run = RankerRun(dataset, split, recipe, seed, reporter)
        trees = {"lightgbm": run.figures_of_trees(reporter)} if with_trees else {}
        runs.append({"ranker": run.figures(), **trees})
        attributions.append(run.attribution(reporter))
        logs[name] = run.log
    chosen_by = logs[name].ranker_chosen_by
    return EvaluationResult(
        runs=runs, chosen_by=chosen_by, tested=len(split.test), logs=logs, attributions=attributions
    )


class RankerRun:
    """One seed's training on impressions, and its predictions for the test.

    The first stage learns from interactions before the first impression; data without times has no first stage.
    """

    def __init__(self, dataset: Dataset, split: ImpressionSplit, recipe: Recipe, seed: int, reporter: Reporter) -> None:
        self._split, self._reporter = split, reporter
        first = _encoder(dataset, split, recipe, seed, reporter)
        encoded = Encoded.of(first.encoder, recipe.encoder.history)
        self._impressions = RankerImpressions(
            dataset=dataset, recipe=recipe, encoded=encoded, learn=split.learn, test=split.test
        )
        reporter.say(f"ranker: {len(split.learn):,} impressions to learn from")
        self.training = self._impressions.training(split.deciding, seed)
        self.trained = self.training.run(reporter)
        self.log = replace(TrainingLog.of_ranker(self.training), encoder=first.curve)

    def figures(self) -> dict[str, float]:
        """The figures of the test; all features count up to its beginning."""
        examples = self.test()
        warn_of_one_class(examples.objectives, examples.targets, "test", self._reporter)
        logits = self.trained.predict(examples.inputs, np.arange(len(examples.targets)))
        return figures_of_impressions(logits[:, 0], examples.impressions)

    def figures_of_trees(self, reporter: Reporter) -> dict[str, float]:
        """The figures of boosted trees on the same features; in place of id embeddings they have the ids."""
        from trainer.baselines.trees.impressions import logits_of_trees  # needs an optional extra

        tested = self.test()
        logits = logits_of_trees(self.training, tested, reporter)
        return figures_of_impressions(logits, tested.impressions)

    def attribution(self, reporter: Reporter) -> RankerAttribution:
        """The attribution on a subsample of the test."""
        examples = self.test(_SAMPLE)
        return attribute_ranker(self.trained, examples, examples, self.log.calibrations, reporter)

    def test(self, most: int | None = None) -> ImpressionExamples:
        """The impressions of the test, or a subsample, with features as of its beginning."""
        rows, spec = self._split.test, self.training.spec
        items = self._impressions.tables(int(self._impressions.impressions.times[rows[0]]))
        rows = rows if most is None else subsample(rows, most)
        # The ranker has learnt with this scale of the values.
        items = replace(items, value_mean=spec.value_mean, value_std=spec.value_std)
        return self._impressions.later(rows, items, spec.objectives, spec.layout)


def _encoder(dataset: Dataset, split: ImpressionSplit, recipe: Recipe, seed: int, reporter: Reporter) -> Trained:
    """The events that decide on its epoch lie before the test, in any order of the parts."""
    assert dataset.impressions is not None
    times, parts = dataset.impressions.times, (split.learn, split.deciding, split.test)
    end = dataset.until(min(int(times[rows[0]]) for rows in parts if len(rows)))
    last = dataset.until(min(int(times[split.learn[-1]]), int(times[split.test[0]])))
    if not end and recipe.encoder.name != "none":
        raise RecipeError("[encoder] name: must be none; nothing was done before the first impression")
    known, decides = targets(dataset, end, last), None
    if len(known):
        queries = Queries.of_events(dataset, subsample(known, VALIDATION_EVENTS))
        decides = Validation(queries=queries, metrics=METRICS, chosen_by=CHOSEN_BY, end=end)
    return fit_encoder(dataset, end, recipe.encoder, seed, reporter, decides)
