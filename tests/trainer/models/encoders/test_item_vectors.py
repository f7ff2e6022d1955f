"""The vectors of items in training: which of them are known by their features alone."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from trainer.data import Dataset
from trainer.models.encoders.item_vectors import ItemVectors
from trainer.training.encoder.training import encoder_data_spec

_STEPS = 200


def _dropped(planted: Dataset, id_dropout: float, *, described: int, by_rows: bool) -> NDArray[np.float64]:
    """How often each item is known by its features alone; the first ``described`` items have features."""
    spec = encoder_data_spec(planted, len(planted.times))
    features = np.where(np.arange(spec.items)[:, None] < described, spec.item_features, np.float32(0))
    torch.manual_seed(0)
    items = ItemVectors(replace(spec, item_features=features), 4, id_dropout).train()
    with torch.no_grad():
        content = items.content(items.features_NF)
        rows = torch.arange(len(content)) if by_rows else None
        found = [torch.isclose(items(rows), content, atol=1e-7).all(dim=1).numpy() for _ in range(_STEPS)]
    shares: NDArray[np.float64] = np.mean(found, axis=0)
    return shares


@pytest.mark.parametrize("by_rows", [False, True])
def test_ids_are_dropped_of_items_that_have_features(planted: Dataset, by_rows: bool) -> None:
    """Proves it for all items and for rows, and that the others keep their ids: without them, nothing would be left."""
    shares = _dropped(planted, 0.3, described=20, by_rows=by_rows)
    assert np.abs(shares[:20] - 0.3).max() < 0.15
    assert not shares[20:].any()


def test_without_features_nothing_is_random(planted: Dataset) -> None:
    """Proves that a recipe without columns of items trains as it did without dropout."""
    assert not _dropped(planted, 0.3, described=0, by_rows=False).any()
    state = torch.get_rng_state()
    spec = encoder_data_spec(planted, len(planted.times))
    spec = replace(spec, item_features=np.zeros_like(spec.item_features))
    items = ItemVectors(spec, 4, 0.3).train()
    torch.set_rng_state(state)
    items(torch.arange(3))
    assert torch.equal(torch.get_rng_state(), state)
