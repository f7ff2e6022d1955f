"""Replicas that come and go while calls are made: none is lost."""

import os
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from shortlist import Recommendations, Recommender
from testbed.ports import free_port
from testbed.proxy import proxy
from testbed.services import Service
from tests.integration.conftest import Trained

pytestmark = pytest.mark.integration
_CALLERS = 4
# The gate's share of the calls of ``make soak``.
_CALLS = int(os.environ.get("ROLLING_CALLS", "1000"))
# Longer than a balancer needs to hear of it.
_DRAIN_DELAY = "1.5"
# Longer than a client needs to find a replica that is back.
_READY_SECONDS = 2.0
# Some hundred calls a second in all meet every step of a restart; more would only slow the tests beside these.
_REST_SECONDS = 0.01


@dataclass(kw_only=True)
class Replica:
    """A service at an address of its own, which outlives the process."""

    module: str
    arguments: list[str]
    log_path: Path
    service: Service

    @classmethod
    def start(cls, module: str, arguments: list[str], folder: Path) -> "Replica":
        address = f"127.0.0.1:{free_port()}"
        arguments = [*arguments, "--listen", address, "--drain-delay-seconds", _DRAIN_DELAY]
        log_path = folder / f"{module}-{address.rpartition(':')[2]}.log"
        service = Service.start(module, arguments, log_path)
        return cls(module=module, arguments=arguments, log_path=log_path, service=service)

    def restart(self) -> None:
        """Restarts like a roll-out: the signal, the end with 0, and a new process."""
        assert self.service.stop() == 0
        self.begin()

    def kill(self) -> None:
        self.service.process.kill()
        self.service.process.wait()

    def begin(self) -> None:
        self.service = Service.start(self.module, self.arguments, self.log_path)


@dataclass(frozen=True, kw_only=True)
class Fleet:
    """Two replicas of each service, and where clients of ranking call."""

    retrieval: list[Replica]
    ranking: list[Replica]
    target: str


@pytest.fixture(scope="module", params=["round robin", "envoy"])
def fleet(
    request: pytest.FixtureRequest, trained: Trained, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Fleet]:
    """Two of each, called by way of the clients' own balancing or of Envoy."""
    bundles, folder = ["--bundles", str(trained.bundles)], tmp_path_factory.mktemp("fleet")
    with ExitStack() as stack:

        def target(replicas: list[Replica]) -> str:
            addresses = [replica.service.address for replica in replicas]
            if request.param == "envoy":
                return f"dns:///{stack.enter_context(proxy(addresses, folder))}"
            return f"ipv4:{','.join(addresses)}"

        def two(module: str, arguments: list[str]) -> list[Replica]:
            replicas = [Replica.start(module, arguments, folder) for _ in range(2)]
            for replica in replicas:
                stack.callback(replica.kill)
            return replicas

        retrieval = two("retrieval_service", bundles)
        ranking = two("ranking_service", [*bundles, "--retrieval", target(retrieval)])
        yield Fleet(retrieval=retrieval, ranking=ranking, target=target(ranking))


class Callers:
    """Threads that call again and again while the block runs, and their answers."""

    def __init__(self, target: str) -> None:
        self._target, self._stop = target, threading.Event()
        self.answers: list[Recommendations] = []
        self._parts: list[list[Recommendations]] = []

    @property
    def count(self) -> int:
        """How many calls were answered by now."""
        return sum(map(len, self._parts))

    def __enter__(self) -> "Callers":
        self._client = Recommender(self._target, timeout=5)
        self._client.recommend(user_id="u1")
        self._pool = ThreadPoolExecutor(_CALLERS)
        self._futures = [self._pool.submit(self._call, f"u{user}") for user in range(_CALLERS)]
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._pool.shutdown()
        self._client.close()
        # Raises what a call raised.
        self.answers = [answer for future in self._futures for answer in future.result()]

    def _call(self, user: str) -> list[Recommendations]:
        answers: list[Recommendations] = []
        self._parts.append(answers)
        while not self._stop.is_set():
            answers.append(self._client.recommend(user_id=user))
            time.sleep(_REST_SECONDS)
        return answers


def test_a_rolling_restart_of_everything_loses_no_call(fleet: Fleet) -> None:
    """Each replica of each service is restarted under load: no call fails, and none is answered any worse."""
    with Callers(fleet.target) as callers:
        while True:
            for replica in (*fleet.retrieval, *fleet.ranking):
                replica.restart()
                time.sleep(_READY_SECONDS)
            if callers.count >= _CALLS:
                break
    assert [answer.degraded for answer in callers.answers if answer.degraded] == []


def test_a_replica_that_is_killed_takes_no_call_with_it(fleet: Fleet) -> None:
    """Without any notice: what was on its way is asked again, of the other."""
    with Callers(fleet.target) as callers:
        for replica in (fleet.ranking[0], fleet.retrieval[0]):
            time.sleep(1)
            replica.kill()
            time.sleep(2)
            replica.begin()
        time.sleep(1)
    assert len(callers.answers) > 300
