"""From a data set's impressions to what a ranker learns from, and what it is asked of later ones."""

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from shortlist.bundle.ranker_columns import ContextColumn
from shortlist.bundle.tables import ItemTables
from trainer.data import Dataset
from trainer.data.history_slices import HistorySlices
from trainer.data.impressions import UNKNOWN, Impressions
from trainer.features.click_rates import click_rates_before
from trainer.features.point_in_time import PointInTimeFeatures
from trainer.features.statistics import item_tables
from trainer.models.encoders.encoded import Encoded
from trainer.models.rankers.base import ObjectiveScale, RankerDataSpec, named
from trainer.models.rankers.objectives import objectives_of
from trainer.recipe import Recipe
from trainer.training.ranker.impression_examples import ImpressionExamples, scales_of_impressions
from trainer.training.ranker.training import RankerTraining, ranker_data_spec


def _no_rows() -> NDArray[np.int64]:
    return np.zeros(0, dtype=np.int64)


@dataclass(frozen=True, kw_only=True, eq=False)
class Shown:
    """The impressions, and the first stage that goes before a ranker of them.

    Counts are of what was done and shown before an impression. Where the data has no times, nothing is before anything:
    there are no counts, and a history is all that a user did, but for what may have come of the impression itself: its
    item is there only if another impression that is learnt from, ``learn``, came to something.

    What came of the rows ``test`` is in nothing that is learnt, wherever they are in time.
    """

    dataset: Dataset
    recipe: Recipe
    encoded: Encoded
    learn: NDArray[np.int64] = field(default_factory=_no_rows)
    test: NDArray[np.int64] = field(default_factory=_no_rows)

    @property
    def impressions(self) -> Impressions:
        """All of them."""
        assert self.dataset.impressions is not None
        return self.dataset.impressions

    def training(self, deciding: NDArray[np.int64], seed: int) -> RankerTraining:
        """A run over the rows to learn from; those that are ``deciding``, if any, choose its epoch."""
        learning, known = self.impressions.at(self.learn), self._without(np.concatenate([deciding, self.test]))
        items, columns = self._tables(known, int(learning.times[0])), learning.context.learnt_columns()
        counted = [PointInTimeFeatures.by_slices(known, learning), _as_of_first(known, self.impressions.at(deciding))]
        rows = np.concatenate([self.learn, deciding])
        examples = self._examples(rows, PointInTimeFeatures.joined(counted), items, columns)
        return RankerTraining(
            examples,
            items,
            len(self.dataset.user_ids),
            self.spec(scales_of_impressions(learning), columns, items, self.recipe.ranker.embedding),
            objectives_of(self.recipe, self.dataset),
            self.recipe.ranker,
            seed,
            deciding=np.arange(len(learning), len(rows)) if len(deciding) else None,
        )

    def spec(
        self,
        objectives: tuple[ObjectiveScale, ...],
        columns: tuple[ContextColumn, ...],
        items: ItemTables,
        id_embeddings: int,
    ) -> RankerDataSpec:
        """Those of a ranker with ``own`` numbers of each item and user."""
        context = named({column.name: column.width for column in columns})
        return ranker_data_spec(
            self.dataset, items, objectives, context, id_embeddings, click_rates=len(objectives) + 1
        )

    def later(
        self, rows: NDArray[np.int64], items: ItemTables, columns: tuple[ContextColumn, ...]
    ) -> ImpressionExamples:
        """Examples of what was shown after a training; the ``items``, and the users, are as they were by the first."""
        return self._examples(rows, _as_of_first(self.dataset, self.impressions.at(rows)), items, columns)

    def tables(self, time: int) -> ItemTables:
        """The item tables as of a time."""
        return self._tables(self.dataset, time)

    def _tables(self, dataset: Dataset, time: int) -> ItemTables:
        click_rates, encoded = click_rates_before(dataset, time), self.encoded
        return item_tables(
            dataset, dataset.until(time), self.recipe.statistics, encoded.vectors, encoded.inputs, click_rates
        )

    def _without(self, rows: NDArray[np.int64]) -> Dataset:
        """The data set as if some of the impressions had not been shown."""
        others = np.delete(np.arange(len(self.impressions)), rows)
        return replace(self.dataset, impressions=self.impressions.at(others))

    def _histories(self, rows: NDArray[np.int64]) -> HistorySlices:
        shown = self.impressions.at(rows)
        if not self.recipe.interactions.rows_in_order:
            return HistorySlices.before_times(self.dataset, shown.user_rows, shown.times)
        return HistorySlices.whole(
            self.dataset, shown.user_rows, np.where(self._came_of_another(rows), UNKNOWN, shown.item_rows)
        )

    def _came_of_another(self, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Whether an impression that is learnt from, other than the row, came to something of its user and item."""
        pairs, learnt = _pairs(self.impressions.at(rows)), self.impressions.at(self.learn)
        known = self.learn[_came_to_something(learnt)]
        found = np.sort(_pairs(self.impressions.at(known)))
        times = np.searchsorted(found, pairs, side="right") - np.searchsorted(found, pairs, side="left")
        return np.asarray(times > np.isin(rows, known))

    def _examples(
        self,
        rows: NDArray[np.int64],
        counted: PointInTimeFeatures,
        items: ItemTables,
        columns: tuple[ContextColumn, ...],
    ) -> ImpressionExamples:
        shown = self.impressions.at(rows)
        return ImpressionExamples.of(self.dataset, shown, self._histories(rows), counted, self.encoded, items, columns)


def _as_of_first(dataset: Dataset, shown: Impressions) -> PointInTimeFeatures:
    return PointInTimeFeatures.at(dataset, shown, np.repeat(shown.times[:1], len(shown)))


def _came_to_something(shown: Impressions) -> NDArray[np.bool_]:
    came = np.where(shown.is_value, np.isfinite(shown.targets), shown.targets > 0)
    return np.asarray(came.any(axis=1))


def _pairs(shown: Impressions) -> NDArray[np.int64]:
    """A number for each pair of a user and an item."""
    return shown.user_rows << 32 | shown.item_rows
