"""The one call and its parts, over gRPC, against real processes."""

from collections.abc import Iterator

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from shortlist import HistoryItem, Recommender
from shortlist.errors import InvalidRequest
from shortlist.ranking.v1 import ranking_service_pb2 as ranking_pb
from shortlist.ranking.v1.ranking_service_pb2_grpc import RankingServiceStub
from shortlist.retrieval.v1 import retrieval_service_pb2 as pb
from shortlist.retrieval.v1.retrieval_service_pb2_grpc import RetrievalServiceStub
from shortlist.type.v1.source_pb2 import SOURCE_FALLBACK, SOURCE_MODEL
from shortlist.type.v1.user_pb2 import HistoryItem as HistoryMessage
from shortlist.type.v1.user_pb2 import User
from testbed.services import Running

pytestmark = pytest.mark.integration


@pytest.fixture
def recommender(running: Running) -> Iterator[Recommender]:
    """A client of the ranking service."""
    with Recommender(f"dns:///{running.ranking.address}", timeout=10) as client:
        yield client


@pytest.fixture
def retrieval(running: Running) -> Iterator[RetrievalServiceStub]:
    """A stub of the retrieval service."""
    with grpc.insecure_channel(running.retrieval.address) as channel:
        yield RetrievalServiceStub(channel)


def test_a_known_user_gets_a_ranked_list_of_what_they_have_not_seen(recommender: Recommender) -> None:
    """Both stages answer, in one bundle, with every head by name, best first."""
    answer = recommender.recommend(user_id="u5", limit=10)
    scores = [item.score for item in answer.items]
    assert (answer.asked, answer.found, answer.degraded) == (10, 10, None)
    assert scores == sorted(scores, reverse=True)
    assert all(item.source == "model" and set(item.objectives) == {"like", "value"} for item in answer.items)


def test_a_newcomer_with_a_history_gets_items_of_the_genre_they_like(recommender: Recommender) -> None:
    """The planted structure comes through the wire: history alone decides, and the history is left out."""
    history = [HistoryItem(item_id=f"i{item}", value=5.0) for item in (1, 5, 9, 13, 17)]
    items = [item.item_id for item in recommender.recommend(history=history, limit=10).items]
    own = sum(int(item[1:]) % 4 == 1 for item in items if item != "untouched")
    assert own >= 7
    assert not {"i1", "i5", "i9", "i13", "i17"} & set(items)


def test_nobody_known_gets_popular_items_marked_as_fallback(recommender: Recommender) -> None:
    """Neither id nor history, and an id that the bundle does not know, are the same: popular, and said so."""
    nobody = recommender.recommend(limit=5)
    stranger = recommender.recommend(user_id="never seen", limit=5)
    assert [item.item_id for item in nobody.items] == [item.item_id for item in stranger.items]
    assert {item.source for item in nobody.items} == {"fallback"}
    assert nobody.degraded is None


def test_unknown_items_are_ignored_and_counted(recommender: Recommender) -> None:
    """An id that the bundle does not have changes nothing but the count."""
    plain = recommender.recommend(history=["i1", "i5"], limit=5)
    odd = recommender.recommend(history=["i1", "gone", "i5"], exclude=["gone too"], limit=5)
    assert [item.item_id for item in plain.items] == [item.item_id for item in odd.items]
    assert (plain.unknown_items, odd.unknown_items) == (0, 2)


def test_unknown_events_are_counted_by_both_services(recommender: Recommender, retrieval: RetrievalServiceStub) -> None:
    """Proves it for all three calls; an event that is not named is not unknown."""
    history = [HistoryItem(item_id=item, event=event) for item, event in (("i1", "rent"), ("gone", "rent"), ("i5", ""))]
    answers = [recommender.recommend(history=history), recommender.rank(item_ids=["i9"], history=history)]
    assert [(answer.unknown_items, answer.unknown_events) for answer in answers] == [(1, 2)] * 2
    user = User(history=[HistoryMessage(item_id="i1", event="rent"), HistoryMessage(item_id="i5")])
    found = retrieval.Retrieve(pb.RetrieveRequest(user=user, limit=5), timeout=10)
    assert (found.unknown_item_count, found.unknown_event_count) == (0, 1)


def test_excluded_items_are_never_in_the_answer(recommender: Recommender) -> None:
    """The first item is gone when excluded, and the list is as long as before."""
    first = recommender.recommend(user_id="u7", limit=10).items[0].item_id
    without = recommender.recommend(user_id="u7", limit=10, exclude=[first])
    assert first not in [item.item_id for item in without.items]
    assert without.found == 10


def test_seen_items_come_back_when_asked_for(recommender: Recommender) -> None:
    """keep_seen is the only thing that lets an item of the history into the list."""
    history = ["i1", "i5", "i9"]
    kept = recommender.recommend(history=history, limit=121, keep_seen=True)
    assert set(history) <= {item.item_id for item in kept.items}


def test_a_limit_above_the_catalogue_says_how_many_were_found(recommender: Recommender) -> None:
    """121 items, of which three are seen: 118 are found, each once."""
    answer = recommender.recommend(history=["i1", "i5", "i9"], limit=1000)
    assert (answer.asked, answer.found) == (1000, 118)
    assert len({item.item_id for item in answer.items}) == 118


def test_a_user_who_has_seen_everything_gets_an_empty_list(recommender: Recommender) -> None:
    """Nothing left is an answer, not an error."""
    everything = [f"i{item}" for item in range(120)] + ["untouched"]
    answer = recommender.recommend(history=everything, limit=10)
    assert (answer.asked, answer.found, answer.items) == (10, 0, ())


@pytest.mark.parametrize("limit", [0, -1, 1001])
def test_a_limit_out_of_range_is_refused_with_the_field(recommender: Recommender, limit: int) -> None:
    """INVALID_ARGUMENT with a BadRequest that names the field."""
    with pytest.raises(InvalidRequest) as caught:
        recommender.recommend(user_id="u1", limit=limit)
    assert [violation.field for violation in caught.value.violations] == ["limit"]


def test_every_bad_field_is_named_at_once(recommender: Recommender) -> None:
    """A caller need not find out one by one."""
    history = [HistoryItem(item_id="", value=float("nan"))]
    with pytest.raises(InvalidRequest) as caught:
        recommender.recommend(history=history, limit=0, candidates=5000, exclude=["x" * 300])
    fields = {violation.field for violation in caught.value.violations}
    assert fields == {
        "limit",
        "candidate_count",
        "user.history[0]",
        "user.history[0].value",
        "exclude_item_ids[0]",
    }


def test_the_callers_own_candidates_are_ranked(recommender: Recommender) -> None:
    """Rank answers with the given items only, a double once and an unknown one counted."""
    answer = recommender.rank(item_ids=["i21", "i22", "i22", "gone", "i23"], history=["i1", "i5"], limit=10)
    assert {item.item_id for item in answer.items} == {"i21", "i22", "i23"}
    assert answer.unknown_items == 1
    assert answer.items[0].item_id == "i21"


def test_an_items_score_does_not_depend_on_the_others(recommender: Recommender) -> None:
    """The first candidate scores the same alone and in company."""
    alone = recommender.rank(item_ids=["i21"], history=["i1", "i5"]).items[0]
    company = recommender.rank(item_ids=["i21", "i22", "i40"], history=["i1", "i5"])
    same = next(item for item in company.items if item.item_id == "i21")
    assert same.score == pytest.approx(alone.score, abs=1e-5)


def test_times_decide_the_order_of_a_history(running: Running) -> None:
    """A history sent newest first with times is the same as one sent oldest first."""
    ids = ["i1", "i5", "i30"]
    with grpc.insecure_channel(running.ranking.address) as channel:
        stub = RankingServiceStub(channel)
        answers = []
        for order in ([0, 1, 2], [2, 1, 0]):
            history = [HistoryMessage(item_id=ids[place], time=Timestamp(seconds=1000 + place)) for place in order]
            answers.append(
                stub.Recommend(ranking_pb.RecommendRequest(user=User(history=history), limit=10), timeout=10)
            )
    assert answers[0].items == answers[1].items


def test_similar_items_are_of_the_same_genre(retrieval: RetrievalServiceStub) -> None:
    """Neighbours of an item, and of a basket, without the items themselves."""
    for basket in (["i21"], ["i21", "i25"]):
        request = pb.RetrieveRequest(similar_to=pb.SimilarTo(item_ids=basket), limit=8)
        found = [candidate.item_id for candidate in retrieval.Retrieve(request, timeout=10).candidates]
        assert sum(item != "untouched" and int(item[1:]) % 4 == 1 for item in found) >= 5
        assert not set(basket) & set(found)


def test_a_list_longer_than_the_model_can_fill_is_filled_with_popular_items(retrieval: RetrievalServiceStub) -> None:
    """Nobody known: everything is fallback. Somebody known: everything is the model's, as the index is exact."""
    nobody = retrieval.Retrieve(pb.RetrieveRequest(limit=5), timeout=10)
    known = retrieval.Retrieve(pb.RetrieveRequest(user=User(user_id="u1"), limit=5), timeout=10)
    assert {candidate.source for candidate in nobody.candidates} == {SOURCE_FALLBACK}
    assert {candidate.source for candidate in known.candidates} == {SOURCE_MODEL}


def test_a_batch_answers_each_query_as_if_alone(retrieval: RetrievalServiceStub) -> None:
    """In the order of the queries, by one bundle."""
    queries = [pb.RetrieveRequest(user=User(user_id=f"u{user}"), limit=5) for user in range(3)]
    together = retrieval.BatchRetrieve(pb.BatchRetrieveRequest(requests=queries), timeout=10).responses
    for one, query in zip(together, queries, strict=True):
        alone = retrieval.Retrieve(query, timeout=10)
        assert (one.bundle_id, one.found_count) == (alone.bundle_id, alone.found_count)
        assert [found.item_id for found in one.candidates] == [found.item_id for found in alone.candidates]


def test_a_bad_query_in_a_batch_is_named_by_its_place(retrieval: RetrievalServiceStub) -> None:
    """The field path leads to the query."""
    queries = [pb.RetrieveRequest(limit=5), pb.RetrieveRequest(limit=0)]
    with pytest.raises(grpc.RpcError) as caught:
        retrieval.BatchRetrieve(pb.BatchRetrieveRequest(requests=queries), timeout=10)
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert "requests[1].limit" in (caught.value.details() or "")


def test_another_bundle_than_the_served_one_is_refused(retrieval: RetrievalServiceStub) -> None:
    """A caller that pins a version never gets another."""
    with pytest.raises(grpc.RpcError) as caught:
        retrieval.Retrieve(pb.RetrieveRequest(limit=5, bundle_id="20200101T000000-0000"), timeout=10)
    assert caught.value.code() == grpc.StatusCode.FAILED_PRECONDITION


def test_columns_and_listed_candidates_are_the_same(retrieval: RetrievalServiceStub) -> None:
    """The layout for programs carries the same items and scores as the one for people."""
    user = User(user_id="u3")
    listed = retrieval.Retrieve(pb.RetrieveRequest(user=user, limit=5), timeout=10)
    columns = retrieval.Retrieve(
        pb.RetrieveRequest(user=user, limit=5, view=pb.CANDIDATE_VIEW_COLUMNS), timeout=10
    ).columns
    assert [candidate.score for candidate in listed.candidates] == list(columns.scores)
    assert [candidate.item_id for candidate in listed.candidates] == list(columns.item_ids)
    assert [candidate.source for candidate in listed.candidates] == list(columns.sources)
    assert len(columns.item_ids) == 5
