"""The features against a dense oracle."""

import numpy as np

from shortlist.bundle.item_item import (
    FEATURE_COUNT,
    FOLLOWS,
    HAD,
    HISTORY_STEPS,
    LIKED,
    LIKED_AFTER,
    PAIR_WEIGHTS,
    ItemItemTables,
)
from shortlist.bundle.item_item_table import ItemItemTable

_FOLLOWED = 20


def _pairs(dense: np.ndarray) -> ItemItemTable:
    """The pairs of a dense ``[items, items, 2]`` that have any weight."""
    pairs = np.argwhere(dense.any(axis=-1))
    offsets = np.searchsorted(pairs[:, 0], np.arange(len(dense) + 1))
    return ItemItemTable(
        offsets=offsets.astype(np.int64),
        rows=pairs[:, 1].astype(np.int32),
        weights=dense[pairs[:, 0], pairs[:, 1]].astype(np.float32),
    )


def test_the_features_are_the_sums_that_dense_matrices_give() -> None:
    """Every feature, for candidates in any order, of users side by side, with histories longer than what counts."""
    random = np.random.default_rng(3)
    cooccurrence, similar = (
        random.normal(size=(30, 30, PAIR_WEIGHTS)) * (random.random((30, 30, 1)) < 0.3) for _ in range(2)
    )
    lengths = (HISTORY_STEPS + 5, 3, _FOLLOWED + 5)
    histories = [random.integers(30, size=length).astype(np.int32) for length in lengths]
    values = [random.normal(size=len(history)).astype(np.float32) for history in histories]
    candidates = np.stack([random.permutation(30)[:12] for _ in histories]).astype(np.int64)
    table = ItemItemTables(cooccurrence=_pairs(cooccurrence), slim=_pairs(similar))
    found = table.features(histories, values, candidates)
    users = zip(histories, values, candidates, strict=True)
    expected = [_expected(cooccurrence, similar, *of_user) for of_user in users]
    np.testing.assert_allclose(found, np.stack(expected), rtol=1e-5, atol=1e-5)
    assert not table.empty


def _expected(
    cooccurrence: np.ndarray, similar: np.ndarray, history: np.ndarray, values: np.ndarray, candidates: np.ndarray
) -> np.ndarray:
    history, values = history[::-1][:HISTORY_STEPS], values[::-1][:HISTORY_STEPS]
    after, with_it = cooccurrence[history[:_FOLLOWED]][:, candidates], similar[history][:, candidates]
    decay = 0.8 ** np.arange(len(after))[:, None]
    features = [
        after[0, :, FOLLOWS],
        (after[..., FOLLOWS] * decay).sum(0),
        after[..., FOLLOWS].sum(0),
        (after[..., LIKED_AFTER] * decay).sum(0),
        with_it[..., HAD].sum(0),
        with_it[..., LIKED].sum(0),
        (with_it[..., LIKED] * values[:, None]).sum(0),
    ]
    return np.stack(features, axis=1)


def test_a_history_without_neighbours_gives_zeros() -> None:
    """A new item has no row in the tables to speak of."""
    nothing = _pairs(np.zeros((4, 4, PAIR_WEIGHTS)))
    table = ItemItemTables(cooccurrence=nothing, slim=nothing)
    found = table.features([np.array([1], dtype=np.int32)], [np.zeros(1, dtype=np.float32)], np.array([[0, 2]]))
    assert found.shape == (1, 2, FEATURE_COUNT)
    assert not found.any()
    assert table.empty
