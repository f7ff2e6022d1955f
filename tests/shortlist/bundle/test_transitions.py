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
    """Every feature, for candidates in any order, of users side by side, with histories longer than what counts."""
    random = np.random.default_rng(3)
    dense = random.random((30, 30, 3)) * (random.random((30, 30, 1)) < 0.3)
    histories = [random.integers(30, size=length).astype(np.int32) for length in (HISTORY_STEPS + 5, 3, HISTORY_STEPS)]
    values = [random.normal(size=len(history)).astype(np.float32) for history in histories]
    candidates = np.stack([random.permutation(30)[:12] for _ in histories]).astype(np.int64)
    found = _table(dense).features(histories, values, candidates)
    expected = [_expected(dense, *of_user) for of_user in zip(histories, values, candidates, strict=True)]
    np.testing.assert_allclose(found, np.stack(expected), rtol=1e-5, atol=1e-6)


def _expected(dense: np.ndarray, history: np.ndarray, values: np.ndarray, candidates: np.ndarray) -> np.ndarray:
    recent, recent_values = history[::-1][:HISTORY_STEPS], values[::-1][:HISTORY_STEPS]
    pairs = dense[recent][:, candidates]
    decay, root = 0.8 ** np.arange(len(recent))[:, None], np.sqrt(len(recent))
    features = [
        pairs[0, :, FOLLOWS],
        (pairs[..., FOLLOWS] * decay).sum(0),
        pairs[..., FOLLOWS].sum(0),
        (pairs[..., LIKED_AFTER] * decay).sum(0),
        pairs[..., COSINE].sum(0) / root,
        (pairs[..., COSINE] * recent_values[:, None]).sum(0) / root,
    ]
    return np.stack(features, axis=1)


def test_rows_that_hash_alike_are_told_apart() -> None:
    """Rows 65,536 apart leave the same mark; only the row itself is a candidate."""
    far = 1 + 2**16
    offsets = np.concatenate([[0], np.full(far + 1, 2)]).astype(np.int64)
    weights = np.array([[0.5, 0.0, 0.0], [0.25, 0.0, 0.0]], dtype=np.float32)
    table = TransitionTable(offsets=offsets, rows=np.array([1, far], dtype=np.int32), weights=weights)
    found = table.features([np.zeros(1, dtype=np.int32)], [np.zeros(1, dtype=np.float32)], np.array([[far, 2]]))
    assert found[0, :, 0].tolist() == [0.25, 0.0]


def test_a_history_without_neighbours_gives_zeros() -> None:
    """A new item has no row in the table to speak of."""
    table = _table(np.zeros((4, 4, 3)))
    found = table.features([np.array([1], dtype=np.int32)], [np.zeros(1, dtype=np.float32)], np.array([[0, 2]]))
    assert found.shape == (1, 2, FEATURE_COUNT)
    assert not found.any()
