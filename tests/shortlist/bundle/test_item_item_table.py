"""Pairs of histories and candidates, found in a sparse table."""

import numpy as np

from shortlist.bundle.item_item_table import Cells, ItemItemTable, Steps


def test_rows_that_hash_alike_are_told_apart() -> None:
    """Rows 65,536 apart leave the same mark; only the row itself is a candidate, whichever of them is one."""
    far, farther = 1 + 2**16, 1 + 2**17
    pairs = ItemItemTable(
        offsets=np.concatenate([[0], np.full(farther + 1, 3)]).astype(np.int64),
        rows=np.array([1, far, farther], dtype=np.int32),
        weights=np.array([[0.5], [0.25], [0.125]], dtype=np.float32),
    )
    steps = Steps.of([np.zeros(1, dtype=np.int32)], [np.zeros(1, dtype=np.float32)], 5)
    one = pairs.among(Cells(np.array([[far, 2]])), steps)
    assert (one.cell.tolist(), one.weights.tolist()) == ([0], [[0.25]])
    both = pairs.among(Cells(np.array([[2, far, 1]])), steps)
    assert (both.cell.tolist(), both.weights.tolist()) == ([2, 1], [[0.5], [0.25]])


def test_steps_are_the_last_of_each_history_latest_first() -> None:
    """Histories of several users, one shorter than what counts and one empty."""
    rows = [np.array(row, dtype=np.int32) for row in ([1, 2, 3, 4], [], [9, 8])]
    values = [(row / 2).astype(np.float32) for row in rows]
    steps = Steps.of(rows, values, 3)
    assert steps.items.tolist() == [4, 3, 2, 8, 9]
    assert steps.users.tolist() == [0, 0, 0, 2, 2]
    assert steps.back.tolist() == [0, 1, 2, 0, 1]
    assert steps.values.tolist() == [2.0, 1.5, 1.0, 4.0, 4.5]
