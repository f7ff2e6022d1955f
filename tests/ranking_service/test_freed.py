"""Replaced bundles leave the memory, although calls were answered and failed from them."""

# grpc's classes are generic for the type checker only.
from __future__ import annotations

import contextlib
import mmap
import shutil
import weakref
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import numpy as np
import pytest

from ranking_service.recommender import Recommender
from ranking_service.retrieval import RetrievalClient
from ranking_service.service import load as load_ranking
from ranking_service.servicer import RankingServicer
from retrieval_service.retriever import Retriever
from retrieval_service.service import load as load_retrieval
from retrieval_service.servicer import RetrievalServicer
from shortlist.bundle import Bundle, BundleStore
from shortlist.ranking.v1 import ranking_service_pb2 as pb
from shortlist.ranking.v1.ranking_service_pb2_grpc import RankingServiceStub, add_RankingServiceServicer_to_server
from shortlist.security.settings import ClientSecurity
from shortlist.serving.interceptor import CallInterceptor
from shortlist.serving.served_bundles import ServedBundles
from shortlist.type.v1.context_pb2 import ContextValue
from shortlist.type.v1.user_pb2 import User
from testbed.services import Running, start_both
from testbed.versions import add_version, publish
from tests.support.in_process import retrieval_address
from tests.support.small_bundle import publish_small_bundle, ranker_of_early_hours
from tests.support.waiting import until

_SWAPS, _CALLERS = 4, 8
_SOON = 10.0


def _source(folder: Path) -> Path:
    # Its ranker fails for late hours.
    return publish_small_bundle(folder / "source", ranker=ranker_of_early_hours())


def _requests() -> Iterator[tuple[str, pb.RecommendRequest | pb.RankRequest]]:
    user, late = User(user_id="fan"), {"hour": ContextValue(number=12.0 + 6 * 4)}
    yield "Recommend", pb.RecommendRequest(user=user, limit=3)
    yield "Recommend", pb.RecommendRequest(user=user, limit=3, context=late)
    yield "Recommend", pb.RecommendRequest(user=user, limit=3, bundle_id="another")
    yield "Recommend", pb.RecommendRequest(user=user, limit=3, objective_weights={"another": 1})
    yield "Rank", pb.RankRequest(user=user, limit=3, item_ids=["a", "b"], context=late)


def _call_all(address: str) -> None:
    """Makes calls that succeed, fail and are degraded, several at a time."""
    with grpc.insecure_channel(address) as channel, ThreadPoolExecutor(_CALLERS) as pool:
        stub = RankingServiceStub(channel)

        def call(number: int) -> None:
            method, request = list(_requests())[number % 5]
            with contextlib.suppress(grpc.RpcError):
                getattr(stub, method)(request, timeout=_SOON)

        list(pool.map(call, range(5 * _CALLERS)))


@contextlib.contextmanager
def _served(store: BundleStore, client: RetrievalClient) -> Iterator[tuple[ServedBundles[Recommender], str]]:
    served = ServedBundles(store, lambda directory: load_ranking(Bundle.open(directory), client))
    served.load()
    server = grpc.server(ThreadPoolExecutor(_CALLERS), interceptors=[CallInterceptor()])
    add_RankingServiceServicer_to_server(RankingServicer(served), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield served, f"127.0.0.1:{port}"
    server.stop(None).wait()


def _parts(served: Retriever | Recommender) -> list[weakref.ref[object]]:
    """The object that answers, and the mapped file of the histories, to which every request refers."""
    mapped: object = served.bundle.users.rows
    while not isinstance(mapped, mmap.mmap):
        assert isinstance(mapped, np.ndarray)
        mapped = mapped.base
    return [weakref.ref(served), weakref.ref(mapped)]


@pytest.mark.usefixtures("uncollected")
def test_replaced_bundles_are_freed_without_the_garbage_collector(tmp_path: Path) -> None:
    """Proves it for both services, from the bundle of the start on: the collector never looks at objects made then."""
    source, root = _source(tmp_path), tmp_path / "bundles"
    publish(root, add_version(root, source, 0))
    store = BundleStore(root)
    retrieval = ServedBundles(store, lambda directory: load_retrieval(Bundle.open(directory)))
    retrieval.load()
    gone = list[weakref.ref[object]]()
    with retrieval_address(RetrievalServicer(retrieval)) as target:
        client = RetrievalClient(f"dns:///{target}", ClientSecurity())
        with _served(store, client) as (ranking, address):
            for number in range(1, _SWAPS + 1):
                gone += [*_parts(retrieval.get()), *_parts(ranking.get())]
                _call_all(address)
                publish(root, add_version(root, source, number))
                retrieval.follow()
                _call_all(address)
                ranking.follow()
            _call_all(address)
        client.close()
        released = [one() for one in gone[:-4]]
    assert released == [None] * (4 * _SWAPS - 4)


def _both_serve(running: Running, bundle_id: str) -> bool:
    logs = running.retrieval.log_path, running.ranking.log_path
    return all(f"serving bundle {bundle_id}" in log.read_text() for log in logs)


def test_deleted_bundles_stay_mapped_by_no_service(tmp_path: Path) -> None:
    """Proves on real processes under calls that the disk space of a deleted bundle is given back."""
    source, root = _source(tmp_path), tmp_path / "bundles"
    ids = [add_version(root, source, 0)]
    publish(root, ids[0])
    with start_both(root, tmp_path) as running:
        pids = (running.retrieval.process.pid, running.ranking.process.pid)
        for number in range(1, _SWAPS + 1):
            _call_all(running.ranking.address)
            ids.append(add_version(root, source, number))
            publish(root, ids[-1])
            until(lambda: _both_serve(running, ids[-1]))
            if number > 1:
                shutil.rmtree(root / ids[number - 2])
        maps = [Path(f"/proc/{pid}/maps").read_text() for pid in pids]
    for bundle_id in ids[:-2]:
        assert [bundle_id in mapped for mapped in maps] == [False, False]
