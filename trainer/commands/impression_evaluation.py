"""The ranker by itself, from what was shown."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from shortlist.bundle.tables import ItemTables
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
from trainer.training.ranker.impressions import Shown

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
    """One seed's training on impressions, which then foretells those of the test.

    The first stage learns from what was done before the first impression; where the data has no times there is none.
    """

    def __init__(self, dataset: Dataset, split: ImpressionSplit, recipe: Recipe, seed: int, reporter: Reporter) -> None:
        self._split, self._length = split, recipe.ranker.history
        first = _encoder(dataset, split, recipe, seed, reporter)
        encoded = Encoded.of(first.encoder, recipe.encoder.history)
        self._shown = Shown(dataset=dataset, recipe=recipe, encoded=encoded, learn=split.learn, test=split.test)
        reporter.say(f"ranker: {len(split.learn):,} impressions to learn from")
        self.training = self._shown.training(split.deciding, seed)
        self.trained = self.training.run(reporter)
        self.log = replace(TrainingLog.of_ranker(self.training), encoder=first.curve)

    def figures(self) -> dict[str, float]:
        """Those of the test, whose counts end where it begins."""
        examples, items = self.test()
        columns = self.trained.predict(examples.inputs, np.arange(len(examples.targets)), items, self._length)
        return figures_of_impressions(columns[:, 0], examples.shown)

    def figures_of_trees(self, reporter: Reporter) -> dict[str, float]:
        """Those of boosted trees that are given the same, and where the ranker learns numbers of each item and user,
        which these are."""
        from trainer.baselines.trees.impressions import columns_of_trees  # an extra has what it needs

        training, (tested, items) = self.training, self.test()
        columns = training.examples.inputs.context_columns
        spec = self._shown.spec(training.spec.objectives, columns, training.items, id_embeddings=0)
        said = columns_of_trees(training, spec, tested, items, reporter)
        return figures_of_impressions(said, tested.shown)

    def attribution(self, reporter: Reporter) -> RankerAttribution:
        """What the figures rest on, of an even sample of the test."""
        examples, items = self.test(_SAMPLE)
        calibrations = self.log.calibrations
        return attribute_ranker(self.trained, examples, examples, items, self._length, calibrations, reporter)

    def test(self, most: int | None = None) -> tuple[ImpressionExamples, ItemTables]:
        """The test's impressions, or an even sample of them, and the tables as they are when it begins."""
        rows, training = self._split.test, self.training
        items = self._shown.tables(int(self._shown.impressions.times[rows[0]]))
        rows = rows if most is None else subsample(rows, most)
        # The scale of the values is what the ranker has learnt with.
        items = replace(items, value_mean=training.items.value_mean, value_std=training.items.value_std)
        return self._shown.later(rows, items, training.examples.inputs.context_columns), items


def _encoder(dataset: Dataset, split: ImpressionSplit, recipe: Recipe, seed: int, reporter: Reporter) -> Trained:
    """What decides on its epoch was done before the test begins, whatever the order of the parts."""
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
