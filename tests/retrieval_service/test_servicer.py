"""The service on a real socket: a batch, and the queries that share one."""

# grpc's classes are generic for the type checker only.
from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest

from retrieval_service.retriever import Retriever
from retrieval_service.servicer import RetrievalServicer
from shortlist.bundle import Bundle, BundleStore
from shortlist.inference.retrieval import RetrievalQuery, Retrieved
from shortlist.limits import MAX_BATCH_CANDIDATES, MAX_LIMIT
from shortlist.retrieval.v1 import retrieval_service_pb2 as pb
from shortlist.retrieval.v1.retrieval_service_pb2_grpc import RetrievalServiceStub
from shortlist.serving.served_bundles import ServedBundles
from shortlist.type.v1.user_pb2 import HistoryItem, User
from tests.support.in_process import retrieval_address
from tests.support.small_bundle import BUNDLE_ID

_SOON = 10.0
_FAULTY = 7


class Recording(Retriever):
    """Notes the sizes of batches; waits before each until it is let through; fails for one limit."""

    def __init__(self, bundle: Bundle) -> None:
        super().__init__(bundle)
        self.sizes: list[int] = []
        self.open = threading.Semaphore(1)

    def retrieve_rows(self, queries: Sequence[RetrievalQuery]) -> list[Retrieved]:
        self.sizes.append(len(queries))
        assert self.open.acquire(timeout=_SOON)
        if any(query.limit == _FAULTY for query in queries):
            raise RuntimeError("cannot answer this query")
        return super().retrieve_rows(queries)


@pytest.fixture
def retriever(small_bundle: Bundle) -> Recording:
    """The retriever that the service has."""
    return Recording(small_bundle)


@pytest.fixture
def stub(retriever: Recording, small_bundles: Path) -> Iterator[RetrievalServiceStub]:
    """A stub of the running service."""
    served = ServedBundles[Retriever](BundleStore(small_bundles), lambda _: retriever)
    served.load()
    with (
        retrieval_address(RetrievalServicer(served)) as address,
        grpc.insecure_channel(address, [("grpc.enable_http_proxy", 0)]) as channel,
    ):
        yield RetrievalServiceStub(channel)


def _until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + _SOON
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.001)


def _history(*items: str) -> User:
    return User(history=[HistoryItem(item_id=item, event="rent") for item in items])


def _rounded(response: pb.RetrieveResponse) -> pb.RetrieveResponse:
    for candidate in response.candidates:
        candidate.score = round(candidate.score, 5)
    return response


def test_a_batch_is_one_batch_and_answers_each_query_as_if_alone(
    retriever: Recording, stub: RetrievalServiceStub
) -> None:
    """Proves it for users with a history and with features, for nobody, for similar items, and for both layouts."""
    retriever.open.release(100)
    queries = [
        pb.RetrieveRequest(user=User(user_id="fan"), limit=3, keep_seen=True),
        pb.RetrieveRequest(user=_history("b", "zz", "e"), limit=2, exclude_item_ids=["k", "gone"]),
        pb.RetrieveRequest(user=User(user_id="described"), limit=5),
        pb.RetrieveRequest(limit=12),
        pb.RetrieveRequest(similar_to=pb.SimilarTo(item_ids=["a", "b"]), limit=4),
        pb.RetrieveRequest(similar_to=pb.SimilarTo(item_ids=["gone"]), limit=1),
        pb.RetrieveRequest(user=User(user_id="mixed"), limit=3, view=pb.CANDIDATE_VIEW_COLUMNS),
    ]
    together = stub.BatchRetrieve(pb.BatchRetrieveRequest(requests=queries), timeout=_SOON).responses
    assert retriever.sizes == [len(queries)]
    alone = [stub.Retrieve(query, timeout=_SOON) for query in queries]
    assert [*map(_rounded, together)] == [*map(_rounded, alone)]
    assert [one.unknown_item_count for one in together] == [0, 2, 0, 0, 0, 1, 0]
    assert together[1].unknown_event_count == 3


def test_a_query_that_fails_in_a_shared_batch_fails_alone(retriever: Recording, stub: RetrievalServiceStub) -> None:
    """Proves that the callers beside it get their answers."""
    assert retriever.open.acquire(timeout=_SOON)
    ask = stub.Retrieve
    with ThreadPoolExecutor(4) as pool:
        first = pool.submit(ask, pb.RetrieveRequest(limit=1), timeout=_SOON)
        _until(lambda: retriever.sizes == [1])
        limits = (2, _FAULTY, 3)
        others = [pool.submit(ask, pb.RetrieveRequest(limit=limit), timeout=_SOON) for limit in limits]
        _until(lambda: len(retriever._coalescer._waiting) == len(limits))
        retriever.open.release(100)
        assert first.result(_SOON).found_count == 1
        good, bad, fine = others
        assert (good.result(_SOON).found_count, fine.result(_SOON).found_count) == (2, 3)
        with pytest.raises(grpc.RpcError) as caught:
            bad.result(_SOON)
    assert caught.value.code() is grpc.StatusCode.INTERNAL
    assert retriever.sizes == [1, 3, 1, 1, 1]


def test_a_call_by_rows_wants_no_more_candidates_than_a_batch_may(stub: RetrievalServiceStub) -> None:
    """Proves that the refusal comes before any search."""
    queries = [pb.RowsQuery(limit=MAX_LIMIT)] * (MAX_BATCH_CANDIDATES // MAX_LIMIT + 1)
    with pytest.raises(grpc.RpcError, match="queries want 21000 candidates together; at most 20000"):
        stub.RetrieveRows(pb.RetrieveRowsRequest(bundle_id=BUNDLE_ID, queries=queries), timeout=_SOON)
