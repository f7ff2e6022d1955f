"""An autoencoder of histories with a multinomial likelihood (Mult-VAE: Liang et al., 2018, arXiv:1802.05814)."""

import torch
from scipy import sparse
from torch import Tensor, nn

from trainer.models.encoders.base import EncoderDataSpec
from trainer.models.encoders.history import HistoryEncoder, Representation, product
from trainer.recipe.encoders import AutoencoderConfig

_HIDDEN_FACTOR = 3


class AutoencoderEncoder(HistoryEncoder):
    """Histories are read by the encoder's first layer, which has a row for each item. The decoder's last layer holds
    the item vectors. Without a weight on the divergence it is the denoising Mult-DAE.
    """

    config = AutoencoderConfig

    def __init__(self, config: AutoencoderConfig, spec: EncoderDataSpec) -> None:
        super().__init__(config, spec)
        self._config = config
        hidden, width = _HIDDEN_FACTOR * config.dimension, config.dimension - 1
        self.read_NI = nn.Parameter(torch.empty(spec.items, hidden))
        self.written_ND = nn.Parameter(torch.zeros(spec.items, width + 1))
        self.bias = nn.Parameter(torch.zeros(hidden))
        self.mean, self.log_variance = nn.Linear(hidden, width), nn.Linear(hidden, width)
        self.dropout = nn.Dropout(config.dropout)
        nn.init.xavier_normal_(self.read_NI)
        nn.init.xavier_normal_(self.written_ND[:, :width])
        nn.init.normal_(self.log_variance.weight, std=0.001)

    def item_vectors(self, rows: Tensor | None = None) -> Tensor:
        """The decoder's weights, and its bias as the last component."""
        vectors_ND = self.written_ND.detach()
        return vectors_ND if rows is None else vectors_ND[rows]

    def item_inputs(self) -> Tensor:
        """See :class:`Encoder`."""
        return self.read_NI.detach()

    def represent(self, histories_BN: sparse.csr_array) -> Representation:
        """See :class:`HistoryEncoder`. Drops interactions, then samples around the mean."""
        kept = histories_BN.copy()
        kept.data = self.dropout(torch.from_numpy(kept.data)).numpy()
        root_B1 = torch.from_numpy(histories_BN.sum(axis=1)).float().clamp(min=1.0).sqrt()[:, None]
        hidden_BI = torch.tanh(product(kept, self.read_NI) / root_B1 + self.bias)
        mean_BD, log_variance_BD = self.mean(hidden_BI), self.log_variance(hidden_BI)
        if self._config.kl_weight == 0:
            return Representation(users=_with_one(mean_BD), items=self.written_ND, penalty=mean_BD.new_zeros(()))
        drawn_BD = mean_BD + torch.exp(0.5 * log_variance_BD) * torch.randn_like(mean_BD)
        divergence_B = 0.5 * (mean_BD.square() + log_variance_BD.exp() - 1.0 - log_variance_BD).sum(dim=-1)
        penalty = self._config.kl_weight * divergence_B.sum() / float(histories_BN.sum())
        return Representation(users=_with_one(drawn_BD), items=self.written_ND, penalty=penalty)

    def of_history(
        self, history_vectors: Tensor, history_values: Tensor, history_events: Tensor, history_mask: Tensor
    ) -> Tensor:
        """See :class:`Encoder`."""
        root_B1 = history_mask.sum(dim=1, keepdim=True).clamp(min=1.0).sqrt()
        hidden_BI = torch.tanh((history_vectors * history_mask[..., None]).sum(dim=1) / root_B1 + self.bias)
        return _with_one(self.mean(hidden_BI))


def _with_one(vectors_BD: Tensor) -> Tensor:
    """Appends a component of 1, which multiplies the biases of the items."""
    return torch.cat([vectors_BD, torch.ones_like(vectors_BD[:, :1])], dim=-1)
