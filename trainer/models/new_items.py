"""A trained encoder over a catalogue with other items than it has learnt from.

Items that are gone are left out. A new item has the vector that the encoder makes of its features, and else zeros.
:mod:`trainer.models.late_items` replaces these by the mean of its users.
"""

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from trainer.data import Dataset
from trainer.models.encoders.encoded import Encoded
from trainer.models.pipeline import TrainedPipeline
from trainer.progress import Reporter


def gathered(table: NDArray[np.float32], rows: NDArray[np.int64]) -> NDArray[np.float32]:
    """The rows ``[n]`` of a table ``[T, width]``; zeros for -1."""
    found = np.zeros((len(rows), table.shape[1]), dtype=np.float32)
    found[rows >= 0] = table[rows[rows >= 0]]
    return found


@torch.no_grad()
def over_items(encoded: Encoded, rows: NDArray[np.int64], features: NDArray[np.float32]) -> Encoded:
    """The encoder over items whose ``rows`` ``[I]`` among those that it has learnt from are -1 for new ones.

    ``features`` ``[I, F]`` describe the items as in training.
    """
    if np.array_equal(rows, np.arange(len(encoded.vectors))):
        return encoded
    same, new = encoded.inputs is encoded.vectors, rows < 0
    vectors = gathered(encoded.vectors, rows)
    inputs = vectors if same else gathered(encoded.inputs, rows)
    content = encoded.encoder.of_content(torch.from_numpy(features[new])) if features.shape[1] else None
    if content is not None:
        vectors[new] = content.vectors.numpy()
        inputs[new] = content.inputs.numpy()
    return replace(encoded, vectors=vectors, inputs=inputs)


def report_new_items(model: TrainedPipeline, dataset: Dataset, bundle_id: str, reporter: Reporter) -> None:
    """Reports the items that are new or gone since the training, and warns of new ones without a vector."""
    if model.trained_items is None:
        return
    new = ~np.isin(dataset.item_ids, model.trained_items.ids)
    gone = len(model.trained_items.ids) - int((~new).sum())
    reporter.say(f"{int(new.sum()):,} items are new since the training of {bundle_id}, and {gone:,} are gone")
    without = int((new & ~model.encoded.vectors.any(axis=1)).sum())
    if without:
        reporter.warn(
            f"{without:,} of {len(new):,} items are new and have no vector, so that lists hold them as popular items "
            f"alone: {_why(model, dataset)}"
        )


@torch.no_grad()
def without_content(model: TrainedPipeline, dataset: Dataset) -> str:
    """Why the encoder can make no vector of an item's features; empty where it can."""
    features: NDArray[Any] = dataset.item_features.matrix
    if not features.shape[1]:
        return "the recipe names no columns of features of items"
    if model.encoded.encoder.of_content(torch.from_numpy(features[:0])) is None:
        return f"the encoder {model.recipe.encoder.name} reads no features of items"
    return ""


def _why(model: TrainedPipeline, dataset: Dataset) -> str:
    reason = without_content(model, dataset) or "they have none of the features that the encoder reads"
    return f"{reason}, and nobody with a history has had them"
