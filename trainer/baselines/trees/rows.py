"""The inputs of gradient boosted trees: the candidates of examples as rows of numbers."""

import numpy as np
import torch
from numpy.typing import NDArray

from trainer.evaluation.rankings import batches
from trainer.models.rankers.base import RankerDataSpec, RankerFeatures
from trainer.models.rankers.feature_transform import FeatureTransform
from trainer.models.rankers.id_embeddings import IdEmbeddingLayer
from trainer.training.ranker.examples import RankerInputs

_SAMPLE = 2000
_TOGETHER = 4096


class CandidateRows:
    """A backbone's features of the candidates of examples, without the history itself.

    With ``ids`` the last two columns are the user and the item themselves, as categories. The spec has no id
    embeddings.
    """

    def __init__(self, spec: RankerDataSpec, *, ids: bool = False) -> None:
        self.transform, self.ids = FeatureTransform(spec), ids
        self._id_embeddings = IdEmbeddingLayer(1, 1, 0)

    def scale_by(self, inputs: RankerInputs, places: NDArray[np.int64]) -> None:
        """Sets the scales of the features from some of the examples."""
        self.transform.scale_by(inputs.at(places[:: max(1, len(places) // _SAMPLE)], self._id_embeddings))

    @torch.no_grad()
    def of(self, inputs: RankerInputs, places: NDArray[np.int64]) -> NDArray[np.float32]:
        """A row for each candidate, ``[n · C, M]``."""
        together = max(1, _TOGETHER // inputs.candidate_count)
        parts = (self.transform(inputs.at(batch, self._id_embeddings)) for batch in batches(places, together))
        rows = np.concatenate([rows_of(features) for features in parts])
        if not self.ids:
            return rows
        candidates = inputs.candidates.rows[places]
        users = np.broadcast_to(inputs.user_rows[places][:, None], candidates.shape)
        return np.hstack([rows, np.stack([users, candidates], axis=-1).reshape(-1, 2).astype(np.float32)])


def rows_of(features: RankerFeatures) -> NDArray[np.float32]:
    """A row for each candidate, ``[B · C, M]``: crossing, item, user and context features."""
    user_context_BCU = features.user_context_BU[:, None].expand(-1, features.items_BCF.shape[1], -1)
    rows: NDArray[np.float32] = (
        torch.cat([features.crossing_BCX, features.items_BCF, user_context_BCU], dim=-1).flatten(0, 1).numpy()
    )
    return rows
