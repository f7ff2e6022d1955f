"""The circuit breaker."""

import time

import pytest

from shortlist.client.circuit import Circuit
from shortlist.observability import metrics


class Clock:
    """A clock that a test moves."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock that the circuit reads."""
    clock = Clock()
    monkeypatch.setattr(time, "monotonic", clock)
    return clock


def _broken(failures: int = 5) -> Circuit:
    circuit = Circuit("retrieval", metrics.CIRCUIT_OPEN)
    for _ in range(failures):
        assert circuit.allows()
        circuit.failed()
    return circuit


def test_single_failures_do_not_open_it(clock: Clock) -> None:
    """Proves that only failures in a row count."""
    circuit = _broken(4)
    circuit.succeeded()
    for _ in range(4):
        circuit.failed()
    assert circuit.allows()


def test_once_open_it_lets_one_call_through_now_and_then(clock: Clock) -> None:
    """Proves that a stage that is gone costs one call in each pause its timeout; the pauses grow to a bound."""
    circuit = _broken()
    pauses = []
    for _ in range(8):
        assert not circuit.allows()
        started = clock.now
        while not circuit.allows():
            clock.now += 0.01
        assert not circuit.allows()
        circuit.failed()
        pauses.append(clock.now - started)
    assert pauses == sorted(pauses)
    assert pauses[0] == pytest.approx(0.5, abs=0.02)
    assert pauses[-1] == pytest.approx(5.0, abs=0.02)


def test_the_call_that_succeeds_closes_it(clock: Clock) -> None:
    """Proves that everything is as before once the stage is back, the first pause too."""
    circuit = _broken()
    clock.now += 1
    assert circuit.allows()
    circuit.succeeded()
    assert all(circuit.allows() for _ in range(10))
    for _ in range(5):
        circuit.failed()
    clock.now += 0.6
    assert circuit.allows()
