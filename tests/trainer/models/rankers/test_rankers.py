"""Conformance of every ranker, on planted data."""

import copy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from shortlist.bundle.bundle import RANKER
from shortlist.bundle.history import EVERY_EVENT
from shortlist.bundle.item_item import FEATURE_COUNT
from shortlist.bundle.ranker_columns import CATEGORICAL, ContextColumn
from shortlist.inference.model_inputs import UserInputs, latest_first, ranker_inputs
from shortlist.inference.onnx_session import OnnxSession
from tests.trainer.configs import encoder_config, ranker_config
from trainer.analysis.measurement import evaluate_two_stage
from trainer.data import Dataset
from trainer.data.history_slices import HistorySlices
from trainer.data.split import Split, held_out_events
from trainer.export.bundle import user_tables
from trainer.export.onnx_files import SIZES, export_ranker
from trainer.features.layout import FeatureLayout, TableColumns, width_of
from trainer.models.pipeline import Retrieval, TrainedPipeline, retrieve, tensors
from trainer.models.rankers import RankerDataSpec, RankerFeatures
from trainer.models.rankers.ntn_mlp import NtnMlp
from trainer.models.rankers.objectives import Objectives
from trainer.models.registry import BACKBONES, build_ranker
from trainer.progress import Reporter
from trainer.protocols.next_like import next_like_task
from trainer.recipe import ObjectiveConfig, Recipe
from trainer.training.log import TrainingLog
from trainer.training.ranker.retrieved_examples import RetrievedExamples
from trainer.training.two_stage import fit_ranker, fit_two_stage, ranker_training

CHAIN, GENRES, OWN = 15, 4, 3
OF_CANDIDATE, OF_HISTORY = "candidate_", "history_"


pytestmark = pytest.mark.first

Rows = NDArray[np.int64]


@pytest.mark.parametrize("name", BACKBONES)
def test_a_ranker_has_a_section(name: str) -> None:
    """Proves that each registered ranker declares a section of its own."""
    kind = BACKBONES[name]
    assert "config" in vars(kind)
    assert kind.config().name == name


@pytest.fixture(scope="module", params=BACKBONES)
def model(
    request: pytest.FixtureRequest,
    fitted: TrainedPipeline,
    planted: Dataset,
    split: Split,
    recipe: Recipe,
    reporter: Reporter,
) -> TrainedPipeline:
    """Both stages, the second with each of the rankers, all of one encoder."""
    named = replace(recipe, ranker=ranker_config(recipe.ranker, request.param))
    return fit_ranker(fitted.encoded, planted, split, named, seed=0, reporter=reporter)[0]


@pytest.fixture(scope="module")
def few(model: TrainedPipeline) -> Recipe:
    """The ranker with numbers of its own for each user and item, and so few examples that it cannot meet them all."""
    short = replace(model.recipe.ranker, embedding=OWN, examples=60, candidates=5, history=1, epochs=4)
    return replace(model.recipe, ranker=short)


@pytest.fixture(scope="module")
def own_fitting(
    few: Recipe, fitted: TrainedPipeline, planted: Dataset, split: Split, reporter: Reporter
) -> tuple[TrainedPipeline, TrainingLog]:
    """Both stages of that recipe, and the log of their training."""
    return fit_ranker(fitted.encoded, planted, split, few, seed=0, reporter=reporter)


@pytest.fixture(scope="module")
def own(own_fitting: tuple[TrainedPipeline, TrainingLog]) -> TrainedPipeline:
    """Both stages of that recipe."""
    return own_fitting[0]


@pytest.fixture(scope="module")
def events(planted: Dataset, split: Split) -> Rows:
    """Events of the test."""
    return held_out_events(planted, split)


@pytest.fixture(scope="module")
def found(fitted: TrainedPipeline, planted: Dataset, events: Rows) -> Retrieval:
    """The candidates of the first stage for them."""
    features = planted.known_user_features[planted.user_rows[events]]
    return retrieve(
        fitted.encoded, fitted.items, HistorySlices.before(planted, events).listed(), features, 40, EVERY_EVENT
    )


@pytest.fixture
def inputs(model: TrainedPipeline, planted: Dataset, events: Rows, found: Retrieval) -> dict[str, Tensor]:
    """The inputs of the second stage."""
    return inputs_of(model, planted, events, found)


def inputs_of(model: TrainedPipeline, planted: Dataset, events: Rows, found: Retrieval) -> dict[str, Tensor]:
    """The inputs of a model's second stage for the events."""
    histories = HistorySlices.before(planted, events).listed()
    features = model.user_features(planted)[planted.user_rows[events]]
    nothing = np.zeros((len(events), 0), dtype=np.float32)
    users = UserInputs(vectors=found.user_vectors, features=features, context=nothing)
    return tensors(ranker_inputs(model.items, latest_first(histories, 8), users, found.candidates))


@torch.no_grad()
def scored(model: TrainedPipeline, inputs: dict[str, Tensor]) -> Tensor:
    """Scores [B, C, heads]."""
    scores: Tensor = model.ranker(**inputs)
    return scores


def assert_close(one: Tensor, other: Tensor) -> None:
    """Equal but for the order of additions."""
    torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)


def test_a_score_does_not_depend_on_the_other_candidates(model: TrainedPipeline, inputs: dict[str, Tensor]) -> None:
    """Proves that a candidate scored among a few, in another order, has the scores it had among all."""
    some = [31, 0, 7]
    part = {name: tensor[:, some] if name.startswith(OF_CANDIDATE) else tensor for name, tensor in inputs.items()}
    assert_close(scored(model, part), scored(model, inputs)[:, some])


def test_a_batch_equals_one_at_a_time(model: TrainedPipeline, inputs: dict[str, Tensor]) -> None:
    """Proves that the other users change nothing."""
    alone = [scored(model, {name: tensor[line : line + 1] for name, tensor in inputs.items()}) for line in range(20)]
    assert_close(torch.cat(alone), scored(model, inputs)[:20])


def test_padding_says_nothing(model: TrainedPipeline, inputs: dict[str, Tensor]) -> None:
    """Proves that a history padded to the longest has the scores of the history alone."""
    lengths = inputs["history_mask"].sum(1).int().tolist()
    together = scored(model, inputs)
    for line in [lengths.index(length) for length in set(lengths)]:
        alone = {name: tensor[line : line + 1] for name, tensor in inputs.items()}
        kept = {name: alone[name][:, : lengths[line]] for name in alone if name.startswith(OF_HISTORY)}
        assert_close(scored(model, alone | kept), together[line : line + 1])
    assert len(set(lengths)) > 5


def test_missing_values_give_finite_scores(model: TrainedPipeline, inputs: dict[str, Tensor]) -> None:
    """Proves that a history of unknown values, and a stranger's empty one, still rank."""
    unknown = scored(model, inputs | {"history_values": torch.full_like(inputs["history_values"], torch.nan)})
    assert unknown.isfinite().all()
    assert (unknown - scored(model, inputs)).abs().max() > 1e-3
    empty = {name: torch.zeros_like(tensor) for name, tensor in inputs.items() if name.startswith(OF_HISTORY)}
    assert scored(model, inputs | empty).isfinite().all()


def test_what_was_planted_is_learnt(model: TrainedPipeline, planted: Dataset, split: Split) -> None:
    """Proves that the order is better after ranking: which item follows crosses the candidate with the history."""
    figures = evaluate_two_stage(model, next_like_task(planted, split))
    assert figures["two_stage"]["ndcg@10"] > 0.8
    assert figures["two_stage"]["ndcg@10"] >= figures["retrieval"]["ndcg@10"] - 0.01


def test_a_stranger_is_ranked_by_what_they_did(model: TrainedPipeline, planted: Dataset, events: Rows) -> None:
    """Proves that where the features of users are missing there is a learnt default: the order is as good without."""
    histories, wanted = HistorySlices.before(planted, events).listed(), planted.item_rows[events][:, None]
    found, order = model.rank(histories, np.zeros_like(model.user_features(planted)[planted.user_rows[events]]))
    offered = np.take_along_axis(found.candidates.rows, order, axis=1)[:, :10]
    assert (offered == wanted).any(axis=1).mean() > 0.85


def test_of_whom_nothing_is_known_the_scores_are_finite(model: TrainedPipeline, inputs: dict[str, Tensor]) -> None:
    """Proves that a request without user, vector or history ranks, and not all candidates alike."""
    nothing = {name: torch.zeros_like(tensor) for name, tensor in inputs.items() if not name.startswith(OF_CANDIDATE)}
    scores = scored(model, inputs | nothing)
    assert scores.isfinite().all()
    assert (scores.std(dim=1) > 1e-3).all()


def test_the_context_may_be_missing_and_counts_where_it_is_not(model: TrainedPipeline) -> None:
    """Proves that a ranker of data without tables, but with a context, reads the context, and is finite without."""
    spec = sizes_without_tables(model.ranker.spec)
    ranker = build_ranker(model.recipe.ranker, spec).eval()
    random = torch.Generator().manual_seed(0)
    for weights in ranker.parameters():
        nn.init.normal_(weights, std=0.3, generator=random)
    given = {
        "user_vectors": torch.randn(2, 16, generator=random),
        "user_features": torch.zeros(2, 1),
        "context": torch.eye(3)[:2],
        "history_vectors": torch.randn(2, 4, 16, generator=random),
        "history_features": torch.rand(2, 4, spec.layout.point_in_time, generator=random),
        "history_values": torch.full((2, 4), torch.nan),
        "history_mask": torch.ones(2, 4),
        "candidate_vectors": torch.randn(2, 5, 16, generator=random),
        "candidate_features": torch.rand(2, 5, spec.layout.point_in_time, generator=random),
        "candidate_item_item": torch.rand(2, 5, FEATURE_COUNT, generator=random),
        "candidate_scores": torch.randn(2, 5, generator=random),
        "candidate_places": torch.arange(5.0).expand(2, -1),
    }
    with torch.no_grad():
        scores, without = ranker(**given), ranker(**given | {"context": torch.zeros(2, 3)})
    assert scores.isfinite().all()
    assert without.isfinite().all()
    assert ((scores - without).abs() > 1e-3).any(dim=(1, 2)).all()


def sizes_without_tables(spec: RankerDataSpec) -> RankerDataSpec:
    """Items that are only counted, users who are only known, and a device that each request is made with."""
    device = ContextColumn(name="device", kind=CATEGORICAL, categories=("phone", "tablet", "tv"))
    layout = FeatureLayout(items=TableColumns(), users=TableColumns(), context=(device,))
    return replace(spec, layout=layout)


def test_the_exported_ranker_says_what_pytorch_says(
    model: TrainedPipeline, inputs: dict[str, Tensor], tmp_path: Path
) -> None:
    """Proves parity at 1, 2, 7 and 500 candidates, which the export refuses without, for real users, and for histories
    of any length, full, in part and empty."""
    assert SIZES == (1, 2, 7, 500)
    export_ranker(model, tmp_path / RANKER)
    session = OnnxSession(tmp_path / RANKER)
    three = {name: tensor[:3] for name, tensor in inputs.items()}
    for given in (inputs, *(three | histories_of_three(three, length) for length in range(1, 51))):
        exported = session.run({name: tensor.numpy() for name, tensor in given.items()})
        np.testing.assert_allclose(exported, scored(model, given).numpy(), rtol=1e-4, atol=1e-4)


def histories_of_three(inputs: dict[str, Tensor], length: int) -> dict[str, Tensor]:
    """The histories of three users again and again up to a length; then half of the second's, and the third's none."""
    again = {
        name: torch.cat([inputs[name]] * length, dim=1)[:, :length] for name in inputs if name.startswith(OF_HISTORY)
    }
    kept_3H = (torch.arange(length) < torch.tensor([length, length // 2, 0])[:, None]).float()
    mask_3H = again["history_mask"] * kept_3H
    vectors, features = (again[f"history_{name}"] * mask_3H[..., None] for name in ("vectors", "features"))
    return again | {"history_vectors": vectors, "history_features": features, "history_mask": mask_3H}


def test_the_same_seed_gives_the_same_ranker(
    few: Recipe, own_fitting: tuple[TrainedPipeline, TrainingLog], planted: Dataset, split: Split, reporter: Reporter
) -> None:
    """Proves that a run can be repeated to the last bit of its losses and weights, and that the seed is what it is."""
    own, log = own_fitting
    fits = (fit_ranker(own.encoded, planted, split, few, seed=seed, reporter=reporter) for seed in (0, 1))
    (again, again_log), (_, other_log) = fits
    assert again_log == log
    assert other_log != log
    weights = own.ranker.state_dict()
    assert all(torch.equal(value, weights[name]) for name, value in again.ranker.state_dict().items())
    np.testing.assert_array_equal(again.id_embeddings.items, own.id_embeddings.items)


def test_a_ranker_learns_numbers_of_its_own_of_those_it_meets(
    own: TrainedPipeline, few: Recipe, planted: Dataset, split: Split, reporter: Reporter
) -> None:
    """Proves that they are served behind the features, and are zeros of all items and users that training never met."""
    training = ranker_training(own.encoded, planted, split, few, seed=0, reporter=reporter)
    places, given = training.examples.usable, training.examples.inputs
    candidates = np.unique(given.candidates.rows[places])
    histories = given.histories.at(places).latest_first(few.ranker.history).rows
    never = np.setdiff1d(np.arange(len(planted.item_ids)), np.union1d(candidates, histories))
    learnt, strangers = own.id_embeddings.items, np.setdiff1d(planted.user_rows, given.user_rows[places])
    assert min(len(never), len(strangers)) > 0
    assert not learnt[never].any()
    assert not own.id_embeddings.users[strangers].any()
    assert learnt[candidates].any(axis=1).mean() > 0.9
    assert own.id_embeddings.users.any()
    np.testing.assert_array_equal(own.items.features[:, -OWN:], learnt)
    tables = user_tables(planted, own.user_features(planted))
    np.testing.assert_array_equal(tables.features[:, -OWN:], own.id_embeddings.users)


def test_what_a_ranker_learns_of_its_own_counts(
    own: TrainedPipeline, planted: Dataset, events: Rows, found: Retrieval
) -> None:
    """Proves that scores read the own numbers of the user and of the item, and are finite for who has none of them."""
    inputs = inputs_of(own, planted, events, found)
    for name in ("user_features", "candidate_features"):
        without = inputs[name].clone()
        without[..., -OWN:] = 0.0
        scores = scored(own, inputs | {name: without})
        assert scores.isfinite().all()
        assert not torch.equal(scores, scored(own, inputs))


def test_the_value_head_tells_the_value(
    model: TrainedPipeline,
    planted: Dataset,
    events: Rows,
    found: Retrieval,
    inputs: dict[str, Tensor],
) -> None:
    """Proves that the second column is in the unit of the ratings: near 5 for the own genre, well below for others."""
    assert [objective.name for objective in model.ranker.spec.objectives] == ["like", "value"]
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
        recipe, objectives={}, encoder=encoder_config(recipe.encoder, epochs=1), ranker=replace(recipe.ranker, epochs=1)
    )
    model, _ = fit_two_stage(unrated, split, short, seed=0, reporter=reporter)
    assert [objective.name for objective in model.ranker.spec.objectives] == ["like"]
    assert all(weights.isfinite().all() for weights in model.ranker.state_dict().values())
    assert np.isfinite(model.items.features).all()


def test_the_folded_tensor_equals_its_formula(fitted: TrainedPipeline) -> None:
    """Proves h_k = e_uᵀ T_k e_i and a first layer over [e_u, e_i, h], written out for each user, item and slice."""
    backbone = fitted.ranker.towers.get_submodule("backbone")
    assert isinstance(backbone, NtnMlp)
    random = torch.Generator().manual_seed(0)
    users, items = torch.randn(3, 16, generator=random), torch.randn(3, 5, 16, generator=random)
    spec, nothing = backbone.spec, torch.zeros(3, 0)
    features = RankerFeatures(
        user_BD=users,
        user_context_BU=torch.zeros(3, width_of(spec.user_context)),
        candidates_BCD=items,
        items_BCF=torch.zeros(3, 5, width_of(spec.items)),
        crossing_BCX=torch.zeros(3, 5, width_of(spec.crossing)),
        history_BHD=nothing,
        history_items_BHF=nothing,
        values_BH=nothing,
        mask_BH=nothing,
    )
    with torch.no_grad():
        folded = backbone.first_layer(features)
    for user in range(3):
        for item in range(5):
            assert_close(folded[user, item], first_layer(backbone, users[user], items[user, item]))


@torch.no_grad()
def test_the_first_layer_is_the_same_in_training_and_served(fitted: TrainedPipeline) -> None:
    """Proves that two products in training, and one when served, are one layer."""
    backbone = copy.deepcopy(fitted.ranker.towers.get_submodule("backbone"))
    assert isinstance(backbone, NtnMlp)
    backbone.user_dropout = torch.nn.Dropout(0)
    spec, random = backbone.spec, torch.Generator().manual_seed(0)
    features = RankerFeatures(
        user_BD=torch.randn(3, 16, generator=random),
        user_context_BU=torch.randn(3, width_of(spec.user_context), generator=random),
        candidates_BCD=torch.randn(3, 5, 16, generator=random),
        items_BCF=torch.randn(3, 5, width_of(spec.items), generator=random),
        crossing_BCX=torch.randn(3, 5, width_of(spec.crossing), generator=random),
        history_BHD=torch.zeros(3, 0),
        history_items_BHF=torch.zeros(3, 0),
        values_BH=torch.zeros(3, 0),
        mask_BH=torch.zeros(3, 0),
    )
    assert_close(backbone.train().first_layer(features), backbone.eval().first_layer(features))


@torch.no_grad()
def first_layer(backbone: NtnMlp, user_D: Tensor, item: Tensor) -> Tensor:
    """One user and one item through the layer as the paper has it, with the scale of the items."""
    item_D = item / backbone.spec.vector_scale
    h_K = torch.stack([user_D @ slice_DD @ item_D for slice_DD in backbone.tensor_KDD])
    joined = torch.cat([user_D, item_D, h_K])
    weight = torch.cat([backbone.from_user.weight, backbone.from_item.weight, backbone.from_tensor.weight], dim=1)
    return torch.addmv(backbone.from_user.bias, weight, joined)


def test_training_shows_known_users_as_strangers(
    fitted: TrainedPipeline, planted: Dataset, split: Split, recipe: Recipe, reporter: Reporter
) -> None:
    """Proves that about a fifth of the examples come without their user's features: there the default is learnt."""
    training = ranker_training(fitted.encoded, planted, split, recipe, seed=0, reporter=reporter)
    fit, shown = training.fit(training.examples.usable), list[Tensor]()
    fit.ranker.register_forward_pre_hook(lambda _, __, inputs: shown.append(inputs["user_features"]), with_kwargs=True)
    fit.epoch(reporter, "epoch")
    strangers = (torch.cat(shown) == 0).all(dim=1).float().mean()
    assert 0.15 < strangers < 0.25


def test_the_validation_counts_what_retrieval_missed(
    fitted: TrainedPipeline, planted: Dataset, split: Split, recipe: Recipe, reporter: Reporter
) -> None:
    """Proves that a stage one that finds less makes the figure lower, by which bundles are compared.

    With one candidate a hit is at the first place, so that the figure is the share of late likes that are found.
    """
    short = replace(recipe, ranker=replace(recipe.ranker, candidates=1, epochs=1))
    training = ranker_training(fitted.encoded, planted, split, short, seed=0, reporter=reporter)
    examples = training.examples
    assert isinstance(examples, RetrievedExamples)
    training.run(reporter)
    found = np.flatnonzero(examples.chosen >= 0)
    late = slice(found[int(len(found) * 0.8)], None)
    expected = (examples.chosen[late] >= 0)[examples.likes[late]].mean()
    assert 0.1 < expected < 0.9
    assert training.curve[0]["ndcg@10"] == pytest.approx(expected)


@pytest.mark.parametrize(("weight", "first"), [(None, False), (1.0, True)])
def test_the_validation_is_of_the_order_that_is_served(
    fitted: TrainedPipeline, planted: Dataset, split: Split, weight: float | None, first: bool
) -> None:
    """Proves that what is best by the product of the objectives and not by the first of them is first where that is the
    order, and else last."""
    events = held_out_events(planted, split)
    objectives = Objectives.declared(
        {"like": ObjectiveConfig(weight=weight), "value": ObjectiveConfig(kind="value", weight=weight)}
    )
    examples = RetrievedExamples.of(planted, fitted.encoded, fitted.items, events, objectives, fitted.recipe.ranker)

    def columns(places: Rows) -> NDArray[np.float32]:
        chosen = np.arange(40) == examples.chosen[places][:, None]
        return np.stack([np.where(chosen, -0.1, 0.0), np.where(chosen, 5.0, 1.0)], axis=2).astype(np.float32)

    found = examples.figures(columns, examples.usable)["ndcg@10"]
    late = examples.chosen[examples.usable[0] :]
    assert found == pytest.approx((late >= 0).mean() if first else 0.0)
