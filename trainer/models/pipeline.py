"""Both trained stages over the data set's rows, in PyTorch: the offline twin of what the services do."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from shortlist.bundle.history import History
from shortlist.bundle.ranker_columns import ContextColumn, Objective
from shortlist.bundle.tables import ItemTables
from shortlist.inference.context import ContextEncoder
from shortlist.inference.model_inputs import CandidateLists, Inputs, item_item_features, ranker_inputs
from shortlist.inference.score_fusion import ScoreFusion
from shortlist.inference.selection import best_first
from trainer.data import Dataset
from trainer.evaluation.queries import STRANGER, Profiles
from trainer.evaluation.rankings import hide_seen
from trainer.features.click_rates import ClickRates
from trainer.models.encoders.encoded import Encoded
from trainer.models.rankers import Ranker
from trainer.models.rankers.id_embeddings import IdEmbeddings
from trainer.recipe import Recipe

TOGETHER = 12_800
"""So many candidates are ranked at once."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Retrieval:
    """Candidates of several users, and all scores they were taken from.

    ``user_vectors`` ``[users, dimension]``, ``scores`` ``[users, items]`` with ``-inf`` for what the user has.
    """

    user_vectors: NDArray[np.float32]
    scores: NDArray[np.float32]
    candidates: CandidateLists


@dataclass(frozen=True, kw_only=True, eq=False)
class TrainedPipeline:
    """An encoder, the tables and a ranker, ready to recommend.

    What of the ranker's ``own`` and of the ``rates`` is of items is in the tables as well. ``context`` is what a call
    may say of itself.
    """

    recipe: Recipe
    encoded: Encoded
    items: ItemTables
    ranker: Ranker
    id_embeddings: IdEmbeddings
    click_rates: ClickRates
    objectives: tuple[Objective, ...]
    context: tuple[ContextColumn, ...] = ()

    def user_features(self, dataset: Dataset) -> NDArray[np.float32]:
        """What the models know of each user, ``[users, U]``."""
        return np.hstack([dataset.known_user_features, self._of_users])

    @torch.no_grad()
    def rank(
        self, histories: Sequence[History], user_features: NDArray[np.float32]
    ) -> tuple[Retrieval, NDArray[np.int64]]:
        """Each user's candidates, and the places ``[users, candidates]`` that put them into the ranker's order."""
        found = retrieve(self.encoded, self.items, histories, user_features, self.recipe.ranker.candidates)
        inputs = ranker_inputs(
            self.items,
            histories,
            self.recipe.ranker.history,
            found.user_vectors,
            user_features,
            found.candidates,
            np.tile(ContextEncoder(self.context).encode({}), (len(histories), 1)),
        )
        scores = ScoreFusion.of(self.objectives).keys(self._columns(inputs))
        # A user who has nearly everything has fewer candidates than the others: what fills the row comes last.
        scores = np.where(np.isfinite(found.candidates.scores), scores, -np.inf)
        return found, np.argsort(-scores, axis=1, kind="stable")

    def _columns(self, inputs: Inputs) -> NDArray[np.float32]:
        """What the ranker says, of some users at a time: what is between its layers takes far more memory than what it
        is given."""
        users, candidates = inputs["candidate_scores"].shape
        size = max(1, TOGETHER // candidates)
        parts = [
            self.ranker(**tensors({name: values[start : start + size] for name, values in inputs.items()})).numpy()
            for start in range(0, users, size)
        ]
        return np.concatenate(parts)

    def scores(self, profiles: Profiles) -> NDArray[np.floating]:
        """The order of both stages as scores of every item, ``[B, items]``: candidates by the ranker, behind them what
        else there is by retrieval."""
        beside = self._of_users[profiles.users] * (profiles.users != STRANGER)[:, None]
        features = np.hstack([profiles.features, beside.astype(np.float32)])
        found, order = self.rank(profiles.histories, features)
        candidates = found.candidates
        scores: NDArray[np.floating] = found.scores - found.scores.max(axis=1, keepdims=True) - 1
        ranked = np.take_along_axis(candidates.rows, order, axis=1)
        places = np.arange(order.shape[1], 0, -1, dtype=scores.dtype)
        shown = np.isfinite(np.take_along_axis(found.scores, ranked, axis=1))
        np.put_along_axis(scores, ranked, np.where(shown, places, -np.inf), axis=1)
        return scores

    @cached_property
    def _of_users(self) -> NDArray[np.float32]:
        """What is counted and learnt of each user beside the features."""
        return np.hstack([self.click_rates.users, self.id_embeddings.users])

    def recommend(
        self, histories: Sequence[History], user_features: NDArray[np.float32], limit: int
    ) -> NDArray[np.int64]:
        """The rows of each user's best items, ``[users, limit]``."""
        found, order = self.rank(histories, user_features)
        return np.take_along_axis(found.candidates.rows, order, axis=1)[:, :limit]


def retrieve(
    encoded: Encoded, items: ItemTables, histories: Sequence[History], features: NDArray[np.float32], count: int
) -> Retrieval:
    """The ``count`` nearest items that each user does not have yet."""
    vectors = encoded.user_vectors(histories, features)
    scores = vectors @ encoded.vectors.T
    hide_seen(scores, histories)
    rows = best_first(scores, count)
    candidates = CandidateLists(
        rows=rows,
        scores=np.take_along_axis(scores, rows, axis=1),
        item_item=item_item_features(items, histories, rows),
    )
    return Retrieval(user_vectors=vectors, scores=scores, candidates=candidates)


def tensors(inputs: Inputs) -> dict[str, Tensor]:
    """The arrays as PyTorch sees them."""
    return {name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in inputs.items()}
