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
from trainer.progress import Reporter
from trainer.rankers.base import RankerSizes
from trainer.rankers.own import OwnColumns
from trainer.rankers.view import Viewer
from trainer.training.ranker import RankerTraining
from trainer.training.ranker_examples import RankerExamples, RankerInputs

_TREES, _PATIENCE = 1000, 50
_SAMPLE = 2000
_TOGETHER = 4096
Rows = tuple[NDArray[np.float32], NDArray[np.float32]]
"""Rows ``[n, M]``, and what came of them ``[n]``, NaN where it was not observed."""
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


def columns_of_trees(
    training: RankerTraining, sizes: RankerSizes, tested: RankerExamples, items: ItemTables, reporter: Reporter
) -> NDArray[np.float32]:
    """What trees that learn from a training's examples say of others, with the ``items`` as they are by then, of each
    goal: ``[candidates, G]``. The ``sizes`` are of a ranker without numbers of its own.
    """
    inputs, early, late = training.examples.inputs, training.early, training.late
    rows = CandidateRows(sizes, training.recipe.history)
    rows.scale_by(inputs, early, training.items)
    learnt, deciding = (rows.of(inputs, places, training.items) for places in (early, late))
    test = rows.of(tested.inputs, np.arange(len(tested.targets)), items)
    columns = []
    for place, goal in enumerate(sizes.goals):
        targets = training.examples.targets[:, place]
        trees = fit_goal(
            (learnt, targets[early]),
            (deciding, targets[late]),
            training.seed,
            is_value=goal.is_value,
            again=not training.given,
        )
        reporter.say(f"lightgbm: {trees.num_trees()} trees of goal {goal.name}")
        columns.append(np.asarray(trees.predict(test, raw_score=True), dtype=np.float32))
    return np.stack(columns, axis=1)


class CandidateRows:
    """The candidates of examples as rows of numbers: what a body is given of them, but for the history itself."""

    def __init__(self, sizes: RankerSizes, length: int) -> None:
        self._viewer, self._length = Viewer(sizes), length
        self._own = OwnColumns(1, 1, 0)

    def scale_by(self, inputs: RankerInputs, places: NDArray[np.int64], items: ItemTables) -> None:
        """Takes the scales from some of the examples."""
        self._viewer.scale_by(self._given(inputs, places[:: max(1, len(places) // _SAMPLE)], items))

    @torch.no_grad()
    def of(self, inputs: RankerInputs, places: NDArray[np.int64], items: ItemTables) -> NDArray[np.float32]:
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


def fit_goal(learnt: Rows, deciding: Rows, seed: int, *, is_value: bool, again: bool) -> lightgbm.Booster:
    """Trees of one goal; those that decide say how many, and with ``again`` are then learnt from as well."""
    kind = {"objective": "regression", "metric": "rmse"} if is_value else {"objective": "binary", "metric": "auc"}
    options = {**_OPTIONS, **kind, "seed": seed}
    stop = lightgbm.early_stopping(_PATIENCE, verbose=False)
    found = lightgbm.train(options, _table(learnt), _TREES, valid_sets=[_table(deciding)], callbacks=[stop])
    if not again:
        return found
    rows, targets = (np.concatenate(parts) for parts in zip(learnt, deciding, strict=True))
    return lightgbm.train(options, _table((rows, targets)), max(1, found.best_iteration))


def _table(given: Rows) -> lightgbm.Dataset:
    rows, targets = given
    seen = np.isfinite(targets)
    return lightgbm.Dataset(rows if seen.all() else rows[seen], targets[seen])
