"""``shortlist recommend``, against each test's own ranking service."""

import signal
import socket
import subprocess
import sys
from collections.abc import Callable

import grpc
import pytest

from shortlist.cli import main
from shortlist.errors import FieldViolation, InvalidRequest, Unavailable
from shortlist.ranking.v1 import ranking_service_pb2 as pb
from shortlist.ranking.v1.ranking_service_pb2_grpc import RankingServiceServicer
from shortlist.type.v1.source_pb2 import SOURCE_FALLBACK, SOURCE_MODEL
from shortlist.type.v1.user_pb2 import HISTORY_MODE_APPEND

Start = Callable[[RankingServiceServicer], str]


class Answering(RankingServiceServicer):
    """Answers with two items, or raises the given error; keeps the last request."""

    def __init__(self, error: Exception | None = None) -> None:
        self._error = error
        self.request: pb.RecommendRequest | pb.SimilarRequest = pb.RecommendRequest()

    def Recommend(self, request: pb.RecommendRequest, context: grpc.ServicerContext) -> pb.RecommendResponse:  # noqa: N802
        self.request = request
        if self._error:
            raise self._error
        items = [
            pb.ScoredItem(item_id="[red]7", score=0.75, objective_scores=[0.75], source=SOURCE_MODEL),
            pb.ScoredItem(item_id="8", source=SOURCE_FALLBACK),
        ]
        return pb.RecommendResponse(
            bundle_id="20261124T101500-3f9c",
            items=items,
            objectives=["like"],
            asked_count=request.limit,
            found_count=2,
            degraded=True,
            degraded_reason=pb.DEGRADED_REASON_DEADLINE,
        )

    def Rank(self, request: pb.RankRequest, context: grpc.ServicerContext) -> pb.RankResponse:  # noqa: N802
        raise NotImplementedError

    def Similar(self, request: pb.SimilarRequest, context: grpc.ServicerContext) -> pb.SimilarResponse:  # noqa: N802
        self.request = request
        if self._error:
            raise self._error
        items = [pb.ScoredItem(item_id="7", score=0.25, source=SOURCE_MODEL)]
        return pb.SimilarResponse(bundle_id="20261124T101500-3f9c", items=items, asked_count=3, found_count=1)

    def GetBundle(self, request: pb.GetBundleRequest, context: grpc.ServicerContext) -> pb.GetBundleResponse:  # noqa: N802
        raise NotImplementedError


def recommend(target: str, *more: str) -> int:
    return main(["recommend", "--target", target, "--timeout", "5", *more])


def test_the_list_is_printed_as_a_table(start: Start, capsys: pytest.CaptureFixture[str]) -> None:
    """The request has the arguments; the output has rank, item, score, objectives, source, bundle and reason.

    An item id that looks like markup prints unchanged.
    """
    servicer = Answering()
    assert recommend(start(servicer), "--user", "196", "--history", "1", "2", "--append", "--limit", "3") == 0
    printed = capsys.readouterr().out
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in printed.splitlines() if "│" in line]
    assert rows == [["1", "[red]7", "0.7500", "like 0.7500", "model"], ["2", "8", "0.0000", "", "fallback"]]
    assert "2 of 3 items from bundle 20261124T101500-3f9c" in printed
    assert "degraded: deadline" in printed
    expected = pb.RecommendRequest(limit=3)
    expected.user.user_id = "196"
    expected.user.history_mode = HISTORY_MODE_APPEND
    expected.user.history.add(item_id="1")
    expected.user.history.add(item_id="2")
    assert servicer.request == expected


def test_similar_items_are_printed_as_the_list_is(start: Start, capsys: pytest.CaptureFixture[str]) -> None:
    """Proves that the request has the arguments, and that a refusal ends with the same advice."""
    servicer = Answering()
    asked = ["similar", "--target", start(servicer), "--timeout", "5", "--items", "1", "2", "--event", "buy"]
    assert main([*asked, "--limit", "3"]) == 0
    printed = capsys.readouterr().out
    assert "0.2500" in printed
    assert "1 of 3 items from bundle 20261124T101500-3f9c" in printed
    assert servicer.request == pb.SimilarRequest(item_ids=["1", "2"], limit=3, event="buy")
    servicer._error = InvalidRequest((FieldViolation("event", "is no liked event"),))
    assert main(asked) == 1
    assert "refuses the request: event is no liked event" in capsys.readouterr().err


def test_the_target_may_come_from_the_environment(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """SHORTLIST_TARGET replaces the default of --target."""
    monkeypatch.setenv("SHORTLIST_TARGET", start(Answering()))
    assert main(["recommend", "--timeout", "5"]) == 0


def test_a_refused_connection_ends_with_advice(capsys: pytest.CaptureFixture[str]) -> None:
    """A user who forgot to start the service sees the command, without a traceback."""
    with socket.create_server(("127.0.0.1", 0)) as gone:
        target = f"127.0.0.1:{gone.getsockname()[1]}"
    assert recommend(target) == 1
    complaint = capsys.readouterr().err
    assert f"nothing answers at {target}" in complaint
    assert "python -m ranking_service" in complaint


@pytest.mark.parametrize(
    ("error", "advice"),
    [
        (Unavailable("the bundle is still being loaded"), "the bundle is still being loaded; try again"),
        (InvalidRequest((FieldViolation("limit", "is 0"),)), "refuses the request: limit is 0"),
        (KeyError("bug"), "INTERNAL: internal error; its log says more"),
    ],
)
def test_a_failure_ends_with_advice(
    start: Start, error: Exception, advice: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each kind of failure ends with 1 and its own advice on stderr."""
    assert recommend(start(Answering(error))) == 1
    assert advice in capsys.readouterr().err


def test_a_late_answer_names_the_timeout(capsys: pytest.CaptureFixture[str]) -> None:
    """The deadline of --timeout holds, and the message names the flag."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        assert recommend(f"127.0.0.1:{silent.getsockname()[1]}", "--timeout", "0.2") == 1
    assert "within 0.2 s; wait longer with --timeout" in capsys.readouterr().err


@pytest.mark.parametrize("argv", [[], ["recommend", "--limit", "many"], ["recomend"]])
def test_a_wrong_usage_ends_with_2(argv: list[str]) -> None:
    """A script can tell a typing error from a failure."""
    with pytest.raises(SystemExit) as exit_info:
        main(argv)
    assert exit_info.value.code == 2


def test_appending_nothing_is_a_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    """Proves that --append without --history is refused with a hint, and before anything is called."""
    with pytest.raises(SystemExit) as exit_info:
        main(["recommend", "--user", "196", "--append"])
    assert exit_info.value.code == 2
    assert "--append needs --history, with the ids to add" in capsys.readouterr().err


@pytest.mark.usefixtures("interruptible")
def test_ctrl_c_ends_quietly_with_130() -> None:
    """An interrupted wait leaves no traceback, in a process of its own."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        target = f"127.0.0.1:{silent.getsockname()[1]}"
        code = f"import sys; from shortlist.cli import main; sys.exit(main(['recommend', '--target', '{target}',"
        command = [sys.executable, "-c", code + " '--timeout', '60']))"]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
            # Once it is connected, it waits for the answer.
            connection, _ = silent.accept()
            with connection:
                process.send_signal(signal.SIGINT)
                assert process.communicate(timeout=20)[1] == ""
    assert process.returncode == 130
