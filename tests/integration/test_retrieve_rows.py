"""The call between the two services: arrays of rows, checked at the edge like everything else."""

from collections.abc import Iterator
from pathlib import Path

import grpc
import numpy as np
import pytest

from shortlist.inference.candidates import Source
from shortlist.retrieval.v1 import retrieval_service_pb2 as pb
from shortlist.retrieval.v1.retrieval_service_pb2_grpc import RetrievalServiceStub
from shortlist.wire.rows_codec import BYTES, FLOATS, ROWS
from testbed.services import Running

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def retrieval(running: Running) -> Iterator[RetrievalServiceStub]:
    """The running retrieval service."""
    with grpc.insecure_channel(running.retrieval.address) as channel:
        yield RetrievalServiceStub(channel)


def _query(
    rows: tuple[int, ...] = (3, 7),
    values: tuple[float, ...] = (5.0, float("nan")),
    events: tuple[int, ...] = (0, 0),
    excluded: tuple[int, ...] = (3, 7),
    limit: int = 5,
    features: tuple[float, ...] = (),
) -> pb.RowsQuery:
    return pb.RowsQuery(
        history_rows=np.array(rows, dtype=ROWS).tobytes(),
        history_values=np.array(values, dtype=FLOATS).tobytes(),
        history_events=np.array(events, dtype=BYTES).tobytes(),
        excluded_rows=np.array(excluded, dtype=ROWS).tobytes(),
        limit=limit,
        user_features=np.array(features, dtype=FLOATS).tobytes(),
    )


def test_rows_come_back_without_the_excluded_ones(retrieval: RetrievalServiceStub, bundle: Path) -> None:
    """As many as asked for, a score for each, a source for each, the user vector, and nothing excluded among them."""
    request = pb.RetrieveRowsRequest(bundle_id=bundle.name, queries=[_query(), _query(limit=9)])
    first, second = retrieval.RetrieveRows(request, timeout=10).candidates
    rows = np.frombuffer(first.rows, dtype=ROWS)
    assert len(rows) == len(np.frombuffer(first.scores, dtype=FLOATS)) == 5
    assert np.frombuffer(first.sources, dtype=BYTES).tolist() == [Source.MODEL] * 5
    assert not {3, 7} & set(rows.tolist())
    assert len(np.frombuffer(first.user_vector, dtype=FLOATS)) == 16
    assert len(np.frombuffer(second.rows, dtype=ROWS)) == 9


@pytest.mark.parametrize(
    ("query", "field"),
    [
        (_query(rows=(), values=(), events=()), "history_rows"),
        (_query(rows=(3, 999_999)), "history_rows"),
        (_query(values=(5.0,)), "history_rows"),
        (_query(values=(5.0, float("inf"))), "history_values"),
        (_query(events=(0, 255)), "history_events"),
        (_query(excluded=(7, 3)), "excluded_rows"),
        (_query(excluded=(3, 999_999)), "excluded_rows"),
        (_query(features=(1.0,)), "user_features"),
        (_query(features=(float("nan"), 0.0, 1.0)), "user_features"),
        (_query(limit=0), "limit"),
        (_query(limit=1001), "limit"),
        (pb.RowsQuery(history_rows=b"abc", limit=5), "history_rows"),
    ],
)
def test_an_array_that_makes_no_sense_is_refused(
    retrieval: RetrievalServiceStub, bundle: Path, query: pb.RowsQuery, field: str
) -> None:
    """The second query is the bad one, and the answer says which and what of it."""
    with pytest.raises(grpc.RpcError) as caught:
        retrieval.RetrieveRows(pb.RetrieveRowsRequest(bundle_id=bundle.name, queries=[_query(), query]), timeout=10)
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert f"queries[1].{field}" in (caught.value.details() or "")


def test_the_number_of_queries_is_bounded(retrieval: RetrievalServiceStub, bundle: Path) -> None:
    """None is a mistake, and more than a hundred hold everybody else up."""
    for count in (0, 101):
        with pytest.raises(grpc.RpcError) as caught:
            retrieval.RetrieveRows(
                pb.RetrieveRowsRequest(bundle_id=bundle.name, queries=[_query()] * count), timeout=10
            )
        assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT


def test_rows_of_another_bundle_are_refused(retrieval: RetrievalServiceStub) -> None:
    """A row means another item there."""
    codes = {"": grpc.StatusCode.INVALID_ARGUMENT, "20200101T000000-0000": grpc.StatusCode.FAILED_PRECONDITION}
    for bundle_id, code in codes.items():
        with pytest.raises(grpc.RpcError) as caught:
            retrieval.RetrieveRows(pb.RetrieveRowsRequest(bundle_id=bundle_id, queries=[_query()]), timeout=10)
        assert caught.value.code() == code
