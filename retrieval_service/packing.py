"""Queries and candidates as the arrays that travel between the two services."""

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from retrieval_service.retriever import Retrieved, RowsQuery
from shortlist.bundle import Manifest
from shortlist.bundle.history import History
from shortlist.inference.rows import BYTES, FLOATS, ROWS
from shortlist.retrieval.v1 import retrieval_service_pb2 as pb
from shortlist.serving.requests import RequestCheck

T = TypeVar("T", bound=np.generic)


def read_queries(messages: Sequence[pb.RowsQuery], manifest: Manifest) -> list[RowsQuery]:
    """The domain objects of queries.

    Raises:
        InvalidRequest: an array is not whole, not as long as its twins, or names what the bundle does not have.
    """
    return [_read(message, RequestCheck(f"queries[{place}]."), manifest) for place, message in enumerate(messages)]


def add_packed(response: pb.RetrieveRowsResponse, found: Retrieved) -> None:
    """Adds what was found to an answer."""
    response.candidates.add(
        rows=found.rows.astype(ROWS).tobytes(),
        scores=found.scores.astype(FLOATS, copy=False).tobytes(),
        user_vector=b"" if found.vector is None else found.vector.astype(FLOATS, copy=False).tobytes(),
    )


def _read(message: pb.RowsQuery, check: RequestCheck, manifest: Manifest) -> RowsQuery:
    rows = _array(message.history_rows, ROWS, "history_rows", check)
    values = _array(message.history_values, FLOATS, "history_values", check)
    events = _array(message.history_events, BYTES, "history_events", check)
    hidden = _array(message.hidden_rows, ROWS, "hidden_rows", check).astype(np.int64)
    features = _array(message.user_features, FLOATS, "user_features", check)
    check.limit(message.limit)
    somebody = len(rows) > 0 or len(features) > 0
    check.require(somebody, "history_rows", "is empty; there is nobody to find candidates for")
    width = len(manifest.user_features)
    check.require(len(features) in {0, width}, "user_features", f"has {len(features)} numbers; the bundle has {width}")
    check.require(bool(np.isfinite(features).all()), "user_features", "has a number that is not finite")
    check.require(len(values) == len(rows) == len(events), "history_rows", "is not as long as its values and events")
    check.require(bool((rows < manifest.item_count).all()), "history_rows", "names a row that the bundle does not have")
    check.require(not np.isinf(values).any(), "history_values", "has a number that is not finite")
    kinds = len(manifest.event_names)
    check.require(bool((events <= kinds).all()), "history_events", "names an event that the bundle does not have")
    check.require(bool((hidden[1:] > hidden[:-1]).all()), "hidden_rows", "does not ascend")
    check.require(
        bool((hidden < manifest.item_count).all()), "hidden_rows", "names a row that the bundle does not have"
    )
    check.done()
    history = History(rows=rows.astype(np.int32), values=values.astype(np.float32), events=events.astype(np.int64))
    return RowsQuery(
        history=history,
        hidden=hidden,
        limit=message.limit,
        features=features.astype(np.float32, copy=False) if len(features) else None,
    )


def _array(packed: bytes, kind: np.dtype[T], field: str, check: RequestCheck) -> NDArray[T]:
    whole = len(packed) % kind.itemsize == 0
    check.require(whole, field, f"has {len(packed)} bytes, which is no whole number of {kind.name}")
    return np.frombuffer(packed if whole else b"", dtype=kind)
