"""Where items stand among each other before anything is learnt."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from tests.trainer.configs import encoder_config
from trainer.data import Dataset
from trainer.data.split import Split
from trainer.features.spectral import spectral_vectors
from trainer.recipe import Recipe
from trainer.training.encoder.next_item import NextItemTraining

CHAIN = 15
Row = tuple[str, str, int, float]


def of_own_chain(vectors: NDArray[np.float32]) -> float:
    """The share of each item's five nearest that belong to its own chain."""
    directions = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    cosines = directions @ directions.T
    np.fill_diagonal(cosines, -np.inf)
    nearest = np.argsort(-cosines, axis=1)[:, :5]
    return float((nearest // CHAIN == np.arange(len(vectors))[:, None] // CHAIN).mean())


def test_items_of_a_chain_stand_together(planted: Dataset, split: Split) -> None:
    """Proves that items which follow one another are near, in any chain; chance is a quarter."""
    vectors = spectral_vectors(planted, split.encoder_end, 16, np.random.default_rng(0))
    assert of_own_chain(vectors) > 0.9
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-5)


def test_what_comes_later_changes_nothing(planted: Dataset, split: Split) -> None:
    """Proves that no event from ``end`` on is looked at: those of the test, on other items,
    leave all as it is.
    """
    changed = planted.item_rows.copy()
    changed[split.encoder_end :] = changed[split.encoder_end :][::-1]
    later = replace(planted, item_rows=changed)
    first, second = (spectral_vectors(one, split.encoder_end, 16, np.random.default_rng(0)) for one in (planted, later))
    np.testing.assert_array_equal(first, second)


def test_who_stands_beside_nobody_begins_nowhere(dataset_of: Callable[[Sequence[Row]], Dataset]) -> None:
    """Proves that an item that is alone in every history, and components that the graph has no direction for, are
    zeros, and nothing else is.
    """
    dataset = dataset_of([("u", "a", 1, 5.0), ("u", "b", 2, 5.0), ("v", "c", 3, 5.0)])
    vectors = spectral_vectors(dataset, 3, 4, np.random.default_rng(0))
    assert np.isfinite(vectors).all()
    assert (np.abs(vectors).sum(axis=1) > 0).tolist() == [True, True, False]
    assert not vectors[:, 2:].any()
    assert not spectral_vectors(dataset, 1, 4, np.random.default_rng(0)).any()


def test_an_encoder_begins_there(planted: Dataset, split: Split, recipe: Recipe) -> None:
    """Proves that training starts from there: an item stands by its chain before the first step."""
    at, anywhere = (
        NextItemTraining(planted, split.encoder_end, encoder_config(recipe.encoder, spectral_scale=length), 0).encoder
        for length in (0.3, 0.0)
    )
    assert of_own_chain(at.items.ids.weight.detach().numpy()) > 0.9
    assert of_own_chain(anywhere.items.ids.weight.detach().numpy()) < 0.5
