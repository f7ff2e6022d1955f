"""The live items of a bundle: their rows, their hiding, and the search among them."""

from collections.abc import Mapping, Set
from dataclasses import replace

import numpy as np
import pytest

from shortlist.bundle import Bundle
from shortlist.errors import FieldViolation, InvalidRequest
from shortlist.inference import live_items as module
from shortlist.inference.candidates import Candidates
from shortlist.inference.live_items import Description, LiveItems
from shortlist.inference.users import IdHistory, UserQuery, resolve_user
from shortlist.observability import metrics


def describe(content: bytes) -> Description:
    """The vector along the axis of the content, as long as it says; the feature is its length."""
    if content == b"bad":
        raise InvalidRequest((FieldViolation("columns", "is bad"),))
    axis, length = content.decode().split()
    vector = np.zeros(4, dtype=np.float32)
    vector[int(axis)] = float(length)
    return Description(vector=vector, features=np.array([float(length)], dtype=np.float32))


@pytest.fixture
def live(small_bundle: Bundle) -> LiveItems:
    """The live items of a bundle with the items "a" to "l"."""
    return LiveItems(small_bundle.items, describe)


def found(live: LiveItems, vector: list[float], count: int = 20) -> list[str]:
    nothing = Candidates.from_fallback(np.zeros(0, dtype=np.int64))
    [merged] = live.merged([nothing], np.array([vector], dtype=np.float32), [count])
    return [item_id.decode() for item_id in live.id_bytes_of(merged.rows)]


def put(live: LiveItems, contents: Mapping[str, bytes], position: int, hidden: Set[str] = frozenset()) -> None:
    live.queue(contents, position)
    while queued := live.next_queued():
        for item_id, one in queued.items():
            live.put(item_id, live.described(item_id, one), position=one.position, is_hidden=item_id in hidden)


def test_a_row_is_one_item_for_ever(live: LiveItems, small_bundle: Bundle) -> None:
    """Proves it through more items than there was room for, new content, and items that the bundle has itself."""
    put(live, {"m": b"0 1", "a": b"0 9"}, 1)
    [row] = live.rows_of(["m"]).tolist()
    assert (row, live.rows_of(["a", "?"]).tolist()) == (12, [-1, -1])
    put(live, {f"n{number}": b"1 1" for number in range(3000)}, 2)
    put(live, {"m": b"2 5"}, 3)
    assert live.rows_of(["m", "n2999"]).tolist() == [12, 3012]
    assert live.id_bytes_of(np.array([3, 12, 3012])) == [b"d", b"m", b"n2999"]
    assert live.vectors_of(np.array([12])).tolist() == [[0, 0, 5, 0]]
    assert live.features_of(np.array([12, 13])).tolist() == [[5], [1]]
    assert len(live) == 3001
    assert not live.hidden.among(np.array([12, 3012])).any()


def test_content_that_was_overtaken_stays_away(live: LiveItems) -> None:
    """Proves it for a message with an earlier position, until the catalogue begins again."""
    put(live, {"m": b"0 2"}, 7)
    put(live, {"m": b"0 1"}, 6)
    assert live.features_of(np.array([12])).tolist() == [[2]]
    live.begin()
    put(live, {"m": b"0 3"}, 1)
    assert live.features_of(np.array([12])).tolist() == [[3]]


def test_content_that_is_described_too_late_stays_away(live: LiveItems) -> None:
    """Proves it for two threads, of which the one with the earlier content is the slower."""
    live.queue({"m": b"0 1"}, 1)
    slow = live.next_queued()["m"]
    put(live, {"m": b"0 2"}, 2)
    live.put("m", live.described("m", slow), position=slow.position, is_hidden=False)
    assert live.features_of(np.array([12])).tolist() == [[2]]


def test_an_item_is_hidden_from_its_first_moment_on(live: LiveItems) -> None:
    """Proves that it is in no list until it is shown, beside hidden items of the bundle."""
    put(live, {"m": b"0 1", "n": b"0 2"}, 1, {"m"})
    assert found(live, [1, 0, 0, 0]) == ["n"]
    live.hidden.change(["n", "a"], hidden=True)
    assert found(live, [1, 0, 0, 0]) == []
    assert (live.hidden.count, live.hidden.share) == (3, 1 / 12)
    live.hidden.change(["m"], hidden=False)
    assert found(live, [1, 0, 0, 0]) == ["m"]


def test_an_item_that_cannot_be_described_is_in_no_list(live: LiveItems) -> None:
    """Proves it for a new item and for new content of another one; and that they come back with other content."""
    before = metrics.LIVE_ITEMS_REFUSED["unreadable"]._value.get()
    put(live, {"m": b"0 1", "n": b"bad"}, 1)
    assert found(live, [1, 1, 1, 1]) == ["m"]
    put(live, {"m": b"bad", "n": b"0 1"}, 2)
    assert found(live, [1, 1, 1, 1]) == ["n"]
    assert metrics.LIVE_ITEMS_REFUSED["unreadable"]._value.get() == before + 2


def test_there_is_a_most_of_them(live: LiveItems, monkeypatch: pytest.MonkeyPatch) -> None:
    """Proves that further ones are refused and counted, and that new content still arrives."""
    monkeypatch.setattr(module, "MOST_LIVE_ITEMS", 2)
    before = metrics.LIVE_ITEMS_REFUSED["full"]._value.get()
    put(live, {"m": b"0 1", "n": b"0 1", "o": b"0 1"}, 1)
    put(live, {"n": b"0 2"}, 2)
    assert found(live, [1, 0, 0, 0]) == ["n", "m"]
    assert metrics.LIVE_ITEMS_REFUSED["full"]._value.get() == before + 1


def test_the_best_of_both_are_found(live: LiveItems, small_bundle: Bundle) -> None:
    """Proves it against a scan of everything, cut at several lengths."""
    random = np.random.default_rng(3)
    put(live, {f"n{number:02}": f"{number % 4} {random.normal():.4f}".encode() for number in range(40)}, 1)
    vector = random.normal(size=4).astype(np.float32)
    of_bundle = small_bundle.items.vectors @ vector
    scores = dict(zip(small_bundle.items.ids_of(np.arange(12)), of_bundle.tolist(), strict=True))
    scores |= dict(zip([*live.ids], (live.vectors_of(np.arange(12, 52)) @ vector).tolist(), strict=True))
    order = np.argsort(-of_bundle)
    for count in (1, 7, 30, 52):
        best = Candidates.from_model(order[:count], of_bundle[order[:count]])
        [merged] = live.merged([best], vector[None, :], [count])
        ids = [item_id.decode() for item_id in live.id_bytes_of(merged.rows)]
        assert ids == sorted(scores, key=lambda item_id: -scores[item_id])[:count]
        assert merged.scores.tolist() == pytest.approx([scores[item_id] for item_id in ids])


def test_a_query_is_answered_alike_alone_and_in_a_batch(small_bundle: Bundle) -> None:
    """Proves it bit for bit, for lists that the live items fill and for lists of which they are a part."""
    random = np.random.default_rng(4)
    vectors = random.normal(size=(308, 64)).astype(np.float32)
    queries, contents = vectors[:8], {f"{number:03}": vector.tobytes() for number, vector in enumerate(vectors[8:])}
    features = np.zeros(small_bundle.items.features.shape[1], dtype=np.float32)

    def describe(content: bytes) -> Description:
        return Description(vector=np.frombuffer(content, dtype=np.float32), features=features)

    live = LiveItems(replace(small_bundle.items, vectors=np.zeros((12, 64), dtype=np.float32)), describe)
    put(live, contents, 1)
    best = [
        Candidates.from_model(np.arange(count), np.linspace(9, -1, count, dtype=np.float32))
        for count in (0, 1, 5, 12, 12, 12, 12, 12)
    ]
    counts = [20, 1, 30, 12, 5, 12, 300, 12]
    for place, merged in enumerate(live.merged(best, queries, counts)):
        [alone] = live.merged(best[place : place + 1], queries[place : place + 1], counts[place : place + 1])
        assert merged.rows.tolist() == alone.rows.tolist()
        assert merged.scores.tobytes() == alone.scores.tobytes()


def test_only_the_events_that_make_an_item_seen_keep_a_live_one_from_the_answer(
    live: LiveItems, small_bundle: Bundle
) -> None:
    """Proves it for a view and for a purchase, where purchases alone make an item seen."""
    put(live, {"m": b"0 1"}, 1)
    bundle = replace(small_bundle, manifest=replace(small_bundle.manifest, seen_events=("buy",)))
    for events, seen in ((("view",), []), (("view", "buy"), [12])):
        given = IdHistory(item_ids=("m",) * len(events), values=(np.nan,) * len(events), events=events)
        for query in (UserQuery(history=given), UserQuery(recorded=given)):
            assert resolve_user(bundle, query, live).seen.tolist() == seen


def test_another_process_has_its_own_rows(live: LiveItems, small_bundle: Bundle) -> None:
    """Proves that ids make them out, and that an item that the other one does not know is none of its rows."""
    other = LiveItems(small_bundle.items, describe)
    put(live, {"m": b"0 1", "n": b"0 1", "o": b"0 1"}, 1)
    put(other, {"o": b"0 1", "m": b"0 1"}, 1)
    rows, ids = live.on_wire(np.array([14, 3, 13, 12]))
    assert (rows.tolist(), ids) == ([12, 3, 13, 14], ["o", "n", "m"])
    assert other.from_wire(rows, ids).tolist() == [12, 3, -1, 13]
    assert live.on_wire(np.array([3, 4]))[1] == []
    bundle_rows, others = live.split(np.array([2, 11, 12, 14]))
    assert (bundle_rows.tolist(), others) == ([2, 11], ["m", "o"])
