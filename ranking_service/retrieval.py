"""Stage one, as the ranking service calls it."""

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass

import grpc
import numpy as np
from numpy.typing import NDArray

from ranking_service.ranker import Candidates
from shortlist.bundle.bundle import Bundle
from shortlist.connections import CONNECTIONS, OWN_CONNECTION, Connections
from shortlist.history import History
from shortlist.retrieval.v1 import retrieval_service_pb2 as pb
from shortlist.retrieval.v1.retrieval_service_pb2_grpc import RetrievalServiceStub
from shortlist.rows import BYTES, FLOATS, ROWS

_LOG = logging.getLogger(__name__)
_CONNECT_SECONDS = 2.0
_SERVICE_CONFIG = {
    "methodConfig": [
        {
            "name": [{"service": "shortlist.retrieval.v1.RetrievalService"}],
            "retryPolicy": {
                "maxAttempts": 3,
                "initialBackoff": "0.01s",
                "maxBackoff": "0.05s",
                "backoffMultiplier": 2,
                "retryableStatusCodes": ["UNAVAILABLE"],
            },
        }
    ],
    "loadBalancingConfig": [{"round_robin": {}}],
}


class RetrievalFailed(Exception):  # noqa: N818 - it is what happened, not an error of ours
    """Stage one gave no usable answer; ``code`` is what the call ended with."""

    def __init__(self, code: grpc.StatusCode, details: str) -> None:
        super().__init__(f"{code.name}: {details}")
        self.code = code


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """Whom to find candidates for: a history with at least one interaction, rows (ascending) that may not be found."""

    history: History
    hidden: NDArray[np.int64]
    limit: int


class RetrievalClient:
    """Connections to the retrieval service, behind whose address may be several processes. Thread-safe."""

    def __init__(self, target: str, bundle: Bundle) -> None:
        self._bundle = bundle
        # Reconnect fast: every call while the channel backs off is a degraded answer.
        options = [
            ("grpc.service_config", json.dumps(_SERVICE_CONFIG)),
            ("grpc.initial_reconnect_backoff_ms", 100),
            ("grpc.max_reconnect_backoff_ms", 1000),
            OWN_CONNECTION,
        ]
        self._channels = [grpc.insecure_channel(target, options=options) for _ in range(CONNECTIONS)]
        self._connections = Connections([RetrievalServiceStub(channel) for channel in self._channels])

    def retrieve(self, wanted: Sequence[Wanted], timeout: float) -> list[Candidates]:
        """Candidates for several users, by rows of this service's own bundle, in one call.

        Raises:
            RetrievalFailed: the call failed, or the answer is of no use.
        """
        request = pb.RetrieveRowsRequest(bundle_id=self._bundle.bundle_id)
        for one in wanted:
            self._add(request, one)
        try:
            with self._connections.stub() as stub:
                response = stub.RetrieveRows(request, timeout=timeout)
        except grpc.RpcError as error:
            raise RetrievalFailed(error.code(), error.details() or "") from error
        if len(response.candidates) != len(wanted):
            raise RetrievalFailed(grpc.StatusCode.INTERNAL, "the answer is not as long as the question")
        return [self._read(candidates) for candidates in response.candidates]

    def connect(self) -> None:
        """Opens the connections ahead of the first call; that retrieval is not there yet is no error."""
        popular = self._bundle.items.popular[:1].astype(np.int32)
        history = History(rows=popular, values=np.full(1, np.nan, dtype=np.float32), events=np.zeros(1, dtype=np.int64))
        someone = Wanted(history=history, hidden=np.zeros(0, dtype=np.int64), limit=1)
        try:
            # One call after the other, each takes another connection.
            for _ in self._channels:
                self.retrieve([someone], _CONNECT_SECONDS)
        except RetrievalFailed as failure:
            _LOG.warning("retrieval does not answer yet, until it does the answers are popular items: %s", failure)

    def close(self) -> None:
        """Closes the connections."""
        for channel in self._channels:
            channel.close()

    def _add(self, request: pb.RetrieveRowsRequest, wanted: Wanted) -> None:
        # The encoder looks at no more than these.
        history = wanted.history.last(self._bundle.manifest.encoder_history)
        request.queries.add(
            history_rows=history.rows.astype(ROWS).tobytes(),
            history_values=history.values.astype(FLOATS, copy=False).tobytes(),
            history_events=history.events.astype(BYTES).tobytes(),
            hidden_rows=wanted.hidden.astype(ROWS).tobytes(),
            limit=wanted.limit,
        )

    def _read(self, message: pb.RowsCandidates) -> Candidates:
        try:
            candidates = Candidates(
                rows=np.frombuffer(message.rows, dtype=ROWS).astype(np.int64),
                scores=np.frombuffer(message.scores, dtype=FLOATS).astype(np.float32, copy=False),
                user_vector=np.frombuffer(message.user_vector, dtype=FLOATS).astype(np.float32, copy=False),
            )
        except ValueError as error:
            raise RetrievalFailed(grpc.StatusCode.INTERNAL, "the answer has half a number") from error
        manifest = self._bundle.manifest
        fits = (
            len(candidates.scores) <= len(candidates.rows)
            and len(candidates.user_vector) in {0, manifest.dimension}
            and bool((candidates.rows < manifest.item_count).all())
        )
        if not fits:
            raise RetrievalFailed(grpc.StatusCode.INTERNAL, "the answer does not fit the bundle")
        return candidates
