"""The neural tensor network with an MLP (Socher et al., 2013; as a recommender, the text that this project grew from).

h_k = e_uᵀ T_k e_i for K slices, then an MLP over [e_u, e_i, h] and the features, on top of the dot product and a linear
part: the network learns what those two leave unsaid.

The first layer W_u e_u + W_i e_i + W_h h equals (W_i + W_h (e_uᵀT)) e_i + W_u e_u: one matrix for each user, then one
product with the candidates, which costs a candidate no more than a layer without the tensor.

Legend of shapes: B users, H interactions, C candidates, D components, K slices, M hidden units, X features.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from shortlist.bundle.transitions import FEATURE_COUNT as TRANSITION_FEATURES
from trainer.rankers.base import Ranker, RankerSizes
from trainer.rankers.crossing import MATCH_FEATURES, SIMILARITY_FEATURES, match_features, similarity_features
from trainer.recipe import Ranker as RankerRecipe

_PROBABILITIES = 4
_LEAST_PROBABILITY = 1e-4
_LEAST_SPREAD = 1e-3
_MOST_DEVIATIONS = 8.0
_LAST_HIDDEN = 32
_OWN_FEATURES = 2
_HISTORY_FEATURES = 2


class NtnMlpRanker(Ranker):
    """Tensor interaction + MLP on top of dot product and linear features."""

    def __init__(self, recipe: RankerRecipe, sizes: RankerSizes) -> None:
        super().__init__()
        self.sizes = sizes
        width, hidden = sizes.dimension, recipe.hidden
        count = TRANSITION_FEATURES + SIMILARITY_FEATURES + MATCH_FEATURES + _OWN_FEATURES + _HISTORY_FEATURES
        count += int(sizes.statistics.sum())
        self.tensor_KDD = nn.Parameter(torch.randn(recipe.slices, width, width) * 0.02)
        self.from_user, self.from_item = nn.Linear(width, hidden), nn.Linear(width, hidden, bias=False)
        self.from_tensor = nn.Linear(recipe.slices, hidden, bias=False)
        self.from_features = nn.Linear(count, hidden, bias=False)
        self.from_user_features = nn.Linear(sizes.user_features, hidden, bias=False)
        self.second = nn.Linear(hidden, _LAST_HIDDEN)
        self.heads = nn.Linear(_LAST_HIDDEN, len(sizes.heads))
        self.linear = nn.Linear(count, 1)
        self.dot = nn.Parameter(torch.ones(()))
        nn.init.zeros_(self.heads.weight)
        nn.init.zeros_(self.linear.weight)
        self.dropout, self.user_dropout = nn.Dropout(recipe.dropout), nn.Dropout(recipe.user_dropout)
        self._register_scales(count)

    def _register_scales(self, count: int) -> None:
        self.mean_X: Tensor
        self.std_X: Tensor
        self.user_scale: Tensor
        self.statistics_FS: Tensor
        self.content: Tensor
        self.register_buffer("mean_X", torch.zeros(count))
        self.register_buffer("std_X", torch.ones(count))
        self.register_buffer("user_scale", torch.ones(()))
        # A product with ones picks columns at a fraction of what ONNX Runtime's gather along the last axis costs.
        chosen = torch.from_numpy(self.sizes.statistics).nonzero()[:, 0]
        self.register_buffer("statistics_FS", F.one_hot(chosen, len(self.sizes.statistics)).T.float())
        self.register_buffer("content", torch.from_numpy(self.sizes.content).float())

    def forward(
        self,
        user_vectors: Tensor,
        user_features: Tensor,
        history_vectors: Tensor,
        history_features: Tensor,
        history_values: Tensor,
        history_mask: Tensor,
        candidate_vectors: Tensor,
        candidate_features: Tensor,
        candidate_transitions: Tensor,
        candidate_scores: Tensor,
        candidate_places: Tensor,
    ) -> Tensor:
        """See :class:`Ranker`."""
        raw_BCX = self._features(
            history_vectors,
            history_features,
            history_values,
            history_mask,
            candidate_vectors,
            candidate_features,
            candidate_transitions,
            candidate_scores,
            candidate_places,
        )
        features_BCX = ((raw_BCX - self.mean_X) / self.std_X).clamp(-_MOST_DEVIATIONS, _MOST_DEVIATIONS)
        first_BCM = self._first_layer(user_vectors, user_features, candidate_vectors, features_BCX)
        outputs = self.heads(self.dropout(F.relu(self.second(self.dropout(F.relu(first_BCM))))))
        like_BC1 = self.dot * candidate_scores[..., None] + self.linear(features_BCX) + outputs[..., :1]
        values = outputs[..., 1:] * self.sizes.value_std + self.sizes.value_mean
        return torch.cat([like_BC1, values], dim=-1)

    @torch.no_grad()
    def calibrate(self, inputs: dict[str, Tensor]) -> None:
        """See :class:`Ranker`."""
        own = ("user_vectors", "user_features")
        features_BCX = self._features(**{name: tensor for name, tensor in inputs.items() if name not in own})
        flat = features_BCX.flatten(0, 1)
        self.mean_X.copy_(flat.mean(0))
        # A column that hardly varies in the sample may vary later: left unscaled, it cannot explode then.
        spread = flat.std(0)
        self.std_X.copy_(torch.where(spread > _LEAST_SPREAD, spread, 1.0))
        self.user_scale.copy_(inputs["user_vectors"].abs().mean())

    def _first_layer(
        self, user_vectors: Tensor, user_features: Tensor, candidate_vectors: Tensor, features_BCX: Tensor
    ) -> Tensor:
        """One product ``[B, C, M]`` of all that is known of a candidate with the user's own matrix."""
        user_BD = self.user_dropout(user_vectors / self.user_scale)
        slices, width, _ = self.tensor_KDD.shape
        slices_BKD: Tensor = (user_BD @ self.tensor_KDD.transpose(0, 1).reshape(width, -1)).view(-1, slices, width)
        folded_BMD = (self.from_item.weight + self.from_tensor.weight @ slices_BKD) / self.sizes.vector_scale
        features_BMX = self.from_features.weight.expand(user_BD.shape[0], -1, -1)
        weights_BMY = torch.cat([folded_BMD, features_BMX], dim=-1)
        of_user_BM = self.from_user(user_BD) + self.from_user_features(user_features)
        of_candidate_BCM = torch.cat([candidate_vectors, features_BCX], dim=-1) @ weights_BMY.transpose(1, 2)
        first_BCM: Tensor = of_candidate_BCM + of_user_BM[:, None]
        return first_BCM

    def _features(
        self,
        history_vectors: Tensor,
        history_features: Tensor,
        history_values: Tensor,
        history_mask: Tensor,
        candidate_vectors: Tensor,
        candidate_features: Tensor,
        candidate_transitions: Tensor,
        candidate_scores: Tensor,
        candidate_places: Tensor,
    ) -> Tensor:
        values_BH = self._standardised(history_values)
        probabilities = candidate_transitions[..., :_PROBABILITIES]
        own_BC2 = torch.stack([candidate_scores, torch.log1p(candidate_places)], dim=-1)
        history_BC2 = _of_history(values_BH, history_mask)[:, None].expand(-1, candidate_scores.shape[1], -1)
        parts = [
            torch.log(probabilities + _LEAST_PROBABILITY),
            candidate_transitions[..., _PROBABILITIES:],
            similarity_features(candidate_vectors, history_vectors, history_mask),
            match_features(candidate_features, history_features, values_BH, history_mask, self.content),
            candidate_features @ self.statistics_FS,
            own_BC2,
            history_BC2,
        ]
        return torch.cat(parts, dim=-1)

    def _standardised(self, values_BH: Tensor) -> Tensor:
        standardised = (values_BH - self.sizes.value_mean) / self.sizes.value_std
        return torch.where(torch.isnan(values_BH), 0.0, standardised)


def _of_history(values_BH: Tensor, mask_BH: Tensor) -> Tensor:
    """Mean value and length of the history, ``[B, 2]``: what they cross with is up to the MLP."""
    length_B = mask_BH.sum(-1)
    return torch.stack([(values_BH * mask_BH).sum(-1) / length_B.clamp(min=1.0), torch.log1p(length_B)], dim=-1)
