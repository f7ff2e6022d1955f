"""The log of served answers: each can be made again, what cannot be written is counted, and users can be removed."""

# grpc's classes are generic for the type checker only.
from __future__ import annotations

import contextlib
import random
import resource
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import grpc
import pytest

from ranking_service.served_log import ServedLog
from retrieval_service.servicer import RetrievalServicer
from shortlist import cli
from shortlist.live.v1.event_service_pb2_grpc import EventServiceStub
from shortlist.live_histories.client import LiveClient
from shortlist.live_histories.stage import NOTHING_LIVE
from shortlist.observability import metrics
from shortlist.ranking.v1 import ranking_service_pb2 as pb
from shortlist.ranking.v1.ranking_service_pb2_grpc import RankingServiceStub
from shortlist.ranking.v1.served_answer_pb2 import ServedAnswer
from shortlist.security.settings import ClientSecurity
from shortlist.served.forgetting import forget
from shortlist.served.segment_writer import Bounds
from shortlist.served.segments import call_of, finished_segments, read_backwards, read_segment
from shortlist.type.v1.context_pb2 import ContextValue
from shortlist.type.v1.source_pb2 import SOURCE_MODEL
from shortlist.type.v1.user_pb2 import HISTORY_MODE_APPEND, HISTORY_MODE_REPLACE, HistoryItem, User
from testbed.ports import free_port
from tests.support.answers import segment_of
from tests.support.in_process import live_address, ranking_address, ranking_stub
from tests.support.live import forget as forget_user
from tests.support.live import record
from tests.support.waiting import until

_SOON = 10.0
_BOUNDS = Bounds(log_bytes=10**9, log_seconds=1e6)
_ITEMS = "abcdefghijkl"


class Services(NamedTuple):
    """The live service, a ranking service that asks it and logs, its address, and the directory of its log."""

    live: EventServiceStub
    ranking: RankingServiceStub
    address: str
    log: Path


@pytest.fixture
def services(small_bundles: Path, retrieval: RetrievalServicer, tmp_path: Path) -> Iterator[Services]:
    """All of them on real sockets."""
    directory = tmp_path / "served"
    directory.mkdir()
    log = ServedLog(directory, _BOUNDS)
    with live_address(tmp_path / "events.sqlite") as live:
        client = LiveClient(live, ClientSecurity())
        with (
            log.writing(),
            ranking_address(small_bundles, retrieval, client, log) as address,
            grpc.insecure_channel(live) as to_live,
            grpc.insecure_channel(address) as to_ranking,
        ):
            # Before the list of forgotten users is read, everybody counts as forgotten.
            until(lambda: client.forgotten.position_of("fan", 0) == 0)
            yield Services(EventServiceStub(to_live), RankingServiceStub(to_ranking), address, directory)
        client.close()


def _answers(directory: Path) -> list[ServedAnswer]:
    return [answer for segment in read_backwards(directory) for answer in segment]


def _replay(log: Path, target: str, *arguments: str) -> int:
    return cli.main(["answers", "replay", "--served-log", str(log), "--target", target, *arguments])


def _lost(outcome: str) -> float:
    return metrics.REGISTRY.get_sample_value("shortlist_served_answers_total", {"outcome": outcome}) or 0.0


def _user(chance: random.Random) -> User:
    items = [
        HistoryItem(item_id=item, event=chance.choice(["view", "buy", "unheard of"]), value=chance.random())
        for item in chance.sample(_ITEMS + "z", chance.choice([0, 0, 1, 4]))
    ]
    user_id = chance.choice(["fan", "mixed", "described", "unknown", "new", "newer", ""])
    return User(user_id=user_id, history=items, history_mode=chance.choice([HISTORY_MODE_REPLACE, HISTORY_MODE_APPEND]))


def _ask(services: Services, chance: random.Random) -> pb.RecommendResponse | pb.RankResponse:
    context = {"hour": ContextValue(number=chance.uniform(0, 24))} if chance.random() < 0.5 else {}
    weights = {"like": 0.5} if chance.random() < 0.2 else {}
    if chance.random() < 0.2:
        request = pb.RankRequest(user=_user(chance), item_ids="hijabz", limit=5, context=context)
        return services.ranking.Rank(request, timeout=_SOON)
    return services.ranking.Recommend(
        pb.RecommendRequest(
            user=_user(chance),
            limit=chance.choice([1, 5, 12]),
            exclude_item_ids=chance.sample(_ITEMS, chance.choice([0, 3])),
            keep_seen=chance.random() < 0.3,
            context=context,
            objective_weights=weights,
        ),
        timeout=_SOON,
    )


def test_a_thousand_answers_are_made_again_bit_for_bit(
    services: Services, small_bundles: Path, retrieval: RetrievalServicer, capsys: pytest.CaptureFixture[str]
) -> None:
    """Proves it though events came between the answers and after them, and for a service without a live one."""
    chance = random.Random(0)  # noqa: S311 - requests, not secrets
    ids = []
    forget_user(services.live, "mixed")
    for number in range(1000):
        if number % 10 == 0:
            record(services.live, chance.choice(["fan", "new", "newer", "unknown"]), chance.choice(_ITEMS))
        ids.append(_ask(services, chance).recommendation_id)
    for user_id in ("fan", "new", "newer", "unknown"):
        record(services.live, user_id, "aeil")
    until(lambda: len(_answers(services.log)) == 1000)
    answers = [call_of(answer) for answer in _answers(services.log)]
    assert [answer.response.recommendation_id for answer in answers] == ids
    assert len({answer.response.live_position for answer in answers}) > 50
    assert _replay(services.log, services.address) == 0
    assert capsys.readouterr().out == "   1,000 are equal, bit for bit\n"
    with ranking_address(small_bundles, retrieval) as frozen:
        assert _replay(services.log, frozen, "--most", "100") == 0
    assert capsys.readouterr().out == "     100 are equal, bit for bit\n"
    assert len(_answers(services.log)) == 1000


def test_answers_of_a_batch_are_made_again_one_by_one(services: Services, capsys: pytest.CaptureFixture[str]) -> None:
    """Proves that each request of a batch keeps its own history in the log; rounding alone may differ."""
    record(services.live, "new", "kl")
    with ThreadPoolExecutor(8) as pool:
        for asked in [pool.submit(_ask, services, random.Random(number)) for number in range(80)]:  # noqa: S311
            asked.result()
    until(lambda: len(_answers(services.log)) == 80)
    assert _replay(services.log, services.address) == 0
    assert "differ\n" not in capsys.readouterr().out


def test_a_wrong_list_is_found(services: Services, capsys: pytest.CaptureFixture[str]) -> None:
    """Proves that the replay compares the items, and names an answer that differs."""
    answer = ServedAnswer()
    answer.recommend.request.user.user_id = "fan"
    answer.recommend.request.limit = 5
    answer.recommend.response.CopyFrom(services.ranking.Recommend(answer.recommend.request, timeout=_SOON))
    answer.recommend.response.items[0].item_id = "b"
    answer.recommend.response.recommendation_id = "wrong"
    until(lambda: len(_answers(services.log)) == 1)
    next(services.log.iterdir()).write_bytes(segment_of(answer))
    assert _replay(services.log, services.address) == 1
    assert "1 differ" in (out := capsys.readouterr().out)
    assert "such as wrong" in out


def test_a_replay_says_why_nothing_was_made_again(
    services: Services, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Proves it for a log without an answer, and for an address without a service."""
    (tmp_path / "empty").mkdir()
    assert _replay(tmp_path / "empty", services.address) == 1
    assert "has no answer yet" in capsys.readouterr().err
    services.ranking.Recommend(pb.RecommendRequest(user=User(user_id="fan"), limit=1), timeout=_SOON)
    until(lambda: len(_answers(services.log)) == 1)
    assert _replay(services.log, f"127.0.0.1:{free_port()}") == 1
    assert "made no answer again (UNAVAILABLE)" in capsys.readouterr().err


@pytest.mark.parametrize("broken", ["queue_full", "disk"])
def test_a_log_that_cannot_be_written_costs_no_answer(
    small_bundles: Path, retrieval: RetrievalServicer, tmp_path: Path, broken: str
) -> None:
    """Proves for a full queue and a full disk that answers come, that records are counted, and that it may end."""
    log = ServedLog(tmp_path, _BOUNDS, most_waiting=0 if broken == "queue_full" else 10**6)
    before, written = _lost(broken), _lost("written")
    asking = pb.RecommendRequest(user=User(user_id="fan"), limit=12)
    with ranking_stub(small_bundles, retrieval, log=log) as ranking:
        with _full_disk(), log.writing():
            answers = [ranking.Recommend(asking, timeout=_SOON) for _ in range(100)]
        assert {len(answer.items) for answer in answers} == {10}
        lost = _lost(broken) - before
        assert lost > 0
        assert lost + _lost("written") - written == 100
        assert len(_answers(tmp_path)) == 100 - lost
        log._most_waiting = 10**6
        with log.writing():
            ranking.Recommend(asking, timeout=_SOON)
    assert len(_answers(tmp_path)) == 101 - lost


@contextlib.contextmanager
def _full_disk() -> Iterator[None]:
    """No file may become longer, as on a disk that is nearly full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_segments_end_by_size_and_the_oldest_go(tmp_path: Path) -> None:
    """Proves that the log keeps its bound, and that its latest answers are there."""
    bounds = Bounds(segment_bytes=8_000, log_bytes=40_000, log_seconds=1e6)
    log = ServedLog(tmp_path, bounds)
    answer = pb.RecommendResponse(items=[pb.ScoredItem(item_id=item) for item in _ITEMS])
    with log.writing():
        for number in range(2000):
            log.put(pb.RecommendRequest(user=User(user_id=f"user-{number}")), answer, NOTHING_LIVE)
    segments = finished_segments(tmp_path)
    assert {*tmp_path.iterdir()} == {*segments}
    assert 1 < len(segments) <= 5
    assert sum(path.stat().st_size for path in segments) <= bounds.log_bytes
    users = [call_of(answer).request.user.user_id for path in segments for answer in read_segment(path)]
    assert users == [f"user-{number}" for number in range(2000 - len(users), 2000)]


def test_a_user_is_removed_while_the_log_is_written(services: Services) -> None:
    """Proves that no byte of the id stays in a file of the log, and that all other answers do."""
    for number in range(40):
        user = User(user_id="fan" if number % 4 else "Jane Doe")
        services.ranking.Recommend(pb.RecommendRequest(user=user, limit=5), timeout=_SOON)
    until(lambda: len(_answers(services.log)) == 40)
    assert any(b"Jane Doe" in path.read_bytes() for path in services.log.iterdir())
    assert forget(services.log, "Jane Doe") == 10
    services.ranking.Recommend(pb.RecommendRequest(user=User(user_id="mixed"), limit=5), timeout=_SOON)
    until(lambda: len(_answers(services.log)) == 31)
    assert not any(b"Jane Doe" in path.read_bytes() for path in services.log.rglob("*") if path.is_file())
    assert cli.main(["answers", "forget", "--served-log", str(services.log), "--user", "mixed"]) == 0
    assert {call_of(answer).request.user.user_id for answer in _answers(services.log)} == {"fan"}


def test_a_given_history_brings_no_forgotten_user_back(services: Services) -> None:
    """Proves that no request gets at a bundle's stored history that a live service has taken out of use."""
    asking = pb.RecommendRequest(user=User(user_id="fan"), limit=12, live_history=pb.LiveHistory())
    assert any(item.source == SOURCE_MODEL for item in services.ranking.Recommend(asking, timeout=_SOON).items)
    forget_user(services.live, "fan")
    until(lambda: all(one.source != SOURCE_MODEL for one in services.ranking.Recommend(asking, timeout=_SOON).items))


def test_without_a_log_answers_have_no_id(small_bundles: Path, retrieval: RetrievalServicer, tmp_path: Path) -> None:
    """Proves that a log alone, without a live service, names answers."""
    asking = pb.RecommendRequest(user=User(user_id="fan"), limit=5)
    with ranking_stub(small_bundles, retrieval) as ranking:
        assert ranking.Recommend(asking, timeout=_SOON).recommendation_id == ""
    with ranking_stub(small_bundles, retrieval, log=ServedLog(tmp_path, _BOUNDS)) as ranking:
        assert len(ranking.Recommend(asking, timeout=_SOON).recommendation_id) == 32
