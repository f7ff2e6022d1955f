"""With several workers and while bundles swap, the next answer knows an event that was acknowledged before."""

# grpc's classes are generic for the type checker only.
from __future__ import annotations

import contextlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest

from shortlist import Recommender
from shortlist.live.v1.event_service_pb2_grpc import EventServiceStub
from testbed.services import Service, start_both, worker_pids
from testbed.versions import add_version, publish
from tests.support.live import record

pytestmark = pytest.mark.integration
_WORKERS, _CALLERS, _EVENTS, _SWAP_EVERY = 4, 4, 60, 15


def test_every_next_answer_knows_the_event(small_bundles: Path, tmp_path: Path) -> None:
    """Proves it for 240 events of four callers at once: each item is out of the list that its user sees next."""
    source = small_bundles / (small_bundles / "CURRENT").read_text().strip()
    root = tmp_path / "bundles"
    publish(root, add_version(root, source, 0))
    with contextlib.ExitStack() as stack:
        arguments = ["--store", str(tmp_path / "events.sqlite")]
        live = stack.enter_context(Service.start("live_service", arguments, tmp_path / "live.log"))
        ranking = ["--live", live.address, "--workers", str(_WORKERS)]
        both = stack.enter_context(start_both(root, tmp_path, ranking=ranking))
        stub = EventServiceStub(stack.enter_context(grpc.insecure_channel(live.address)))
        client = stack.enter_context(Recommender(f"dns:///{both.ranking.address}", timeout=10))

        def ask(caller: int) -> set[str]:
            bundles = set()
            for number in range(_EVENTS):
                if caller == 0 and number % _SWAP_EVERY == 0:
                    publish(root, add_version(root, source, number + 1))
                user_id, item = f"{caller}-{number}", "abcdefghijkl"[number % 12]
                position = record(stub, user_id, item)
                answer = client.recommend(user_id=user_id, limit=12, min_position=position)
                while answer.degraded == "history_unavailable":
                    # On a busy machine, a call of the live service may take longer than its share.
                    answer = client.recommend(user_id=user_id, limit=12, min_position=position)
                assert answer.live_position >= position
                assert {one.item_id for one in answer.items} == {*"abcdefghijkl"} - {item}
                bundles.add(answer.bundle_id)
            return bundles

        with ThreadPoolExecutor(_CALLERS) as pool:
            answering = set().union(*pool.map(ask, range(_CALLERS)))
        assert len(answering) > 1
        assert len(worker_pids(both.ranking.process.pid)) == _WORKERS
