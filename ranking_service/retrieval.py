"""Stage one, as the ranking service calls it."""

import json
import logging
from dataclasses import dataclass

import grpc
import numpy as np
from numpy.typing import NDArray

from shortlist.bundle.bundle import Bundle
from shortlist.retrieval.v1 import retrieval_service_pb2 as pb
from shortlist.retrieval.v1.retrieval_service_pb2_grpc import RetrievalServiceStub
from shortlist.type.v1.user_pb2 import User

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
class Candidates:
    """What retrieval found: ``rows`` ``[found]``, best first, of which the first ``len(scores)`` are the model's own.

    ``user_vector`` ``[dimension]`` is empty when retrieval knew nobody.
    """

    rows: NDArray[np.int64]
    scores: NDArray[np.float32]
    user_vector: NDArray[np.float32]


class RetrievalClient:
    """A channel to the retrieval service. Thread-safe; one for a process."""

    def __init__(self, target: str, bundle: Bundle) -> None:
        self._bundle = bundle
        # Reconnect fast: every call while the channel backs off is a degraded answer.
        options = [
            ("grpc.service_config", json.dumps(_SERVICE_CONFIG)),
            ("grpc.initial_reconnect_backoff_ms", 100),
            ("grpc.max_reconnect_backoff_ms", 1000),
        ]
        self._channel = grpc.insecure_channel(target, options=options)
        self._stub = RetrievalServiceStub(self._channel)

    def retrieve(self, user: User, limit: int, exclude: list[str], *, keep_seen: bool, timeout: float) -> Candidates:
        """Candidates for a user, by rows of this service's own bundle.

        Raises:
            RetrievalFailed: the call failed, or the answer is of no use.
        """
        request = pb.RetrieveRequest(
            user=user,
            limit=limit,
            exclude_item_ids=exclude,
            keep_seen=keep_seen,
            bundle_id=self._bundle.bundle_id,
            view=pb.CANDIDATE_VIEW_PACKED,
        )
        try:
            response = self._stub.Retrieve(request, timeout=timeout)
        except grpc.RpcError as error:
            raise RetrievalFailed(error.code(), error.details() or "") from error
        return self._read(response)

    def connect(self) -> None:
        """Opens the connection ahead of the first call; that retrieval is not there yet is no error."""
        try:
            self.retrieve(User(), 1, [], keep_seen=False, timeout=_CONNECT_SECONDS)
        except RetrievalFailed as failure:
            _LOG.warning("retrieval does not answer yet, until it does the answers are popular items: %s", failure)

    def close(self) -> None:
        """Closes the channel."""
        self._channel.close()

    def _read(self, response: pb.RetrieveResponse) -> Candidates:
        packed = response.packed
        candidates = Candidates(
            rows=np.array(packed.rows, dtype=np.int64),
            scores=np.array(packed.scores, dtype=np.float32),
            user_vector=np.array(packed.user_vector, dtype=np.float32),
        )
        manifest = self._bundle.manifest
        fits = (
            response.bundle_id == manifest.bundle_id
            and len(candidates.scores) <= len(candidates.rows)
            and len(candidates.user_vector) in {0, manifest.dimension}
            and bool((candidates.rows < manifest.item_count).all())
        )
        if not fits:
            raise RetrievalFailed(grpc.StatusCode.INTERNAL, "the answer does not fit the bundle")
        return candidates
