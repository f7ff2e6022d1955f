"""Gradient boosted trees on what the ranker is given: the baseline that a network has to beat.

LightGBM (Ke et al., 2017). Each goal has trees of its own, as many as are best for the examples that decide.
"""

from collections.abc import Mapping
from typing import Any

import lightgbm
import numpy as np
import torch
from numpy.typing import NDArray

from shortlist.bundle.tables import ItemTables
from trainer.evaluation.rankings import batches
from trainer.rankers.base import RankerSizes
from trainer.rankers.own import OwnColumns
from trainer.rankers.view import Viewer
from trainer.training.ranker_examples import RankerInputs

_TREES, _PATIENCE = 1000, 50
_SAMPLE = 2000
_TOGETHER = 4096
_OPTIONS: Mapping[str, Any] = {
    "learning_rate": 0.05,
    "num_leaves": 31,
    "min_data_in_leaf": 50,
    "feature_fraction": 0.5,
    "bagging_fraction": 0.8,
    "bagging_freq": 1,
    "verbosity": -1,
    "deterministic": True,
    "num_threads": 1,
}


class CandidateRows:
    """The candidates of examples as rows of numbers: what a body is given of them, but for the history itself."""

    def __init__(self, sizes: RankerSizes, length: int) -> None:
        self._viewer, self._length = Viewer(sizes), length
        self._own = OwnColumns(1, 1, 0)

    def scale_by(self, inputs: RankerInputs, places: NDArray[np.int64], items: ItemTables) -> None:
        """Takes the scales from some of the examples."""
        self._viewer.scale_by(self._given(inputs, places[:: max(1, len(places) // _SAMPLE)], items))

    @torch.no_grad()
    def rows(self, inputs: RankerInputs, places: NDArray[np.int64], items: ItemTables) -> NDArray[np.float32]:
        """Of each candidate one, ``[n · C, M]``: what crosses it with the history, its features, what is known of the
        user and the request, and the inner product."""
        parts = [self._rows(self._given(inputs, batch, items)) for batch in batches(places, _TOGETHER)]
        return np.concatenate(parts)

    def _rows(self, given: dict[str, torch.Tensor]) -> NDArray[np.float32]:
        view = self._viewer(given)
        about_BCU = view.about_BU[:, None].expand(-1, view.items_BCF.shape[1], -1)
        scores_BC1 = given["candidate_scores"][..., None]
        rows: NDArray[np.float32] = (
            torch.cat([view.features_BCX, view.items_BCF, about_BCU, scores_BC1], dim=-1).flatten(0, 1).numpy()
        )
        return rows

    def _given(self, inputs: RankerInputs, places: NDArray[np.int64], items: ItemTables) -> dict[str, torch.Tensor]:
        return inputs.at(places, items, self._length, np.ones(len(places), dtype=np.bool_), self._own)


def fit_goal(
    early: NDArray[np.float32],
    early_targets: NDArray[np.float32],
    late: NDArray[np.float32],
    late_targets: NDArray[np.float32],
    seed: int,
    *,
    is_value: bool,
    again: bool,
) -> lightgbm.Booster:
    """Trees of one goal, of rows and targets ``[n]`` where NaN was not observed; ``late`` decides how many there are,
    and with ``again`` is then learnt from as well.
    """
    options = {**_OPTIONS, "objective": "regression" if is_value else "binary", "seed": seed}
    options["metric"] = "rmse" if is_value else "auc"
    learnt, deciding = _table(early, early_targets), _table(late, late_targets)
    stop = lightgbm.early_stopping(_PATIENCE, verbose=False)
    found = lightgbm.train(options, learnt, _TREES, valid_sets=[deciding], callbacks=[stop])
    if not again:
        return found
    everything = _table(np.concatenate([early, late]), np.concatenate([early_targets, late_targets]))
    return lightgbm.train(options, everything, max(1, found.best_iteration))


def predict(trees: lightgbm.Booster, rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Log-odds of an event, or the value, ``[n]``."""
    return np.asarray(trees.predict(rows, raw_score=True), dtype=np.float32)


def _table(rows: NDArray[np.float32], targets: NDArray[np.float32]) -> lightgbm.Dataset:
    seen = np.isfinite(targets)
    return lightgbm.Dataset(rows if seen.all() else rows[seen], targets[seen])
