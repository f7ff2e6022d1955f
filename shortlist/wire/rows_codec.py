"""Queries and candidates in rows of a bundle, as they travel between the two services: packed arrays."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from shortlist.bundle import Manifest
from shortlist.bundle.history import History
from shortlist.inference.candidates import Candidates, Source
from shortlist.inference.live_items import LiveItems
from shortlist.inference.retrieval import RetrievalQuery, Retrieved
from shortlist.inference.rows import is_among, union_of
from shortlist.inference.user_encoder import are_usable
from shortlist.limits import MAX_EXCLUDED, MAX_HISTORY
from shortlist.observability import metrics
from shortlist.retrieval.v1 import retrieval_service_pb2 as pb
from shortlist.wire.request_check import RequestCheck

T = TypeVar("T", bound=np.generic)

# Little-endian on every machine.
ROWS, FLOATS, BYTES = np.dtype("<u4"), np.dtype("<f4"), np.dtype("u1")
_MANY_EVENTS = np.dtype("<u2")
# A batch of 16 lists of 1000 candidates has 144 kB, and so leaves each user vector room for 14,000 numbers.
MAX_ROWS_ANSWER_BYTES = 1024 * 1024


def encode_queries(
    manifest: Manifest, queries: Sequence[RetrievalQuery], live: LiveItems | None = None
) -> pb.RetrieveRowsRequest:
    """The request for several queries, which may find ``live`` items where there are any."""
    request = pb.RetrieveRowsRequest(bundle_id=manifest.bundle_id)
    for query in queries:
        # The encoder reads no more than these.
        history = query.history.last(manifest.encoder_history)
        excluded, ids = (query.excluded, []) if live is None else live.split(query.excluded)
        request.queries.add(
            history_rows=_pack(history.rows, ROWS),
            history_values=_pack(history.values, FLOATS),
            history_events=_pack(history.events, _event_kind(manifest)),
            excluded_rows=_pack(excluded, ROWS),
            limit=query.limit,
            user_features=_pack(query.user_features, FLOATS),
            query_vector=_pack(query.vector, FLOATS),
            finds_live_items=query.live_count > 0,
            excluded_item_ids=ids,
        )
    return request


def decode_queries(
    messages: Sequence[pb.RowsQuery], manifest: Manifest, live: LiveItems | None = None
) -> list[RetrievalQuery]:
    """The queries of several users, which find ``live`` items where they want them and there are any.

    Raises:
        InvalidRequest: an array has a part of a number, another length than it has to have, or a number that the bundle
            does not have.
    """
    return [
        _with_live(_decode_query(message, RequestCheck(f"queries[{place}]."), manifest), message, live)
        for place, message in enumerate(messages)
    ]


def encode_candidates(results: Sequence[Retrieved], live: LiveItems | None = None) -> pb.RetrieveRowsResponse:
    """The response with the candidates of several users."""
    response = pb.RetrieveRowsResponse()
    for result in results:
        candidates = result.candidates
        rows, ids = live.on_wire(candidates.rows) if live else (candidates.rows, [])
        response.candidates.add(
            rows=_pack(rows, ROWS),
            scores=_pack(candidates.scores, FLOATS),
            sources=_pack(candidates.sources, BYTES),
            user_vector=_pack(result.vector, FLOATS),
            live_item_ids=ids,
        )
    return response


def decode_candidates(
    response: pb.RetrieveRowsResponse,
    manifest: Manifest,
    queries: Sequence[RetrievalQuery],
    live: LiveItems | None = None,
) -> list[Retrieved]:
    """The candidates of each query: at most its limit, distinct, none that it excludes, all numbers finite.

    ``live`` items that this process does not know yet are dropped, and counted.

    Raises:
        ValueError: the response does not fit the queries or the bundle; the message says why.
    """
    if len(response.candidates) != len(queries):
        raise ValueError(f"the answer has {len(response.candidates)} lists for {len(queries)} queries")
    return [
        _decode_candidates(message, manifest, query, live)
        for message, query in zip(response.candidates, queries, strict=True)
    ]


def _with_live(query: RetrievalQuery, message: pb.RowsQuery, live: LiveItems | None) -> RetrievalQuery:
    if not (live and message.finds_live_items):
        return query
    # First, since items may come meanwhile.
    known = len(live)
    excluded = live.rows_of(message.excluded_item_ids)
    excluded = union_of(query.excluded, excluded[excluded >= 0])
    return replace(query, excluded=excluded, live_count=known)


def _decode_query(message: pb.RowsQuery, check: RequestCheck, manifest: Manifest) -> RetrievalQuery:
    history = _decode_history(message, check, manifest)
    excluded = _unpack(message.excluded_rows, ROWS, "excluded_rows", check).astype(np.int64)
    features = _unpack(message.user_features, FLOATS, "user_features", check)
    check.limit(message.limit)
    vector = _decode_vector(message, check, manifest) if message.query_vector else None
    somebody = len(history) > 0 or len(features) > 0 or vector is not None
    check.require(
        somebody, "history_rows", "is empty, and so is user_features; there is no user to find candidates for"
    )
    width = len(manifest.user_features)
    check.require(len(features) in {0, width}, "user_features", f"has {len(features)} numbers; the bundle has {width}")
    check.require(bool(np.isfinite(features).all()), "user_features", "has a number that is not finite")
    check.require(bool((excluded[1:] > excluded[:-1]).all()), "excluded_rows", "is not in ascending order")
    _check_rows(check, "excluded_rows", excluded, manifest)
    # A user's whole history may be of such items.
    check.ids(message.excluded_item_ids, "excluded_item_ids", MAX_EXCLUDED + 2 * MAX_HISTORY)
    check.done()
    return RetrievalQuery(
        history=history,
        excluded=excluded,
        limit=message.limit,
        user_features=features.astype(np.float32, copy=False) if len(features) else None,
        vector=vector,
    )


def _decode_vector(message: pb.RowsQuery, check: RequestCheck, manifest: Manifest) -> NDArray[np.float32]:
    vector = _unpack(message.query_vector, FLOATS, "query_vector", check)
    width = manifest.dimension
    check.require(len(vector) == width, "query_vector", f"has {len(vector)} numbers; the bundle has {width}")
    with np.errstate(all="ignore"):
        usable = are_usable(vector[None, :])[0]
    # A length whose square 32 bits cannot hold gives scores that are not finite.
    check.require(usable, "query_vector", "is zero, too long, or not finite")
    return vector.astype(np.float32, copy=False)


def _decode_history(message: pb.RowsQuery, check: RequestCheck, manifest: Manifest) -> History:
    rows = _unpack(message.history_rows, ROWS, "history_rows", check)
    values = _unpack(message.history_values, FLOATS, "history_values", check)
    events = _unpack(message.history_events, _event_kind(manifest), "history_events", check)
    check.require(len(values) == len(rows) == len(events), "history_rows", "is not as long as its values and events")
    _check_rows(check, "history_rows", rows, manifest)
    check.require(not np.isinf(values).any(), "history_values", "has a number that is not finite")
    kinds = len(manifest.event_names)
    check.require(bool((events <= kinds).all()), "history_events", "names an event that the bundle does not have")
    return History(rows=rows.astype(np.int32), values=values.astype(np.float32), events=events.astype(np.int64))


def _event_kind(manifest: Manifest) -> np.dtype[np.unsignedinteger[Any]]:
    return BYTES if len(manifest.event_names) <= np.iinfo(BYTES).max else _MANY_EVENTS


def _check_rows(check: RequestCheck, field: str, rows: NDArray[np.integer], manifest: Manifest) -> None:
    known = bool((rows < manifest.item_count).all())
    check.require(known, field, "names a row that the bundle does not have")


def _decode_candidates(
    message: pb.RowsCandidates, manifest: Manifest, query: RetrievalQuery, live: LiveItems | None
) -> Retrieved:
    _check_lengths(message, manifest, query)
    candidates = Candidates(
        rows=np.frombuffer(message.rows, dtype=ROWS).astype(np.int64),
        scores=np.frombuffer(message.scores, dtype=FLOATS).astype(np.float32, copy=False),
        sources=np.frombuffer(message.sources, dtype=BYTES),
    )
    vector = np.frombuffer(message.user_vector, dtype=FLOATS).astype(np.float32, copy=False)
    if message.live_item_ids:
        candidates = _found_live(candidates, message.live_item_ids, manifest, query, live)
    else:
        _check_bundle_rows(candidates, manifest)
    _check_candidates(candidates, query)
    if not len(vector) and candidates.is_from_model.any():
        raise ValueError("the answer has candidates of the models, and no user vector")
    if not _is_finite(vector):
        raise ValueError("the answer's user vector has a number that is not finite")
    return Retrieved(candidates=candidates, vector=vector if len(vector) else None)


def _check_lengths(message: pb.RowsCandidates, manifest: Manifest, query: RetrievalQuery) -> None:
    # In bytes, before any is copied: an answer may be as large as a message.
    count = len(message.sources)
    if not len(message.rows) == len(message.scores) == count * ROWS.itemsize:
        raise ValueError("the answer's rows, scores and sources differ in length")
    if count > query.limit:
        raise ValueError(f"the answer has {count} candidates; {query.limit} were asked for")
    size = len(message.user_vector)
    if size not in {0, manifest.dimension * FLOATS.itemsize}:
        raise ValueError(f"the answer's user vector has {size} bytes; the bundle has {manifest.dimension} numbers")


def _found_live(
    candidates: Candidates, ids: Sequence[str], manifest: Manifest, query: RetrievalQuery, live: LiveItems | None
) -> Candidates:
    if live is None:
        raise ValueError("the answer names live items, and none were asked for")
    if (candidates.rows >= manifest.item_count + len(ids)).any():
        raise ValueError("the answer names a live item that it has no id of")
    rows = live.from_wire(candidates.rows, ids)
    known = (rows >= 0) & (rows < manifest.item_count + query.live_count)
    metrics.LIVE_ITEMS_LAGGING.inc(len(rows) - int(np.count_nonzero(known)))
    return replace(candidates, rows=rows).keep(known)


def _check_bundle_rows(candidates: Candidates, manifest: Manifest) -> None:
    if len(candidates) and candidates.rows.max() >= manifest.item_count:
        raise ValueError("the answer names a row that the bundle does not have")


def _check_candidates(candidates: Candidates, query: RetrievalQuery) -> None:
    ascending = np.sort(candidates.rows)
    if (ascending[1:] == ascending[:-1]).any():
        raise ValueError("the answer names a row twice")
    fewer, more = sorted((ascending, query.excluded), key=len)
    if is_among(fewer, more).any():
        raise ValueError("the answer names a row that the query excludes")
    if not _is_finite(candidates.scores):
        raise ValueError("the answer has a score that is not finite")
    if not (candidates.is_from_model | (candidates.sources == Source.FALLBACK)).all():
        raise ValueError("the answer names a source that this release does not know")


def _is_finite(numbers: NDArray[np.float32]) -> bool:
    # Half the cost of ``all``, in every call.
    return int(np.count_nonzero(np.isfinite(numbers))) == len(numbers)


def _pack(array: NDArray[np.generic] | None, kind: np.dtype[T]) -> bytes:
    return b"" if array is None else array.astype(kind, copy=False).tobytes()


def _unpack(packed: bytes, kind: np.dtype[T], field: str, check: RequestCheck) -> NDArray[T]:
    whole = len(packed) % kind.itemsize == 0
    check.require(whole, field, f"has {len(packed)} bytes, which is no whole number of {kind.name}")
    return np.frombuffer(packed if whole else b"", dtype=kind)
