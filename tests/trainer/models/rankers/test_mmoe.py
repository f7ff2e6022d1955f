"""The mixture of experts, on goals of which one wants what the other avoids."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from tests.trainer.planted_views import ITEMS, accuracy, sizes_of, trained, view_of
from trainer.analysis.measurement import evaluate_two_stage
from trainer.data import Dataset
from trainer.data.split import Split
from trainer.export.onnx_files import export_ranker
from trainer.models.pipeline import TrainedPipeline
from trainer.models.rankers import BODIES, MixtureOfExperts, SharedBody, View, build_ranker
from trainer.progress import Reporter
from trainer.protocols.next_like import next_like_task
from trainer.recipe import Ranker as RankerRecipe
from trainer.recipe import Recipe
from trainer.training.two_stage import fit_two_stage

RECIPE = RankerRecipe(name="cnn", experts=3, hidden=16, dropout=0.0, user_dropout=0.0)
USERS, CANDIDATES = 200, 4


def known_items(seed: int) -> tuple[View, Tensor]:
    """One goal wants the candidates that were in the latest three of a history, the other all but those."""
    random = torch.Generator().manual_seed(seed)
    rows_BN = torch.rand(USERS, ITEMS, generator=random).argsort(1)
    candidates_BC, history_BH = rows_BN[:, :CANDIDATES], rows_BN[:, CANDIDATES // 2 : CANDIDATES // 2 + 3]
    known_BC = (candidates_BC[..., None] == history_BH[:, None]).any(-1).float()
    return view_of(history_BH, candidates_BC), torch.stack([known_BC, 1 - known_BC], dim=-1)


def mixture(recipe: RankerRecipe, goals: tuple[str, ...]) -> MixtureOfExperts:
    """Of a fresh ranker."""
    torch.manual_seed(0)
    towers = build_ranker(recipe, sizes_of(goals)).towers
    assert isinstance(towers, MixtureOfExperts)
    return towers.eval()


def test_goals_that_contradict_each_other_are_both_learnt() -> None:
    """Proves that one model tells, of candidates it never met together, what one goal wants and the other avoids."""
    towers = trained(RECIPE, *known_items(0), 60)
    assert accuracy(towers, *known_items(1)).min() > 0.9


@pytest.mark.parametrize(
    ("goals", "taken"),
    [
        (("like",), [[1, 1, 1]]),
        (("like", "skip"), [[1, 0, 1], [0, 1, 1]]),
        (("like", "skip", "watch"), [[1, 1, 1], [1, 1, 1], [1, 1, 1]]),
    ],
)
def test_the_gates_of_a_goal_sum_to_one(goals: tuple[str, ...], taken: list[list[int]]) -> None:
    """Proves that a goal takes shares of the experts, its own for each goal: of one that is its alone where there are
    more experts than goals, and of none that is another's; and that one goal alone works."""
    towers, (view, _) = mixture(RECIPE, goals), known_items(0)
    gates_BCGK = towers.gates(view)
    assert gates_BCGK.shape == (USERS, CANDIDATES, len(goals), 3)
    assert ((gates_BCGK > 0) == torch.tensor(taken)).all()
    torch.testing.assert_close(gates_BCGK.sum(-1), torch.ones(USERS, CANDIDATES, len(goals)))
    assert towers(view).shape == (USERS, CANDIDATES, len(goals))
    assert len(goals) == 1 or (gates_BCGK[:, :, 0] - gates_BCGK[:, :, 1]).abs().max() > 1e-3


def test_the_mixture_equals_its_formula() -> None:
    """Proves y_g = tower_g(Σ_k gate_gk expert_k), written out goal by goal and expert by expert."""
    towers, (view, _) = mixture(RECIPE, ("like", "skip")), known_items(0)
    for tower in towers.towers:
        torch.nn.init.normal_(tower.get_parameter("2.weight"))
    gates_BCGK, columns_BCG = towers.gates(view), towers(view)
    experts = [expert(view) for expert in towers.experts]
    assert (experts[0] - experts[1]).abs().max() > 1e-3
    for goal, tower in enumerate(towers.towers):
        mixed_BCM = sum(gates_BCGK[:, :, goal, place, None] * expert for place, expert in enumerate(experts))
        torch.testing.assert_close(columns_BCG[..., goal], tower(mixed_BCM)[..., 0])


def test_a_goal_begins_with_what_it_has_to_itself() -> None:
    """Proves that before the first step a goal takes most of its own expert and some of the shared one."""
    towers, (view, _) = mixture(RECIPE, ("like", "skip")), known_items(0)
    own = torch.stack([towers.gates(view)[:, :, goal, goal].mean() for goal in range(2)])
    assert ((own > 0.75) & (own < 0.99)).all()


def test_what_a_goal_has_to_itself_is_shaped_by_no_other() -> None:
    """Proves that no gradient of another goal reaches a goal's own expert, while both reach the shared one."""
    towers, (view, _) = mixture(RECIPE, ("like", "skip")), known_items(0)
    for tower in towers.towers:
        torch.nn.init.normal_(tower.get_parameter("2.weight"))
    towers(view)[..., 0].sum().backward()
    assert [_moved(expert) for expert in towers.experts] == [True, False, True]


def _moved(expert: torch.nn.Module) -> bool:
    return any(one.grad is not None and bool(one.grad.any()) for one in expert.parameters())


@pytest.mark.parametrize("name", BODIES)
def test_experts_are_bodies_of_the_name_in_the_recipe(fitted: TrainedPipeline, name: str) -> None:
    """Proves that any body can be an expert, and that one expert is the body alone."""
    recipe = replace(RECIPE, name=name)
    towers = build_ranker(recipe, fitted.ranker.sizes).towers
    assert isinstance(towers, MixtureOfExperts)
    kind = type(BODIES[name](recipe, fitted.ranker.sizes))
    assert [type(expert) for expert in towers.experts] == [kind] * 3
    assert isinstance(build_ranker(replace(recipe, experts=1), fitted.ranker.sizes).towers, SharedBody)


def test_what_was_planted_is_learnt_and_exported(
    planted: Dataset, split: Split, recipe: Recipe, reporter: Reporter, tmp_path: Path
) -> None:
    """Proves that a mixture ranks as well as a body alone does, and that its export says the same."""
    mixed = replace(recipe, ranker=replace(recipe.ranker, experts=3))
    model, _ = fit_two_stage(planted, split, mixed, seed=0, reporter=reporter)
    figures = evaluate_two_stage(model, next_like_task(planted, split))
    assert figures["two_stage"]["ndcg@10"] > 0.8
    export_ranker(model, tmp_path / "ranker.onnx")
