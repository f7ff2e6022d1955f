"""Stage one, as the ranking service calls it."""

import logging
from collections.abc import Sequence

import grpc
import numpy as np

from ranking_service.circuit import Circuit
from ranking_service.packing import Wanted, read_candidates, rows_request
from ranking_service.ranker import Candidates
from shortlist.bundle import Bundle
from shortlist.bundle.history import History
from shortlist.client.channels import Channels
from shortlist.client.connections import CONNECTIONS
from shortlist.client.service_config import channel_options
from shortlist.retrieval.v1.retrieval_service_pb2_grpc import RetrievalServiceStub
from shortlist.security.settings import ClientSecurity

_LOG = logging.getLogger(__name__)
_CONNECT_SECONDS = 2.0
# Whoever gives retrieval less than this, and hears nothing, has learnt nothing about it.
_TELLING_SECONDS = 0.1
_OPTIONS = [
    *channel_options("shortlist.retrieval.v1.RetrievalService", attempts=3, backoff_seconds=0.01),
    # Reconnect fast: every call while the channel backs off is a degraded answer.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
]


class RetrievalFailed(Exception):  # noqa: N818 - it is what happened, not an error of ours
    """Stage one gave no usable answer; ``code`` is what the call ended with."""

    def __init__(self, code: grpc.StatusCode, details: str) -> None:
        super().__init__(f"{code.name}: {details}")
        self.code = code


class RetrievalClient:
    """Connections to the retrieval service, behind whose address may be several processes. Thread-safe."""

    def __init__(self, target: str, security: ClientSecurity) -> None:
        self._channels = Channels(target, RetrievalServiceStub, _OPTIONS, security)
        self._circuit = Circuit()

    def retrieve(self, bundle: Bundle, wanted: Sequence[Wanted], timeout: float) -> list[Candidates]:
        """Candidates for several users, by rows of a bundle, in one call that has ``timeout`` seconds.

        Raises:
            RetrievalFailed: the call failed, or the answer is of no use, or the last calls failed and none was made.
        """
        if not self._circuit.allows():
            raise RetrievalFailed(grpc.StatusCode.UNAVAILABLE, "the last calls failed")
        try:
            with self._channels.stub() as stub:
                request, metadata = rows_request(bundle, wanted), self._channels.metadata()
                response = stub.RetrieveRows(request, timeout=timeout, metadata=metadata)
        except grpc.RpcError as error:
            self._tell(error.code(), timeout)
            raise RetrievalFailed(error.code(), error.details() or "") from error
        self._circuit.succeeded()
        try:
            return read_candidates(response, bundle.manifest, len(wanted))
        except ValueError as error:
            raise RetrievalFailed(grpc.StatusCode.INTERNAL, str(error)) from error

    def connect(self, bundle: Bundle) -> None:
        """Opens the connections ahead of the first call; that retrieval is not there yet is no error."""
        popular = bundle.items.popular[:1].astype(np.int32)
        history = History(rows=popular, values=np.full(1, np.nan, dtype=np.float32), events=np.zeros(1, dtype=np.int64))
        someone = Wanted(history=history, hidden=np.zeros(0, dtype=np.int64), limit=1)
        try:
            # One call after the other, each takes another connection.
            for _ in range(CONNECTIONS):
                self.retrieve(bundle, [someone], _CONNECT_SECONDS)
        except RetrievalFailed as failure:
            if failure.code is not grpc.StatusCode.FAILED_PRECONDITION:
                _LOG.warning("retrieval does not answer yet, until it does the answers are popular items: %s", failure)

    def close(self) -> None:
        """Closes the connections."""
        self._channels.close()

    def _tell(self, code: grpc.StatusCode, timeout: float) -> None:
        gone = code is grpc.StatusCode.UNAVAILABLE
        slow = code is grpc.StatusCode.DEADLINE_EXCEEDED and timeout >= _TELLING_SECONDS
        if gone or slow:
            self._circuit.failed()
        elif code is not grpc.StatusCode.DEADLINE_EXCEEDED:
            # It refuses, but it is there.
            self._circuit.succeeded()
