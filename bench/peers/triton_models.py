"""Our two stages as two models of Triton's Python backend. Runs inside Triton's own interpreter.

A third model, ``recommend``, joins them: the ranking model calls the retrieval model within the server ("business logic
scripting"), once for a whole batch.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import triton_python_backend_utils as triton
from numpy.typing import NDArray

from bench.peers.stages import CandidateBatch, ItemList, Ranking, Retrieval
from shortlist.bundle import Bundle

_CANDIDATES = ["ROWS", "RETRIEVAL_SCORES", "USER_VECTOR"]


class RetrievalModel:
    """USER_ID → ROWS, RETRIEVAL_SCORES, USER_VECTOR."""

    def initialize(self, arguments: dict[str, str]) -> None:
        """Opens the bundle of the model's configuration."""
        self._stage = Retrieval(_bundle(arguments))

    def execute(self, requests: Sequence[Any]) -> list[Any]:
        """Runs the requests of one of Triton's batches as one batch of the encoder."""
        found = self._stage([user for request in requests for user in _users(request)])
        responses, start = [], 0
        for request in requests:
            end = start + len(_users(request))
            tensors = [
                triton.Tensor("ROWS", found.rows[start:end]),
                triton.Tensor("RETRIEVAL_SCORES", found.scores[start:end]),
                triton.Tensor("USER_VECTOR", found.vectors[start:end]),
            ]
            responses.append(triton.InferenceResponse(tensors))
            start = end
        return responses


class RankingModel:
    """USER_ID, ROWS, RETRIEVAL_SCORES, USER_VECTOR → ITEM_IDS, SCORES."""

    def initialize(self, arguments: dict[str, str]) -> None:
        """Opens the bundle of the model's configuration."""
        self._stage = Ranking(_bundle(arguments))

    def execute(self, requests: Sequence[Any]) -> list[Any]:
        """Ranks for the users of all requests at once; each request has one user."""
        users = [user for request in requests for user in _users(request)]
        found = CandidateBatch(
            rows=_together(requests, "ROWS"),
            scores=_together(requests, "RETRIEVAL_SCORES"),
            vectors=_together(requests, "USER_VECTOR"),
        )
        return [_response(listed) for listed in self._stage(users, found)]


class RecommendModel:
    """USER_ID → ITEM_IDS, SCORES."""

    def initialize(self, arguments: dict[str, str]) -> None:
        """Opens the bundle of the model's configuration."""
        self._stage = Ranking(_bundle(arguments))

    def execute(self, requests: Sequence[Any]) -> list[Any]:
        """Calls retrieval once for the users of all requests; each request has one user."""
        users = [user for request in requests for user in _users(request)]
        return [_response(listed) for listed in self._stage(users, _retrieve(users))]


def _retrieve(users: Sequence[str]) -> CandidateBatch:
    request = triton.InferenceRequest(
        model_name="retrieval",
        requested_output_names=_CANDIDATES,
        inputs=[triton.Tensor("USER_ID", np.array([[user.encode()] for user in users], dtype=np.object_))],
    )
    answer = request.exec()
    if answer.has_error():
        raise triton.TritonModelException(answer.error().message())
    arrays = [triton.get_output_tensor_by_name(answer, name).as_numpy() for name in _CANDIDATES]
    return CandidateBatch(rows=arrays[0], scores=arrays[1], vectors=arrays[2])


def _bundle(arguments: dict[str, str]) -> Bundle:
    parameters = json.loads(arguments["model_config"])["parameters"]
    return Bundle.open(Path(parameters["bundle"]["string_value"]))


def _users(request: Any) -> list[str]:  # noqa: ANN401 - Triton's class is untyped
    ids = triton.get_input_tensor_by_name(request, "USER_ID").as_numpy()
    return [user.decode() for user in ids.ravel().tolist()]


def _together(requests: Sequence[Any], name: str) -> NDArray[Any]:
    return np.concatenate([triton.get_input_tensor_by_name(request, name).as_numpy() for request in requests])


def _response(listed: ItemList) -> Any:  # noqa: ANN401
    ids = triton.Tensor("ITEM_IDS", listed.item_ids[None, :].astype(np.object_))
    return triton.InferenceResponse([ids, triton.Tensor("SCORES", listed.scores[None, :])])
