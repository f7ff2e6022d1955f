"""What gradient boosted trees are given: the candidates of examples as rows of numbers."""

import numpy as np
import torch
from numpy.typing import NDArray

from shortlist.bundle.tables import ItemTables
from trainer.evaluation.rankings import batches
from trainer.models.rankers.base import RankerDataSpec, RankerFeatures
from trainer.models.rankers.feature_transform import FeatureTransform
from trainer.models.rankers.id_embeddings import IdEmbeddingLayer
from trainer.training.ranker.examples import RankerInputs

_SAMPLE = 2000
_TOGETHER = 4096


class CandidateRows:
    """What a body is given of the candidates of examples, but for the history itself.

    With ``ids`` the last two columns are the user and the item themselves, as categories; the ``sizes`` are of a ranker
    without numbers of its own.
    """

    def __init__(self, spec: RankerDataSpec, length: int, *, ids: bool = False) -> None:
        self.transform, self.ids, self._length = FeatureTransform(spec), ids, length
        self._id_embeddings = IdEmbeddingLayer(1, 1, 0)

    def scale_by(self, inputs: RankerInputs, places: NDArray[np.int64], items: ItemTables) -> None:
        """Takes the scales from some of the examples."""
        self.transform.scale_by(self._given(inputs, places[:: max(1, len(places) // _SAMPLE)], items))

    @torch.no_grad()
    def of(self, inputs: RankerInputs, places: NDArray[np.int64], items: ItemTables) -> NDArray[np.float32]:
        """Of each candidate one, ``[n · C, M]``."""
        together = max(1, _TOGETHER // inputs.candidates.rows.shape[1])
        rows = np.concatenate(
            [rows_of(self.transform(self._given(inputs, batch, items))) for batch in batches(places, together)]
        )
        if not self.ids:
            return rows
        candidates = inputs.candidates.rows[places]
        users = np.broadcast_to(inputs.user_rows[places][:, None], candidates.shape)
        return np.hstack([rows, np.stack([users, candidates], axis=-1).reshape(-1, 2).astype(np.float32)])

    def _given(self, inputs: RankerInputs, places: NDArray[np.int64], items: ItemTables) -> dict[str, torch.Tensor]:
        return inputs.at(places, items, self._length, np.ones(len(places), dtype=np.bool_), self._id_embeddings)


def rows_of(features: RankerFeatures) -> NDArray[np.float32]:
    """Of each candidate one, ``[B · C, M]``: what crosses it with the history, its features, and what is known of the
    user and the request."""
    user_context_BCU = features.user_context_BU[:, None].expand(-1, features.items_BCF.shape[1], -1)
    rows: NDArray[np.float32] = (
        torch.cat([features.crossing_BCX, features.items_BCF, user_context_BCU], dim=-1).flatten(0, 1).numpy()
    )
    return rows
