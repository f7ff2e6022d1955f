"""The README's recipe on a shop's log: users buy one of the items that they have just viewed."""

import pytest

from tests.support.shop import is_bestseller, write_shop
from trainer.analysis.measurement import baseline_lists, figures_of, two_stage_lists
from trainer.data import load
from trainer.data.split import evaluation_split
from trainer.evaluation.metrics import Lists
from trainer.models.rankers.event_objectives import with_event_objectives
from trainer.progress import Reporter
from trainer.protocols.next_like import next_like_task
from trainer.protocols.task import Task
from trainer.recipe import Recipe
from trainer.report import Findings, Groups, Run
from trainer.report.sections import events_section
from trainer.training.two_stage import fit_two_stage


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Recipe, Task, Lists]:
    """The planted shop's recipe with its objectives, its test, and the answers of trained models and of baselines."""
    folder = tmp_path_factory.mktemp("shop")
    recipe = Recipe.read(write_shop(folder))
    dataset = load(folder, recipe)
    recipe = with_event_objectives(recipe, dataset)
    split = evaluation_split(dataset, recipe.split)
    task = next_like_task(dataset, split)
    model, _ = fit_two_stage(dataset, split, recipe, seed=0, reporter=Reporter())
    return recipe, task, two_stage_lists(model, task) | baseline_lists(task)


@pytest.fixture
def shop(trained: tuple[Recipe, Task, Lists]) -> tuple[Task, Lists]:
    """The test and the answers alone."""
    return trained[1:]


def test_every_purchase_is_a_question_though_a_view_came_before(shop: tuple[Task, Lists]) -> None:
    """Proves that no purchase of the test is lost, and that each item was viewed before."""
    task, _ = shop
    data = task.dataset
    later = data.likes[task.known_end :].sum()
    assert len(task.test) == later > 50
    for history, (place, _) in zip(task.test.profiles().histories, task.test.targets, strict=True):
        assert data.histories.item_rows[place] in history.rows


def test_the_bestseller_among_the_viewed_items_is_found(shop: tuple[Task, Lists]) -> None:
    """Proves that both stages learn the planted rule, far better than popularity, with viewed items in the lists."""
    task, lists = shop
    found = figures_of(lists, task.metrics)
    assert found["retrieval"]["ndcg@10"] > 0.8
    assert found["two_stage"]["ndcg@10"] > 0.8 > 2 * found["popularity"]["ndcg@10"]
    first = [task.dataset.item_ids[row].decode() for row in lists["two_stage"].rows[:, 0]]
    assert sum(map(is_bestseller, first)) > 0.9 * len(first)


def test_no_list_has_an_item_that_was_bought(shop: tuple[Task, Lists]) -> None:
    """Proves it for models and baselines alike, of lists with the whole catalogue."""
    task, lists = shop
    for history, *rows in zip(task.test.profiles().histories, *(one.rows for one in lists.values()), strict=True):
        bought = history.rows[history.events == task.dataset.event_names.index("buy") + 1]
        for listed in rows:
            assert sorted({*listed[listed >= 0].tolist(), *bought.tolist()}) == list(range(len(task.dataset.item_ids)))
            assert not set(listed.tolist()) & set(bought.tolist())


def test_figures_tell_the_kinds_of_events_apart(trained: tuple[Recipe, Task, Lists]) -> None:
    """Proves that the page and the JSON have each kind's questions and figures, and the weights of the objectives."""
    recipe, task, lists = trained
    weights = {name: one.weight or 0 for name, one in recipe.objectives.items()}
    assert list(weights) == ["buy", "view"]
    assert (weights["buy"], 0.1 < weights["view"] < 0.3) == (1, True)
    groups = Groups.of(task)
    run = Run.of(lists, task, groups)
    found = Findings(runs=[run, run], groups=groups, chosen_by=task.chosen_by, logs={})
    plain = found.events_plain()
    assert plain["buy"]["questions"] == len(task.test)
    assert plain["buy"]["two_stage"]["ndcg@10"] == pytest.approx(run.figures["two_stage"]["ndcg@10"])
    assert plain["view"]["questions"] > 3 * len(task.test)
    assert plain["view"]["two_stage"]["ndcg@10"] < plain["buy"]["two_stage"]["ndcg@10"]
    page = events_section(found, weights)
    assert f"Finds the buy: {len(task.test)} questions" in page
    assert f"raised to its weight: buy 1, view {weights['view']:g}." in page
