"""What every encoder of sequences has to be, on planted data."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import numpy as np
import onnxruntime
import pytest
import torch
from torch import Tensor

from shortlist.inference.history import History
from shortlist.inference.model_inputs import encoder_inputs
from trainer.data import Dataset
from trainer.encode import Encoded
from trainer.encoder_training import Validation, encoder_sizes
from trainer.encoders import ENCODERS, SequenceEncoder, build_encoder
from trainer.errors import RecipeError
from trainer.evaluation import hide_seen
from trainer.export_onnx import export_encoder
from trainer.fit import evaluate_baselines, evaluate_two_stage, fit_two_stage
from trainer.fit_encoder import fit_encoder
from trainer.histories import histories_before
from trainer.progress import Reporter
from trainer.protocols.next_like import next_like_task
from trainer.queries import Profiles
from trainer.recipe import Encoder as EncoderRecipe
from trainer.recipe import Recipe
from trainer.split import Split, held_out_events
from trainer.two_stage import TwoStage, tensors

T = TypeVar("T")
CHAIN = 15
# Where the planted recipe's rate is too high: it learns the walks by heart, and little of their genre beside them.
LEARNING_RATES = {"bsarec": 0.01}


class Recorder:
    """Keeps the lines, but not how long each took."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        """See Reporter."""
        self.lines.append(text.rpartition("  ")[0])

    def track(self, items: Sequence[T], name: str) -> Iterator[T]:
        """See Reporter."""
        yield from items


@pytest.fixture(scope="module", params=[name for name, kind in ENCODERS.items() if issubclass(kind, SequenceEncoder)])
def model(
    request: pytest.FixtureRequest, planted: Dataset, split: Split, recipe: Recipe, reporter: Reporter
) -> TwoStage:
    """Both stages, the first with each of the encoders."""
    rate = LEARNING_RATES.get(request.param, recipe.encoder.learning_rate)
    named = replace(recipe, encoder=replace(recipe.encoder, name=request.param, learning_rate=rate))
    return fit_two_stage(planted, split, named, seed=0, reporter=reporter)


@pytest.fixture(scope="module")
def encoded(model: TwoStage) -> Encoded:
    """The first stage."""
    return model.encoded


@pytest.fixture
def histories(planted: Dataset, split: Split) -> list[History]:
    """Histories of many lengths."""
    found = histories_before(planted, held_out_events(planted, split)[::7])
    assert len({len(history) for history in found}) > 5
    return found


@pytest.fixture
def inputs(encoded: Encoded, histories: list[History]) -> dict[str, Tensor]:
    """What the encoder is given of them, without padding: the last five events of the longer ones."""
    return tensors(encoder_inputs(encoded.vectors, [one for one in histories if len(one) >= 5], 5))


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
    return Profiles(histories=histories, features=np.zeros((len(histories), 1), dtype=np.float32))


@torch.no_grad()
def states(encoded: Encoded, inputs: dict[str, Tensor]) -> Tensor:
    """The states [B, L, D] of `encoder_inputs`."""
    assert isinstance(encoded.encoder, SequenceEncoder)
    named = {"vectors_BLD": "vectors", "values_BL": "values", "events_BL": "events", "mask_BL": "mask"}
    return encoded.encoder.states(**{name: inputs[f"history_{key}"] for name, key in named.items()})


def test_what_was_planted_is_learnt(model: TwoStage, planted: Dataset, split: Split) -> None:
    """Proves that the order of the chains is found, on events that nothing learnt from, and not just what is popular.

    Of the 60 items ten are recommended, so chance is a sixth; a model that knows the genres alone reaches two thirds.
    """
    found = evaluate_two_stage(model, planted, split)["retrieval"]
    popular = evaluate_baselines(next_like_task(planted, split))["popularity"]
    assert found["hr@10"] > 0.8
    assert found["ndcg@10"] > 0.4
    assert popular["ndcg@10"] < 0.15


def test_a_stranger_is_understood_by_what_they_did(encoded: Encoded) -> None:
    """Proves that a user of no table gets a vector from a history: who walks a chain is offered that chain's next.

    Five of 56 items are offered, so chance is below a tenth.
    """
    chains = [(genre * CHAIN, start) for genre in range(4) for start in range(CHAIN)]
    walks = [history_of([first + (start + step) % CHAIN for step in range(4)]) for first, start in chains]
    scores = encoded.scores(profiles_of(walks))
    hide_seen(scores, walks)
    following = np.array([[first + (start + 4) % CHAIN] for first, start in chains])
    offered = np.argsort(-scores, axis=1)[:, :5]
    assert (offered == following).any(axis=1).mean() > 0.5
    assert (offered // CHAIN == following // CHAIN).mean() > 0.8


def test_a_batch_equals_one_at_a_time(encoded: Encoded, histories: list[History]) -> None:
    """Proves that neither the other users nor the padding to the longest of them changes a vector."""
    together = encoded.user_vectors(histories)
    alone = np.concatenate([encoded.user_vectors([history]) for history in histories])
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
    np.testing.assert_array_equal(encoded.user_vectors([long]), encoded.user_vectors([long.last(16)]))
    assert not np.array_equal(encoded.user_vectors([long]), encoded.user_vectors([long.last(15)]))


def test_an_empty_history_has_no_vector(encoded: Encoded) -> None:
    """Proves that it is refused rather than answered with the vector of padding."""
    with pytest.raises(ValueError, match="empty history"):
        encoded.user_vectors([history_of([1]), history_of([])])


def test_the_exported_graph_is_the_encoder(model: TwoStage, tmp_path: Path) -> None:
    """Proves that ONNX Runtime gives PyTorch's vectors for any number of users and any length, with padding."""
    path = tmp_path / "user_encoder.onnx"
    export_encoder(model, path)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    for lengths in ((1,), (16, 16), (3, 1, 9, 2, 5)):
        histories = [history_of(range(length)) for length in lengths]
        given = encoder_inputs(model.encoded.vectors, histories, 16)
        names = {one.name for one in session.get_inputs()}
        found = session.run(None, {name: array for name, array in given.items() if name in names})[0]
        np.testing.assert_allclose(found, model.encoded.user_vectors(histories), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("limit", [10_000, 0])
@pytest.mark.parametrize("name", [name for name in ENCODERS if name != "gfcf"])  # whose one solution all seeds find
def test_the_same_seed_gives_the_same_encoder(
    planted: Dataset, split: Split, recipe: Recipe, name: str, limit: int
) -> None:
    """Proves that losses and weights repeat to the last bit, with either softmax, and that another seed differs."""
    short = replace(recipe.encoder, name=name, epochs=2, softmax_limit=limit, negatives=32)
    runs = [run(planted, split, short, seed) for seed in (0, 0, 1)]
    assert runs[0][0] == runs[1][0] != runs[2][0]
    assert len(runs[0][0]) == 2
    for key, weights in runs[0][1].items():
        assert torch.equal(weights, runs[1][1][key]), key


def run(planted: Dataset, split: Split, recipe: EncoderRecipe, seed: int) -> tuple[list[str], dict[str, Tensor]]:
    """What a run says of its losses, and its weights."""
    recorder = Recorder()
    validation = Validation.of(next_like_task(planted, split))
    trained = fit_encoder(planted, split.encoder_end, recipe, seed, recorder, validation)
    return recorder.lines, trained.encoder.state_dict()


def test_a_name_that_no_encoder_has_is_refused(planted: Dataset, recipe: Recipe) -> None:
    """Proves that the message names the section and the encoders that there are."""
    with pytest.raises(RecipeError, match=r"\[encoder\] name: no encoder 'oracle'; there are .*transformer"):
        build_encoder(replace(recipe.encoder, name="oracle"), encoder_sizes(planted, 100))
