"""Conformance of every encoder of sequences, on planted data."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from shortlist.bundle.history import EVERY_EVENT, History
from shortlist.inference.model_inputs import encoder_inputs
from shortlist.inference.onnx_runtime import onnxruntime
from tests.trainer.configs import encoder_config
from trainer.analysis.measurement import baseline_lists, evaluate_two_stage, figures_of
from trainer.data import Dataset
from trainer.data.history_slices import HistorySlices
from trainer.data.split import Split, held_out_events
from trainer.evaluation.queries import STRANGER, Profiles
from trainer.evaluation.rankings import hide_seen
from trainer.export.onnx_files import export_encoder
from trainer.models.encoders import SequenceEncoder
from trainer.models.encoders.encoded import Encoded
from trainer.models.pipeline import TrainedPipeline, tensors
from trainer.models.registry import ENCODERS, build_encoder
from trainer.progress import Reporter
from trainer.protocols.next_like import next_like_task
from trainer.recipe import EncoderConfig, Recipe
from trainer.recipe.models import GradientConfig, IterativeConfig
from trainer.training.encoder.fit import TRAININGS, fit_encoder
from trainer.training.encoder.training import Validation, encoder_data_spec
from trainer.training.two_stage import fit_two_stage

T = TypeVar("T")
CHAIN = 15


class Recorder(Reporter):
    """Keeps the lines of epochs, but not how long each took."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        """See Reporter."""
        if "  " in text:
            self.lines.append(text.rpartition("  ")[0])


@pytest.mark.parametrize("name", ENCODERS)
def test_an_encoder_has_a_section_and_a_training(name: str) -> None:
    """Proves that each registered encoder declares a section of its own and names a training that exists."""
    kind = ENCODERS[name]
    assert "config" in vars(kind)
    assert kind.config().name == name
    assert kind.trained_by in TRAININGS


@pytest.fixture(scope="module", params=[name for name, kind in ENCODERS.items() if issubclass(kind, SequenceEncoder)])
def model(
    request: pytest.FixtureRequest, planted: Dataset, split: Split, recipe: Recipe, reporter: Reporter
) -> TrainedPipeline:
    """Both stages, the first with each of the encoders."""
    named = replace(recipe, encoder=encoder_config(recipe.encoder, request.param))
    return fit_two_stage(planted, split, named, seed=0, reporter=reporter)[0]


@pytest.fixture(scope="module")
def encoded(model: TrainedPipeline) -> Encoded:
    """The first stage."""
    return model.encoded


@pytest.fixture
def histories(planted: Dataset, split: Split) -> list[History]:
    """Histories of many lengths."""
    found = HistorySlices.before(planted, held_out_events(planted, split)[::7]).listed()
    assert len({len(history) for history in found}) > 5
    return found


@pytest.fixture
def inputs(encoded: Encoded, histories: list[History]) -> dict[str, Tensor]:
    """The encoder's inputs of the longer histories, without padding: the last five events."""
    long = [one for one in histories if len(one) >= 5]
    return tensors(encoder_inputs(encoded.vectors, long, 5, strangers(len(long))))


def history_of(rows: Sequence[int]) -> History:
    """Items that were all liked."""
    count = len(rows)
    return History(
        rows=np.array(rows, dtype=np.int32),
        values=np.full(count, 5.0, dtype=np.float32),
        events=np.zeros(count, dtype=np.int64),
    )


def profiles_of(histories: Sequence[History]) -> Profiles:
    """Strangers, of whom only the histories are known."""
    return Profiles(users=np.full(len(histories), STRANGER), histories=histories, features=strangers(len(histories)))


def strangers(count: int) -> NDArray[np.float32]:
    """The features of people of no table: two countries, and whether they are known."""
    return np.zeros((count, 3), dtype=np.float32)


def vectors_of(encoded: Encoded, histories: Sequence[History]) -> NDArray[np.float32]:
    """The vectors of unknown users."""
    return encoded.user_vectors(histories, strangers(len(histories)))


@torch.no_grad()
def states(encoded: Encoded, inputs: dict[str, Tensor]) -> Tensor:
    """The states [B, L, D] of `encoder_inputs`, after each of its places."""
    assert isinstance(encoded.encoder, SequenceEncoder)
    named = {"vectors_BLD": "vectors", "values_BL": "values", "events_BL": "events", "mask_BL": "mask"}
    return encoded.encoder.states(
        **{name: inputs[f"history_{key}"] for name, key in named.items()}, asked=inputs["history_mask"].shape[1]
    )


def test_what_was_planted_is_learnt(model: TrainedPipeline, planted: Dataset, split: Split) -> None:
    """Proves that the order of the chains is found, on events that nothing learnt from, and not just what is popular.

    Of the 60 items ten are recommended, so chance is a sixth; a model that knows the genres alone reaches two thirds.
    """
    found = evaluate_two_stage(model, next_like_task(planted, split))["retrieval"]
    task = next_like_task(planted, split)
    popular = figures_of(baseline_lists(task), task.metrics)["popularity"]
    assert found["hr@10"] > 0.8
    assert found["ndcg@10"] > 0.4
    assert popular["ndcg@10"] < 0.15


def test_a_stranger_is_understood_by_what_they_did(encoded: Encoded) -> None:
    """Proves that a user of no table gets a vector from a history: who walks a chain is offered that chain's next.

    Five of 56 items are offered, so chance is below a tenth. A mean of the history, which two_tower is, sees the order
    least: .47, where the others have .68 to .95.
    """
    chains = [(genre * CHAIN, start) for genre in range(4) for start in range(CHAIN)]
    walks = [history_of([first + (start + step) % CHAIN for step in range(4)]) for first, start in chains]
    scores = encoded.scores(profiles_of(walks))
    hide_seen(scores, walks, EVERY_EVENT)
    following = np.array([[first + (start + 4) % CHAIN] for first, start in chains])
    offered = np.argsort(-scores, axis=1)[:, :5]
    assert (offered == following).any(axis=1).mean() > 0.4
    assert (offered // CHAIN == following // CHAIN).mean() > 0.8


def test_a_batch_equals_one_at_a_time(encoded: Encoded, histories: list[History]) -> None:
    """Proves that neither the other users nor the padding to the longest of them changes a vector."""
    together = vectors_of(encoded, histories)
    alone = np.concatenate([vectors_of(encoded, [history]) for history in histories])
    np.testing.assert_allclose(together, alone, rtol=1e-5, atol=1e-5)
    assert np.std(together, axis=0).min() > 0.01


def test_a_place_never_looks_to_its_right(encoded: Encoded, inputs: dict[str, Tensor]) -> None:
    """Proves causality: the states of a prefix are the same however the history goes on, or if it does not."""
    whole = states(encoded, inputs)
    prefix = states(encoded, {name: tensor[:, :3] for name, tensor in inputs.items()})
    torch.testing.assert_close(whole[:, :3], prefix, rtol=1e-5, atol=1e-5)
    altered = {name: tensor.clone() for name, tensor in inputs.items()}
    altered["history_vectors"][:, 3:] = 9.0
    altered["history_values"][:, 3:] = float("nan")
    otherwise = states(encoded, altered)
    torch.testing.assert_close(whole[:, :3], otherwise[:, :3], rtol=1e-5, atol=1e-5)
    assert (whole[:, 3:] - otherwise[:, 3:]).abs().max() > 0.1


def test_padding_says_nothing(encoded: Encoded, inputs: dict[str, Tensor]) -> None:
    """Proves that whatever stands under a mask of 0 is ignored."""
    inputs["history_mask"][:, :2] = 0.0
    padded = encoded.encoder(**inputs)
    inputs["history_vectors"][:, :2] = 9.0
    inputs["history_values"][:, :2] = 1.0
    torch.testing.assert_close(encoded.encoder(**inputs), padded, rtol=1e-5, atol=1e-5)


def test_a_history_beyond_the_limit_equals_its_last_part(encoded: Encoded) -> None:
    """Proves that a long history costs no more than the limit, and that its latest events are the ones kept."""
    long = history_of([row % 60 for row in range(7, 90)])
    np.testing.assert_array_equal(vectors_of(encoded, [long]), vectors_of(encoded, [long.last(16)]))
    assert not np.array_equal(vectors_of(encoded, [long]), vectors_of(encoded, [long.last(15)]))


def test_an_empty_history_says_nothing(encoded: Encoded) -> None:
    """Proves that a stranger who did nothing has a vector of zeros, not that of padding."""
    found = vectors_of(encoded, [history_of([1]), history_of([])])
    assert found[0].any()
    assert not found[1].any()


@pytest.mark.parametrize("name", [name for name, kind in ENCODERS.items() if issubclass(kind.config, GradientConfig)])
def test_a_new_user_is_understood_by_their_features(
    planted: Dataset, split: Split, recipe: Recipe, reporter: Reporter, name: str
) -> None:
    """Proves that somebody who has done nothing gets a vector: of each country half of the genres are liked, and of the
    ten first items nearly all are theirs; and that a history still counts beside the features.
    """
    dropping = encoder_config(recipe.encoder, name, history_dropout=0.3)
    trained = fit_encoder(planted, split.encoder_end, dropping, 0, reporter, None)
    encoded = Encoded.of(trained.encoder, 16)
    countries = np.array([[1, 0, 1], [0, 1, 1]], dtype=np.float32)
    scores = encoded.scores(Profiles(users=np.full(2, STRANGER), histories=[history_of([])] * 2, features=countries))
    genres = np.argsort(-scores, axis=1)[:, :10] // CHAIN
    of_country = np.array([[1, 3], [0, 2]])  # by the planted user's number
    assert np.mean([np.isin(line, liked).mean() for line, liked in zip(genres, of_country, strict=True)]) > 0.9
    walks = [history_of([genre * CHAIN + place for place in range(4)]) for genre in range(4)]
    scores = encoded.scores(Profiles(users=np.full(4, STRANGER), histories=walks, features=countries[[1, 0, 1, 0]]))
    hide_seen(scores, walks, EVERY_EVENT)
    assert (np.argsort(-scores, axis=1)[:, :5] // CHAIN == np.arange(4)[:, None]).mean() > 0.7


@pytest.mark.parametrize("limit", [10_000, 0])
@pytest.mark.parametrize("name", [name for name, kind in ENCODERS.items() if issubclass(kind, SequenceEncoder)])
def test_an_item_that_nobody_had_is_ranked_by_what_it_is(
    planted: Dataset, recipe: Recipe, reporter: Reporter, name: str, limit: int
) -> None:
    """Proves that an item without an event is in the index by its features alone, and that these are worth something:
    of four such items, who walks a chain is offered the one of their genre.
    """
    cold = np.arange(4) * CHAIN + 7
    warm = planted.in_order(np.flatnonzero(~np.isin(planted.item_rows, cold)))
    dropping = encoder_config(recipe.encoder, name, id_dropout=0.5, softmax_limit=limit, negatives=32)
    trained = fit_encoder(warm, len(warm.times), dropping, 0, reporter, None)
    encoded = Encoded.of(trained.encoder, 16)
    assert isinstance(trained.encoder, SequenceEncoder)
    with torch.no_grad():
        content = trained.encoder.items.content(torch.from_numpy(planted.item_features.matrix)).numpy()
    alone = np.isclose(encoded.vectors, content, atol=1e-6).all(axis=1)
    np.testing.assert_array_equal(np.flatnonzero(alone), cold)
    walks = [history_of([genre * CHAIN + start + step for step in range(4)]) for genre in range(4) for start in (0, 9)]
    scores = encoded.scores(profiles_of(walks))[:, cold]
    assert (scores.argmax(axis=1) == np.repeat(np.arange(4), 2)).mean() > 0.8


@pytest.mark.parametrize("name", ["autoencoder", "lightgcn", "two_tower"])
def test_the_graph_reads_features_only_where_the_encoder_does(
    fitted: TrainedPipeline, planted: Dataset, recipe: Recipe, tmp_path: Path, name: str
) -> None:
    """Proves that ONNX Runtime gives PyTorch's vectors from features, without a history, too."""
    torch.manual_seed(0)
    dropping = encoder_config(recipe.encoder, name, history_dropout=0.3)
    encoder = build_encoder(dropping, encoder_data_spec(planted, len(planted.times))).eval()
    encoded = Encoded.of(encoder, 16)
    items = replace(fitted.items, vectors=encoded.vectors, inputs=encoded.inputs)
    export_encoder(replace(fitted, encoded=encoded, items=items), tmp_path / "user_encoder.onnx", events=0)
    session = onnxruntime.InferenceSession(tmp_path / "user_encoder.onnx", providers=["CPUExecutionProvider"])
    histories = [history_of([]), history_of([3, 4])]
    given = encoder_inputs(encoded.inputs, histories, 16, planted.known_user_features[:2])
    names = {one.name for one in session.get_inputs()}
    assert "user_features" in names
    found = session.run(None, {key: array for key, array in given.items() if key in names})[0]
    expected = encoded.user_vectors(histories, planted.known_user_features[:2])
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
    assert expected[0].any()


def test_the_exported_graph_is_the_encoder(model: TrainedPipeline, tmp_path: Path) -> None:
    """Proves that ONNX Runtime gives PyTorch's vectors for any number of users and any length, with padding."""
    path = tmp_path / "user_encoder.onnx"
    export_encoder(model, path, events=0)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    for lengths in ((1,), (16, 16), (3, 1, 9, 2, 5)):
        histories = [history_of(range(length)) for length in lengths]
        given = encoder_inputs(model.encoded.inputs, histories, 16, strangers(len(histories)))
        names = {one.name for one in session.get_inputs()}
        assert "user_features" not in names
        found = session.run(None, {name: array for name, array in given.items() if name in names})[0]
        np.testing.assert_allclose(found, vectors_of(model.encoded, histories), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("limit", [10_000, 0])
# A closed form has the same solution for every seed.
@pytest.mark.parametrize("name", [name for name, kind in ENCODERS.items() if issubclass(kind.config, IterativeConfig)])
def test_the_same_seed_gives_the_same_encoder(
    planted: Dataset, split: Split, recipe: Recipe, name: str, limit: int
) -> None:
    """Proves that losses and weights repeat to the last bit, with either softmax, and that another seed differs."""
    short = encoder_config(recipe.encoder, name, epochs=2, softmax_limit=limit, negatives=32)
    runs = [run(planted, split, short, seed) for seed in (0, 0, 1)]
    assert runs[0][0] == runs[1][0] != runs[2][0]
    assert len(runs[0][0]) == 2
    for key, weights in runs[0][1].items():
        assert torch.equal(weights, runs[1][1][key]), key


def run(planted: Dataset, split: Split, recipe: EncoderConfig, seed: int) -> tuple[list[str], dict[str, Tensor]]:
    """The losses that a run reports, and its weights."""
    recorder = Recorder()
    validation = Validation.of(next_like_task(planted, split))
    trained = fit_encoder(planted, split.encoder_end, recipe, seed, recorder, validation)
    return recorder.lines, trained.encoder.state_dict()
