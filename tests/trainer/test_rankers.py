"""What every ranker has to be, on planted data."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from shortlist.inference.model_inputs import ranker_inputs
from trainer.data import Dataset
from trainer.errors import RecipeError
from trainer.evaluation.split import Split, held_out_events
from trainer.fit import evaluate_two_stage, fit_two_stage
from trainer.goals import goals_of, scales_of
from trainer.histories import histories_before
from trainer.progress import Reporter
from trainer.protocols.next_like import next_like_task
from trainer.rankers import BODIES, View, build_ranker
from trainer.rankers.base import width_of
from trainer.rankers.ntn_mlp import NtnMlp
from trainer.recipe import Recipe
from trainer.statistics import item_tables
from trainer.training.ranker import RankerTraining, ranker_sizes
from trainer.training.retrieved_examples import RetrievedExamples
from trainer.two_stage import Retrieval, TwoStage, retrieve, tensors

CHAIN, GENRES = 15, 4
OF_CANDIDATE, OF_HISTORY = "candidate_", "history_"


@pytest.fixture(scope="module", params=BODIES)
def model(
    request: pytest.FixtureRequest, planted: Dataset, split: Split, recipe: Recipe, reporter: Reporter
) -> TwoStage:
    """Both stages, the second with each of the rankers."""
    named = replace(recipe, ranker=replace(recipe.ranker, name=request.param))
    return fit_two_stage(planted, split, named, seed=0, reporter=reporter)


@pytest.fixture(scope="module")
def events(planted: Dataset, split: Split) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Events of the test."""
    return held_out_events(planted, split)


@pytest.fixture(scope="module")
def found(model: TwoStage, planted: Dataset, events: np.ndarray[tuple[int], np.dtype[np.int64]]) -> Retrieval:
    """What the first stage found for them."""
    features = planted.known_user_features[planted.user_rows[events]]
    return retrieve(model.encoded, model.items, histories_before(planted, events), features, 40)


@pytest.fixture
def inputs(
    model: TwoStage, planted: Dataset, events: np.ndarray[tuple[int], np.dtype[np.int64]], found: Retrieval
) -> dict[str, Tensor]:
    """What the second stage is given."""
    histories = histories_before(planted, events)
    features = planted.known_user_features[planted.user_rows[events]]
    nothing = np.zeros((len(events), 0), dtype=np.float32)
    return tensors(ranker_inputs(model.items, histories, 8, found.user_vectors, features, found.candidates, nothing))


@torch.no_grad()
def scored(model: TwoStage, inputs: dict[str, Tensor]) -> Tensor:
    """Scores [B, C, heads]."""
    scores: Tensor = model.ranker(**inputs)
    return scores


def assert_close(one: Tensor, other: Tensor) -> None:
    """Equal but for the order of additions."""
    torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)


def test_a_score_does_not_depend_on_the_other_candidates(model: TwoStage, inputs: dict[str, Tensor]) -> None:
    """Proves that a candidate scored among a few, in another order, has the scores it had among all."""
    some = [31, 0, 7]
    part = {name: tensor[:, some] if name.startswith(OF_CANDIDATE) else tensor for name, tensor in inputs.items()}
    assert_close(scored(model, part), scored(model, inputs)[:, some])


def test_a_batch_equals_one_at_a_time(model: TwoStage, inputs: dict[str, Tensor]) -> None:
    """Proves that the other users change nothing."""
    alone = [scored(model, {name: tensor[line : line + 1] for name, tensor in inputs.items()}) for line in range(20)]
    assert_close(torch.cat(alone), scored(model, inputs)[:20])


def test_padding_says_nothing(model: TwoStage, inputs: dict[str, Tensor]) -> None:
    """Proves that a history padded to the longest has the scores of the history alone."""
    lengths = inputs["history_mask"].sum(1).int().tolist()
    together = scored(model, inputs)
    for line in [lengths.index(length) for length in set(lengths)]:
        alone = {name: tensor[line : line + 1] for name, tensor in inputs.items()}
        kept = {name: alone[name][:, : lengths[line]] for name in alone if name.startswith(OF_HISTORY)}
        assert_close(scored(model, alone | kept), together[line : line + 1])
    assert len(set(lengths)) > 5


def test_missing_values_give_finite_scores(model: TwoStage, inputs: dict[str, Tensor]) -> None:
    """Proves that a history of unknown values, and a stranger's empty one, still rank."""
    unknown = scored(model, inputs | {"history_values": torch.full_like(inputs["history_values"], torch.nan)})
    assert unknown.isfinite().all()
    assert (unknown - scored(model, inputs)).abs().max() > 1e-3
    empty = {name: torch.zeros_like(tensor) for name, tensor in inputs.items() if name.startswith(OF_HISTORY)}
    assert scored(model, inputs | empty).isfinite().all()


def test_what_was_planted_is_learnt(model: TwoStage, planted: Dataset, split: Split) -> None:
    """Proves that the order is better after ranking: which item follows crosses the candidate with the history."""
    figures = evaluate_two_stage(model, next_like_task(planted, split))
    assert figures["two_stage"]["ndcg@10"] > 0.8
    assert figures["two_stage"]["ndcg@10"] >= figures["retrieval"]["ndcg@10"] - 0.01


def test_the_value_head_tells_the_value(
    model: TwoStage,
    planted: Dataset,
    events: np.ndarray[tuple[int], np.dtype[np.int64]],
    found: Retrieval,
    inputs: dict[str, Tensor],
) -> None:
    """Proves that the second column is in the unit of the ratings: near 5 for the own genre, well below for others."""
    assert [goal.name for goal in model.ranker.sizes.goals] == ["like", "value"]
    values = scored(model, inputs)[..., 1].numpy()
    own = found.candidates.rows // CHAIN == (planted.user_rows[events] % GENRES)[:, None]
    assert 4.3 < values[own].mean() < 5.3
    assert values[~own].mean() < values[own].mean() - 1.0
    assert (values[own][:, None] > values[~own]).mean() > 0.95


def test_without_values_there_is_no_value_head(
    planted: Dataset, split: Split, recipe: Recipe, reporter: Reporter
) -> None:
    """Proves that data without ratings trains both stages, and gives one finite column."""
    unrated = replace(planted, values=np.full_like(planted.values, np.nan))
    short = replace(
        recipe, goals={}, encoder=replace(recipe.encoder, epochs=1), ranker=replace(recipe.ranker, epochs=1)
    )
    model = fit_two_stage(unrated, split, short, seed=0, reporter=reporter)
    assert [goal.name for goal in model.ranker.sizes.goals] == ["like"]
    assert all(weights.isfinite().all() for weights in model.ranker.state_dict().values())
    assert np.isfinite(model.items.features).all()


def test_the_folded_tensor_equals_its_formula(fitted: TwoStage) -> None:
    """Proves h_k = e_uᵀ T_k e_i and a first layer over [e_u, e_i, h], written out for each user, item and slice."""
    body = fitted.ranker.towers.get_submodule("body")
    assert isinstance(body, NtnMlp)
    random = torch.Generator().manual_seed(0)
    users, items = torch.randn(3, 16, generator=random), torch.randn(3, 5, 16, generator=random)
    sizes, nothing = body.sizes, torch.zeros(3, 0)
    view = View(
        user_BD=users,
        about_BU=torch.zeros(3, width_of(sizes.about)),
        candidates_BCD=items,
        items_BCF=torch.zeros(3, 5, width_of(sizes.items)),
        features_BCX=torch.zeros(3, 5, width_of(sizes.crossing)),
        history_BHD=nothing,
        history_items_BHF=nothing,
        values_BH=nothing,
        mask_BH=nothing,
    )
    with torch.no_grad():
        folded = body.first_layer(view)
    for user in range(3):
        for item in range(5):
            assert_close(folded[user, item], first_layer(body, users[user], items[user, item]))


@torch.no_grad()
def first_layer(body: NtnMlp, user_D: Tensor, item: Tensor) -> Tensor:
    """One user and one item through the layer as the paper has it, with the scale of the items."""
    item_D = item / body.sizes.vector_scale
    h_K = torch.stack([user_D @ slice_DD @ item_D for slice_DD in body.tensor_KDD])
    joined = torch.cat([user_D, item_D, h_K])
    weight = torch.cat([body.from_user.weight, body.from_item.weight, body.from_tensor.weight], dim=1)
    return torch.addmv(body.from_user.bias, weight, joined)


def test_a_name_that_no_ranker_has_is_refused(fitted: TwoStage, recipe: Recipe) -> None:
    """Proves that the message names the section and the rankers that there are."""
    with pytest.raises(RecipeError, match=r"\[ranker\] name: no ranker 'oracle'; there are .*ntn_mlp"):
        build_ranker(replace(recipe.ranker, name="oracle"), fitted.ranker.sizes)


def test_the_validation_counts_what_retrieval_missed(
    fitted: TwoStage, planted: Dataset, split: Split, recipe: Recipe, reporter: Reporter
) -> None:
    """Proves that a stage one that finds less makes the figure lower, by which bundles are compared.

    With one candidate a hit is at the first place, so that the figure is the share of late likes that are found.
    """
    before = item_tables(planted, split.encoder_end, recipe.statistics, fitted.encoded.vectors)
    events = np.arange(split.encoder_end, split.ranker_end)
    events = events[planted.position[events] >= 1]
    goals = goals_of(recipe, planted)
    examples = RetrievedExamples.of(planted, fitted.encoded, before, events, 1, goals)
    sizes = ranker_sizes(planted, before, scales_of(goals, examples.targets), {}, 0)
    short, users = replace(recipe.ranker, epochs=1), len(planted.user_ids)
    training = RankerTraining(examples, before, users, sizes, goals, short, seed=0)
    training.run(reporter)
    found = np.flatnonzero(examples.chosen >= 0)
    late = slice(found[int(len(found) * 0.8)], None)
    expected = (examples.chosen[late] >= 0)[examples.likes[late]].mean()
    assert 0.1 < expected < 0.9
    assert training.curve[0]["ndcg@10"] == pytest.approx(expected)
