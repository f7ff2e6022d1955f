"""PyTorch → ONNX, with a check that both give the same outputs."""

import contextlib
import io
import logging
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from shortlist.bundle.history import History
from shortlist.bundle.item_item import FEATURE_COUNT
from shortlist.inference.model_inputs import CandidateLists, UserInputs, encoder_inputs, latest_first, ranker_inputs
from shortlist.inference.onnx_runtime import onnxruntime
from trainer.errors import TrainerError
from trainer.features.layout import width_of
from trainer.models.encoders import Encoder
from trainer.models.pipeline import TrainedPipeline, tensors

SIZES = (1, 2, 7, 500)
TOLERANCE = 1e-4
_SOME = 500
Floats = NDArray[np.float32]
_UNKNOWN_VALUES = 0.25


def export_encoder(model: TrainedPipeline, path: Path, events: int) -> None:
    """Writes the user encoder for batches and histories of any size; ``events`` is the number of kinds of events.

    Raises:
        TrainerError: it differs from PyTorch at one of ``SIZES``.
    """
    users, length = torch.export.Dim("users"), torch.export.Dim("length", max=model.recipe.encoder.history)
    by_place = {0: users, 1: length}
    module, sample = model.encoded.encoder, _encoder_sample(model, 2, 3, events)
    shapes = {name: {0: users} if name == "user_features" else by_place for name in sample}
    _export(module, sample, shapes, path)
    for size in SIZES:
        longest = min(size, model.recipe.encoder.history)
        _check(module, path, _encoder_sample(model, 3, longest, events), f"history of {longest}")
        _check(module, path, _encoder_sample(model, size, 5, events), f"batch of {size}")


def export_ranker(model: TrainedPipeline, path: Path) -> None:
    """Writes the ranker for batches, histories and candidate lists of any size.

    Raises:
        TrainerError: it differs from PyTorch at one of ``SIZES``.
    """
    users, length, count = (torch.export.Dim(name) for name in ("users", "length", "candidates"))
    sample = _ranker_sample(model, 2, 3, 5)
    by_prefix = {
        "user": {0: users},
        "context": {0: users},
        "history": {0: users, 1: length},
        "candidate": {0: users, 1: count},
    }
    shapes = {name: by_prefix[name.split("_")[0]] for name in sample}
    _export(model.ranker, sample, shapes, path)
    for size in SIZES:
        longest = min(size, model.recipe.ranker.history)
        _check(model.ranker, path, _ranker_sample(model, 3, longest, 5), f"history of {longest}")
        _check(model.ranker, path, _ranker_sample(model, 3, 7, size), f"{size} candidates")
        _check(model.ranker, path, _ranker_sample(model, size, 3, 5), f"batch of {size}")


def export_item_encoder(encoder: Encoder, features: Floats, path: Path) -> None:
    """Writes the part of an encoder that reads content, for any number of items.

    ``features`` ``[items, F]`` are those of the data set.

    Raises:
        TrainerError: it differs from PyTorch for some of the features, for zeros or for random ones.
    """
    module = _ItemEncoder(encoder)
    items, samples = torch.export.Dim("items"), np.random.default_rng(0).standard_normal((7, features.shape[1]))
    some = features[:: max(1, len(features) // _SOME)][:_SOME]
    sample = np.concatenate([samples.astype(np.float32), np.zeros_like(some[:1]), some])
    given = {"item_features": torch.from_numpy(sample)}
    _export(module, given, {"item_features": {0: items}}, path, module.outputs)
    for count in (1, len(sample)):
        _check(module, path, {"item_features": given["item_features"][:count]}, f"batch of {count}", _is_same_product)


class _ItemEncoder(nn.Module):
    """The vectors of items by their features, and their inputs in a history where these differ."""

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self.encoder = encoder
        self.outputs = ["vectors"] if encoder.item_inputs() is None else ["vectors", "inputs"]

    def forward(self, item_features: Tensor) -> tuple[Tensor, ...]:
        content = self.encoder.of_content(item_features)
        assert content is not None
        return (content.vectors, content.inputs)[: len(self.outputs)]


def _near(found: Floats, expected: Floats) -> bool:
    return np.allclose(found, expected, rtol=TOLERANCE, atol=TOLERANCE)


def _is_same_product(found: Floats, expected: Floats) -> bool:
    """Whether two products with one matrix differ by rounding alone, which grows with the largest terms."""
    return np.allclose(found, expected, rtol=1e-5, atol=1e-6 * np.abs(expected).max(initial=1.0))


def _export(
    module: nn.Module,
    sample: dict[str, Tensor],
    shapes: dict[str, Any],
    path: Path,
    outputs: Sequence[str] = ("output",),
) -> None:
    with _quiet():
        program = torch.onnx.export(
            module, kwargs=sample, dynamic_shapes=shapes, dynamo=True, output_names=outputs, verbose=False
        )
        assert program is not None
        program.save(str(path), external_data=False)


def _check(
    module: nn.Module, path: Path, sample: dict[str, Tensor], case: str, close: Callable[[Floats, Floats], bool] = _near
) -> None:
    with torch.no_grad():
        outputs = module(**sample)
    session = onnxruntime.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])
    names = {item.name for item in session.get_inputs()}
    found = session.run(None, {name: tensor.numpy() for name, tensor in sample.items() if name in names})
    for one, tensor in zip(found, outputs if isinstance(outputs, tuple) else (outputs,), strict=True):
        expected = tensor.numpy()
        if one.shape != expected.shape or not close(one, expected):
            worst = np.abs(one - expected).max() if one.shape == expected.shape else "shape"
            raise TrainerError(f"{path.name} differs from PyTorch for a {case}: {worst}; nothing is exported")


def _encoder_sample(model: TrainedPipeline, users: int, longest: int, events: int) -> dict[str, Tensor]:
    encoder, random = model.encoded.encoder, np.random.default_rng(longest)
    width = 0 if encoder.by_features is None else encoder.by_features.in_features
    features = random.random((users, width), dtype=np.float32)
    histories = _histories(model, users, longest, events)
    sample = tensors(encoder_inputs(model.items.inputs, histories, longest, features))
    if encoder.by_features is None:
        del sample["user_features"]
    return sample


def _ranker_sample(model: TrainedPipeline, users: int, longest: int, count: int) -> dict[str, Tensor]:
    random, items, layout = np.random.default_rng(count), model.items, model.layout
    candidates = CandidateLists(
        rows=random.integers(len(items.vectors), size=(users, count)),
        scores=random.normal(size=(users, count)).astype(np.float32),
        item_item=random.random((users, count, FEATURE_COUNT), dtype=np.float32),
    )
    vectors = items.vectors[random.integers(len(items.vectors), size=users)]
    features = random.random((users, width_of(layout.user_groups)), dtype=np.float32)
    context = random.random((users, width_of(layout.context_groups)), dtype=np.float32)
    history = latest_first(_histories(model, users, longest, events=0), longest)
    about = UserInputs(vectors=vectors, features=features, context=context)
    return tensors(ranker_inputs(items, history, about, candidates))


def _histories(model: TrainedPipeline, users: int, longest: int, events: int) -> list[History]:
    """Histories from the longest down to an empty one, so that the check covers padding."""
    random = np.random.default_rng(longest)
    return [_history(model, int(length), events, random) for length in np.linspace(longest, 0, users).round()]


def _history(model: TrainedPipeline, length: int, events: int, random: np.random.Generator) -> History:
    values = random.normal(model.items.value_mean, model.items.value_std, size=length).astype(np.float32)
    return History(
        rows=random.integers(len(model.items.vectors), size=length, dtype=np.int32),
        values=np.where(random.random(length) < _UNKNOWN_VALUES, np.float32("nan"), values),
        events=random.integers(events + 1, size=length),
    )


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silences the exporter's own log."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)
