"""The services answer any input with an error that says the cause, and live on."""

import contextlib
import os
import random
import socket
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import pytest
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shortlist.ranking.v1 import ranking_service_pb2 as ranking_pb
from shortlist.retrieval.v1 import retrieval_service_pb2 as retrieval_pb
from testbed.services import Running

pytestmark = pytest.mark.integration
# The gate's share of the inputs that ``make fuzz`` tries.
_EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "150"))
_NEVER = {grpc.StatusCode.UNKNOWN, grpc.StatusCode.INTERNAL, grpc.StatusCode.UNAVAILABLE}
_RANKING = "/shortlist.ranking.v1.RankingService/"
_RETRIEVAL = "/shortlist.retrieval.v1.RetrievalService/"
_METHODS: dict[str, type[Message]] = {
    f"{_RANKING}Recommend": ranking_pb.RecommendRequest,
    f"{_RANKING}Rank": ranking_pb.RankRequest,
    f"{_RANKING}Similar": ranking_pb.SimilarRequest,
    f"{_RETRIEVAL}Retrieve": retrieval_pb.RetrieveRequest,
    f"{_RETRIEVAL}BatchRetrieve": retrieval_pb.BatchRetrieveRequest,
    f"{_RETRIEVAL}RetrieveRows": retrieval_pb.RetrieveRowsRequest,
}
_fuzz = settings(max_examples=_EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
# Ids and objectives that the planted data has, beside any others.
_TEXTS = st.one_of(st.sampled_from(["u1", "i1", "i2", "untouched", "", "like", "value"]), st.text(max_size=300))
_NUMBERS = {
    FieldDescriptor.CPPTYPE_INT32: st.one_of(st.integers(0, 1100), st.integers(-(2**31), 2**31 - 1)),
    FieldDescriptor.CPPTYPE_INT64: st.integers(-(2**63), 2**63 - 1),
    FieldDescriptor.CPPTYPE_BOOL: st.booleans(),
    FieldDescriptor.CPPTYPE_DOUBLE: st.floats(),
    FieldDescriptor.CPPTYPE_FLOAT: st.floats(width=32),
    FieldDescriptor.CPPTYPE_ENUM: st.integers(-1, 5),
}


@pytest.fixture(scope="module")
def call(running: Running) -> Iterator[Callable[[str, bytes], grpc.StatusCode]]:
    """Sends bytes to a method, and gives the code of the answer."""
    with contextlib.ExitStack() as stack:
        channels = {
            _RANKING: stack.enter_context(grpc.insecure_channel(running.ranking.address)),
            _RETRIEVAL: stack.enter_context(grpc.insecure_channel(running.retrieval.address)),
        }

        def call(method: str, request: bytes) -> grpc.StatusCode:
            try:
                by_bytes: Any = channels[method[: method.rindex("/") + 1]].unary_unary(method)
                by_bytes(request, timeout=30)
            except grpc.RpcError as error:
                code: grpc.StatusCode = error.code()
                return code
            return grpc.StatusCode.OK

        yield call


def _messages(descriptor: Any, bundle_id: str) -> st.SearchStrategy[dict[str, Any]]:  # noqa: ANN401 - one of two kinds
    """Values for some of a message's fields."""
    fields = {field.name: _values(field, bundle_id) for field in descriptor.fields}
    return st.fixed_dictionaries({}, optional=fields)


def _values(field: FieldDescriptor, bundle_id: str) -> st.SearchStrategy[Any]:
    if _is_map(field):
        entry: Any = field.message_type
        key, value = entry.fields
        return st.dictionaries(_values(key, bundle_id), _values(value, bundle_id), max_size=70)
    if field.cpp_type == FieldDescriptor.CPPTYPE_MESSAGE:
        one: st.SearchStrategy[Any] = _messages(field.message_type, bundle_id)
    elif field.name == "bundle_id":
        one = st.one_of(st.just(bundle_id), st.just(""), st.text(max_size=40))
    elif field.type == FieldDescriptor.TYPE_BYTES:
        one = st.binary(max_size=64)
    elif field.cpp_type == FieldDescriptor.CPPTYPE_STRING:
        one = _TEXTS
    else:
        one = _NUMBERS[field.cpp_type]
    return st.lists(one, max_size=12) if field.is_repeated else one


def _is_map(field: Any) -> bool:  # noqa: ANN401 - one of two kinds
    return field.message_type is not None and field.message_type.GetOptions().map_entry


def _build(kind: type[Message], values: dict[str, Any]) -> bytes:
    message = kind()
    _fill(message, values)
    return message.SerializeToString()


def _fill(message: Message, values: dict[str, Any]) -> None:
    for name, value in values.items():
        field = message.DESCRIPTOR.fields_by_name[name]
        is_message = field.cpp_type == FieldDescriptor.CPPTYPE_MESSAGE
        if _is_map(field):
            for key, one in value.items():
                if isinstance(one, dict):
                    _fill(getattr(message, name)[key], one)
                else:
                    getattr(message, name)[key] = one
        elif is_message and field.is_repeated:
            for one in value:
                _fill(getattr(message, name).add(), one)
        elif is_message:
            getattr(message, name).SetInParent()
            _fill(getattr(message, name), value)
        elif field.is_repeated:
            getattr(message, name).extend(value)
        else:
            setattr(message, name, value)


@pytest.mark.parametrize("method", _METHODS)
def test_any_values_of_any_fields_are_answered(
    method: str, running: Running, call: Callable[[str, bytes], grpc.StatusCode], bundle_id: str
) -> None:
    """Neither a crash nor an error that is our own fault, for every field of every request."""

    @_fuzz
    @given(_messages(_METHODS[method].DESCRIPTOR, bundle_id))
    def try_one(values: dict[str, Any]) -> None:
        assert call(method, _build(_METHODS[method], values)) not in _NEVER

    try_one()


@pytest.mark.parametrize("method", _METHODS)
def test_valid_messages_with_bytes_changed_are_answered(
    method: str, running: Running, call: Callable[[str, bytes], grpc.StatusCode], bundle_id: str
) -> None:
    """Bytes that are no message any more are refused as such; the rest is a request like others."""

    @_fuzz
    @given(_messages(_METHODS[method].DESCRIPTOR, bundle_id), st.randoms(use_true_random=False))
    def try_one(values: dict[str, Any], chance: random.Random) -> None:
        request = bytearray(_build(_METHODS[method], values) or b"\0")
        for _ in range(chance.randint(1, 4)):
            request[chance.randrange(len(request))] = chance.randrange(256)
        assert call(method, bytes(request)) not in _NEVER

    try_one()


def test_random_bytes_on_the_port_leave_it_open(
    running: Running, call: Callable[[str, bytes], grpc.StatusCode]
) -> None:
    """Whoever does not speak HTTP/2, or begins to and goes astray, is cut off; the next caller is answered."""
    host, port = running.ranking.address.rsplit(":", 1)
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
    chance = random.Random(7)  # noqa: S311 - a seed, so that a failure can be seen again
    for number in range(_EXAMPLES):
        with socket.create_connection((host, int(port)), timeout=5) as connection, contextlib.suppress(OSError):
            connection.sendall((preface if number % 2 else b"") + chance.randbytes(chance.randint(1, 2000)))
            connection.shutdown(socket.SHUT_WR)
            connection.recv(1024)
    request = ranking_pb.RecommendRequest(limit=3).SerializeToString()
    assert call(f"{_RANKING}Recommend", request) is grpc.StatusCode.OK
    assert running.ranking.process.poll() is None
    assert "Traceback" not in running.ranking.log_path.read_text()


@pytest.fixture(scope="module")
def bundle_id(trained: Any) -> str:  # noqa: ANN401 - a fixture of the package
    """The bundle that is served, for requests that have to name it."""
    return str(trained.bundle.name)
