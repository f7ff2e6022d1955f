"""The base of backbones that read the history event by event: the reading of items, and the final MLP."""

from abc import abstractmethod

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from trainer.features.layout import width_of
from trainer.models.rankers.base import Backbone, RankerDataSpec, RankerFeatures
from trainer.recipe.models import RankerConfig

_LAST_HIDDEN = 32


class HistoryBackbone(Backbone):
    """A subclass derives the user's :meth:`interest` from the history; an MLP crosses it with the candidate.

    A candidate and an item of the history are read the same way: the encoder's vector and the features, projected to
    D. An event is its item plus a map of its value.
    """

    width = _LAST_HIDDEN

    def __init__(self, config: RankerConfig, spec: RankerDataSpec) -> None:
        super().__init__()
        width, features, hidden = spec.dimension, width_of(spec.items), config.hidden
        self.vector_scale = spec.vector_scale
        self.item = nn.Linear(width + features, width)
        self.norm = nn.LayerNorm(width)
        self.value = nn.Linear(1, width, bias=False)
        self.from_user, self.from_user_context = (
            nn.Linear(width, hidden),
            nn.Linear(width_of(spec.user_context), hidden, bias=False),
        )
        self.from_interest = nn.Linear(width, hidden, bias=False)
        self.from_candidate = nn.Linear(3 * width + width_of(spec.crossing) + features, hidden, bias=False)
        self.second = nn.Linear(hidden, _LAST_HIDDEN)
        self.dropout, self.user_dropout = nn.Dropout(config.dropout), nn.Dropout(config.user_dropout)

    @abstractmethod
    def interest(self, events_BHD: Tensor, items_BCD: Tensor, mask_BH: Tensor) -> Tensor:
        """The interest of each user, ``[B, 1, D]``, or of each user in each candidate, ``[B, C, D]``.

        Events of padding are zeros.
        """

    def forward(self, features: RankerFeatures) -> Tensor:
        """See :class:`Backbone`."""
        items_BCD, events_BHD = self.read(features.candidates_BCD, features.items_BCF), self.events(features)
        interest_BCD = self.interest(events_BHD, items_BCD, features.mask_BH)
        user_BD = self.user_dropout(features.user_BD)
        products_BCD = user_BD[:, None] * features.candidates_BCD / self.vector_scale
        known_BCY = torch.cat(
            [items_BCD, products_BCD, interest_BCD * items_BCD, features.crossing_BCX, features.items_BCF], dim=-1
        )
        of_user_BM = self.from_user(user_BD) + self.from_user_context(features.user_context_BU)
        # Inputs shared by all candidates of a user go through their layers once.
        first_BCM = self.from_candidate(known_BCY) + self.from_interest(interest_BCD) + of_user_BM[:, None]
        hidden_BCM: Tensor = self.dropout(F.relu(self.second(self.dropout(F.relu(first_BCM)))))
        return hidden_BCM

    def events(self, features: RankerFeatures) -> Tensor:
        """The history, ``[B, H, D]``."""
        events_BHD = self.read(features.history_BHD, features.history_items_BHF) + self.value(
            features.values_BH[..., None]
        )
        masked_BHD: Tensor = self.dropout(events_BHD) * features.mask_BH[..., None]
        return masked_BHD

    def read(self, vectors_D: Tensor, features_F: Tensor) -> Tensor:
        """Items ``[..., D]`` from their vectors and features."""
        items_D: Tensor = self.norm(self.item(torch.cat([vectors_D / self.vector_scale, features_F], dim=-1)))
        return items_D
