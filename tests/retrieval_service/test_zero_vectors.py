"""Items that the models know nothing of: their vectors are zeros."""

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from retrieval_service.queries import IdQuery
from retrieval_service.retriever import Retriever
from retrieval_service.service import load
from shortlist.bundle import Bundle
from shortlist.errors import BundleError
from shortlist.inference.candidates import Source
from shortlist.inference.retrieval import Retrieved
from shortlist.inference.users import IdHistory, Unknown, UserQuery
from tests.support.small_bundle import DIMENSION, encoder_of_histories, publish_small_bundle

_ZEROS = [0.0] * DIMENSION
# "c" and "k" are new; "h" points away from "e".
_VECTORS = {2: _ZEROS, 10: _ZEROS, 4: [0, 1, 0, 0], 7: [0, -2, 0, 0]}
Open = Callable[..., Retriever]


@pytest.fixture
def open_with(tmp_path: Path) -> Open:
    """Opens the bundle made by hand, with those vectors and a given encoder."""

    def call(encoder: bytes | None = None, **fields: object) -> Retriever:
        directory = publish_small_bundle(tmp_path, encoder=encoder, **{"vectors": _VECTORS, **fields})  # type: ignore[arg-type]
        return Retriever(Bundle.open(directory))

    return call


def _retrieve(retriever: Retriever, **fields: object) -> tuple[str, Retrieved]:
    query = IdQuery(**{"user": UserQuery(), "limit": 3, "deadline": time.monotonic() + 30, **fields})  # type: ignore[arg-type]
    answer = retriever.retrieve(query)
    found, unknown = answer.retrieved, answer.unknown
    assert unknown == Unknown()
    return "".join(retriever.bundle.items.ids_of(found.candidates.rows)), found


def _history(items: str) -> UserQuery:
    return UserQuery(
        history=IdHistory(item_ids=tuple(items), values=(float("nan"),) * len(items), events=("view",) * len(items))
    )


def _is_fallback(found: Retrieved) -> bool:
    return found.vector is None and set(found.candidates.sources) == {Source.FALLBACK}


def test_similar_to_items_that_nothing_is_known_of_is_the_fallback(open_with: Open) -> None:
    """Proves it for one such item and for several; in a basket they change nothing."""
    retriever = open_with()
    for basket, popular in (("c", "lkj"), ("ck", "lji")):
        ids, found = _retrieve(retriever, similar_to=tuple(basket))
        assert (ids, _is_fallback(found)) == (popular, True)
    ids, found = _retrieve(retriever, similar_to=("a", "c"))
    assert (ids, _is_fallback(found)) == ("jgd", False)
    np.testing.assert_array_equal(found.candidates.scores, _retrieve(retriever, similar_to=("a",))[1].candidates.scores)


def test_directions_that_cancel_out_are_the_fallback(open_with: Open) -> None:
    """Proves that no list is made of what rounding leaves."""
    ids, found = _retrieve(open_with(), similar_to=("e", "h"))
    assert (ids, _is_fallback(found)) == ("lkj", True)


@pytest.mark.parametrize("then", ["Identity", "Exp"], ids=["zero vector", "same vector for everybody"])
def test_a_history_that_nothing_is_known_of_is_no_history(open_with: Open, then: str) -> None:
    """Proves it for an encoder that makes zeros of it, and for one that makes something of it."""
    retriever = open_with(encoder_of_histories(then))
    ids, found = _retrieve(retriever, user=_history("ck"))
    assert (ids, _is_fallback(found)) == ("lji", True)
    for history in ("ac", "ca"):
        assert not _is_fallback(_retrieve(retriever, user=_history(history))[1])


def test_the_features_of_a_user_count_without_such_a_history(open_with: Open) -> None:
    """Proves that a described user stays known."""
    user = UserQuery(user_id="described", history=IdHistory(item_ids=("c",), values=(1.0,), events=("view",)))
    assert not _is_fallback(_retrieve(open_with(), user=user)[1])


def test_a_user_vector_that_is_not_finite_is_no_user_vector(open_with: Open) -> None:
    """Proves it beside a finite one: the logarithm of the zeros in the vector of "a" is infinite."""
    retriever = open_with(encoder_of_histories("Log"))
    assert _is_fallback(_retrieve(retriever, user=_history("a"))[1])
    assert not _is_fallback(_retrieve(retriever, user=_history("b"))[1])


def test_an_item_without_a_vector_is_never_the_models_choice(open_with: Open) -> None:
    """Proves that it is found as a popular item only, and that a negative score is a choice."""
    _, found = _retrieve(open_with(encoder_of_histories()), user=_history("e"), limit=12)
    by_source = {source: found.candidates.rows[found.candidates.sources == source] for source in Source}
    assert by_source[Source.FALLBACK].tolist() == [10, 2]
    assert len(by_source[Source.MODEL]) == 9
    assert found.candidates.scores.min() < 0


def test_such_items_take_no_places_from_others(open_with: Open) -> None:
    """Proves that the list is cut after they are left out."""
    others = tuple(set("abcdefghijkl") - set("bch"))
    retriever = open_with(encoder_of_histories(), vectors={**_VECTORS, 11: [0, -3, 0, 0]})
    ids, found = _retrieve(retriever, user=_history("e"), limit=2, exclude=others)
    assert (ids, found.candidates.sources.tolist()) == ("bh", [Source.MODEL] * 2)


def test_an_encoder_that_is_broken_is_still_refused_at_start(tmp_path: Path) -> None:
    """Proves that the fallback does not hide it from the first query."""
    bundle = publish_small_bundle(tmp_path, encoder=encoder_of_histories("Log"), vectors={11: [1, 0, 0, 0]})
    with pytest.raises(BundleError, match="score that is not finite"):
        load(Bundle.open(bundle))
