"""Triton's requests and answers as bytes."""

from typing import Any

import grpc
import numpy as np

_WIRE: Any = grpc.protos("bench/peers/inference.proto")
_LENGTH_BYTES = 4


def infer_request(model: str, user_id: str) -> bytes:
    """A request to a model for one user."""
    key = user_id.encode()
    request = _WIRE.ModelInferRequest(
        model_name=model,
        inputs=[{"name": "USER_ID", "datatype": "BYTES", "shape": [1, 1]}],
        raw_input_contents=[len(key).to_bytes(_LENGTH_BYTES, "little") + key],
    )
    serialised: bytes = request.SerializeToString()
    return serialised


def listed(answer: bytes) -> list[tuple[str, float]]:
    """Item ids and scores, best first."""
    response = _WIRE.ModelInferResponse.FromString(answer)
    raw = {tensor.name: data for tensor, data in zip(response.outputs, response.raw_output_contents, strict=True)}
    scores = np.frombuffer(raw["SCORES"], dtype="<f4").tolist()
    return list(zip(_strings(raw["ITEM_IDS"]), scores, strict=True))


def _strings(data: bytes) -> list[str]:
    found, place = list[str](), 0
    while place < len(data):
        end = place + _LENGTH_BYTES + int.from_bytes(data[place : place + _LENGTH_BYTES], "little")
        found.append(data[place + _LENGTH_BYTES : end].decode())
        place = end
    return found
