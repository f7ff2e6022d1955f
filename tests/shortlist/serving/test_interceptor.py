"""The status that a caller gets when a handler raises."""

import logging
from collections.abc import Callable
from pathlib import Path

import grpc
import pytest
from google.rpc.error_details_pb2 import BadRequest
from grpc_status import rpc_status

from shortlist.errors import (
    BundleError,
    BundleNotServed,
    DeadlineExceeded,
    FieldViolation,
    InvalidRequest,
    Overloaded,
    PermissionDenied,
    ShortlistError,
    Unauthenticated,
    Unavailable,
)
from shortlist.ranking.v1 import ranking_service_pb2 as pb
from shortlist.ranking.v1.ranking_service_pb2_grpc import RankingServiceServicer, RankingServiceStub
from shortlist.status import read_error

Start = Callable[[RankingServiceServicer], str]


class Failing(RankingServiceServicer):
    """Raises the given exception."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def Recommend(self, request: pb.RecommendRequest, context: grpc.ServicerContext) -> pb.RecommendResponse:  # noqa: N802
        raise self._error

    def Rank(self, request: pb.RankRequest, context: grpc.ServicerContext) -> pb.RankResponse:  # noqa: N802
        raise NotImplementedError

    def Similar(self, request: pb.SimilarRequest, context: grpc.ServicerContext) -> pb.SimilarResponse:  # noqa: N802
        raise NotImplementedError

    def GetBundle(self, request: pb.GetBundleRequest, context: grpc.ServicerContext) -> pb.GetBundleResponse:  # noqa: N802
        raise NotImplementedError


def failure(start: Start, error: Exception) -> grpc.RpcError:
    with (
        grpc.insecure_channel(start(Failing(error))) as channel,
        pytest.raises(grpc.RpcError) as caught,
    ):
        RankingServiceStub(channel).Recommend(pb.RecommendRequest(), timeout=5)
    return caught.value


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (BundleNotServed("another is"), grpc.StatusCode.FAILED_PRECONDITION),
        (Unavailable("loading"), grpc.StatusCode.UNAVAILABLE),
        (DeadlineExceeded("too late"), grpc.StatusCode.DEADLINE_EXCEEDED),
    ],
)
def test_our_errors_reach_the_caller_as_code_and_message(
    start: Start, error: ShortlistError, code: grpc.StatusCode
) -> None:
    """The table from exceptions to status codes applies, and the message is sent."""
    found = failure(start, error)
    assert (found.code(), found.details()) == (code, str(error))


def test_an_invalid_request_comes_back_with_its_violations(start: Start) -> None:
    """A caller's library can read the invalid fields from google.rpc.BadRequest."""
    found = failure(start, InvalidRequest((FieldViolation("limit", "is 0"), FieldViolation("user", "is odd"))))
    request = BadRequest()
    status = rpc_status.from_call(found)  # type: ignore[arg-type]  # an RpcError of a call is a Call too
    assert status is not None
    assert status.details[0].Unpack(request)
    assert [(violation.field, violation.description) for violation in request.field_violations] == [
        ("limit", "is 0"),
        ("user", "is odd"),
    ]
    assert (found.code(), found.details()) == (grpc.StatusCode.INVALID_ARGUMENT, "limit is 0; user is odd")


def test_thousands_of_violations_fit_into_the_status(start: Start) -> None:
    """The status stays below gRPC's limit on metadata; above it gRPC answers RESOURCE_EXHAUSTED instead."""
    violation = FieldViolation("exclude_item_ids[4711]", "has 0 bytes; has to have 1 to 128")
    assert failure(start, InvalidRequest((violation,) * 5000)).code() == grpc.StatusCode.INVALID_ARGUMENT


@pytest.mark.parametrize(
    "error", [KeyError("secret"), BundleError(Path("secret"), "is gone"), ShortlistError("secret")]
)
def test_an_unexpected_exception_goes_to_the_log_and_not_to_the_caller(
    start: Start, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    """The exception's text never leaves the process, and its traceback is logged."""
    with caplog.at_level(logging.ERROR):
        found = failure(start, error)
    assert (found.code(), found.details()) == (grpc.StatusCode.INTERNAL, "internal error")
    assert "secret" not in str(found.trailing_metadata())
    assert "raise self._error" in caplog.text
    assert "/shortlist.ranking.v1.RankingService/Recommend failed" in caplog.text


@pytest.mark.parametrize(
    "error",
    [
        InvalidRequest((FieldViolation("limit", "is 0"),)),
        BundleNotServed("another is", ("20260101T000000-0000", "20250101T000000-0000")),
        Overloaded("too many", 0.25),
        Unauthenticated("who"),
        PermissionDenied("not you"),
        Unavailable("loading"),
    ],
    ids=type,
)
def test_our_errors_survive_the_wire(start: Start, error: ShortlistError) -> None:
    """Our client raises the server's exception with all its details."""
    found = read_error(failure(start, error))
    assert type(found) is type(error)
    assert vars(found) == vars(error)
