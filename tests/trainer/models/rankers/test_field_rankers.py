"""Rankers over fields: what each computes is its paper's formula."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from shortlist.bundle.ranker_columns import CATEGORICAL, ContextColumn
from tests.trainer.configs import ranker_config
from trainer.data.dataset import Features
from trainer.features.layout import FeatureLayout, TableColumns, width_of
from trainer.models.rankers import RankerDataSpec, RankerFeatures
from trainer.models.rankers.dcn_v2 import DcnV2
from trainer.models.rankers.fields import Fields, FieldVectors
from trainer.models.rankers.final_mlp import FinalMlp
from trainer.models.rankers.objectives import Objectives
from trainer.models.rankers.wide_deep import WideDeep
from trainer.models.rankers.xdeepfm import XDeepFm
from trainer.recipe import ObjectiveConfig
from trainer.recipe.rankers import XDeepFmConfig

RECIPE = XDeepFmConfig(hidden=6, slices=3, layers=2, field_width=4)
SIZES = RankerDataSpec(
    dimension=5,
    layout=FeatureLayout(
        items=TableColumns(widths={"genre": 4, "year": 1}, is_category=np.array([True, True, True, True, False])),
        users=TableColumns(widths={"country": 3}, is_category=np.ones(3, dtype=np.bool_)),
        statistics=("count", "likes"),
        context=(ContextColumn(name="device", kind=CATEGORICAL, categories=("phone", "tv")),),
    ),
    vector_scale=2.0,
    value_mean=0.0,
    value_std=1.0,
    objectives=Objectives.declared({"like": ObjectiveConfig(), "value": ObjectiveConfig(kind="value")}),
)
OF_USER, OF_CANDIDATE = 2 + 3, 1 + 2 + 7
"""User, history, country, known, device; candidate, genre, year and the seven groups that cross."""


@pytest.fixture(autouse=True)
def seeded() -> None:
    """The same weights at each run."""
    torch.manual_seed(0)


@pytest.fixture
def features() -> RankerFeatures:
    """Two users, the second without a history, and three candidates each."""
    return RankerFeatures(
        user_BD=torch.randn(2, 5),
        user_context_BU=torch.randn(2, width_of(SIZES.user_context)),
        candidates_BCD=torch.randn(2, 3, 5),
        items_BCF=torch.randn(2, 3, width_of(SIZES.items)),
        crossing_BCX=torch.randn(2, 3, width_of(SIZES.crossing)),
        history_BHD=torch.randn(2, 4, 5) * torch.tensor([1.0, 0.0])[:, None, None],
        history_items_BHF=torch.zeros(2, 4, width_of(SIZES.items)),
        values_BH=torch.zeros(2, 4),
        mask_BH=torch.tensor([[1.0, 1.0, 1.0, 0.0], [0.0, 0.0, 0.0, 0.0]]),
    )


def same(one: Tensor, other: Tensor) -> None:
    """Equal but for the order of additions."""
    torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_a_field_is_a_map_of_its_own_columns(features: RankerFeatures) -> None:
    """Proves that another group's columns say nothing in a field, and that what is of the user is there once."""
    fields = Fields(RECIPE, SIZES).eval()
    found = fields(features)
    assert found.user_B1Y.shape == (2, 1, OF_USER * 4)
    assert found.together().shape == (2, 3, (OF_USER + OF_CANDIDATE) * 4)
    changed = features.items_BCF.clone()
    changed[..., SIZES.items["genre"]] += 1.0
    other = fields(replace(features, items_BCF=changed)).together() != found.together()
    fields_with_a_change = other.view(2, 3, -1, 4).any(-1).all(0).all(0).nonzero().flatten()
    assert fields_with_a_change.tolist() == [OF_USER + 1]


@torch.no_grad()
def test_a_field_of_which_nothing_is_known_is_its_default(features: RankerFeatures) -> None:
    """Proves that zeros, of a stranger as of an empty history, become what was learnt for them."""
    fields = Fields(RECIPE, SIZES).eval()
    for weights in fields.parameters():
        weights.normal_()
    found = fields(replace(features, user_context_BU=torch.zeros_like(features.user_context_BU))).user_B1Y.view(
        2, OF_USER, 4
    )
    defaults = dict(fields.named_parameters())
    same(found[0, 2:].flatten(), defaults["of_user.user_context.bias_Y"])
    same(found[1, 1], defaults["of_user.history.bias_Y"])
    mean = features.history_BHD[0, :3].mean(0) / SIZES.vector_scale
    same(found[0, 1], mean @ defaults["of_user.history.weights.0"] + defaults["of_user.history.bias_Y"])


@torch.no_grad()
def test_the_wide_part_has_a_weight_for_each_pair(features: RankerFeatures) -> None:
    """Proves that it is the sum over pairs of a user's and an item's column, beside the item's columns alone."""
    backbone = WideDeep(ranker_config(RECIPE, "wide_deep"), SIZES)
    backbone.pairs_GUF.normal_()
    backbone.alone_G1F.normal_()
    pairs = torch.einsum("bu,bcf,guf->bcg", features.user_context_BU, features.items_BCF, backbone.pairs_GUF)
    same(backbone.wide(features), pairs + features.items_BCF @ backbone.alone_G1F[:, 0].T)
    same(backbone.eval()(features)[..., -2:], backbone.wide(features))


@torch.no_grad()
def test_the_compressed_interaction_is_its_formula(features: RankerFeatures) -> None:
    """Proves x_h = Σ_ij W_hij x'_i ∘ f_j with W_h = u_h v_hᵀ, for both layers, and that the sums are over numbers."""
    backbone = XDeepFm(RECIPE, SIZES).eval()
    fields_BCY = backbone.fields(features).together()
    fields_BCNE = maps = fields_BCY.view(2, 3, -1, 4)
    for layer, found in enumerate(backbone.crossed(fields_BCY)):
        weights = torch.einsum("hi,hj->hij", *(part[layer].weight for part in (backbone.of_maps, backbone.of_fields)))
        maps = torch.einsum("hij,bcie,bcje->bche", weights, maps, fields_BCNE)
        same(found, maps.sum(-1))
    assert layer == 1


@torch.no_grad()
def test_a_cross_layer_is_its_formula(features: RankerFeatures) -> None:
    """Proves x_{l+1} = x_0 ∘ (U Vᵀ x_l + b) + x_l, through both layers."""
    backbone = DcnV2(ranker_config(RECIPE, "dcn_v2"), SIZES).eval()
    start = crossed = backbone.fields(features).together()
    weights = dict(backbone.layers.named_parameters())
    for layer in range(2):
        full = weights[f"{layer}.1.weight"] @ weights[f"{layer}.0.weight"]
        crossed = start * (crossed @ full.T + weights[f"{layer}.1.bias"]) + crossed
    same(backbone.crossed(start), crossed)
    same(backbone(features)[..., 6:], crossed)


@torch.no_grad()
def test_the_fusion_is_bilinear_in_each_head() -> None:
    """Proves that the terms of a head sum to o_1ᵀ W_k o_2 of its share of the units."""
    backbone = FinalMlp(ranker_config(RECIPE, "final_mlp"), SIZES)
    first, second = torch.randn(2, 3, 6), torch.randn(2, 3, 6)
    heads = backbone.fused(first, second).view(2, 3, 3, 2).sum(-1)
    same(heads, torch.einsum("bckm,kmn,bckn->bck", first.view(2, 3, 3, 2), backbone.heads_KMM, second.view(2, 3, 3, 2)))


@torch.no_grad()
def test_each_stream_is_gated_by_its_own_side(features: RankerFeatures) -> None:
    """Proves that the first stream's gates are the user's, alike for all candidates, and the second's are not."""
    backbone, given = FinalMlp(ranker_config(RECIPE, "final_mlp"), SIZES).eval(), list[FieldVectors]()
    for stream in (backbone.first, backbone.second):
        stream.register_forward_pre_hook(lambda _, inputs: given.extend(inputs))
    backbone(features)
    gates = given[0].candidate_BCY / backbone.fields(features).candidate_BCY
    same(gates, gates[:, :1].expand_as(gates))
    assert 0 < gates.min() < gates.max() < 2
    assert not torch.allclose(given[1].user_B1Y[:, 0], given[1].user_B1Y[:, 1])


def test_a_column_of_two_kinds_is_two_groups() -> None:
    """Proves that none of the features is lost, as all rankers count them by their groups."""
    features = Features(
        names=("year=1", "year=2", "genre=a", "year", "year[0]"),
        kinds=("categorical", "categorical", "categorical", "numeric", "numeric"),
        matrix=np.zeros((1, 5), dtype=np.float32),
    )
    assert list(features.columns.values()) == [slice(0, 2), slice(2, 3), slice(3, 5)]
