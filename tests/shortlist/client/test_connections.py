"""The choice of a connection for each call."""

import pytest

from shortlist.client.connections import Connections


def test_calls_one_after_the_other_take_turns() -> None:
    """An idle client uses all its connections equally."""
    connections = Connections("abc")
    taken = []
    for _ in range(6):
        with connections.stub() as stub:
            taken.append(stub)
    assert taken == ["a", "b", "c", "a", "b", "c"]


def test_a_connection_with_a_slow_call_is_skipped() -> None:
    """Calls in flight count: no call queues behind a slow worker while another connection is free."""
    connections = Connections("abc")
    taken = []
    with connections.stub() as slow:
        for _ in range(4):
            with connections.stub() as stub:
                taken.append(stub)
    assert slow == "a"
    assert taken == ["b", "c", "b", "c"]


def test_a_call_that_fails_gives_its_connection_back() -> None:
    """Errors do not use up connections."""
    connections = Connections("ab")
    for _ in range(2):
        with pytest.raises(ValueError, match="failed"), connections.stub():
            raise ValueError("failed")
    taken = []
    for _ in range(4):
        with connections.stub() as stub:
            taken.append(stub)
    assert taken == ["a", "b", "a", "b"]


def test_a_connection_without_an_answer_has_its_next_turn_late() -> None:
    """The others take its calls, and then it is tried again: its process may be well by then."""
    connections = Connections("abc")
    taken = []
    for call in range(200):
        with connections.stub() as stub:
            taken.append(stub)
        if call == 0:
            connections.postpone(stub)
    assert taken[0] == "a"
    assert "a" not in taken[1:100]
    assert "a" in taken[100:]
