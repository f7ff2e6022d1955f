"""The benchmarks' requests: users with a stored history of 50 items, in an order drawn with a fixed seed."""

import numpy as np

from bench.harness.planted import CANDIDATES
from shortlist.bundle import Bundle
from shortlist.ranking.v1.ranking_service_pb2 import RankRequest, RecommendRequest
from shortlist.retrieval.v1 import retrieval_service_pb2 as pb
from shortlist.type.v1.user_pb2 import HistoryItem, User

LIMIT = 20
_PEOPLE = 2000


def user_ids(bundle: Bundle) -> list[str]:
    """Ids of up to 2,000 users of the bundle, in random order."""
    random = np.random.default_rng(3)
    rows = random.choice(len(bundle.users.ids), size=min(_PEOPLE, len(bundle.users.ids)), replace=False)
    return [bytes(bundle.users.ids[row]).decode() for row in rows]


def recommend_requests(bundle: Bundle) -> list[bytes]:
    """Recommend requests that carry a user id."""
    return [RecommendRequest(user=User(user_id=person), limit=LIMIT).SerializeToString() for person in user_ids(bundle)]


def newcomer_requests(bundle: Bundle) -> list[bytes]:
    """Recommend requests that carry a history."""
    return [
        RecommendRequest(user=User(history=_history(bundle, person)), limit=LIMIT).SerializeToString()
        for person in user_ids(bundle)
    ]


def retrieve_requests(bundle: Bundle) -> list[bytes]:
    """Retrieve requests that carry a user id and ask for columns."""
    return [
        pb.RetrieveRequest(
            user=User(user_id=person), limit=CANDIDATES, view=pb.CANDIDATE_VIEW_COLUMNS
        ).SerializeToString()
        for person in user_ids(bundle)
    ]


def rank_requests(bundle: Bundle) -> list[bytes]:
    """Rank requests that carry 500 candidates."""
    random = np.random.default_rng(4)
    chosen = [random.choice(len(bundle.items.ids), size=CANDIDATES, replace=False) for _ in range(100)]
    return [
        RankRequest(
            user=User(user_id=person),
            item_ids=[bundle.items.id_of(int(row)) for row in chosen[place % len(chosen)]],
            limit=LIMIT,
        ).SerializeToString()
        for place, person in enumerate(user_ids(bundle))
    ]


def _history(bundle: Bundle, person: str) -> list[HistoryItem]:
    row = bundle.users.row_of(person)
    assert row is not None
    return [HistoryItem(item_id=bundle.items.id_of(int(item))) for item in bundle.users.history_of(row).rows]
