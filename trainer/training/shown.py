"""From a data set's impressions to what a ranker learns from, and what it is asked of later ones."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shortlist.bundle.ranker_columns import ContextColumn
from shortlist.bundle.tables import ItemTables
from trainer.data import Dataset
from trainer.data.impressions import Impressions
from trainer.encode import Encoded
from trainer.goals import goals_of
from trainer.histories import Spans
from trainer.rankers.base import GoalScale, RankerSizes, named
from trainer.rates import rates_before
from trainer.recipe import Recipe
from trainer.statistics import item_tables
from trainer.training.as_of import Counted
from trainer.training.impression_examples import ImpressionExamples, scales_of_impressions
from trainer.training.ranker import RankerTraining, ranker_sizes


@dataclass(frozen=True, kw_only=True, eq=False)
class Shown:
    """The impressions, and the first stage that goes before a ranker of them.

    Counts are of what was done and shown before an impression. Where the data has no times, nothing is before anything:
    there are no counts, and a history is all that a user did, but for what came of the impression.
    """

    dataset: Dataset
    recipe: Recipe
    encoded: Encoded

    @property
    def impressions(self) -> Impressions:
        """All of them."""
        assert self.dataset.impressions is not None
        return self.dataset.impressions

    def training(self, learn: NDArray[np.int64], deciding: NDArray[np.int64], seed: int) -> RankerTraining:
        """A run over the rows to learn from; those that are ``deciding``, if any, choose its epoch."""
        learning = self.impressions.at(learn)
        items, columns = self.tables(int(learning.times[0])), learning.context.learnt_columns()
        counted = [Counted.by_slices(self.dataset, learning), self._as_of_first(deciding)]
        rows = np.concatenate([learn, deciding])
        examples = self._examples(rows, Counted.joined(counted), self._histories(rows, len(learn)), items, columns)
        return RankerTraining(
            examples,
            items,
            len(self.dataset.user_ids),
            self.sizes(scales_of_impressions(learning), columns, items, self.recipe.ranker.embedding),
            goals_of(self.recipe, self.dataset),
            self.recipe.ranker,
            seed,
            deciding=np.arange(len(learn), len(rows)) if len(deciding) else None,
        )

    def sizes(
        self, goals: tuple[GoalScale, ...], columns: tuple[ContextColumn, ...], items: ItemTables, own: int
    ) -> RankerSizes:
        """Those of a ranker with ``own`` numbers of each item and user."""
        context = named({column.name: column.width for column in columns})
        return ranker_sizes(self.dataset, items, goals, context, own, rates=len(goals) + 1)

    def later(
        self, rows: NDArray[np.int64], items: ItemTables, columns: tuple[ContextColumn, ...]
    ) -> ImpressionExamples:
        """Examples of what was shown after a training; the ``items``, and the users, are as they were by the first."""
        return self._examples(rows, self._as_of_first(rows), self._histories(rows, 0), items, columns)

    def tables(self, time: int) -> ItemTables:
        """The item tables as of a time."""
        dataset, encoded = self.dataset, self.encoded
        rates = rates_before(dataset, time)
        return item_tables(dataset, dataset.until(time), self.recipe.statistics, encoded.vectors, encoded.inputs, rates)

    def _as_of_first(self, rows: NDArray[np.int64]) -> Counted:
        shown = self.impressions.at(rows)
        return Counted.at(self.dataset, shown, np.repeat(shown.times[:1], len(rows)))

    def _histories(self, rows: NDArray[np.int64], learnt: int) -> Spans:
        """Of the first ``learnt`` rows without what came of the impression itself."""
        shown = self.impressions.at(rows)
        if not self.recipe.interactions.rows_in_order:
            return Spans.before_times(self.dataset, shown.user_rows, shown.times)
        own = _came_to_something(shown) & (np.arange(len(rows)) < learnt)
        return Spans.whole(self.dataset, shown.user_rows, np.where(own, shown.item_rows, -1))

    def _examples(
        self,
        rows: NDArray[np.int64],
        counted: Counted,
        histories: Spans,
        items: ItemTables,
        columns: tuple[ContextColumn, ...],
    ) -> ImpressionExamples:
        shown = self.impressions.at(rows)
        return ImpressionExamples.of(self.dataset, shown, histories, counted, self.encoded, items, columns)


def _came_to_something(shown: Impressions) -> NDArray[np.bool_]:
    came = np.where(shown.is_value, np.isfinite(shown.targets), shown.targets > 0)
    return np.asarray(came.any(axis=1))
