"""The client of the retrieval service."""

import logging
import time
from collections.abc import Sequence

import grpc
import numpy as np

from ranking_service.patience import Patience
from shortlist.bundle import Bundle
from shortlist.bundle.history import History
from shortlist.client.channels import Channels
from shortlist.client.circuit import Circuit
from shortlist.client.connections import CONNECTIONS
from shortlist.client.service_config import balancing_of, channel_options
from shortlist.client.tls_cause import tls_cause
from shortlist.degraded import Degraded
from shortlist.inference.live_items import LiveItems
from shortlist.inference.retrieval import RetrievalQuery, Retrieved
from shortlist.observability import metrics
from shortlist.retrieval.v1 import retrieval_service_pb2 as pb
from shortlist.retrieval.v1.retrieval_service_pb2_grpc import RetrievalServiceStub
from shortlist.security.settings import ClientSecurity
from shortlist.wire.rows_codec import MAX_ROWS_ANSWER_BYTES, decode_candidates, encode_queries

_LOG = logging.getLogger(__name__)
_CONNECT_SECONDS = 2.0
# A timeout shorter than this says nothing about the health of retrieval.
_TELLING_SECONDS = 0.1
_MOST_LOGGED_CHARS = 200
# One query of a batch may be at fault when the call ends with one of these.
_FAULT_OF_ONE = {grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.INTERNAL}
_REASONS = {
    grpc.StatusCode.DEADLINE_EXCEEDED: Degraded.RETRIEVAL_TIMEOUT,
    grpc.StatusCode.FAILED_PRECONDITION: Degraded.BUNDLE_MISMATCH,
}
_OPTIONS = [
    # Reconnect fast: while the channel backs off, every answer is degraded.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
    ("grpc.max_receive_message_length", MAX_ROWS_ANSWER_BYTES),
]


class RetrievalFailed(Exception):  # noqa: N818 - an outcome that is handled, not an error of ours
    """The retrieval service gave no usable answer: the ``reason``, and whether one query of several may be at fault."""

    def __init__(self, reason: Degraded, message: str, *, is_fault_of_one: bool = False) -> None:
        super().__init__(message)
        self.reason, self.is_fault_of_one = reason, is_fault_of_one


class RetrievalClient:
    """Connections to the retrieval service, which may be several processes behind one address. Thread-safe."""

    def __init__(self, target: str, security: ClientSecurity) -> None:
        service = "shortlist.retrieval.v1.RetrievalService"
        config = channel_options(service, attempts=3, backoff_seconds=0.01, balancing=balancing_of(target))
        self._channels = Channels(target, RetrievalServiceStub, [*config, *_OPTIONS], security)
        self._circuit, self._patience, self._security = Circuit("retrieval", metrics.CIRCUIT_OPEN), Patience(), security

    def retrieve(
        self, bundle: Bundle, queries: Sequence[RetrievalQuery], timeout: float, live: LiveItems | None = None
    ) -> list[Retrieved]:
        """The candidates of several users, in rows of a bundle and of its ``live`` items, within ``timeout`` seconds.

        Raises:
            RetrievalFailed: the call failed, its answer does not fit the bundle, or the circuit is open.
        """
        if not self._circuit.allows():
            raise RetrievalFailed(Degraded.RETRIEVAL_CIRCUIT_OPEN, "the circuit is open, because the last calls failed")
        try:
            response = self._call(encode_queries(bundle.manifest, queries, live), time.monotonic() + timeout)
        except grpc.RpcError as error:
            self._report(error.code(), timeout)
            details = error.details() or ""
            raise _failure(error.code(), tls_cause(details, self._security) or details) from error
        self._circuit.succeeded()
        try:
            return decode_candidates(response, bundle.manifest, queries, live)
        except ValueError as error:
            raise RetrievalFailed(Degraded.RETRIEVAL_INVALID, str(error), is_fault_of_one=True) from error

    def _call(self, request: pb.RetrieveRowsRequest, end: float, number: int = 0) -> pb.RetrieveRowsResponse:
        """The first answer until ``end``, of some tries one after the other, of which ``number`` have been made.

        Every second try goes over the same connection, where it is the turn of another address. The next one goes over
        another connection, for one address may have several processes behind it.
        """
        with self._channels.stub() as stub:
            for made in (number, number + 1):
                left = end - time.monotonic()
                seconds = self._patience.seconds(left, made)
                try:
                    return self._try(stub, request, left if seconds is None else seconds)
                except grpc.RpcError as error:
                    ran_out = seconds is not None and error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
                    if not (ran_out and self._patience.grants_further()):
                        raise
                self._channels.postpone(stub)
        return self._call(request, end, number + 2)

    def _try(
        self, stub: RetrievalServiceStub, request: pb.RetrieveRowsRequest, timeout: float
    ) -> pb.RetrieveRowsResponse:
        started = time.monotonic()
        response = stub.RetrieveRows(request, timeout=timeout, metadata=self._channels.metadata())
        self._patience.answered(time.monotonic() - started)
        return response

    def connect(self, bundle: Bundle) -> None:
        """Opens the connections before the first call; it is no error when retrieval does not answer yet."""
        popular = bundle.items.popular[:1].astype(np.int32)
        history = History(rows=popular, values=np.full(1, np.nan, dtype=np.float32), events=np.zeros(1, dtype=np.int64))
        query = RetrievalQuery(history=history, excluded=np.zeros(0, dtype=np.int64), limit=1)
        try:
            # Calls one after the other each take another connection.
            for _ in range(CONNECTIONS):
                self.retrieve(bundle, [query], _CONNECT_SECONDS)
        except RetrievalFailed as failure:
            if failure.reason is not Degraded.BUNDLE_MISMATCH:
                _LOG.warning("retrieval does not answer yet, so answers have popular items: %s", failure)

    def close(self) -> None:
        """Closes the connections."""
        self._channels.close()

    def _report(self, code: grpc.StatusCode, timeout: float) -> None:
        gone = code is grpc.StatusCode.UNAVAILABLE
        slow = code is grpc.StatusCode.DEADLINE_EXCEEDED and timeout >= _TELLING_SECONDS
        if gone or slow:
            self._circuit.failed()
        elif code is not grpc.StatusCode.DEADLINE_EXCEEDED:
            # It refuses the call, but it is there.
            self._circuit.succeeded()


def _failure(code: grpc.StatusCode, details: str) -> RetrievalFailed:
    reason = _REASONS.get(code, Degraded.RETRIEVAL_UNAVAILABLE)
    # The other side chose the text, and it goes to the log.
    text = f"{code.name}: {details[:_MOST_LOGGED_CHARS]!a}"
    return RetrievalFailed(reason, text, is_fault_of_one=code in _FAULT_OF_ONE)
