"""``shortlist items``, against a live service."""

from collections.abc import Iterator

import pytest

from shortlist.cli import main
from testbed.ports import free_port
from tests.support.in_process import live_address


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A live service."""
    with live_address(tmp_path_factory.mktemp("live") / "events.sqlite") as address:
        yield address


def rows(printed: str) -> dict[str, str]:
    """Item id → the text beside it in the table."""
    lines = [line.split(maxsplit=1) for line in printed.splitlines() if line.strip()]
    return {line[0]: line[1].strip() for line in lines if len(line) == 2}


def test_items_are_hidden_listed_and_shown(target: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Proves it for more items than a call takes, for times with and without a zone, and for an id like markup."""
    many = [f"i{number}" for number in range(1500)]
    assert main(["items", "hide", *many, "[red]7", "--live", target]) == 0
    assert main(["items", "show", *many[2:], "--live", target]) == 0
    window = ["--from", "2026-12-01T06:00", "--until", "2026-12-24T18:00+02:00"]
    assert main(["items", "show", "i0", *window, "--live", target]) == 0
    capsys.readouterr()
    assert main(["items", "list", "--live", target]) == 0
    printed = capsys.readouterr().out
    listed = rows(printed)
    assert listed["i0"] == "from 2026-12-01 06:00:00 UTC until 2026-12-24 16:00:00 UTC"
    assert (listed["i1"], listed["[red]7"]) == ("never", "never")
    assert "3 items; all others are shown" in printed


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["hide", "x" * 300], "item_ids[0] has 300 bytes"),
        (["show", "a", "--from", "noon"], "is no time such as"),
        (["show", "a", "--from", "2026-12-02", "--until", "2026-12-01"], "--until has to be later than --from"),
    ],
)
def test_wrong_arguments_are_explained(
    target: str, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Proves that the message names the argument, whether the command refuses it or the service."""
    try:
        code = main(["items", *arguments, "--live", target])
    except SystemExit as error:
        code = error.code  # type: ignore[assignment]
    assert code in (1, 2)
    assert message in capsys.readouterr().err


def test_a_missing_service_is_explained(capsys: pytest.CaptureFixture[str]) -> None:
    """Proves that the message says what to start."""
    assert main(["items", "list", "--live", f"127.0.0.1:{free_port()}"]) == 1
    assert "start it with python -m live_service" in capsys.readouterr().err
