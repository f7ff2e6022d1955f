"""Gradient boosted trees on the ranker's features of impressions: a baseline for the rankers.

LightGBM (Ke et al., 2017). Each objective has trees of its own; the examples that decide choose how many.
"""

from dataclasses import replace

import lightgbm
import numpy as np
from numpy.typing import NDArray

from trainer.baselines.trees.options import OPTIONS, PATIENCE, TREES
from trainer.baselines.trees.rows import CandidateRows
from trainer.progress import Reporter
from trainer.training.ranker.examples import RankerExamples
from trainer.training.ranker.training import RankerTraining

Rows = tuple[NDArray[np.float32], NDArray[np.float32]]
"""Rows ``[n, M]`` and their targets ``[n]``, NaN where a target was not observed."""


def logits_of_trees(training: RankerTraining, tested: RankerExamples, reporter: Reporter) -> NDArray[np.float32]:
    """The logits ``[candidates, G]`` of the tested examples, of trees that learn from a training's examples.

    Where the ranker has id embeddings, the trees have the ids of the user and the item as categories instead.
    """
    inputs, early, late = training.examples.inputs, training.early, training.late
    spec = replace(training.spec, layout=training.spec.layout.with_id_embeddings(0))
    rows = CandidateRows(spec, ids=training.recipe.embedding > 0)
    rows.scale_by(inputs, early)
    learnt, deciding = (rows.of(inputs, places) for places in (early, late))
    test = rows.of(tested.inputs, np.arange(len(tested.targets)))
    columns = []
    for place, objective in enumerate(spec.objectives):
        targets = training.examples.targets[:, place]
        trees = fit_objective(
            (learnt, targets[early]),
            (deciding, targets[late]),
            training.seed,
            is_value=objective.is_value,
            again=not training.given,
            ids=rows.ids,
        )
        reporter.say(f"lightgbm: {trees.num_trees()} trees of objective {objective.name}")
        columns.append(np.asarray(trees.predict(test, raw_score=True), dtype=np.float32))
    return np.stack(columns, axis=1)


def fit_objective(
    learnt: Rows, deciding: Rows, seed: int, *, is_value: bool, again: bool, ids: bool = False
) -> lightgbm.Booster:
    """Trees of one objective, as many as are best for the rows ``deciding``.

    With ``again`` they then learn from these rows too. With ``ids`` the last two columns are categories.
    """
    kind = {"objective": "regression", "metric": "rmse"} if is_value else {"objective": "binary", "metric": "auc"}
    options = {**OPTIONS, **kind, "seed": seed}
    stop = lightgbm.early_stopping(PATIENCE, verbose=False)
    found = lightgbm.train(options, _table(learnt, ids), TREES, valid_sets=[_table(deciding, ids)], callbacks=[stop])
    if not again:
        return found
    rows, targets = (np.concatenate(parts) for parts in zip(learnt, deciding, strict=True))
    return lightgbm.train(options, _table((rows, targets), ids), max(1, found.best_iteration))


def _table(given: Rows, ids: bool) -> lightgbm.Dataset:
    rows, targets = given
    seen, width = np.isfinite(targets), rows.shape[1]
    categories = [width - 2, width - 1] if ids else []
    return lightgbm.Dataset(rows if seen.all() else rows[seen], targets[seen], categorical_feature=categories)
