"""From a user in the caller's ids to a user in rows of the bundle."""

import math
from dataclasses import replace

import numpy as np

from shortlist.bundle import Bundle
from shortlist.inference.users import IdHistory, Unknown, UserQuery, excluded_rows, resolve_user


def test_the_stored_history_is_used_where_none_is_sent(small_bundle: Bundle) -> None:
    """Proves that an id stands for its history and features."""
    user = resolve_user(small_bundle, UserQuery(user_id="mixed"))
    assert user.history.rows.tolist() == user.seen.tolist() == [1, 2, 4]
    assert user.features.tolist() == [[0.0, 0.5]]
    assert user.is_described


def test_a_history_that_is_sent_replaces_the_stored_one_and_both_are_seen(small_bundle: Bundle) -> None:
    """Proves values and events too; an event that the bundle does not know is 0."""
    query = UserQuery(
        user_id="fan",
        history=IdHistory(
            item_ids=("c", "zz", "b", "a"),
            values=(5.0, 1.0, math.nan, 2.0),
            events=("buy", "view", "rent", "view"),
        ),
    )
    user = resolve_user(small_bundle, query)
    assert user.history.rows.tolist() == [2, 1, 0]
    np.testing.assert_array_equal(user.history.values, [5.0, math.nan, 2.0])
    assert user.history.events.tolist() == [2, 0, 1]
    assert user.seen.tolist() == [0, 1, 2, 3]
    assert user.unknown == Unknown(items=1, events=1)


def test_a_history_that_is_appended_follows_the_stored_one(small_bundle: Bundle) -> None:
    """Proves it of rows, values and events, of an item that both have, and of the rows that are seen."""
    values, events = np.arange(5, dtype=np.float32), np.array([1, 2, 1, 2, 1], dtype=np.uint8)
    bundle = replace(small_bundle, users=replace(small_bundle.users, values=values, events=events))
    sent = UserQuery(
        history=IdHistory(item_ids=("c", "zz", "a"), values=(5.0, 1.0, math.nan), events=("buy", "view", "rent"))
    )
    user = resolve_user(bundle, replace(sent, user_id="fan", append=True))
    assert user.history.rows.tolist() == [0, 3, 2, 0]
    np.testing.assert_array_equal(user.history.values, [0.0, 1.0, 5.0, math.nan])
    assert user.history.events.tolist() == [1, 2, 2, 0]
    assert (user.seen.tolist(), user.unknown) == ([0, 2, 3], Unknown(items=1, events=1))
    alone = resolve_user(bundle, replace(sent, user_id="never seen", append=True))
    assert (alone.history.rows.tolist(), alone.unknown) == ([2, 0], Unknown(items=1, events=1))


def test_every_interaction_with_an_unknown_event_is_counted(small_bundle: Bundle) -> None:
    """Proves that an unknown item does not hide its event, and that no event is no unknown one."""
    query = UserQuery(
        history=IdHistory(item_ids=("c", "zz", "b", "a"), values=(1.0,) * 4, events=("rent", "rent", "", "view"))
    )
    assert resolve_user(small_bundle, query).unknown == Unknown(items=1, events=2)


def test_a_sent_history_of_unknown_items_counts_as_none(small_bundle: Bundle) -> None:
    """Proves that the stored history is better than nothing."""
    user = resolve_user(
        small_bundle, UserQuery(user_id="fan", history=IdHistory(item_ids=("zz",), values=(1.0,), events=("view",)))
    )
    assert (user.history.rows.tolist(), user.unknown.items) == ([0, 3], 1)


def test_an_unknown_user_has_nothing(small_bundle: Bundle) -> None:
    """Proves that features are zeros then, as many as the bundle has."""
    for query in (UserQuery(), UserQuery(user_id="never seen")):
        user = resolve_user(small_bundle, query)
        assert len(user.history) == len(user.seen) == 0
        assert user.features.tolist() == [[0.0, 0.0]]
        assert not user.is_described


def test_what_may_not_be_in_the_answer_is_seen_or_excluded(small_bundle: Bundle) -> None:
    """Proves that the rows ascend and are distinct, and that keep_seen lets the seen ones in."""
    user = resolve_user(small_bundle, UserQuery(user_id="fan"))
    rows, unknown = excluded_rows(small_bundle, user, ("l", "d", "zz"), keep_seen=False)
    assert (rows.tolist(), unknown) == ([0, 3, 11], 1)
    assert excluded_rows(small_bundle, user, ("l",), keep_seen=True)[0].tolist() == [11]
    assert excluded_rows(small_bundle, user, (), keep_seen=True)[0].tolist() == []


def test_only_the_events_that_make_an_item_seen_keep_it_from_the_answer(small_bundle: Bundle) -> None:
    """Proves it for a history in the call, with an unknown event and with none, which count, and for a stored one."""
    bundle = replace(small_bundle, manifest=replace(small_bundle.manifest, seen_events=("buy",)))
    query = UserQuery(
        history=IdHistory(item_ids=tuple("abcd"), values=(math.nan,) * 4, events=("view", "buy", "rent", ""))
    )
    user = resolve_user(bundle, query)
    assert user.seen.tolist() == [1, 2, 3]
    assert user.history.rows.tolist() == [0, 1, 2, 3]
    stored = replace(bundle, users=replace(bundle.users, events=np.array([1, 2, 1, 2, 1], dtype=np.uint8)))
    assert resolve_user(stored, UserQuery(user_id="fan")).seen.tolist() == [3]
    assert resolve_user(small_bundle, query).seen.tolist() == [0, 1, 2, 3]
