"""Queries and candidates as they travel between the services."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest

from shortlist.bundle import Bundle, Manifest
from shortlist.bundle.history import EMPTY_HISTORY, History
from shortlist.errors import InvalidRequest
from shortlist.inference.candidates import Candidates, Source
from shortlist.inference.live_items import Description, LiveItems
from shortlist.inference.retrieval import RetrievalQuery, Retrieved
from shortlist.retrieval.v1 import retrieval_service_pb2 as pb
from shortlist.wire.rows_codec import (
    BYTES,
    FLOATS,
    ROWS,
    decode_candidates,
    decode_queries,
    encode_candidates,
    encode_queries,
)

_NAN, _INFINITE = float("nan"), float("inf")
_HISTORY = History(
    rows=np.array([3, 7], dtype=np.int32),
    values=np.array([5.0, _NAN], dtype=np.float32),
    events=np.array([0, 2], dtype=np.int64),
)
_QUERY = RetrievalQuery(history=_HISTORY, excluded=np.array([1, 3, 7]), limit=5)
_FEATURES = np.array([1.0, 0.5], dtype=np.float32)


@pytest.fixture
def manifest(small_bundle: Bundle) -> Manifest:
    """The manifest of the bundle made by hand: twelve items, four dimensions, two events, two user features."""
    return small_bundle.manifest


def test_queries_come_back_as_they_were(manifest: Manifest) -> None:
    """Proves it for a user with a history, for one with features alone, and for a vector."""
    described = replace(_QUERY, history=EMPTY_HISTORY, user_features=_FEATURES)
    vector = np.array([1, 0, -2, 0.5], dtype=np.float32)
    request = encode_queries(manifest, [_QUERY, described, replace(_QUERY, history=EMPTY_HISTORY, vector=vector)])
    assert request.bundle_id == manifest.bundle_id
    first, second, third = decode_queries(request.queries, manifest)
    assert third.vector is not None
    assert (third.vector.tolist(), third.excluded.tolist()) == (vector.tolist(), [1, 3, 7])
    for one, other in ((first, _QUERY), (second, described)):
        for name in ("rows", "values", "events"):
            np.testing.assert_array_equal(getattr(one.history, name), getattr(other.history, name))
        assert one.excluded.tolist() == [1, 3, 7]
        assert one.limit == 5
        assert one.vector is None
    assert first.user_features is None
    assert second.user_features is not None
    assert second.user_features.tolist() == _FEATURES.tolist()


def test_more_than_255_kinds_of_event_travel_in_two_bytes(manifest: Manifest) -> None:
    """Proves that no event becomes another on the way, and that half a number is refused."""
    many = replace(manifest, event_names=tuple(f"tap_{number}" for number in range(300)))
    query = replace(_QUERY, history=replace(_HISTORY, events=np.array([300, 44], dtype=np.int64)))
    request = encode_queries(many, [query])
    (decoded,) = decode_queries(request.queries, many)
    assert decoded.history.events.tolist() == [300, 44]
    request.queries[0].history_events = b"abc"
    with pytest.raises(InvalidRequest, match="history_events has 3 bytes, which is no whole number of uint16"):
        decode_queries(request.queries, many)


def test_no_more_of_a_history_travels_than_the_encoder_reads(manifest: Manifest) -> None:
    """Proves that the latest interactions are those that do."""
    (message,) = encode_queries(replace(manifest, encoder_history=1), [_QUERY]).queries
    assert np.frombuffer(message.history_rows, dtype=ROWS).tolist() == [7]


def _rows(*rows: int) -> bytes:
    return np.array(rows, dtype=ROWS).tobytes()


def _floats(*numbers: float) -> bytes:
    return np.array(numbers, dtype=FLOATS).tobytes()


@pytest.mark.parametrize(
    ("fields", "field", "reason"),
    [
        ({"history_rows": b"", "history_values": b"", "history_events": b""}, "history_rows", "is empty"),
        ({"history_rows": _rows(3, 12)}, "history_rows", "a row that the bundle does not have"),
        ({"history_values": _floats(5.0)}, "history_rows", "not as long as its values"),
        ({"history_values": _floats(5.0, float("inf"))}, "history_values", "not finite"),
        ({"history_events": bytes([0, 3])}, "history_events", "an event that the bundle does not have"),
        ({"excluded_rows": _rows(7, 3)}, "excluded_rows", "ascending"),
        ({"excluded_rows": _rows(3, 12)}, "excluded_rows", "a row that the bundle does not have"),
        ({"user_features": _floats(1.0)}, "user_features", "has 1 numbers; the bundle has 2"),
        ({"query_vector": _floats(1, 2, 3)}, "query_vector", "has 3 numbers; the bundle has 4"),
        ({"query_vector": _floats(0, 0, 0, 0)}, "query_vector", "is zero"),
        ({"query_vector": _floats(1, 2, 3, _INFINITE)}, "query_vector", "not finite"),
        ({"query_vector": _floats(1e30, 0, 0, 0)}, "query_vector", "too long"),
        ({"query_vector": b"abc"}, "query_vector", "no whole number"),
        ({"user_features": _floats(_NAN, 0.0)}, "user_features", "not finite"),
        ({"limit": 0}, "limit", "is 0; has to be 1 to 1000"),
        ({"limit": 1001}, "limit", "is 1001; has to be 1 to 1000"),
        ({"history_rows": b"abc"}, "history_rows", "has 3 bytes"),
    ],
)
def test_a_query_that_makes_no_sense_is_refused(
    manifest: Manifest, fields: dict[str, object], field: str, reason: str
) -> None:
    """Proves that the refusal names the query, the field and the reason."""
    good, bad = encode_queries(manifest, [_QUERY, _QUERY]).queries
    for name, value in fields.items():
        setattr(bad, name, value)
    with pytest.raises(InvalidRequest) as caught:
        decode_queries([good, bad], manifest)
    assert caught.value.violations[0].field == f"queries[1].{field}"
    assert reason in caught.value.violations[0].description


def _found() -> Retrieved:
    # Sources in no order: nothing may depend on where in the list an item stands.
    return Retrieved(
        candidates=Candidates(
            rows=np.array([4, 2, 9]),
            scores=np.array([0.0, 1.5, -0.5], dtype=np.float32),
            sources=np.array([Source.FALLBACK, Source.MODEL, Source.MODEL], dtype=np.uint8),
        ),
        vector=np.array([1, 2, 3, 4], dtype=np.float32),
    )


def test_candidates_come_back_as_they_were(manifest: Manifest) -> None:
    """Proves that every item keeps its row, score and source, and that no vector is none."""
    popular = Retrieved(candidates=Candidates.from_fallback(np.array([11, 10])), vector=None)
    first, second = decode_candidates(encode_candidates([_found(), popular]), manifest, [_QUERY, _QUERY])
    for one, other in ((first, _found()), (second, popular)):
        for name in ("rows", "scores", "sources"):
            array, expected = getattr(one.candidates, name), getattr(other.candidates, name)
            assert (array.dtype, array.tolist()) == (expected.dtype, expected.tolist())
    assert first.vector is not None
    assert first.vector.tolist() == [1, 2, 3, 4]
    assert second.vector is None


def _set_rows(message: pb.RowsCandidates, rows: Sequence[int]) -> None:
    message.rows, message.scores, message.sources = _rows(*rows), _floats(*rows), bytes([Source.MODEL] * len(rows))


_BROKEN: dict[str, tuple[Callable[[pb.RowsCandidates], object], str]] = {
    "a score is missing": (lambda message: setattr(message, "scores", _floats(1.0, 2.0)), "differ in length"),
    "a source is missing": (lambda message: setattr(message, "sources", bytes([1, 1])), "differ in length"),
    "an unknown row": (lambda message: setattr(message, "rows", _rows(1, 2, 12)), "a row that the bundle"),
    "an unknown source": (lambda message: setattr(message, "sources", bytes([1, 2, 3])), "a source that"),
    "no source": (lambda message: setattr(message, "sources", bytes([1, 2, 0])), "a source that"),
    "another dimension": (lambda message: setattr(message, "user_vector", _floats(1.0)), "vector has 4 bytes"),
    "no vector": (lambda message: setattr(message, "user_vector", b""), "no user vector"),
    "part of a number": (lambda message: setattr(message, "rows", b"abc"), "differ in length"),
    "part of a vector": (lambda message: setattr(message, "user_vector", b"abc"), "vector has 3 bytes"),
    "a row twice": (lambda message: setattr(message, "rows", _rows(4, 2, 4)), "a row twice"),
    "an excluded row": (lambda message: setattr(message, "rows", _rows(4, 2, 7)), "a row that the query excludes"),
    "no score": (lambda message: setattr(message, "scores", _floats(0, _NAN, 1)), "a score that is not finite"),
    "an endless score": (lambda message: setattr(message, "scores", _floats(0, 1, _INFINITE)), "not finite"),
    "an endless vector": (lambda message: setattr(message, "user_vector", _floats(1, 2, 3, _INFINITE)), "not finite"),
    "more than asked": (lambda message: _set_rows(message, range(6)), "has 6 candidates; 5 were asked for"),
}


@pytest.mark.parametrize("what", _BROKEN)
def test_candidates_that_do_not_fit_are_refused(manifest: Manifest, what: str) -> None:
    """Proves that the refusal says why."""
    damage, reason = _BROKEN[what]
    response = encode_candidates([_found()])
    damage(response.candidates[0])
    with pytest.raises(ValueError, match=reason):
        decode_candidates(response, manifest, [_QUERY])


def test_live_items_come_back_in_the_rows_of_the_other_process(small_bundle: Bundle, manifest: Manifest) -> None:
    """Proves it for found and excluded ones. The other process drops those that it does not know, or knows too late."""
    mine, its = _live(small_bundle, "mno"), _live(small_bundle, "om")
    query = replace(_QUERY, excluded=np.array([1, 3, 7, 13, 14]), live_count=3)
    (asked,) = decode_queries(encode_queries(manifest, [query], mine).queries, manifest, its)
    assert (asked.excluded.tolist(), asked.live_count) == ([1, 3, 7, 12], 2)
    found = replace(_found(), candidates=replace(_found().candidates, rows=np.array([12, 2, 13])))
    asking = replace(_QUERY, live_count=3)
    (back,) = decode_candidates(encode_candidates([found], its), manifest, [asking], mine)
    assert back.candidates.rows.tolist() == [14, 2, 12]
    (earlier,) = decode_candidates(encode_candidates([found], its), manifest, [replace(asking, live_count=2)], mine)
    assert earlier.candidates.rows.tolist() == [2, 12]
    (lagging,) = decode_candidates(encode_candidates([found], its), manifest, [asking], _live(small_bundle, "m"))
    assert lagging.candidates.rows.tolist() == [2, 12]
    assert lagging.candidates.scores.tolist() == [1.5, -0.5]


def _live(bundle: Bundle, ids: str) -> LiveItems:
    described = Description(vector=np.ones(4, dtype=np.float32), features=np.ones(1, dtype=np.float32))
    live = LiveItems(bundle.items, lambda _: described)
    live.queue(dict.fromkeys(ids, b""), 1)
    for item_id, queued in live.next_queued().items():
        live.put(item_id, live.described(item_id, queued), position=queued.position, is_hidden=False)
    return live


_BROKEN_LIVE: dict[str, tuple[Callable[[pb.RowsCandidates], object], str]] = {
    "a row without an id": (lambda message: setattr(message, "rows", _rows(12, 2, 13)), "has no id of"),
    "an id twice": (lambda message: message.live_item_ids.append("m"), "a row twice"),
    "an excluded one": (lambda message: message.live_item_ids.__setitem__(0, "n"), "a row that the query excludes"),
}


@pytest.mark.parametrize("what", _BROKEN_LIVE)
def test_live_items_that_do_not_fit_are_refused(small_bundle: Bundle, manifest: Manifest, what: str) -> None:
    """Proves that the refusal says why; and so does that of live items that nobody asked for."""
    damage, reason = _BROKEN_LIVE[what]
    live = _live(small_bundle, "mn")
    response = encode_candidates([_found()])
    message = response.candidates[0]
    message.live_item_ids.append("m")
    message.rows = _rows(12, 2, 9) if what != "an id twice" else _rows(12, 2, 13)
    damage(message)
    query = replace(_QUERY, excluded=np.array([1, 3, 7, 13]), live_count=2)
    with pytest.raises(ValueError, match=reason):
        decode_candidates(response, manifest, [query], live)
    with pytest.raises(ValueError, match="none were asked for"):
        decode_candidates(response, manifest, [query])


def test_as_many_lists_come_back_as_were_asked_for(manifest: Manifest) -> None:
    """Proves that no user gets another's list."""
    with pytest.raises(ValueError, match="has 1 lists for 2 queries"):
        decode_candidates(encode_candidates([_found()]), manifest, [_QUERY, _QUERY])


def test_packed_numbers_are_little_endian() -> None:
    """Proves that both machines of a call read the same, whatever they are."""
    assert (np.array([1], dtype=ROWS).tobytes(), BYTES.itemsize) == (b"\x01\0\0\0", 1)
