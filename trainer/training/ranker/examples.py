"""What a ranker can learn from."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from shortlist.bundle.ranker_columns import ContextColumn
from shortlist.bundle.tables import ItemTables
from shortlist.inference.model_inputs import CandidateLists, inputs_of_rows
from trainer.data.context import Context
from trainer.data.history_slices import HistorySlices
from trainer.evaluation.classification import Outcomes
from trainer.models.pipeline import tensors
from trainer.models.rankers.base import ObjectiveScale
from trainer.models.rankers.id_embeddings import IdEmbeddingLayer
from trainer.models.rankers.objectives import Objectives

PredictLogits = Callable[[NDArray[np.int64]], NDArray[np.float32]]
"""From places of examples to what a ranker says of their candidates, ``[n, C, G]``."""


@dataclass(frozen=True, kw_only=True, eq=False)
class RankerInputs:
    """What a ranker is given of n examples with as many candidates each, gathered when it is.

    ``user_rows`` and ``user_vectors`` are ``[n]`` and ``[n, D]``; the rows are of ``user_features`` ``[users, U]``, -1
    for a stranger. ``user_click_rates`` ``[n, R]`` are of the time of the example, as are ``counted`` ``[n, C, S]``,
    which then stand in the place of what the tables count of a candidate. The ranker knows of the ``context`` what
    ``context_columns`` have.
    """

    histories: HistorySlices
    user_rows: NDArray[np.int64]
    user_vectors: NDArray[np.float32]
    user_features: NDArray[np.float32]
    user_click_rates: NDArray[np.float32]
    context: Context
    context_columns: tuple[ContextColumn, ...]
    candidates: CandidateLists
    counted: NDArray[np.float32] | None = None

    def met(self, places: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The items that are candidates of some examples, and their users."""
        users = np.unique(self.user_rows[places])
        return np.unique(self.candidates.rows[places]), users[users >= 0]

    def at(
        self,
        places: NDArray[np.int64],
        items: ItemTables,
        length: int,
        known: NDArray[np.bool_],
        id_embeddings: IdEmbeddingLayer,
        sample: NDArray[np.int64] | None = None,
    ) -> dict[str, Tensor]:
        """The ranker's inputs of some examples, of which only the ``known`` keep what is known of their user; of a
        ``sample`` ``[b, S]`` of places in their lists alone, if there is one."""
        listed = (places, slice(None)) if sample is None else (places[:, None], sample)
        part = CandidateLists(
            rows=self.candidates.rows[listed],
            scores=self.candidates.scores[listed],
            item_item=self.candidates.item_item[listed],
        )
        users = self.user_rows[places]
        known = known & (users >= 0)
        features = np.hstack([self.user_features[users], self.user_click_rates[places]]) * known[:, None].astype(
            np.float32
        )
        history = self.histories.latest_first(places, length)
        context = self.context.at(places).encoded(self.context_columns)
        gathered = inputs_of_rows(items, history, self.user_vectors[places], features, part, context)
        if sample is not None:
            gathered["candidate_places"] = sample.astype(np.float32)
        if self.counted is not None:
            gathered["candidate_features"][..., : self.counted.shape[-1]] = self.counted[listed]
        inputs = tensors(gathered)
        if not id_embeddings.width:
            return inputs
        rows = (np.maximum(users, 0), known, part.rows, history.rows)
        return id_embeddings.add(inputs, *(torch.from_numpy(np.ascontiguousarray(one)) for one in rows))


@dataclass(frozen=True, kw_only=True, eq=False)
class RankerExamples(ABC):
    """Examples in the order of time, and what came of them."""

    inputs: RankerInputs
    targets: NDArray[np.float32]
    """[n, G]; NaN where it was not observed."""

    @property
    @abstractmethod
    def chosen_by(self) -> str:
        """The figure by which the epoch is chosen."""

    @property
    def positions(self) -> NDArray[np.int64]:
        """Where each was shown ``[n]``, -1 where that is unknown or says nothing."""
        return np.full(len(self.targets), -1)

    @property
    @abstractmethod
    def usable(self) -> NDArray[np.int64]:
        """Places of those that there is something to learn from."""

    def sample(self, places: NDArray[np.int64], count: int, random: np.random.Generator) -> NDArray[np.int64] | None:
        """The at most ``count`` candidates that a step learns from, of each example the same number: places in the
        lists ``[b, S]``, or None where it learns from all."""
        return None

    @abstractmethod
    def loss(
        self, columns_BCG: Tensor, places: NDArray[np.int64], objectives: Objectives, scales: tuple[ObjectiveScale, ...]
    ) -> Tensor:
        """The mean loss of what a ranker says of the examples at the places, or of a :meth:`sample` of them."""

    @abstractmethod
    def figures(
        self, columns: PredictLogits, places: NDArray[np.int64], scales: tuple[ObjectiveScale, ...]
    ) -> dict[str, float]:
        """How good what it says of them is; ``chosen_by`` is among them, and the higher the better."""

    @abstractmethod
    def outcomes(
        self, columns: PredictLogits, places: NDArray[np.int64], scales: tuple[ObjectiveScale, ...]
    ) -> dict[str, Outcomes]:
        """By the name of each objective that is an event, what it says of all that was observed at the places, one row
        for each candidate; the places need not be usable."""
