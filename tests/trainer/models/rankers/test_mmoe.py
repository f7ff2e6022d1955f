"""The mixture of experts, on objectives of which one wants what the other avoids."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from tests.trainer.configs import ranker_config
from tests.trainer.planted_views import ITEMS, accuracy, features_of, spec_of, trained
from trainer.analysis.measurement import evaluate_two_stage
from trainer.data import Dataset
from trainer.data.split import Split
from trainer.export.onnx_files import export_ranker
from trainer.models.pipeline import TrainedPipeline
from trainer.models.rankers import MixtureOfExperts, RankerFeatures, SharedBackbone
from trainer.models.registry import BACKBONES, build_ranker
from trainer.progress import Reporter
from trainer.protocols.next_like import next_like_task
from trainer.recipe import RankerConfig, Recipe
from trainer.recipe.rankers import CnnConfig
from trainer.training.two_stage import fit_ranker

RECIPE = CnnConfig(experts=3, hidden=16, dropout=0.0, user_dropout=0.0)
USERS, CANDIDATES = 200, 4


def known_items(seed: int) -> tuple[RankerFeatures, Tensor]:
    """One objective wants the candidates that were in the latest three of a history, the other all but those."""
    random = torch.Generator().manual_seed(seed)
    rows_BN = torch.rand(USERS, ITEMS, generator=random).argsort(1)
    candidates_BC, history_BH = rows_BN[:, :CANDIDATES], rows_BN[:, CANDIDATES // 2 : CANDIDATES // 2 + 3]
    known_BC = (candidates_BC[..., None] == history_BH[:, None]).any(-1).float()
    return features_of(history_BH, candidates_BC), torch.stack([known_BC, 1 - known_BC], dim=-1)


def mixture(recipe: RankerConfig, objectives: tuple[str, ...]) -> MixtureOfExperts:
    """The mixture of a fresh ranker."""
    torch.manual_seed(0)
    towers = build_ranker(recipe, spec_of(objectives)).towers
    assert isinstance(towers, MixtureOfExperts)
    return towers.eval()


def test_objectives_that_contradict_each_other_are_both_learnt() -> None:
    """Proves that one model learns, of pairs it never met, what one objective wants and the other avoids."""
    towers = trained(RECIPE, *known_items(0), 60)
    assert accuracy(towers, *known_items(1)).min() > 0.9


@pytest.mark.parametrize(
    ("objectives", "taken"),
    [
        (("like",), [[1, 1, 1]]),
        (("like", "skip"), [[1, 0, 1], [0, 1, 1]]),
        (("like", "skip", "watch"), [[1, 1, 1], [1, 1, 1], [1, 1, 1]]),
    ],
)
def test_the_gates_of_an_objective_sum_to_one(objectives: tuple[str, ...], taken: list[list[int]]) -> None:
    """Proves that an objective takes shares of the experts, its own for each objective: of one that is its alone where
    there are more experts than objectives, and of none that is another's; and that one objective alone works."""
    towers, (features, _) = mixture(RECIPE, objectives), known_items(0)
    gates_BCGK = towers.gates(features)
    assert gates_BCGK.shape == (USERS, CANDIDATES, len(objectives), 3)
    assert ((gates_BCGK > 0) == torch.tensor(taken)).all()
    torch.testing.assert_close(gates_BCGK.sum(-1), torch.ones(USERS, CANDIDATES, len(objectives)))
    assert towers(features).shape == (USERS, CANDIDATES, len(objectives))
    assert len(objectives) == 1 or (gates_BCGK[:, :, 0] - gates_BCGK[:, :, 1]).abs().max() > 1e-3


def test_the_mixture_equals_its_formula() -> None:
    """Proves y_g = tower_g(Σ_k gate_gk expert_k), written out objective by objective and expert by expert."""
    towers, (features, _) = mixture(RECIPE, ("like", "skip")), known_items(0)
    for tower in towers.towers:
        torch.nn.init.normal_(tower.get_parameter("2.weight"))
    gates_BCGK, columns_BCG = towers.gates(features), towers(features)
    experts = [expert(features) for expert in towers.experts]
    assert (experts[0] - experts[1]).abs().max() > 1e-3
    for objective, tower in enumerate(towers.towers):
        mixed_BCM = sum(gates_BCGK[:, :, objective, place, None] * expert for place, expert in enumerate(experts))
        torch.testing.assert_close(columns_BCG[..., objective], tower(mixed_BCM)[..., 0])


def test_an_objective_begins_with_what_it_has_to_itself() -> None:
    """Proves that before the first step an objective takes most of its own expert and some of the shared one."""
    towers, (features, _) = mixture(RECIPE, ("like", "skip")), known_items(0)
    own = torch.stack([towers.gates(features)[:, :, objective, objective].mean() for objective in range(2)])
    assert ((own > 0.75) & (own < 0.99)).all()


def test_what_an_objective_has_to_itself_is_shaped_by_no_other() -> None:
    """Proves that no other objective's gradient reaches an objective's own expert; both reach the shared one."""
    towers, (features, _) = mixture(RECIPE, ("like", "skip")), known_items(0)
    for tower in towers.towers:
        torch.nn.init.normal_(tower.get_parameter("2.weight"))
    towers(features)[..., 0].sum().backward()
    assert [_moved(expert) for expert in towers.experts] == [True, False, True]


def _moved(expert: torch.nn.Module) -> bool:
    return any(one.grad is not None and bool(one.grad.any()) for one in expert.parameters())


@pytest.mark.parametrize("name", BACKBONES)
def test_experts_are_bodies_of_the_name_in_the_recipe(fitted: TrainedPipeline, name: str) -> None:
    """Proves that any backbone can be an expert, and that one expert is the backbone alone."""
    recipe = ranker_config(RECIPE, name)
    towers = build_ranker(recipe, fitted.ranker.spec).towers
    assert isinstance(towers, MixtureOfExperts)
    kind = type(BACKBONES[name](recipe, fitted.ranker.spec))
    assert [type(expert) for expert in towers.experts] == [kind] * 3
    assert isinstance(build_ranker(replace(recipe, experts=1), fitted.ranker.spec).towers, SharedBackbone)


def test_what_was_planted_is_learnt_and_exported(
    fitted: TrainedPipeline, planted: Dataset, split: Split, recipe: Recipe, reporter: Reporter, tmp_path: Path
) -> None:
    """Proves that a mixture ranks as well as a backbone alone does, and that its export says the same."""
    mixed = replace(recipe, ranker=replace(recipe.ranker, experts=3))
    model, _ = fit_ranker(fitted.encoded, planted, split, mixed, seed=0, reporter=reporter)
    figures = evaluate_two_stage(model, next_like_task(planted, split))
    assert figures["two_stage"]["ndcg@10"] > 0.8
    export_ranker(model, tmp_path / "ranker.onnx")
