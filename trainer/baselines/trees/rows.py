"""What gradient boosted trees are given: the candidates of examples as rows of numbers."""

import numpy as np
import torch
from numpy.typing import NDArray

from shortlist.bundle.tables import ItemTables
from trainer.evaluation.rankings import batches
from trainer.models.rankers.base import RankerSizes, View
from trainer.models.rankers.own import OwnColumns
from trainer.models.rankers.view import Viewer
from trainer.training.ranker.examples import RankerInputs

_SAMPLE = 2000
_TOGETHER = 4096


class CandidateRows:
    """What a body is given of the candidates of examples, but for the history itself.

    With ``ids`` the last two columns are the user and the item themselves, as categories; the ``sizes`` are of a ranker
    without numbers of its own.
    """

    def __init__(self, sizes: RankerSizes, length: int, *, ids: bool = False) -> None:
        self.viewer, self.ids, self._length = Viewer(sizes), ids, length
        self._own = OwnColumns(1, 1, 0)

    def scale_by(self, inputs: RankerInputs, places: NDArray[np.int64], items: ItemTables) -> None:
        """Takes the scales from some of the examples."""
        self.viewer.scale_by(self._given(inputs, places[:: max(1, len(places) // _SAMPLE)], items))

    @torch.no_grad()
    def of(self, inputs: RankerInputs, places: NDArray[np.int64], items: ItemTables) -> NDArray[np.float32]:
        """Of each candidate one, ``[n · C, M]``."""
        together = max(1, _TOGETHER // inputs.candidates.rows.shape[1])
        rows = np.concatenate(
            [rows_of(self.viewer(self._given(inputs, batch, items))) for batch in batches(places, together)]
        )
        if not self.ids:
            return rows
        candidates = inputs.candidates.rows[places]
        users = np.broadcast_to(inputs.user_rows[places][:, None], candidates.shape)
        return np.hstack([rows, np.stack([users, candidates], axis=-1).reshape(-1, 2).astype(np.float32)])

    def _given(self, inputs: RankerInputs, places: NDArray[np.int64], items: ItemTables) -> dict[str, torch.Tensor]:
        return inputs.at(places, items, self._length, np.ones(len(places), dtype=np.bool_), self._own)


def rows_of(view: View) -> NDArray[np.float32]:
    """Of each candidate one, ``[B · C, M]``: what crosses it with the history, its features, and what is known of the
    user and the request."""
    about_BCU = view.about_BU[:, None].expand(-1, view.items_BCF.shape[1], -1)
    rows: NDArray[np.float32] = torch.cat([view.features_BCX, view.items_BCF, about_BCU], dim=-1).flatten(0, 1).numpy()
    return rows
