"""The examples that a ranker learns from: their inputs, their targets and the figures they give."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from shortlist.bundle.tables import ItemTables
from shortlist.inference.model_inputs import CandidateLists, UserInputs, ranker_inputs
from trainer.data.context import Context
from trainer.data.history_slices import HistorySlices
from trainer.evaluation.classification import Outcomes
from trainer.features.layout import FeatureLayout, user_columns
from trainer.features.point_in_time import PointInTimeFeatures
from trainer.models.pipeline import tensors
from trainer.models.rankers.id_embeddings import IdEmbeddingLayer
from trainer.models.rankers.objectives import Objectives

PredictLogits = Callable[[NDArray[np.int64]], NDArray[np.float32]]
"""From places of examples to a ranker's logits of their candidates, ``[n, C, G]``."""


@dataclass(frozen=True, kw_only=True, eq=False)
class RankerInputs:
    """The inputs of a ranker for n examples with C candidates each, gathered batch by batch.

    ``items`` are without id embeddings. ``user_rows`` ``[n]`` are rows of ``user_features`` ``[users, U]``, -1 for an
    unknown user; ``user_vectors`` are ``[n, D]``. The ranker reads the last ``history_length`` events of a history. The
    columns of ``point_in_time``, if given, replace those of the tables.
    """

    layout: FeatureLayout
    items: ItemTables
    histories: HistorySlices
    history_length: int
    user_rows: NDArray[np.int64]
    user_vectors: NDArray[np.float32]
    user_features: NDArray[np.float32]
    context: Context
    candidates: CandidateLists
    point_in_time: PointInTimeFeatures | None = None

    def __len__(self) -> int:
        return len(self.user_rows)

    @property
    def candidate_count(self) -> int:
        """C."""
        return int(self.candidates.rows.shape[1])

    def met(self, places: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The distinct candidates of some examples, and their distinct known users."""
        users = np.unique(self.user_rows[places])
        return np.unique(self.candidates.rows[places]), users[users >= 0]

    def at(
        self,
        places: NDArray[np.int64],
        id_embeddings: IdEmbeddingLayer,
        known: NDArray[np.bool_] | None = None,
        sample: NDArray[np.int64] | None = None,
    ) -> dict[str, Tensor]:
        """The ranker's inputs for the examples at the places ``[b]``.

        Users outside ``known`` ``[b]`` are treated as unknown. With a ``sample`` ``[b, S]`` of places in their lists,
        the inputs hold these candidates alone.
        """
        users = self.user_rows[places]
        known = (users >= 0) if known is None else known & (users >= 0)
        candidates = self.candidates.at(places) if sample is None else self.candidates.at(places[:, None], sample)
        history = self.histories.at(places).latest_first(self.history_length)
        gathered = ranker_inputs(self.items, history, self._user_inputs(places, known), candidates)
        if sample is not None:
            gathered["candidate_places"] = sample.astype(np.float32)
        if self.point_in_time is not None:
            columns = self.point_in_time.items[places][:, None]
            gathered["candidate_features"][..., : self.layout.point_in_time] = columns
        inputs = tensors(gathered)
        if not id_embeddings.width:
            return inputs
        rows = (np.maximum(users, 0), known, candidates.rows, history.rows)
        return id_embeddings.add(inputs, *(torch.from_numpy(np.ascontiguousarray(one)) for one in rows))

    def _user_inputs(self, places: NDArray[np.int64], known: NDArray[np.bool_]) -> UserInputs:
        features = self.user_features[self.user_rows[places]]
        if self.point_in_time is not None:
            features = user_columns(features, self.point_in_time.users[places])
        return UserInputs(
            vectors=self.user_vectors[places],
            features=features * known[:, None].astype(np.float32),
            context=self.context.at(places).encoded(self.layout.context),
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class RankerExamples(ABC):
    """Examples in the order of time, with their outcomes."""

    inputs: RankerInputs
    objectives: Objectives
    targets: NDArray[np.float32]
    """[n, G]; NaN where it was not observed."""

    @property
    @abstractmethod
    def chosen_by(self) -> str:
        """The figure that chooses the epoch."""

    @property
    def positions(self) -> NDArray[np.int64]:
        """The position of each impression in its list ``[n]``, -1 where it is unknown or has no effect."""
        return np.full(len(self.targets), -1)

    @property
    def contrasted(self) -> bool:
        """Whether an event's label 0 also comes from the other candidates of its list."""
        return False

    @property
    @abstractmethod
    def usable(self) -> NDArray[np.int64]:
        """The places of the examples that a ranker can learn from."""

    @property
    def most_an_epoch(self) -> int:
        """The most examples that an epoch learns from."""
        return len(self.targets)

    def preferred(self, places: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which of the examples an epoch takes first when it cannot take all."""
        return np.zeros(len(places), dtype=np.bool_)

    def sample(self, places: NDArray[np.int64], count: int, random: np.random.Generator) -> NDArray[np.int64] | None:
        """The at most ``count`` candidates of each example that a step learns from, as places in the lists ``[b, S]``.

        None for all candidates.
        """
        return None

    @abstractmethod
    def loss(self, logits_BCG: Tensor, places: NDArray[np.int64]) -> Tensor:
        """The mean loss of the logits of the examples at the places, or of a :meth:`sample` of their candidates."""

    def judged(self, places: NDArray[np.int64]) -> NDArray[np.int64]:
        """The examples at the places that the figures rank; of many the same ones in every epoch, evenly spaced."""
        return places

    @abstractmethod
    def figures(self, predict: PredictLogits, places: NDArray[np.int64]) -> dict[str, float]:
        """Quality figures at the places, ``chosen_by`` among them; higher is better."""

    @abstractmethod
    def outcomes(self, predict: PredictLogits, places: NDArray[np.int64]) -> dict[str, Outcomes]:
        """By the name of each event objective, logits and labels at the places, one row for each candidate.

        The places need not be usable.
        """
