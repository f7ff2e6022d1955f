"""The ranker by itself, from what was shown."""

import numpy as np
from numpy.typing import NDArray

from shortlist.bundle.tables import ItemTables
from trainer.data import Dataset
from trainer.data.impressions import Impressions
from trainer.encode import Encoded
from trainer.errors import RecipeError
from trainer.evaluation.queries import Queries
from trainer.evaluation.split import evenly, targets
from trainer.goals import goals_of
from trainer.histories import Spans
from trainer.progress import Reporter
from trainer.protocols.impressions import ShownSplit
from trainer.protocols.next_like import CHOSEN_BY, METRICS, VALIDATION_EVENTS
from trainer.rankers.base import GoalScale, RankerSizes, named
from trainer.rates import rates_before
from trainer.recipe import Recipe
from trainer.statistics import item_tables
from trainer.training.as_of import Counted
from trainer.training.encoder import Validation
from trainer.training.fit_encoder import fit_encoder
from trainer.training.impression_examples import ImpressionExamples, figures_of_impressions, scales_of_impressions
from trainer.training.log import TrainingLog
from trainer.training.ranker import RankerTraining, TrainedRanker, ranker_sizes

_EVER = 2**62


class RankerRun:
    """One seed's training on impressions, which then foretells others.

    The first stage learns from what was done before the first impression that is learnt from, and the counts are of
    what was done and shown before an impression. Where the data has no times, nothing is before anything: there are no
    counts and there is no first stage, and a history is all that a user did, but for what came of the impression.
    """

    def __init__(self, dataset: Dataset, split: ShownSplit, recipe: Recipe, seed: int, reporter: Reporter) -> None:
        assert dataset.impressions is not None
        self._dataset, self._recipe, self._split = dataset, recipe, split
        self._shown = dataset.impressions
        start = int(self._shown.times[split.learn[0]])
        self._encoded, encoder_curve = self._encoder(start, seed, reporter)
        self._items = self._tables(start)
        self._context = self._shown.context.at(split.learn).learnt_columns()
        rows = np.concatenate([split.learn, split.deciding])
        learning = self._shown.at(split.learn)
        counted = [Counted.by_slices(dataset, learning), self._as_of_first(split.deciding)]
        reporter.say(f"ranker: {len(split.learn):,} impressions to learn from")
        examples = self._examples(rows, Counted.joined(counted), self._histories(rows, len(split.learn)), self._items)
        self._training = RankerTraining(
            examples,
            self._items,
            len(dataset.user_ids),
            self._sizes(scales_of_impressions(learning), recipe.ranker.embedding),
            goals_of(recipe, dataset),
            recipe.ranker,
            seed,
            deciding=np.arange(len(split.learn), len(rows)) if len(split.deciding) else None,
        )
        self.trained: TrainedRanker = self._training.run(reporter)
        self.log = TrainingLog(
            encoder=encoder_curve,
            ranker=tuple(self._training.curve),
            calibrations=self._training.calibrations,
        )

    def figures(self) -> dict[str, float]:
        """Those of the test, whose counts end where it begins."""
        examples, items = self.test_examples()
        places = np.arange(len(examples.targets))
        columns = self.trained.predict(examples.inputs, places, items, self._recipe.ranker.history)
        return figures_of_impressions(columns[:, 0], examples.shown)

    def figures_of_trees(self, reporter: Reporter) -> dict[str, float]:
        """Those of boosted trees that are given the same, without what the ranker learns of items and users itself."""
        from trainer.boosting import CandidateRows, fit_goal, predict

        training, (tested, items) = self._training, self.test_examples()
        sizes, inputs = self._sizes(training.sizes.goals, own=0), training.examples.inputs
        table = CandidateRows(sizes, self._recipe.ranker.history)
        table.scale_by(inputs, training.early, self._items)
        early, late = (table.rows(inputs, places, self._items) for places in (training.early, training.late))
        test = table.rows(tested.inputs, np.arange(len(tested.targets)), items)
        columns = []
        for place, goal in enumerate(sizes.goals):
            targets = training.examples.targets[:, place]
            trees = fit_goal(
                early,
                targets[training.early],
                late,
                targets[training.late],
                training.seed,
                is_value=goal.is_value,
                again=not training.given,
            )
            reporter.say(f"lightgbm: {trees.num_trees()} trees of goal {goal.name}")
            columns.append(predict(trees, test))
        return figures_of_impressions(np.stack(columns, axis=1), tested.shown)

    def test_examples(self) -> tuple[ImpressionExamples, ItemTables]:
        """The test, and the tables as they are when it begins."""
        rows = self._split.test
        items = self._tables(int(self._shown.times[rows[0]]))
        return self._examples(rows, self._as_of_first(rows), self._histories(rows, 0), items), items

    def _sizes(self, goals: tuple[GoalScale, ...], own: int) -> RankerSizes:
        context = named({column.name: column.width for column in self._context})
        rates = len(goals) + 1
        return ranker_sizes(self._dataset, self._items, goals, context, own, rates)

    def _encoder(self, start: int, seed: int, reporter: Reporter) -> tuple[Encoded, tuple[dict[str, float], ...]]:
        dataset, recipe = self._dataset, self._recipe.encoder
        end = dataset.until(start)
        if not end and recipe.name != "none":
            raise RecipeError("[encoder] name: must be none; nothing was done before the first impression")
        known = targets(dataset, end, dataset.until(int(self._shown.times[self._split.learn[-1]])))
        decides = None
        if len(known):
            queries = Queries.of_events(dataset, evenly(known, VALIDATION_EVENTS))
            decides = Validation(queries=queries, metrics=METRICS, chosen_by=CHOSEN_BY, end=end)
        trained = fit_encoder(dataset, end, recipe, seed, reporter, decides)
        return Encoded.of(trained.encoder, recipe.history), trained.curve

    def _tables(self, time: int) -> ItemTables:
        dataset, encoded = self._dataset, self._encoded
        statistics, rates = self._recipe.statistics, rates_before(dataset, time)
        return item_tables(dataset, dataset.until(time), statistics, encoded.vectors, encoded.inputs, rates)

    def _as_of_first(self, rows: NDArray[np.int64]) -> Counted:
        shown = self._shown.at(rows)
        return Counted.at(self._dataset, shown, np.full(len(rows), shown.times.min(initial=_EVER)))

    def _histories(self, rows: NDArray[np.int64], learnt: int) -> Spans:
        """Of the first ``learnt`` rows without what came of the impression itself."""
        shown = self._shown.at(rows)
        if not self._recipe.interactions.rows_in_order:
            return Spans.before_times(self._dataset, shown.user_rows, shown.times)
        own = _came_to_something(shown) & (np.arange(len(rows)) < learnt)
        return Spans.whole(self._dataset, shown.user_rows, np.where(own, shown.item_rows, -1))

    def _examples(
        self, rows: NDArray[np.int64], counted: Counted, histories: Spans, items: ItemTables
    ) -> ImpressionExamples:
        shown = self._shown.at(rows)
        return ImpressionExamples.of(self._dataset, shown, histories, counted, self._encoded, items, self._context)


def _came_to_something(shown: Impressions) -> NDArray[np.bool_]:
    came = np.where(shown.is_value, np.isfinite(shown.targets), shown.targets > 0)
    return np.asarray(came.any(axis=1))
