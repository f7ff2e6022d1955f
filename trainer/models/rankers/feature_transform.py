"""From a ranker's inputs to a backbone's features: crossed with the history, and on one scale."""

import torch
from torch import Tensor, nn

from shortlist.bundle.item_item import COOCCURRENCE, SLIM
from trainer.features.layout import ID_EMBEDDINGS, width_of
from trainer.models.rankers.base import RankerDataSpec, RankerFeatures
from trainer.models.rankers.crossing import MATCH_FEATURES, id_embedding_features, match_features, similarity_features

_LEAST_PROBABILITY = 1e-4
_LEAST_SPREAD = 1e-3
_MOST_DEVIATIONS = 8.0


class FeatureTransform(nn.Module):
    """Transforms the inputs of B users with C candidates each; a sample of the training data sets the scales."""

    def __init__(self, spec: RankerDataSpec) -> None:
        super().__init__()
        self.spec, self.layout, count = spec, spec.layout, width_of(spec.crossing)
        self.mean_X: Tensor
        self.std_X: Tensor
        self.user_scale: Tensor
        self.statistics_FS: Tensor
        self.content_F: Tensor
        self.register_buffer("mean_X", torch.zeros(count))
        self.register_buffer("std_X", torch.ones(count))
        self.register_buffer("user_scale", torch.ones(()))
        # A product with ones picks columns at a fraction of what ONNX Runtime's gather along the last axis costs.
        self.register_buffer(
            "statistics_FS", torch.eye(width_of(self.layout.item_groups))[:, : self.layout.point_in_time]
        )
        self.register_buffer("content_F", torch.from_numpy(self.layout.is_category).float())

    def forward(self, inputs: dict[str, Tensor]) -> RankerFeatures:
        """The inputs are those of :class:`trainer.models.rankers.ranker.Ranker`."""
        raw_BCX = self._raw(inputs)
        crossing_BCX = ((raw_BCX - self.mean_X) / self.std_X).clamp(-_MOST_DEVIATIONS, _MOST_DEVIATIONS)
        described = slice(self.layout.point_in_time, None)
        return RankerFeatures(
            user_BD=inputs["user_vectors"] / self.user_scale,
            user_context_BU=self._user_context(inputs),
            candidates_BCD=inputs["candidate_vectors"],
            items_BCF=inputs["candidate_features"][..., described],
            crossing_BCX=crossing_BCX,
            history_BHD=inputs["history_vectors"],
            history_items_BHF=inputs["history_features"][..., described],
            values_BH=self._standardised(inputs["history_values"]),
            mask_BH=inputs["history_mask"],
        )

    @torch.no_grad()
    def scale_by(self, inputs: dict[str, Tensor]) -> None:
        """Takes the scales from a sample, before the first step."""
        flat = self._raw(inputs).flatten(0, 1)
        self.mean_X.copy_(flat.mean(0))
        # A column that hardly varies in the sample may vary later. Unscaled, it cannot explode then.
        spread = flat.std(0)
        self.std_X.copy_(torch.where(spread > _LEAST_SPREAD, spread, 1.0))
        self.user_scale.copy_(inputs["user_vectors"].abs().mean().clamp(min=_LEAST_SPREAD))

    def _user_context(self, inputs: dict[str, Tensor]) -> Tensor:
        if not self.layout.context:
            return inputs["user_features"]
        return torch.cat([inputs["user_features"], inputs["context"]], dim=-1)

    def _raw(self, inputs: dict[str, Tensor]) -> Tensor:
        candidates_BCD, items_BCF = inputs["candidate_vectors"], inputs["candidate_features"]
        item_item_BCX, scores_BC = inputs["candidate_item_item"], inputs["candidate_scores"]
        values_BH, mask_BH = self._standardised(inputs["history_values"]), inputs["history_mask"]
        places_BC = torch.log1p(inputs["candidate_places"]) * float(self.spec.of_lists)
        retrieval_BC2 = torch.stack([scores_BC, places_BC], dim=-1)
        history_BC2 = _history_summary(values_BH, mask_BH)[:, None].expand(-1, scores_BC.shape[1], -1)
        parts = [
            torch.log(item_item_BCX[..., COOCCURRENCE] + _LEAST_PROBABILITY),
            item_item_BCX[..., SLIM],
            similarity_features(candidates_BCD, inputs["history_vectors"], mask_BH),
            self._matches(items_BCF, inputs["history_features"], values_BH, mask_BH),
            *self._id_embeddings(items_BCF, inputs["history_features"], mask_BH),
            items_BCF @ self.statistics_FS,
            retrieval_BC2,
            history_BC2,
        ]
        return torch.cat(parts, dim=-1)

    def _id_embeddings(self, items_BCF: Tensor, history_BHF: Tensor, mask_BH: Tensor) -> list[Tensor]:
        columns = self.layout.item_groups.get(ID_EMBEDDINGS)
        if columns is None:
            return []
        return [id_embedding_features(items_BCF[..., columns], history_BHF[..., columns], mask_BH)]

    def _matches(self, items_BCF: Tensor, history_BHF: Tensor, values_BH: Tensor, mask_BH: Tensor) -> Tensor:
        if not self.layout.is_category.any():
            return torch.zeros_like(items_BCF[..., :1]).expand(-1, -1, MATCH_FEATURES)
        # Id embeddings are no categories, and no gradient has to flow through them here.
        end = self.layout.item_table.stop
        return match_features(items_BCF[..., :end], history_BHF[..., :end], values_BH, mask_BH, self.content_F[:end])

    def _standardised(self, values_BH: Tensor) -> Tensor:
        standardised = (values_BH - self.spec.value_mean) / self.spec.value_std
        return torch.where(torch.isnan(values_BH), 0.0, standardised)


def _history_summary(values_BH: Tensor, mask_BH: Tensor) -> Tensor:
    """The mean value and the length of the history, ``[B, 2]``; the backbone crosses them with the candidate."""
    length_B = mask_BH.sum(-1)
    return torch.stack([(values_BH * mask_BH).sum(-1) / length_B.clamp(min=1.0), torch.log1p(length_B)], dim=-1)
