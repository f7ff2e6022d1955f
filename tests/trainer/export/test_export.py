"""From models to a bundle: all of it, or nothing."""

import copy
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from torch import Tensor, nn

from shortlist import __version__
from shortlist.bundle import Bundle, BundleStore
from shortlist.bundle.bundle import RANKER, USER_ENCODER
from shortlist.bundle.manifest import Manifest
from shortlist.inference.model_inputs import UserInputs, encoder_inputs, latest_first, ranker_inputs
from shortlist.inference.onnx_session import OnnxSession
from shortlist.serving.served_messages import bundle_message
from tests.support.events import events_of
from trainer.data import Dataset, load
from trainer.data.history_slices import HistorySlices
from trainer.data.split import Split, held_out_events
from trainer.errors import DataError, TrainerError
from trainer.export.bundle import export_bundle, user_tables
from trainer.export.checkpoint import load_dataset, load_two_stage
from trainer.export.index.build import user_vectors
from trainer.export.onnx_files import export_encoder, export_ranker
from trainer.models.pipeline import TrainedPipeline
from trainer.models.rankers import Ranker, RankerDataSpec
from trainer.models.registry import build_encoder, build_ranker
from trainer.progress import Reporter
from trainer.recipe import DataRecipe, IndexConfig, InteractionsConfig, RankerConfig, Recipe
from trainer.training.encoder.training import encoder_data_spec
from trainer.training.two_stage import fit_ranker

pytestmark = pytest.mark.first

FIGURES = {"two_stage": {"ndcg@10": 0.5}}


class Drifting(nn.Module):
    """A layer that gives a little more than the one that it stands for."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        """The inner layer's output, a little off."""
        out: Tensor = self.inner(x)
        return out + 0.01


def drifting_encoder(model: TrainedPipeline) -> TrainedPipeline:
    """The model with an encoder that is off."""
    encoder = copy.deepcopy(model.encoded.encoder)
    encoder.out = Drifting(encoder.get_submodule("out"))
    return replace(model, encoded=replace(model.encoded, encoder=encoder))


def drifting_ranker(model: TrainedPipeline) -> TrainedPipeline:
    """The model with a ranker that is off."""
    ranker = copy.deepcopy(model.ranker)
    ranker.towers = Drifting(ranker.get_submodule("towers"))
    return replace(model, ranker=ranker)


def drifting_where(owner: nn.Module, method: str, seen: Callable[..., Tensor]) -> None:
    """Makes a method of the module give something else for the users of whom ``seen`` is true."""
    inner = getattr(owner, method)

    def drifting(*inputs: object) -> Tensor:
        out: Tensor = inner(*inputs)
        return out + 0.1 * seen(*inputs).view(-1, *[1] * (out.ndim - 1))

    setattr(owner, method, drifting)


@pytest.fixture
def with_graph(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], None]:
    """Makes the exporter give this graph of a sound model, whatever the model is now: a trace takes ten seconds."""

    def give(graph: Path) -> None:
        content = graph.read_bytes()
        monkeypatch.setattr(
            "trainer.export.onnx_files._export", lambda module, sample, shapes, path, *_: path.write_bytes(content)
        )

    return give


def test_a_graph_that_differs_for_padding_or_for_a_kind_of_event_is_refused(
    final: TrainedPipeline,
    planted: Dataset,
    recipe: Recipe,
    exported: Path,
    tmp_path: Path,
    with_graph: Callable[[Path], None],
) -> None:
    """Proves that the samples cover both: a model that is off only there is refused, and one that is not passes."""
    spec = replace(encoder_data_spec(planted, len(planted.times)), events=2)
    with_kinds = replace(final.encoded, encoder=build_encoder(recipe.encoder, spec).eval())
    sound, path = replace(final, encoded=with_kinds), tmp_path / "model.onnx"
    export_encoder(sound, path, events=2)
    with_graph(path)
    for seen in (lambda _v, _x, _e, mask: mask.amin(1) < 1, lambda _v, _x, events, _m: events.amax(1) > 1):
        off = copy.deepcopy(sound)
        drifting_where(off.encoded.encoder, "of_history", seen)
        with pytest.raises(TrainerError, match=r"model\.onnx differs from PyTorch for a .*; nothing is exported"):
            export_encoder(off, path, events=2)
    with_graph(exported / RANKER)
    export_ranker(sound, path)
    off = copy.deepcopy(sound)
    drifting_where(off.ranker.towers, "forward", lambda view: view.mask_BH.amin(1) < 1)
    with pytest.raises(TrainerError, match=r"model\.onnx differs from PyTorch for a .*; nothing is exported"):
        export_ranker(off, path)


def test_a_bundle_opens_and_is_the_current_one(exported: Path, planted: Dataset, final: TrainedPipeline) -> None:
    """Proves that serving reads the bundle: every check of the manifest passes and the tables are the model's."""
    bundle = Bundle.open(exported)
    assert BundleStore(exported.parent).current() == exported
    assert bundle.bundle_id == exported.name
    assert bundle.manifest.metrics == {"two_stage/ndcg@10": 0.5}
    assert bundle.manifest.libraries["shortlist"] == __version__
    assert bundle.manifest.known_until == (planted.times.max() if final.recipe.interactions.time else None)
    assert bundle.manifest.known_position is planted.known_position is None
    assert [(objective.name, objective.kind, objective.weight) for objective in bundle.manifest.objectives] == [
        ("like", "event", 1.0),
        ("value", "value", 0.0),
    ]
    np.testing.assert_array_equal(bundle.items.vectors, final.encoded.vectors)
    np.testing.assert_array_equal(bundle.items.features, final.items.features)
    for user in (0, 57):
        history, events = bundle.users.history_of(user), events_of(planted, user)
        assert history.rows.tolist() == planted.item_rows[events].tolist()
        assert history.values.tolist() == planted.values[events].tolist()


def test_an_index_that_visits_every_list_has_a_recall_of_one(exported: Path) -> None:
    """Proves that the recall in the manifest is measured against the exact search, and the lists' number is kept."""
    index = Bundle.open(exported).manifest.index
    assert (index.spec, index.parameters, index.recall, index.recall_at) == ("IVF4,Flat", "nprobe=4", 1.0, 40)
    (trial,) = index.trials
    assert (trial.spec, trial.parameters, trial.recall, trial.chosen) == ("IVF4,Flat", "nprobe=4", 1.0, True)
    assert min(trial.search_us, trial.search_us_batch, trial.bytes_per_vector, trial.build_seconds) > 0


def test_the_exported_models_say_what_pytorch_says(
    exported: Path, final: TrainedPipeline, planted: Dataset, split: Split
) -> None:
    """Proves parity on real users, one at a time and together, by the sessions that serve."""
    events = held_out_events(planted, split)[:9]
    histories, features = (
        HistorySlices.before(planted, events).listed(),
        planted.known_user_features[planted.user_rows[events]],
    )
    encoder, ranker = OnnxSession(exported / USER_ENCODER), OnnxSession(exported / RANKER)
    found, order = final.rank(histories, features)
    vectors = encoder.run(encoder_inputs(final.encoded.vectors, histories, 16, features))
    np.testing.assert_allclose(vectors, found.user_vectors, atol=1e-4)
    nothing = np.zeros((9, 0), dtype=np.float32)
    for line in (slice(0, 9), slice(4, 5)):
        users = UserInputs(vectors=vectors[line], features=features[line], context=nothing[line])
        scores = ranker.run(
            ranker_inputs(final.items, latest_first(histories[line], 8), users, found.candidates.at(line))
        )
        by_order = np.take_along_axis(scores[..., 0], order[line], axis=1)
        assert np.diff(by_order, axis=1).max() < 1e-3


@pytest.mark.parametrize(("drifting", "graph"), [(drifting_encoder, USER_ENCODER), (drifting_ranker, RANKER)])
def test_a_model_that_differs_after_export_is_not_published(
    final: TrainedPipeline,
    planted: Dataset,
    exported: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    with_graph: Callable[[Path], None],
    drifting: Callable[[TrainedPipeline], TrainedPipeline],
    graph: str,
) -> None:
    """Proves that parity is checked: an output that is a hundredth off raises, and no file is left, no pointer set."""
    with_graph(exported / graph)
    if drifting is drifting_ranker:
        monkeypatch.setattr("trainer.export.bundle.export_encoder", lambda model, path, *_: path.touch())
    with pytest.raises(TrainerError, match=r"\.onnx differs from PyTorch for a .*; nothing is exported"):
        export_bundle(drifting(final), planted, FIGURES, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_vectors_that_are_not_finite_are_not_published(
    final: TrainedPipeline, planted: Dataset, tmp_path: Path
) -> None:
    """Proves that a training that diverged writes nothing."""
    vectors = final.encoded.vectors.copy()
    vectors[3, 2] = np.nan
    diverged = replace(final, encoded=replace(final.encoded, vectors=vectors))
    with pytest.raises(TrainerError, match="not finite; nothing is exported"):
        export_bundle(diverged, planted, FIGURES, tmp_path / "bundles")
    assert not (tmp_path / "bundles").exists()


def test_both_services_say_what_the_bundle_is_searched_with(exported: Path) -> None:
    """Proves that GetBundle answers with the manifest's index, its parameters and its measured recall."""
    message = bundle_message(Bundle.open(exported))
    assert (message.index_spec, message.index_parameters, message.index_recall) == ("IVF4,Flat", "nprobe=4", 1.0)


def test_the_users_that_choose_and_measure_an_index_are_different_people(
    final: TrainedPipeline, planted: Dataset
) -> None:
    """Proves that the reported recall is not of users that the parameters were chosen by: nobody is there twice."""
    vectors = user_vectors(final, planted)
    assert len(vectors) == len(planted.user_ids)
    last = [events_of(planted, user)[-1] for user in range(len(planted.user_ids))]
    features = planted.known_user_features[planted.user_rows[sorted(last)]]
    expected = final.encoded.user_vectors(HistorySlices.before(planted, sorted(last)).listed(), features)
    np.testing.assert_allclose(vectors, expected, atol=1e-6)


@pytest.mark.usefixtures("empty_graphs")
@pytest.mark.parametrize("index", [IndexConfig(spec="Bogus"), IndexConfig(spec="Flat", parameters="nprobe=4")])
def test_an_index_that_cannot_be_built_is_named(
    final: TrainedPipeline, planted: Dataset, tmp_path: Path, index: IndexConfig
) -> None:
    """Proves that FAISS' refusal becomes a message about the recipe, and that nothing is published."""
    bad = replace(final, recipe=replace(final.recipe, index=index))
    with pytest.raises(
        TrainerError, match=rf"\[index\] spec '{index.spec}'.*cannot be built .*chosen. FAISS says: .*could not"
    ):
        export_bundle(bad, planted, FIGURES, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_model_read_back_recommends_the_same(
    exported: Path, final: TrainedPipeline, planted: Dataset, split: Split
) -> None:
    """Proves that the checkpoint holds all of both stages: from weights and data the recommendations are the same."""
    again = load_two_stage(exported, planted, end=len(planted.times))
    events = held_out_events(planted, split)
    histories, features = (
        HistorySlices.before(planted, events).listed(),
        planted.known_user_features[planted.user_rows[events]],
    )
    expected = final.recommend(histories, features, 10)
    np.testing.assert_array_equal(again.recommend(histories, features, 10), expected)
    assert again.recipe == final.recipe


def test_features_are_made_of_newer_tables_as_the_bundle_learnt_to(
    exported: Path, final: TrainedPipeline, planted: Dataset, planted_folder: Path, tmp_path: Path
) -> None:
    """Proves that a newcomer of a country that no weight is for does not move the features of the others."""
    data = tmp_path / "data"
    shutil.copytree(planted_folder, data)
    with (data / "users.csv").open("a") as table:
        table.write("u999,be\n")
    with (data / "interactions.csv").open("a") as table:
        table.write("u999,i03,9000,5\n")
    grown = load_dataset(exported, data)
    assert grown.user_features.names == planted.user_features.names == ("country=de", "country=fr")
    np.testing.assert_array_equal(grown.known_user_features[:-1], planted.known_user_features)
    assert grown.known_user_features[-1].tolist() == [0, 0, 1]
    model = load_two_stage(exported, grown, end=len(grown.times))
    np.testing.assert_array_equal(model.encoded.vectors, final.encoded.vectors)


@pytest.mark.usefixtures("empty_graphs")
def test_what_a_ranker_learnt_of_its_own_is_in_the_bundle(
    fitted: TrainedPipeline,
    planted: Dataset,
    split: Split,
    reporter: Reporter,
    tmp_path: Path,
) -> None:
    """Proves that its numbers are named features of items and users, and are there again when the bundle is read."""
    recipe = replace(fitted.recipe, index=IndexConfig(spec="Flat"))
    recipe = replace(recipe, ranker=replace(recipe.ranker, embedding=2, epochs=1))
    model, _ = fit_ranker(fitted.encoded, planted, split, recipe, seed=0, reporter=reporter)
    directory = export_bundle(model, planted, FIGURES, tmp_path)
    manifest, again = Manifest.read(directory), load_two_stage(directory, planted, end=split.ranker_end)
    assert manifest.item_features[-2:] == manifest.user_features[-2:] == ("id embeddings~0", "id embeddings~1")
    assert model.id_embeddings.items.any()
    np.testing.assert_array_equal(np.load(directory / "item_features.npy")[:, -2:], model.id_embeddings.items)
    np.testing.assert_array_equal(np.load(directory / "user_features.npy")[:, -2:], model.id_embeddings.users)
    np.testing.assert_array_equal(again.user_features(planted), model.user_features(planted))
    np.testing.assert_array_equal(again.items.features, model.items.features)


def test_a_bundle_is_not_read_back_over_another_catalogue(exported: Path, planted: Dataset) -> None:
    """Proves that weights never go to other features or kinds of events, nor to items of which none was learnt."""
    ids = np.char.add(planted.item_ids, b"0")
    with pytest.raises(DataError, match=f"none of the 60 items .* among the 60 that {exported.name} .*; fit again"):
        load_two_stage(exported, replace(planted, item_ids=ids), end=1680)
    names = ("genre=other", *planted.item_features.names[1:])
    other = replace(planted, item_features=replace(planted.item_features, names=names))
    with pytest.raises(DataError, match=r"other features than those of .*; fit again"):
        load_two_stage(exported, other, end=1680)
    events = replace(planted, event_names=("buy", "view"))
    with pytest.raises(DataError, match=r"other kinds of events than those of .*; fit again"):
        load_two_stage(exported, events, end=1680)


@pytest.mark.parametrize(("kinds", "stored"), [(255, np.uint8), (300, np.uint16)])
def test_stored_histories_have_the_events_of_the_data(tmp_path: Path, kinds: int, stored: type[np.integer]) -> None:
    """Proves that no event becomes another in a bundle, however many names there are."""
    numbers = np.arange(2 * kinds)
    frame = {"user_id": numbers % 2, "item_id": numbers, "timestamp": numbers, "kind": (numbers % kinds).astype(str)}
    pl.DataFrame(frame).write_csv(tmp_path / "taps.csv")
    data = load(tmp_path, DataRecipe(interactions=InteractionsConfig(file="taps.csv", event="kind")))
    users = user_tables(data, np.zeros((2, 0), dtype=np.float32))
    assert users.events.dtype == stored
    for user in range(2):
        assert users.history_of(user).events.tolist() == data.events[events_of(data, user)].tolist()


def test_a_bundle_of_other_parts_is_not_read_back(
    exported: Path, planted: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Proves that a release whose ranker has a part more than the bundle's says how to go on."""

    def newer(recipe: RankerConfig, spec: RankerDataSpec) -> Ranker:
        ranker = build_ranker(recipe, spec)
        ranker.register_buffer("newer", torch.zeros(1))
        return ranker

    monkeypatch.setattr("trainer.export.checkpoint.build_ranker", newer)
    with pytest.raises(DataError, match="the bundle's ranker is of another release, without newer; fit again"):
        load_two_stage(exported, planted, end=1680)


@pytest.mark.usefixtures("empty_graphs")
def test_a_bundle_is_not_read_back_over_data_with_other_objectives(
    fitted: TrainedPipeline, planted: Dataset, tmp_path: Path
) -> None:
    """Proves that, for a recipe without objectives, the error names a column of values that has come or gone."""
    recipe, none = replace(fitted.recipe, objectives={}), np.full_like(planted.values, np.nan)
    valued = export_bundle(replace(fitted, recipe=recipe), planted, FIGURES, tmp_path)
    with pytest.raises(DataError, match=r"predicts like and value, .* of like: .* have no values any more"):
        load_two_stage(valued, replace(planted, values=none), end=1680)
    replace(Manifest.read(valued), objectives=fitted.objectives.served[:1]).write(valued)
    with pytest.raises(DataError, match=r"predicts like, .* of like and value: .* have values now"):
        load_two_stage(valued, planted, end=1680)
