"""The base of sequence encoders. A subclass turns a history into states."""

from abc import abstractmethod

from torch import Tensor, nn
from torch.nn import functional as F

from trainer.models.encoders.base import Encoder, EncoderDataSpec, ItemContent
from trainer.models.encoders.item_vectors import EventInputs, ItemVectors, embedding
from trainer.recipe.models import SequenceConfig

_INTENT_STD = 0.02


class SequenceEncoder(Encoder):
    """An encoder that learns the next item from every place of a history. Its inputs are the item vectors."""

    trained_by = "next_item"

    def __init__(self, config: SequenceConfig, spec: EncoderDataSpec) -> None:
        super().__init__(config, spec, reads_features=config.history_dropout > 0)
        self._of_length_one = config.loss == "ccl"
        self.items = ItemVectors(spec, config.dimension, config.id_dropout)
        self.events = EventInputs(spec, config.dimension)
        self.dropout = nn.Dropout(config.dropout)
        self.intent = embedding(2, config.dimension, _INTENT_STD)

    def item_vectors(self, rows: Tensor | None = None) -> Tensor:
        """See :class:`Encoder`. The id embedding plus the features' part; of length one for cosines."""
        return self._scaled(self.items(rows))

    def of_content(self, features_MF: Tensor) -> ItemContent:
        """See :class:`Encoder`. The features' part alone."""
        vectors_MD = self._scaled(self.items.content(features_MF))
        return ItemContent(vectors=vectors_MD, inputs=vectors_MD)

    def _scaled(self, vectors: Tensor) -> Tensor:
        return F.normalize(vectors, dim=-1) if self._of_length_one else vectors

    def item_tables(self) -> list[nn.Parameter]:
        """The weights with a row for each item, ``[N, ...]``.

        Their gradients are sparse when :meth:`item_vectors` is given rows.
        """
        return self.items.tables()

    @abstractmethod
    def states(self, vectors_BLD: Tensor, values_BL: Tensor, events_BL: Tensor, mask_BL: Tensor, asked: int) -> Tensor:
        """The user's state after each of the last ``asked`` interactions, ``[B, asked, D]``.

        A place never looks to its right. Training asks for all places, serving for the latest, often at far less cost.
        """

    def queries(self, states: Tensor, liked: Tensor) -> Tensor:
        """From states ``[..., D]`` to vectors for the next item, given whether it is liked (bool ``[...]``)."""
        wanted: Tensor = self.intent(liked.long())
        return states + wanted

    def of_history(
        self, history_vectors: Tensor, history_values: Tensor, history_events: Tensor, history_mask: Tensor
    ) -> Tensor:
        """See :class:`Encoder`."""
        last_BD = self.states(history_vectors, history_values, history_events, history_mask, asked=1)[:, 0]
        return self.queries(last_BD, last_BD.new_ones(last_BD.shape[:-1]).bool())
