"""SLIM: the weights against those of a dense solution."""

import numpy as np
import pytest
from scipy import sparse

from shortlist.bundle.item_item import HAD, LIKED
from shortlist.bundle.item_item_table import ItemItemTable
from trainer.features import slim as similarity
from trainer.features.slim import slim_table

_LAMBDA = 300.0


def _histories(users: int, items: int) -> tuple[np.ndarray, np.ndarray]:
    """Two matrices of users by items: had, and liked. Nobody had the last item."""
    random = np.random.default_rng(5)
    had = random.random((users, items)) < random.uniform(0.05, 0.5, items)
    had[:, -1] = False
    return had.astype(np.float64), (had & (random.random(had.shape) < 0.6)).astype(np.float64)


def _dense(pairs: ItemItemTable, items: int) -> np.ndarray:
    weights = np.zeros((items, items, 2))
    weights[np.repeat(np.arange(items), np.diff(pairs.offsets)), pairs.rows] = pairs.weights
    return weights


@pytest.mark.parametrize("at_once", [1, 10_000, 2_000_000])
@pytest.mark.parametrize("all_counts", [20, 19])
def test_with_every_item_for_a_neighbour_the_weights_are_those_of_ease(
    all_counts: int, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Proves the closed form by another one: -P/diag(P) with P = (XᵀX + λI)⁻¹; over chunks, and however many pairs are
    counted at once."""
    monkeypatch.setattr(similarity, "_CHUNK", 7)
    monkeypatch.setattr(similarity, "_ALL_COUNTS", all_counts)
    monkeypatch.setattr(similarity, "_AT_ONCE", at_once)
    had, liked = _histories(400, 20)
    found = _dense(slim_table(sparse.csr_array(had), sparse.csr_array(liked), 20), 20)
    inverse = np.linalg.inv(had.T @ had + _LAMBDA * np.eye(20))
    ease = inverse / -np.diag(inverse)
    np.fill_diagonal(ease, 0.0)
    np.testing.assert_allclose(found[..., HAD], ease, atol=1e-6)


def test_of_the_liked_the_weights_minimise_the_loss() -> None:
    """Proves that no small step away from an item's weights predicts its likes better."""
    had, liked = _histories(400, 20)
    found = _dense(slim_table(sparse.csr_array(had), sparse.csr_array(liked), 20), 20)[..., LIKED]
    residual = liked - had @ found
    slope = had.T @ residual - _LAMBDA * found
    np.fill_diagonal(slope, 0.0)
    np.testing.assert_allclose(slope, 0.0, atol=1e-3)
    assert np.abs(found).max() > 0.01


def test_items_with_different_numbers_of_neighbours_have_the_weights_of_each_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Proves the closed form by one solution for each item, in a sparse log whose items share few users."""
    monkeypatch.setattr(similarity, "_ALL_COUNTS", 0)
    random = np.random.default_rng(3)
    had = (random.random((60, 40)) < 0.03).astype(np.float64)
    liked = had * (random.random(had.shape) < 0.6)
    together = had.T @ had
    np.fill_diagonal(together, 0.0)
    expected = np.zeros((40, 40, 2))
    for item, counts in enumerate(together):
        others = np.flatnonzero(counts)
        gram = had[:, others].T @ had[:, others] + _LAMBDA * np.eye(len(others))
        targets = had[:, others].T @ np.stack([had[:, item], liked[:, item]], axis=1)
        expected[others, item] = np.linalg.solve(gram, targets)
    assert len(np.unique((together > 0).sum(axis=0))) > 3
    found = _dense(slim_table(sparse.csr_array(had), sparse.csr_array(liked), 40), 40)
    np.testing.assert_allclose(found, expected, atol=1e-9)


@pytest.mark.parametrize("keep", [1, 5])
def test_an_item_is_foretold_by_those_most_alike(keep: int) -> None:
    """Proves the choice: by the cosine of the two items' users, never by itself, and no more than were asked for."""
    had, liked = _histories(400, 20)
    found = _dense(slim_table(sparse.csr_array(had), sparse.csr_array(liked), keep), 20)
    unit = had / np.maximum(np.linalg.norm(had, axis=0), 1.0)
    cosines = unit.T @ unit
    np.fill_diagonal(cosines, 0.0)
    allowed = cosines >= np.sort(cosines, axis=0)[-keep]
    assert (found[..., HAD] != 0).sum(axis=1).max() == keep
    assert not found[~allowed].any()
    assert not found[-1].any()
    assert not found[:, -1].any()


def test_what_nobody_did_foretells_nothing() -> None:
    """An empty log, of items that are all new, has no pairs."""
    nothing = sparse.csr_array((3, 4))
    pairs = slim_table(nothing, nothing, 5)
    assert pairs.offsets.tolist() == [0] * 5
    assert pairs.weights.shape == (0, 2)
