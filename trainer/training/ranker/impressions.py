"""From a data set's impressions to a ranker's examples."""

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from shortlist.bundle.tables import ItemTables
from trainer.data import Dataset
from trainer.data.history_slices import HistorySlices
from trainer.data.impressions import UNKNOWN, Impressions
from trainer.features.click_rates import click_rates_before
from trainer.features.layout import FeatureLayout
from trainer.features.point_in_time import PointInTimeFeatures
from trainer.features.statistics import item_tables
from trainer.models.encoders.encoded import Encoded
from trainer.models.rankers.objectives import Objectives
from trainer.recipe import Recipe
from trainer.training.ranker.impression_examples import ImpressionExamples, ImpressionPast
from trainer.training.ranker.training import RankerTraining


def _no_rows() -> NDArray[np.int64]:
    return np.zeros(0, dtype=np.int64)


@dataclass(frozen=True, kw_only=True, eq=False)
class RankerImpressions:
    """A data set's impressions, and the encoder that runs before a ranker of them.

    Features count the interactions and impressions before an impression. Data without times has no such features; a
    history is then all interactions of the user. The impression's own item is left out of it, unless another impression
    of ``learn`` led to it.

    Outcomes of the rows ``test`` never enter training features, wherever they are in time.
    """

    dataset: Dataset
    recipe: Recipe
    encoded: Encoded
    learn: NDArray[np.int64] = field(default_factory=_no_rows)
    test: NDArray[np.int64] = field(default_factory=_no_rows)

    @property
    def impressions(self) -> Impressions:
        """All impressions."""
        assert self.dataset.impressions is not None
        return self.dataset.impressions

    def training(self, deciding: NDArray[np.int64], seed: int) -> RankerTraining:
        """A run over the rows ``learn``; the rows ``deciding``, if any, choose its epoch."""
        learning, held_out = self.impressions.at(self.learn), np.concatenate([deciding, self.test])
        known, rows = self._without(held_out), np.concatenate([self.learn, deciding])
        columns = [
            PointInTimeFeatures.by_slices(known, learning),
            _as_of_first(known, self.impressions.at(deciding)),
        ]
        examples = self._examples(
            rows,
            PointInTimeFeatures.joined(columns),
            self._tables(known, int(learning.times[0])),
            Objectives.of(self.recipe, self.dataset).scaled_to_impressions(learning),
            FeatureLayout.of(self.dataset, learning.context.learnt_columns(), self.recipe.ranker.embedding),
        )
        decide = np.arange(len(learning), len(rows)) if len(deciding) else None
        return RankerTraining(examples, self.recipe.ranker, seed, deciding=decide)

    def later(
        self, rows: NDArray[np.int64], items: ItemTables, objectives: Objectives, layout: FeatureLayout
    ) -> ImpressionExamples:
        """Examples of impressions after a training, with all features as of the first of them."""
        columns = _as_of_first(self.dataset, self.impressions.at(rows))
        return self._examples(rows, columns, items, objectives, layout)

    def tables(self, time: int) -> ItemTables:
        """The item tables as of a time."""
        return self._tables(self.dataset, time)

    def _tables(self, dataset: Dataset, time: int) -> ItemTables:
        click_rates, encoded = click_rates_before(dataset, time), self.encoded
        return item_tables(
            dataset, dataset.until(time), self.recipe.statistics, encoded.vectors, encoded.inputs, click_rates
        )

    def _without(self, rows: NDArray[np.int64]) -> Dataset:
        """The data set without some of the impressions."""
        others = np.delete(np.arange(len(self.impressions)), rows)
        return replace(self.dataset, impressions=self.impressions.at(others))

    def _examples(
        self,
        rows: NDArray[np.int64],
        columns: PointInTimeFeatures,
        items: ItemTables,
        objectives: Objectives,
        layout: FeatureLayout,
    ) -> ImpressionExamples:
        past = ImpressionPast(
            impressions=self.impressions.at(rows), histories=self._histories(rows), point_in_time=columns
        )
        length = self.recipe.ranker.history
        return ImpressionExamples.of(self.dataset, self.encoded, items, past, objectives, layout, length)

    def _histories(self, rows: NDArray[np.int64]) -> HistorySlices:
        impressions = self.impressions.at(rows)
        if not self.recipe.interactions.rows_in_order:
            return HistorySlices.before_times(self.dataset, impressions.user_rows, impressions.times)
        left_out = np.where(self._another_led_to_it(rows), UNKNOWN, impressions.item_rows)
        return HistorySlices.whole(self.dataset, impressions.user_rows, left_out)

    def _another_led_to_it(self, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Whether another impression of ``learn`` with the row's user and item had a positive outcome."""
        pairs, learning = _pairs(self.impressions.at(rows)), self.impressions.at(self.learn)
        positive = self.learn[_is_positive(learning)]
        found = np.sort(_pairs(self.impressions.at(positive)))
        times = np.searchsorted(found, pairs, side="right") - np.searchsorted(found, pairs, side="left")
        return np.asarray(times > np.isin(rows, positive))


def _as_of_first(dataset: Dataset, impressions: Impressions) -> PointInTimeFeatures:
    return PointInTimeFeatures.at(dataset, impressions, np.repeat(impressions.times[:1], len(impressions)))


def _is_positive(impressions: Impressions) -> NDArray[np.bool_]:
    """Whether any event happened or any value was given."""
    outcome = np.where(impressions.is_value, np.isfinite(impressions.targets), impressions.targets > 0)
    return np.asarray(outcome.any(axis=1))


def _pairs(impressions: Impressions) -> NDArray[np.int64]:
    """A number for each pair of a user and an item."""
    return impressions.user_rows << 32 | impressions.item_rows
