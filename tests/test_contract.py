"""The wire contract is frozen: a change that breaks a caller is refused, an addition is not."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from google.rpc.status_pb2 import Status

from shortlist.errors import BundleNotServed, InvalidRequest, Overloaded
from shortlist.status import to_status

_ROOT = Path(__file__).parents[1]
_BUF = Path(sys.executable).parent / "buf"
_FIELD = "  string item_id = 1;"


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The contract, where it may be changed."""
    shutil.copytree(_ROOT / "protos", tmp_path / "protos")
    shutil.copy(_ROOT / "buf.yaml", tmp_path)
    return tmp_path


def _compare(folder: Path, old: str, new: str) -> subprocess.CompletedProcess[str]:
    """Runs the command of ``make protos`` after a change of the ranking service's proto."""
    proto = folder / "protos" / "shortlist" / "ranking" / "v1" / "ranking_service.proto"
    text = proto.read_text()
    assert old in text
    proto.write_text(text.replace(old, new))
    command = [str(_BUF), "breaking", "--against", "protos/contract.binpb"]
    assert f"breaking --against {command[-1]}" in (_ROOT / "Makefile").read_text()
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("new", "complaint"),
    [
        ("", "was deleted"),
        ("  string id = 1;", 'changed name from "item_id" to "id"'),
        ("  bytes item_id = 1;", "changed type"),
        ("  string item_id = 7;", "was deleted"),
    ],
)
def test_a_field_may_not_go_or_change(copy: Path, new: str, complaint: str) -> None:
    """Proves that neither its number, its name nor its type may change."""
    done = _compare(copy, _FIELD, new)
    assert done.returncode != 0
    assert complaint in done.stdout


def test_a_field_may_be_added(copy: Path) -> None:
    """Proves that the contract can grow."""
    done = _compare(copy, _FIELD, f"{_FIELD}\n  // More.\n  string more = 70;")
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize("option", ["csharp_namespace", "go_package", "java_outer_classname", "java_package"])
def test_the_packages_of_generated_code_may_not_change(copy: Path, option: str) -> None:
    """Proves that callers in other languages keep their imports."""
    done = _compare(copy, f'option {option} = "', f'option {option} = "other.')
    assert done.returncode != 0
    assert f'File option "{option}" changed' in done.stdout


def test_every_proto_names_the_packages_of_its_generated_code() -> None:
    """Proves that no caller has to choose packages, and that they end as buf's managed mode would end them."""
    protos = sorted((_ROOT / "protos").rglob("*.proto"))
    assert protos
    for proto in protos:
        names = proto.relative_to(_ROOT / "protos").parent.parts
        text = proto.read_text()
        assert f'option csharp_namespace = "{".".join(name.capitalize() for name in names)}";' in text
        assert f'/{"/".join(names)};{"".join(names[-2:])}";' in text
        assert f'option java_package = "com.{".".join(names)}";' in text
        assert "option java_multiple_files = true;" in text


def test_the_protos_name_every_detail_that_an_error_brings() -> None:
    """Proves that a caller finds the types to unpack in the proto that is read first."""
    sent = [InvalidRequest(()), BundleNotServed("no", ["a"]), Overloaded("full", 1.0)]
    for service in ("ranking", "retrieval"):
        text = (_ROOT / "protos" / "shortlist" / service / "v1" / f"{service}_service.proto").read_text()
        for error in sent:
            status = to_status(error, "method")
            packed = Status.FromString(dict(status.trailing_metadata)["grpc-status-details-bin"])
            kind = packed.details[0].TypeName().removeprefix("google.rpc.")
            assert re.search(rf"- {status.code.name} .*\b{kind}\b", text.replace("\n//   ", " ")), (service, kind)
