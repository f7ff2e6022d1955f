"""One instance of retrieval that answers no call, beside a healthy one: no answer is degraded, and it is left alone."""

# grpc's classes are generic for the type checker only.
from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import grpc
import numpy as np
import pytest

from ranking_service.patience import Patience
from ranking_service.retrieval import RetrievalClient, RetrievalFailed
from retrieval_service.servicer import RetrievalServicer
from shortlist.bundle import Bundle
from shortlist.bundle.history import History
from shortlist.client.budget import Budget
from shortlist.degraded import Degraded
from shortlist.errors import CallerGone
from shortlist.inference.retrieval import RetrievalQuery
from shortlist.retrieval.v1 import retrieval_service_pb2 as pb
from shortlist.security.settings import ClientSecurity
from tests.support.in_process import RowsServicer, retrieval_address

# Long, for a busy machine: the tries of a call are much shorter.
_SOON = _SECONDS = 10.0


class Hanging(RowsServicer):
    """Answers as another servicer does once it is well, and until then no call."""

    def __init__(self, servicer: RetrievalServicer, seconds: float = 0.0) -> None:
        self._servicer, self._seconds = servicer, seconds
        self.is_well = threading.Event()
        self.calls = 0

    def RetrieveRows(self, request: pb.RetrieveRowsRequest, context: grpc.ServicerContext) -> pb.RetrieveRowsResponse:  # noqa: N802
        self.calls += 1
        while not self.is_well.wait(0.005):
            if not context.is_active():
                raise CallerGone("its caller has given up")
        time.sleep(self._seconds)
        return self._servicer.RetrieveRows(request, context)


@dataclass(frozen=True, kw_only=True)
class Two:
    """A client of two instances."""

    client: RetrievalClient
    hanging: Hanging
    healthy: Hanging


@pytest.fixture(params=["hanging,healthy", "healthy,hanging"])
def two(small_bundle: Bundle, retrieval: RetrievalServicer, request: pytest.FixtureRequest) -> Iterator[Two]:
    """A client of two instances, named in one order and in the other, one of which begins to hang."""
    hanging, healthy = Hanging(retrieval), Hanging(retrieval)
    hanging.is_well.set()
    healthy.is_well.set()
    with retrieval_address(hanging) as one, retrieval_address(healthy) as other:
        names = request.param.replace("hanging", one).replace("healthy", other)
        with _client(f"ipv4:{names}") as client:
            for _ in range(50):
                _ask(client, small_bundle)
            hanging.is_well.clear()
            hanging.calls = healthy.calls = 0
            yield Two(client=client, hanging=hanging, healthy=healthy)
        hanging.is_well.set()


@contextlib.contextmanager
def _client(target: str) -> Iterator[RetrievalClient]:
    client = RetrievalClient(target, ClientSecurity())
    try:
        yield client
    finally:
        client.close()


def _ask(client: RetrievalClient, bundle: Bundle, seconds: float = _SECONDS) -> None:
    history = History(
        rows=np.zeros(1, dtype=np.int32), values=np.zeros(1, dtype=np.float32), events=np.zeros(1, dtype=np.int64)
    )
    query = RetrievalQuery(history=history, excluded=np.zeros(0, dtype=np.int64), limit=5)
    (found,) = client.retrieve(bundle, [query], seconds)
    assert len(found.candidates) == 5


def test_every_call_is_answered_and_the_hanging_instance_is_left_alone(small_bundle: Bundle, two: Two) -> None:
    """Proves that a further try reaches the healthy one, and that gRPC's outlier detection works as it did."""
    for _ in range(400):
        _ask(two.client, small_bundle)
    assert two.healthy.calls >= 400
    assert 8 <= two.hanging.calls < 60


def test_an_instance_that_is_well_again_gets_calls_within_seconds(small_bundle: Bundle, two: Two) -> None:
    """Proves that no instance is lost for ever."""
    while two.hanging.calls < 8:
        _ask(two.client, small_bundle)
    two.hanging.is_well.set()
    before, end = two.hanging.calls, time.monotonic() + _SOON
    while two.hanging.calls < before + 20:
        assert time.monotonic() < end
        _ask(two.client, small_bundle)
        time.sleep(0.005)


def test_an_only_instance_is_never_left_alone(small_bundle: Bundle, retrieval: RetrievalServicer) -> None:
    """Proves that the call after its recovery is answered, and that a stage that is gone opens the circuit."""
    hanging = Hanging(retrieval)
    with retrieval_address(hanging) as address, _client(f"ipv4:{address}") as client:
        for _ in range(3):
            with pytest.raises(RetrievalFailed) as caught:
                _ask(client, small_bundle, 0.3)
            assert caught.value.reason is Degraded.RETRIEVAL_TIMEOUT
        hanging.is_well.set()
        _ask(client, small_bundle, _SOON)
        hanging.is_well.clear()
        reasons = []
        for _ in range(6):
            with pytest.raises(RetrievalFailed) as caught:
                _ask(client, small_bundle, 0.15)
            reasons.append(caught.value.reason)
        hanging.is_well.set()
    assert reasons == [Degraded.RETRIEVAL_TIMEOUT] * 5 + [Degraded.RETRIEVAL_CIRCUIT_OPEN]


def test_a_stage_that_is_slow_as_a_whole_gets_few_further_calls(
    small_bundle: Bundle, retrieval: RetrievalServicer
) -> None:
    """Proves that a service that is slow from overload is not flooded: ranking learns to wait longer."""
    slow = Hanging(retrieval, 0.12)
    slow.is_well.set()
    with retrieval_address(slow) as address, _client(f"ipv4:{address}") as client:
        for _ in range(15):
            _ask(client, small_bundle)
    assert 15 <= slow.calls <= 20


def test_calls_at_the_same_time_make_no_more_further_tries_than_the_budget_has(
    small_bundle: Bundle, retrieval: RetrievalServicer
) -> None:
    """Proves it for a stage that hangs as a whole, when the calls begin before the first of them runs out."""
    hanging = Hanging(retrieval)

    def ask(client: RetrievalClient) -> None:
        with pytest.raises(RetrievalFailed):
            _ask(client, small_bundle, 1.0)

    with retrieval_address(hanging, threads=100) as address, _client(f"ipv4:{address}") as client:
        with ThreadPoolExecutor(50) as pool:
            list(pool.map(ask, [client] * 50))
        hanging.is_well.set()
    assert hanging.calls <= 50 + 30


def test_a_try_has_the_whole_time_when_no_further_one_is_in_the_budget() -> None:
    """Proves it for a spent budget, and for a deadline too short for two tries."""
    patience = Patience()
    assert patience.seconds(1.0) == pytest.approx(0.24)
    assert patience.seconds(0.5) == 0.125
    assert patience.seconds(0.12) == 0.05
    assert patience.seconds(0.09) is None
    assert patience.seconds(0.7, 1) == pytest.approx(0.35)
    for _ in range(50):
        patience.answered(0.001)
    assert patience.seconds(1.0) == 0.05
    while patience.grants_further():
        pass
    assert patience.seconds(1.0) is None


def test_a_budget_earns_with_calls_and_with_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Proves that a tenth of a call is earned with each, more with time, and that no more than the most is saved."""
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    budget = Budget(most=10.0, per_second=2.0)
    assert [budget.spend() for _ in range(11)] == [True] * 10 + [False]
    for _ in range(9):
        budget.earn()
    assert not budget.spend()
    for _ in range(2):
        budget.earn()
    assert budget.spend()
    now += 3
    budget.earn()
    assert [budget.spend() for _ in range(7)] == [True] * 6 + [False]
    now += 1000
    budget.earn()
    assert [budget.spend() for _ in range(11)] == [True] * 10 + [False]
