"""What a ranker can learn from."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from shortlist.bundle.tables import ItemTables
from shortlist.inference.history import History
from shortlist.inference.model_inputs import CandidateLists, history_rows, ranker_inputs
from trainer.evaluation.classification import Outcomes
from trainer.goals import Goals
from trainer.rankers.base import GoalScale
from trainer.rankers.own import OwnColumns
from trainer.two_stage import tensors

Columns = Callable[[NDArray[np.int64]], NDArray[np.float32]]
"""From places of examples to what a ranker says of their candidates, ``[n, C, G]``."""


@dataclass(frozen=True, kw_only=True, eq=False)
class RankerInputs:
    """What a ranker is given of n examples with as many candidates each.

    ``context`` is ``[n, K]``, ``user_features`` ``[n, U]``, of a user in ``user_rows`` ``[n]``.
    """

    histories: list[History]
    user_rows: NDArray[np.int64]
    user_vectors: NDArray[np.float32]
    user_features: NDArray[np.float32]
    context: NDArray[np.float32]
    candidates: CandidateLists

    def at(
        self, places: NDArray[np.int64], items: ItemTables, length: int, known: NDArray[np.bool_], own: OwnColumns
    ) -> dict[str, Tensor]:
        """The ranker's inputs of some examples, of which only the ``known`` keep what is known of their user."""
        part = CandidateLists(
            rows=self.candidates.rows[places],
            scores=self.candidates.scores[places],
            transitions=self.candidates.transitions[places],
        )
        features = self.user_features[places] * known[:, None].astype(np.float32)
        histories = [self.histories[place] for place in places]
        vectors, context = self.user_vectors[places], self.context[places]
        inputs = tensors(ranker_inputs(items, histories, length, vectors, features, part, context))
        if not own.width:
            return inputs
        users = torch.from_numpy(self.user_rows[places])
        rows = torch.from_numpy(history_rows(histories, length))
        return own.add(inputs, users, torch.from_numpy(known), torch.from_numpy(part.rows), rows)


@dataclass(frozen=True, kw_only=True, eq=False)
class RankerExamples(ABC):
    """Examples in the order of time, and what came of them."""

    inputs: RankerInputs
    targets: NDArray[np.float32]
    """[n, G]; NaN where it was not observed."""

    chosen_by = ""
    """The figure by which the epoch is chosen."""

    @property
    @abstractmethod
    def usable(self) -> NDArray[np.int64]:
        """Places of those that there is something to learn from."""

    @abstractmethod
    def loss(
        self, columns_BCG: Tensor, places: NDArray[np.int64], goals: Goals, scales: tuple[GoalScale, ...]
    ) -> Tensor:
        """The mean loss of what a ranker says of the examples at the places."""

    @abstractmethod
    def figures(self, columns: Columns, places: NDArray[np.int64], scales: tuple[GoalScale, ...]) -> dict[str, float]:
        """How good what it says of them is; ``chosen_by`` is among them, and the higher the better."""

    @abstractmethod
    def outcomes(
        self, columns: Columns, places: NDArray[np.int64], scales: tuple[GoalScale, ...]
    ) -> dict[str, Outcomes]:
        """By the name of each goal that is an event, what it says of all that was observed at the places, one row for
        each candidate; the places need not be usable."""
