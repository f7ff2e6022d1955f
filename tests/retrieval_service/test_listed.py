"""A bundle in which lists may hold some of the items only."""

import time
from pathlib import Path

import numpy as np
import pytest

from retrieval_service.queries import IdQuery
from retrieval_service.retriever import Retriever
from shortlist.bundle import Bundle
from shortlist.inference.candidates import Source
from shortlist.inference.users import IdHistory, UserQuery
from tests.support.small_bundle import ITEMS, publish_small_bundle

LISTED = "abcdefgik"
FAN = UserQuery(user_id="fan")


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    """The bundle made by hand, whose items "h", "j" and "l" no list may hold."""
    return Bundle.open(publish_small_bundle(tmp_path, listed=["abcdefghijkl".index(one) for one in LISTED]))


def found(bundle: Bundle, **fields: object) -> tuple[str, list[int]]:
    """The ids found for a query, one letter each, and their sources."""
    query = IdQuery(**{"user": UserQuery(), "limit": 3, "deadline": time.monotonic() + 30, **fields})  # type: ignore[arg-type]
    candidates = Retriever(bundle).retrieve(query).retrieved.candidates
    return "".join(bundle.items.ids_of(candidates.rows)), candidates.sources.tolist()


def test_the_nearest_items_are_those_that_lists_may_hold(bundle: Bundle) -> None:
    """Proves that the places of the index become rows, for users and for similar items, with the scores of the rows."""
    # Without the limit on lists, these are "jgl" and "jgd".
    assert found(bundle, user=FAN) == ("gki", [Source.MODEL] * 3)
    assert found(bundle, similar_to=("a",))[0] == "gdk"
    query = IdQuery(user=FAN, limit=3, deadline=time.monotonic() + 30)
    candidates = Retriever(bundle).retrieve(query).retrieved
    assert candidates.vector is not None
    expected = bundle.items.vectors[candidates.candidates.rows] @ candidates.vector
    np.testing.assert_allclose(candidates.candidates.scores, expected, rtol=1e-6)


def test_popular_items_are_those_that_lists_may_hold(bundle: Bundle) -> None:
    """Proves the fallback of a user without a history, however many are excluded."""
    assert found(bundle) == ("kig", [Source.FALLBACK] * 3)
    assert found(bundle, exclude=("k", "g", "f"), limit=4)[0] == "iedc"


def test_a_list_ends_where_the_items_do(bundle: Bundle) -> None:
    """Proves that a larger limit than there are items gives each of them once, and no other one."""
    ids, _ = found(bundle, user=FAN, limit=ITEMS, keep_seen=True)
    assert sorted(ids) == sorted(LISTED)
    assert sorted(found(bundle, user=FAN, limit=ITEMS)[0]) == sorted(set(LISTED) - {"a", "d"})
    assert sorted(found(bundle, limit=ITEMS)[0]) == sorted(LISTED)


def test_an_item_that_no_list_may_hold_says_what_its_user_likes(bundle: Bundle) -> None:
    """Proves that histories hold all items: "l" points as "c" does."""
    assert (
        found(
            bundle, user=UserQuery(history=IdHistory(item_ids=("l",), values=(float("nan"),), events=("",))), limit=3
        )[0]
        == "ifc"
    )
