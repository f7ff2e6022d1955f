"""LightGCN (He et al., 2020, arXiv:2002.02126) without embeddings of users: histories represent them.

With users that start at zero, items receive from items over users. A user receives the sum of the items' means over
their layers, each divided by the root of its degree. A user never seen in training therefore has exactly the vector
that the graph would have given them.
"""

import torch
from scipy import sparse
from torch import Tensor, nn
from torch.nn import functional as F

from trainer.models.encoders import losses
from trainer.models.encoders.base import EncoderDataSpec
from trainer.models.encoders.history import HistoryEncoder, Representation, normalised, product
from trainer.recipe.encoders import LightGCNConfig

_CONTRASTED = 2048
_CONTRAST_TEMPERATURE = 0.2


class LightGCNEncoder(HistoryEncoder):
    """Cosine scores, divided by a temperature. A layer here goes from the items to the users and back to the items.

    With noise, the layers are perturbed, and a contrastive loss pairs each item's first layer with its last (XSimGCL:
    Yu et al., 2022, arXiv:2209.02544).
    """

    config = LightGCNConfig

    def __init__(self, config: LightGCNConfig, spec: EncoderDataSpec) -> None:
        super().__init__(config, spec)
        self._config = config
        self.ids = nn.Parameter(0.1 * torch.randn(spec.items, config.dimension))
        self.items_ND: Tensor
        self.root_degree_N1: Tensor
        self.register_buffer("items_ND", self.ids.detach().clone())
        self.register_buffer("root_degree_N1", torch.ones(spec.items, 1))
        self._edges_UN = sparse.csr_array((0, spec.items), dtype="float32")

    def item_vectors(self, rows: Tensor | None = None) -> Tensor:
        """See :class:`Encoder`."""
        return F.normalize(self.items_ND if rows is None else self.items_ND[rows], dim=-1)

    def item_inputs(self) -> Tensor:
        """See :class:`Encoder`."""
        return self.items_ND / self.root_degree_N1

    def begin(self, histories_UN: sparse.csr_array) -> None:
        """See :class:`HistoryEncoder`. Builds the graph."""
        self._edges_UN, self.root_degree_N1 = normalised(histories_UN)
        self.settle()

    def represent(self, histories_BN: sparse.csr_array) -> Representation:
        """See :class:`HistoryEncoder`."""
        layers = self._layers()
        items_ND = torch.stack(layers).mean(dim=0)
        users_BD = product(histories_BN, items_ND / self.root_degree_N1)
        return Representation(
            users=F.normalize(users_BD, dim=-1) / self._config.temperature,
            items=F.normalize(items_ND, dim=-1),
            penalty=self._contrast(layers[1], items_ND) if self._noisy else items_ND.new_zeros(()),
        )

    @torch.no_grad()
    def settle(self) -> None:
        """See :class:`HistoryEncoder`. Without noise, which belongs to training."""
        training = self.training
        self.items_ND = torch.stack(self.eval()._layers()).mean(dim=0)
        self.train(training)

    def of_history(
        self, history_vectors: Tensor, history_values: Tensor, history_events: Tensor, history_mask: Tensor
    ) -> Tensor:
        """See :class:`Encoder`."""
        users_BD = (history_vectors * history_mask[..., None]).sum(dim=1)
        return F.normalize(users_BD, dim=-1) / self._config.temperature

    @property
    def _noisy(self) -> bool:
        return self.training and self._config.noise > 0

    def _layers(self) -> list[Tensor]:
        layers: list[Tensor] = [self.ids]
        for _ in range(self._config.layers):
            users_UD = product(self._edges_UN, layers[-1])
            items_ND = product(self._edges_UN.T.tocsr(), users_UD)
            if self._noisy:
                direction_ND = F.normalize(torch.rand_like(items_ND), dim=-1)
                items_ND = items_ND + self._config.noise * items_ND.sign() * direction_ND
            layers.append(items_ND)
        return layers

    def _contrast(self, first_ND: Tensor, final_ND: Tensor) -> Tensor:
        rows = torch.randperm(len(final_ND))[:_CONTRASTED]
        pairs = losses.info_nce(first_ND[rows], final_ND[rows], _CONTRAST_TEMPERATURE)
        return self._config.contrast * pairs.mean()
