"""PyTorch → ONNX, with the proof that both say the same."""

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from shortlist.bundle.transitions import FEATURE_COUNT
from trainer.errors import TrainerError
from trainer.rankers.base import width_of
from trainer.two_stage import TwoStage

SIZES = (1, 2, 7, 500)
TOLERANCE = 1e-4


def export_encoder(model: TwoStage, path: Path) -> None:
    """Writes the user encoder, its batch and its history of any size.

    Raises:
        TrainerError: it differs from PyTorch at one of ``SIZES``.
    """
    users, length = torch.export.Dim("users"), torch.export.Dim("length", max=model.recipe.encoder.history)
    by_place = {0: users, 1: length}
    module, sample = model.encoded.encoder, _encoder_sample(model, 2, 3)
    shapes = {name: {0: users} if name == "user_features" else by_place for name in sample}
    _export(module, sample, shapes, path)
    for size in SIZES:
        length_of_sample = min(size, model.recipe.encoder.history)
        _check(module, path, _encoder_sample(model, 2, length_of_sample), f"history of {length_of_sample}")
        _check(module, path, _encoder_sample(model, size, 5), f"batch of {size}")


def export_ranker(model: TwoStage, path: Path) -> None:
    """Writes the ranker, its batch, its history and its candidates of any size.

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
        length_of_sample = min(size, model.recipe.ranker.history)
        _check(model.ranker, path, _ranker_sample(model, 2, length_of_sample, 5), f"history of {length_of_sample}")
        _check(model.ranker, path, _ranker_sample(model, 2, 7, size), f"{size} candidates")
        _check(model.ranker, path, _ranker_sample(model, size, 3, 5), f"batch of {size}")


def _export(module: nn.Module, sample: dict[str, Tensor], shapes: dict[str, Any], path: Path) -> None:
    with _quiet():
        program = torch.onnx.export(
            module, kwargs=sample, dynamic_shapes=shapes, dynamo=True, output_names=["output"], verbose=False
        )
        assert program is not None
        program.save(str(path), external_data=False)


def _check(module: nn.Module, path: Path, sample: dict[str, Tensor], what: str) -> None:
    with torch.no_grad():
        expected = module(**sample).numpy()
    session = onnxruntime.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])
    names = {item.name for item in session.get_inputs()}
    found = session.run(None, {name: tensor.numpy() for name, tensor in sample.items() if name in names})[0]
    if found.shape != expected.shape or not np.allclose(found, expected, rtol=TOLERANCE, atol=TOLERANCE):
        worst = np.abs(found - expected).max() if found.shape == expected.shape else "shape"
        raise TrainerError(f"{path.name} differs from PyTorch for a {what}: {worst}; nothing is exported")


def _encoder_sample(model: TwoStage, users: int, length: int) -> dict[str, Tensor]:
    history = _history_sample(model, users, length, model.items.inputs)
    sample = {
        "history_vectors": history["history_vectors"],
        "history_values": history["history_values"],
        "history_events": torch.zeros((users, length), dtype=torch.int64),
        "history_mask": history["history_mask"],
    }
    if model.encoded.encoder.by_features is not None:
        sample["user_features"] = torch.rand((users, model.encoded.encoder.by_features.in_features))
    return sample


def _ranker_sample(model: TwoStage, users: int, length: int, count: int) -> dict[str, Tensor]:
    random = np.random.default_rng(count)
    items, vectors = model.items, model.items.vectors
    rows = random.integers(len(vectors), size=(users, count))
    features = random.random((users, width_of(model.ranker.sizes.user_columns)))
    arrays: dict[str, NDArray[np.generic]] = {
        "user_vectors": vectors[random.integers(len(vectors), size=users)],
        "user_features": features,
        "context": random.random((users, width_of(model.ranker.sizes.context_columns))),
        "candidate_vectors": vectors[rows],
        "candidate_features": items.features[rows],
        "candidate_transitions": random.random((users, count, FEATURE_COUNT)),
        "candidate_scores": random.normal(size=(users, count)),
        "candidate_places": np.tile(np.arange(count), (users, 1)),
    }
    return _history_sample(model, users, length, vectors) | _as_tensors(arrays)


def _history_sample(model: TwoStage, users: int, length: int, table: NDArray[np.float32]) -> dict[str, Tensor]:
    random = np.random.default_rng(length)
    rows = random.integers(len(table), size=(users, length))
    values = random.normal(model.items.value_mean, model.items.value_std, size=rows.shape)
    values[0, 0] = np.nan
    arrays: dict[str, NDArray[np.generic]] = {
        "history_vectors": table[rows],
        "history_features": model.items.features[rows],
        "history_values": values,
        "history_mask": np.ones(rows.shape),
    }
    return _as_tensors(arrays)


def _as_tensors(arrays: Mapping[str, NDArray[np.generic]]) -> dict[str, Tensor]:
    return {name: torch.from_numpy(array.astype(np.float32)) for name, array in arrays.items()}


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """The exporter narrates its own steps; ours are told by the caller."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)
