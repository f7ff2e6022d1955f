"""Gradient boosted trees in the ranker's place behind retrieval: a baseline for the rankers.

LambdaMART (Burges, 2010), as LightGBM implements it, with the liked item of each list on top.
"""

from collections.abc import Sequence
from dataclasses import replace

import lightgbm
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from trainer.baselines.trees.options import OPTIONS, PATIENCE, TREES
from trainer.baselines.trees.rows import CandidateRows, rows_of
from trainer.data.split import subsample
from trainer.models.rankers import Ranker
from trainer.models.rankers.base import RankerFeatures
from trainer.models.rankers.objectives import Objectives
from trainer.progress import Reporter
from trainer.recipe import LIKE, ObjectiveConfig
from trainer.training.ranker.retrieved_examples import RetrievedExamples
from trainer.training.ranker.training import RankerTraining

# Each is a row for each of its candidates.
_LISTS = 20_000


class Trees(nn.Module):
    """Trees as the towers of a ranker with one objective."""

    def __init__(self, trees: lightgbm.Booster) -> None:
        super().__init__()
        self._trees = trees

    def forward(self, features: RankerFeatures) -> Tensor:
        """``[B, C, 1]``."""
        scores = np.asarray(self._trees.predict(rows_of(features)), dtype=np.float32)
        return torch.from_numpy(scores).view(*features.items_BCF.shape[:2], 1)


def fit_lists(training: RankerTraining, reporter: Reporter) -> Ranker:
    """A ranker of trees alone, whose only objective is a like.

    It learns from the likes of a training without id embeddings, from a subsample of at most twenty thousand. The
    latest fifth chooses the number of trees; then the trees learn from all of them.
    """
    examples = training.examples
    assert isinstance(examples, RetrievedExamples)
    rows = CandidateRows(training.spec)
    early, late = (places[examples.likes[places]] for places in (training.early, training.late))
    share = min(1.0, _LISTS / max(1, len(early) + len(late)))
    early, late = (subsample(places, max(1, int(len(places) * share))) for places in (early, late))
    rows.scale_by(examples.inputs, early)
    learnt, deciding = (_Lists(rows, training, places) for places in (early, late))
    options = {**OPTIONS, "objective": "lambdarank", "metric": "ndcg", "eval_at": [10], "seed": training.seed}
    stop = lightgbm.early_stopping(PATIENCE, verbose=False)
    found = lightgbm.train(options, learnt.table(), TREES, valid_sets=[deciding.table()], callbacks=[stop])
    reporter.say(f"lightgbm: {found.best_iteration} trees, learnt from {len(early) + len(late):,} lists")
    trees = lightgbm.train(options, _together((learnt, deciding)), max(1, found.best_iteration))
    ranker = Ranker(Trees(trees), replace(training.spec, objectives=Objectives.declared({LIKE: ObjectiveConfig()})))
    ranker.transform.load_state_dict(rows.transform.state_dict())
    # The inner product is among the features of the trees.
    nn.init.zeros_(ranker.dot_G)
    return ranker.eval()


class _Lists:
    """Candidates of examples as rows, list by list, labelled 1 where chosen."""

    def __init__(self, rows: CandidateRows, training: RankerTraining, places: NDArray[np.int64]) -> None:
        examples = training.examples
        assert isinstance(examples, RetrievedExamples)
        self.rows = rows.of(examples.inputs, places)
        self.length = examples.inputs.candidate_count
        self.chosen = (np.arange(self.length) == examples.chosen[places][:, None]).ravel()

    def table(self) -> lightgbm.Dataset:
        """A dataset of LightGBM."""
        return _together([self])


def _together(parts: Sequence[_Lists]) -> lightgbm.Dataset:
    rows, chosen = np.concatenate([part.rows for part in parts]), np.concatenate([part.chosen for part in parts])
    length = parts[0].length
    return lightgbm.Dataset(rows, chosen, group=[length] * (len(rows) // length))
