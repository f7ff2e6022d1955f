"""Both trained stages over the data set's rows, in PyTorch: the offline twin of the services."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from shortlist.bundle.history import History, SeenEvents
from shortlist.bundle.tables import ItemTables
from shortlist.inference.context import ContextEncoder
from shortlist.inference.model_inputs import (
    CandidateLists,
    Inputs,
    UserInputs,
    item_item_features,
    latest_first,
    ranker_inputs,
)
from trainer.data import Dataset
from trainer.evaluation.best_rows import best_rows
from trainer.evaluation.queries import STRANGER, Profiles
from trainer.evaluation.rankings import hide_seen, hide_unlisted
from trainer.features.click_rates import ClickRates
from trainer.features.layout import FeatureLayout, user_columns, with_id_embeddings
from trainer.models.encoders.encoded import Encoded
from trainer.models.rankers import Ranker
from trainer.models.rankers.id_embeddings import IdEmbeddings
from trainer.models.rankers.objectives import Objectives
from trainer.recipe import Recipe

TOGETHER = 12_800
"""Candidates that are ranked at once."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Retrieval:
    """Candidates of several users, and the scores of all items.

    ``user_vectors`` ``[users, dimension]``, ``scores`` ``[users, items]`` with ``-inf`` for seen items, and for items
    that no list may hold.
    """

    user_vectors: NDArray[np.float32]
    scores: NDArray[np.float32]
    candidates: CandidateLists


@dataclass(frozen=True, kw_only=True, eq=False)
class TrainedItems:
    """The items that the models have learnt from, when the data has others now.

    Their ``ids`` ``[T]``, ascending bytewise, and their ``id_embeddings`` ``[T, E]``. The encoder's weights are theirs.
    """

    ids: NDArray[np.bytes_]
    id_embeddings: NDArray[np.float32]


@dataclass(frozen=True, kw_only=True, eq=False)
class TrainedPipeline:
    """An encoder, the item tables and a ranker, ready to recommend.

    The feature columns of ``items`` also hold the item-side id embeddings and click-through rates.
    """

    recipe: Recipe
    encoded: Encoded
    items: ItemTables
    ranker: Ranker
    id_embeddings: IdEmbeddings
    click_rates: ClickRates
    seen_events: SeenEvents
    late_items: int = 0
    """How many items have their vectors from their users; see :mod:`trainer.models.late_items`."""
    trained_items: TrainedItems | None = None
    """None where they are the items of the data set."""

    @property
    def layout(self) -> FeatureLayout:
        """The feature columns of the ranker."""
        return self.ranker.spec.layout

    @property
    def objectives(self) -> Objectives:
        """The objectives of the ranker."""
        return self.ranker.spec.objectives

    def user_features(self, dataset: Dataset) -> NDArray[np.float32]:
        """The user columns of the layout for each user, ``[users, U]``."""
        columns = user_columns(dataset.known_user_features, self.click_rates.users)
        return with_id_embeddings(columns, self.id_embeddings.users)

    @torch.no_grad()
    def rank(
        self, histories: Sequence[History], user_features: NDArray[np.float32]
    ) -> tuple[Retrieval, NDArray[np.int64]]:
        """Each user's candidates, and the places ``[users, candidates]`` that put them into the ranker's order.

        ``user_features`` are the user columns of the layout, ``[users, U]``.
        """
        known = user_features[:, self.layout.encoder_users]
        found = retrieve(self.encoded, self.items, histories, known, self.recipe.ranker.candidates, self.seen_events)
        users = UserInputs(
            vectors=found.user_vectors,
            features=user_features,
            context=np.tile(ContextEncoder(self.layout.context).encode({}), (len(histories), 1)),
        )
        history = latest_first(histories, self.recipe.ranker.history)
        inputs = ranker_inputs(self.items, history, users, found.candidates)
        scores = self.objectives.fusion.keys(self._logits(inputs))
        # A user who has nearly all items has fewer candidates than the others; the fillers of the list come last.
        scores = np.where(np.isfinite(found.candidates.scores), scores, -np.inf)
        return found, np.argsort(-scores, axis=1, kind="stable")

    def _logits(self, inputs: Inputs) -> NDArray[np.float32]:
        """The ranker's logits ``[users, candidates, G]``, some users at a time.

        The units between its layers take far more memory than its inputs.
        """
        users, candidates = inputs["candidate_scores"].shape
        size = max(1, TOGETHER // candidates)
        parts = [
            self.ranker(**tensors({name: values[start : start + size] for name, values in inputs.items()})).numpy()
            for start in range(0, users, size)
        ]
        return np.concatenate(parts)

    def scores(self, profiles: Profiles) -> NDArray[np.floating]:
        """The order of both stages as scores of all items, ``[B, items]``.

        Candidates come in the ranker's order; all other items follow in the order of retrieval.
        """
        found, order = self.rank(profiles.histories, self._features_of(profiles))
        candidates = found.candidates
        scores: NDArray[np.floating] = found.scores - found.scores.max(axis=1, keepdims=True) - 1
        ranked = np.take_along_axis(candidates.rows, order, axis=1)
        places = np.arange(order.shape[1], 0, -1, dtype=scores.dtype)
        is_candidate = np.isfinite(np.take_along_axis(found.scores, ranked, axis=1))
        np.put_along_axis(scores, ranked, np.where(is_candidate, places, -np.inf), axis=1)
        return scores

    def _features_of(self, profiles: Profiles) -> NDArray[np.float32]:
        """The user columns of the layout ``[B, U]``; an unknown user has no rates and no id embedding."""
        known = (profiles.users != STRANGER)[:, None]
        rates, id_embeddings = (
            one[profiles.users] * known.astype(np.float32) for one in (self.click_rates.users, self.id_embeddings.users)
        )
        return with_id_embeddings(user_columns(profiles.features, rates), id_embeddings)

    def recommend(
        self, histories: Sequence[History], user_features: NDArray[np.float32], limit: int
    ) -> NDArray[np.int64]:
        """The rows of each user's best items, ``[users, limit]``."""
        found, order = self.rank(histories, user_features)
        return np.take_along_axis(found.candidates.rows, order, axis=1)[:, :limit]


def retrieve(
    encoded: Encoded,
    items: ItemTables,
    histories: Sequence[History],
    features: NDArray[np.float32],
    count: int,
    seen: SeenEvents,
) -> Retrieval:
    """The ``count`` nearest items that each user has not seen; ``features`` are the encoder's, ``[users, UF]``."""
    vectors = encoded.user_vectors(histories, features)
    scores = vectors @ encoded.vectors.T
    hide_seen(scores, histories, seen)
    hide_unlisted(scores, items.listed)
    rows = best_rows(scores, min(count, items.listed_count))
    candidates = CandidateLists(
        rows=rows,
        scores=np.take_along_axis(scores, rows, axis=1),
        item_item=item_item_features(items, histories, rows),
    )
    return Retrieval(user_vectors=vectors, scores=scores, candidates=candidates)


def tensors(inputs: Inputs) -> dict[str, Tensor]:
    """The arrays as tensors."""
    return {name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in inputs.items()}
