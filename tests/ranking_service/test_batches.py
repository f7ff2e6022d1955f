"""Batches of unlike requests: a request changes no other one's answer, and one at fault spoils none."""

# grpc's classes are generic for the type checker only.
from __future__ import annotations

import time
from dataclasses import replace

import grpc
import numpy as np
import pytest

from ranking_service.queries import RecommendQuery
from ranking_service.request import Request
from ranking_service.stages.resolve import Resolver
from ranking_service.stages.retrieve import Found, RetrieveStage
from ranking_service.stages.score import ScoreStage
from retrieval_service.servicer import RetrievalServicer
from shortlist.bundle import Bundle
from shortlist.degraded import Degraded
from shortlist.inference.candidates import Candidates, Source
from shortlist.inference.retrieval import Retrieved
from shortlist.inference.user_encoder import UserEncoder
from shortlist.inference.users import UserQuery
from shortlist.retrieval.v1 import retrieval_service_pb2 as pb
from tests.support.in_process import retrieval_client

_FAULTY = 7


@pytest.fixture
def request_of_fan(small_bundle: Bundle) -> Request:
    """A request of a user with a history."""
    query = RecommendQuery(user=UserQuery(user_id="fan"), limit=3, deadline=time.monotonic() + 30)
    return Resolver(small_bundle).recommend(query)


def _found(*sources: Source) -> Found:
    """Candidates of these sources, from row 1 on; only those that the models chose have a score."""
    numbers = np.array(sources, dtype=np.uint8)
    scores = np.where(numbers == Source.MODEL, np.linspace(3, 1, len(sources)), 0).astype(np.float32)
    candidates = Candidates(rows=np.arange(1, len(sources) + 1), scores=scores, sources=numbers)
    return Found(retrieved=Retrieved(candidates=candidates, vector=np.ones(4, dtype=np.float32)))


def test_only_candidates_of_the_models_are_scored_wherever_they_stand(
    small_bundle: Bundle, request_of_fan: Request, caplog: pytest.LogCaptureFixture
) -> None:
    """Proves that fallbacks among them are kept aside, for lists of one length with unequally many fallbacks."""
    model, fallback = Source.MODEL, Source.FALLBACK
    found = [_found(model, fallback, model, model), _found(fallback, model, fallback, model), _found(*[model] * 4)]
    scored = ScoreStage(small_bundle).score([request_of_fan] * 3, found)
    assert [one.degraded for one in scored] == [None] * 3
    assert caplog.messages == []
    assert [one.items.rows.tolist() for one in scored] == [[1, 3, 4], [2, 4], [1, 2, 3, 4]]
    assert [one.others.rows.tolist() for one in scored] == [[2], [1, 3], []]
    for one in scored:
        assert one.logits is not None
        # The ranker's log-odds of a like are the retrieval score, and its value is the position.
        np.testing.assert_allclose(one.logits[:, 0], one.items.scores, rtol=1e-6)
        assert one.logits[:, 1].tolist() == list(range(len(one.items)))


def test_a_request_that_the_ranker_fails_for_is_degraded_alone(small_bundle: Bundle, request_of_fan: Request) -> None:
    """Proves that the others of its batch are ranked."""
    options = replace(request_of_fan.options, context=np.zeros(1, dtype=np.float32))
    faulty = replace(request_of_fan, options=options)
    found = [_found(Source.MODEL, Source.MODEL)] * 3
    scored = ScoreStage(small_bundle).score([request_of_fan, faulty, request_of_fan], found)
    assert [one.degraded for one in scored] == [None, Degraded.RANKER_FAILED, None]
    assert [one.logits is None for one in scored] == [False, True, False]


def test_a_request_that_retrieval_refuses_is_degraded_alone(
    small_bundle: Bundle, request_of_fan: Request, retrieval: RetrievalServicer
) -> None:
    """Proves that the others of its batch get their candidates."""

    class Picky(RetrievalServicer):
        def __init__(self) -> None:
            self.sizes: list[int] = []

        def RetrieveRows(  # noqa: N802
            self, request: pb.RetrieveRowsRequest, context: grpc.ServicerContext
        ) -> pb.RetrieveRowsResponse:
            self.sizes.append(len(request.queries))
            if any(query.limit == _FAULTY for query in request.queries):
                raise RuntimeError("cannot answer this query")
            return retrieval.RetrieveRows(request, context)

    picky, faulty = Picky(), replace(request_of_fan, candidate_count=_FAULTY)
    with retrieval_client(picky) as client:
        stage = RetrieveStage(small_bundle, client, UserEncoder(small_bundle))
        found = stage.retrieve([request_of_fan, faulty, request_of_fan])
    assert [one.degraded for one in found] == [None, Degraded.RETRIEVAL_UNAVAILABLE, None]
    assert [len(one.retrieved.candidates) for one in found] == [5, 3, 5]
    assert picky.sizes == [3, 1, 1, 1]
