"""Items written as bytes are the messages that protocol buffers would have made."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shortlist.inference.candidates import Source
from shortlist.limits import MAX_ID_BYTES
from shortlist.ranking.v1.ranking_service_pb2 import RankResponse, RecommendResponse, ScoredItem, SimilarResponse
from shortlist.retrieval.v1.retrieval_service_pb2 import Candidate, RetrieveResponse
from shortlist.wire.item_messages import ItemMessages

_ITEMS = ItemMessages(ScoredItem.DESCRIPTOR, RecommendResponse.ITEMS_FIELD_NUMBER)
_CANDIDATES = ItemMessages(Candidate.DESCRIPTOR, RetrieveResponse.CANDIDATES_FIELD_NUMBER)

floats = st.floats(width=32, allow_nan=False)
id_texts = st.one_of(
    st.text(min_size=1, max_size=40), st.text("é", min_size=MAX_ID_BYTES // 2, max_size=MAX_ID_BYTES // 2)
)


@st.composite
def items(draw: st.DrawFn) -> list[ScoredItem]:
    """Items with equally many predictions, from none to more than a length of one byte counts."""
    count = draw(st.sampled_from([0, 1, 2, 31, 32, 40, 64]))
    item = st.builds(
        ScoredItem,
        item_id=id_texts,
        score=floats,
        objective_scores=st.lists(floats, min_size=count, max_size=count),
        retrieval_score=floats,
        source=st.sampled_from(Source).map(int),
    )
    return draw(st.lists(item, max_size=12))


@given(items())
def test_written_items_are_the_messages(expected: list[ScoredItem]) -> None:
    """Ids of every length, packed predictions of every number, zeros and infinities."""
    predictions = np.array([item.objective_scores for item in expected], dtype=np.float32)
    numbers = _ITEMS.numbers(
        score=np.array([item.score for item in expected], dtype=np.float32),
        objective_scores=predictions.reshape(len(expected), -1 if expected else 1),
        retrieval_score=np.array([item.retrieval_score for item in expected], dtype=np.float32),
        source=np.array([item.source for item in expected], dtype=np.uint8),
    )
    response = RecommendResponse(bundle_id="before")
    response.MergeFromString(_ITEMS.written([item.item_id.encode() for item in expected], numbers))
    assert response == RecommendResponse(bundle_id="before", items=expected)
    assert response.SerializeToString() == RecommendResponse(bundle_id="before", items=expected).SerializeToString()


def test_unset_numbers_are_not_written() -> None:
    """An item that the ranker did not score has no predictions; a candidate has none anyway."""
    numbers = _CANDIDATES.numbers(score=np.array([0.5, 0.0], dtype=np.float32), source=np.array([1, 2], dtype=np.uint8))
    response = RetrieveResponse()
    response.MergeFromString(_CANDIDATES.written([b"a", b"b"], numbers))
    expected = RetrieveResponse()
    expected.candidates.add(item_id="a", score=0.5, source=1)
    expected.candidates.add(item_id="b", source=2)
    assert response == expected


def test_a_mismatch_of_ids_and_numbers_is_an_error() -> None:
    """No item takes the numbers of another."""
    numbers = _CANDIDATES.numbers(score=np.zeros(2, dtype=np.float32))
    with pytest.raises(ValueError, match="zip"):
        _CANDIDATES.written([b"a"], numbers)


def test_all_answers_of_ranking_have_their_items_in_one_field() -> None:
    """So one writer serves them all. And each source fits a byte."""
    assert {answer.ITEMS_FIELD_NUMBER for answer in (RecommendResponse, RankResponse, SimilarResponse)} == {2}
    assert max(Source) < 128
