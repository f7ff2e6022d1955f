"""The sparse table against a dense oracle."""

import numpy as np

from shortlist.bundle.transitions import COSINE, FEATURE_COUNT, FOLLOWS, HISTORY_STEPS, LIKED_AFTER, TransitionTable


def _table(dense: np.ndarray) -> TransitionTable:
    """The table of a dense ``[items, items, 3]``, whose rows keep the pairs that follow each other at all."""
    pairs = np.argwhere(dense[..., FOLLOWS] > 0)
    offsets = np.searchsorted(pairs[:, 0], np.arange(len(dense) + 1))
    return TransitionTable(
        offsets=offsets.astype(np.int64),
        rows=pairs[:, 1].astype(np.int32),
        weights=dense[pairs[:, 0], pairs[:, 1]].astype(np.float32),
    )


def test_the_features_are_the_sums_that_a_dense_matrix_gives() -> None:
    """Every feature, for candidates in any order, with a history longer than what counts."""
    random = np.random.default_rng(3)
    dense = random.random((30, 30, 3)) * (random.random((30, 30, 1)) < 0.3)
    history = random.integers(30, size=HISTORY_STEPS + 5).astype(np.int32)
    values = random.normal(size=len(history)).astype(np.float32)
    candidates = random.permutation(30)[:12].astype(np.int64)
    found = _table(dense).features(history, values, candidates)

    recent, recent_values = history[::-1][:HISTORY_STEPS], values[::-1][:HISTORY_STEPS]
    pairs = dense[recent][:, candidates]
    decay, root = 0.8 ** np.arange(HISTORY_STEPS)[:, None], np.sqrt(HISTORY_STEPS)
    expected = [
        pairs[0, :, FOLLOWS],
        (pairs[..., FOLLOWS] * decay).sum(0),
        pairs[..., FOLLOWS].sum(0),
        (pairs[..., LIKED_AFTER] * decay).sum(0),
        pairs[..., COSINE].sum(0) / root,
        (pairs[..., COSINE] * recent_values[:, None]).sum(0) / root,
    ]
    np.testing.assert_allclose(found, np.stack(expected, axis=1), rtol=1e-5, atol=1e-6)


def test_a_history_without_neighbours_gives_zeros() -> None:
    """A new item has no row in the table to speak of."""
    table = _table(np.zeros((4, 4, 3)))
    found = table.features(np.array([1], dtype=np.int32), np.zeros(1, dtype=np.float32), np.array([0, 2]))
    assert found.shape == (2, FEATURE_COUNT)
    assert not found.any()
