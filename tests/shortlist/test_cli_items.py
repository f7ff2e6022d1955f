"""``shortlist items``, against a live service."""

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from shortlist import CatalogClient, Item
from shortlist.catalog_item import CatalogItem
from shortlist.cli import main
from shortlist.live.v1 import catalog_service_pb2 as pb
from testbed.ports import free_port
from tests.support.in_process import live_address


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A live service."""
    with live_address(tmp_path_factory.mktemp("live") / "events.sqlite") as address:
        yield address


@pytest.fixture
def client(target: str) -> Iterator[CatalogClient]:
    """A client of it."""
    with CatalogClient(target, timeout=10) as client:
        yield client


def columns(item: CatalogItem) -> dict[str, pb.Cell]:
    assert item.content
    return dict(pb.ItemContent.FromString(item.content).columns)


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


_LINES = """
{"item_id": 7, "title": "Heat", "year": 1995, "genres": ["a", "b"], "image": [0.5, 2], "new": true, "none": null}

{"item_id": "put-8", "title": "Ran", "year": NaN}
{"item_id": "put-9", "title": {"en": "Up"}}
{"title": "nobody's"}
not json
[1]
{"item_id": "put-10", "text": "LONG"}
{"item_id": "put-11", "title": "Alien"}
"""


def test_the_items_of_a_file_are_put_listed_and_deleted(
    target: str, client: CatalogClient, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Proves that cells arrive as they are, that bad lines have numbers, and that a second put changes nothing."""
    file = tmp_path / "items.jsonl"
    file.write_text(_LINES.replace("LONG", "x" * 70_000))
    assert main(["items", "put", str(file), "--live", target]) == 1
    printed = capsys.readouterr()
    assert printed.out.startswith("2 stored, 0 unchanged, 6 refused; position ")
    reasons = dict(line.removeprefix("shortlist: line ").split(": ", 1) for line in printed.err.splitlines())
    assert [*reasons] == ["4", "5", "6", "7", "8", "9"]
    assert reasons["4"] == "content.columns['year'] is not a finite number of 32 bits"
    assert reasons["5"].startswith("item.columns['title'] is of type dict")
    assert reasons["6"] == "has no 'item_id'; name the field of the ids with --id"
    assert reasons["7"] == "is no JSON: Expecting value at character 1"
    assert "at most 65,536 are accepted" in reasons["9"]
    found = {item.item_id: item for item in client.items()}
    assert columns(found["7"]) == {
        "title": pb.Cell(text="Heat"),
        "year": pb.Cell(number=1995),
        "genres": pb.Cell(texts=pb.Texts(values=["a", "b"])),
        "image": pb.Cell(numbers=pb.Numbers(values=[0.5, 2])),
        "new": pb.Cell(text="true"),
    }
    assert main(["items", "put", str(file), "--live", target]) == 1
    assert capsys.readouterr().out.startswith("0 stored, 2 unchanged, 6 refused; position ")
    assert main(["items", "delete", "7", "never-known", "--live", target]) == 0
    assert main(["items", "list", "--live", target]) == 0
    listed = rows(capsys.readouterr().out)
    assert (listed["7"].split(), listed["never-known"].split()) == (["never", "deleted"], ["never", "deleted"])
    assert listed["put-11"].split()[0] == "shown"
    assert listed["put-11"].endswith("bytes")


def test_a_table_is_put_from_standard_input(
    target: str, client: CatalogClient, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Proves it for more rows than a call takes, an empty cell, a text of two lines, and a row of too many cells."""
    text = 'sku,title,tags\ncsv-0,"one\ntwo",\ncsv-1,a,b,c\n' + "".join(f"csv-{n},t,x|y\n" for n in range(2, 1503))
    monkeypatch.setattr("sys.stdin", io.StringIO(text))
    assert main(["items", "put", "-", "--id", "sku", "--live", target]) == 1
    printed = capsys.readouterr()
    assert printed.out.startswith("1,502 stored, 0 unchanged, 1 refused")
    assert "line 4: has 4 cells, and the header has 3" in printed.err
    found = {item.item_id: item for item in client.items()}
    assert columns(found["csv-0"]) == {"title": pb.Cell(text="one\ntwo")}
    assert columns(found["csv-1502"]) == {"title": pb.Cell(text="t"), "tags": pb.Cell(text="x|y")}


def test_large_items_are_put_in_several_calls(client: CatalogClient) -> None:
    """Proves it for more than a message takes, with a vector, and that each item has its status."""
    title = "x" * 16_000
    items = [
        Item(item_id=f"large-{place}", columns=dict.fromkeys("abc", title), vector=np.ones(3), bundle_id="b")
        for place in range(100)
    ]
    stored = client.put_items(items)
    assert [status.item_id for status in stored.statuses] == [item.item_id for item in items]
    assert {status.outcome for status in stored.statuses} == {"stored"}
    assert client.delete_items([item.item_id for item in items]) == stored.position + 100


@pytest.mark.parametrize(
    ("item", "message"),
    [
        ({"item_id": "a"}, r"items\[0\] is of type dict; give an Item"),
        (Item(item_id=1.5, columns={}), r"items\[0\].item_id is of type float"),  # type: ignore[arg-type]
        (Item(item_id="a", columns={"x": b"y"}), r"items\[0\].columns\['x'\] is of type bytes"),
        (Item(item_id="a", columns={"x": ["y", 1]}), r"items\[0\].columns\['x'\]\[1\] is of type int"),  # type: ignore[dict-item]
    ],
)
def test_an_argument_of_another_type_is_named(client: CatalogClient, item: Item, message: str) -> None:
    """Proves that nothing is sent then."""
    with pytest.raises(TypeError, match=message):
        client.put_items([item])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("id,title\n1,a\n", "the header has no column 'item_id'; name that of the ids with --id"),
        ("item_id,a,a\n1,2,3\n", "the header has the column 'a' more than once"),
    ],
)
def test_a_table_that_cannot_be_read_is_explained(
    target: str, tmp_path: Path, text: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Proves it for its header."""
    (tmp_path / "items.csv").write_text(text)
    assert main(["items", "put", str(tmp_path / "items.csv"), "--live", target]) == 1
    assert message in capsys.readouterr().err


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
