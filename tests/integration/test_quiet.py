"""The services keep to themselves: they call nobody but each other, and leave nothing in their home directory."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from shortlist import Recommender
from testbed.services import start_both
from tests.support.small_bundle import publish_small_bundle
from tests.support.sockets import watching
from tests.support.waiting import until

pytestmark = pytest.mark.integration
_KEPT = ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH", "OMP_NUM_THREADS")
_NEXT = "20260101T000000-0002"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home directory, in an environment as bare as a container's.

    Without the variables of a CI server, for some libraries are quiet there of their own accord.
    """
    for name in set(os.environ).difference(_KEPT):
        monkeypatch.delenv(name)
    home = tmp_path / "home"
    home.mkdir()
    for name, value in _directories(home).items():
        monkeypatch.setenv(name, value)
    return home


def test_services_call_nobody_and_write_nothing_at_home(tmp_path: Path, home: Path) -> None:
    """Proves it for a start, calls, a swap and a stop, with the production profile."""
    root = tmp_path / "bundles"
    publish_small_bundle(root)
    production = ["--profile", "production"]
    with start_both(root, tmp_path, retrieval=production, ranking=production) as running:
        pids = [running.retrieval.process.pid, running.ranking.process.pid]
        with watching(pids) as sockets, Recommender(f"dns:///{running.ranking.address}", timeout=5) as recommender:
            first = recommender.recommend(user_id="fan", limit=3)
            publish_small_bundle(root, _NEXT)
            until(lambda: recommender.recommend(user_id="fan", limit=3).bundle_id == _NEXT)
            assert running.ranking.stop() == running.retrieval.stop() == 0
    assert first.degraded is None
    assert sockets == set()
    assert _files(home) == []


def test_a_pull_writes_nothing_at_home(tmp_path: Path, home: Path) -> None:
    """Proves it for the command that runs beside each service."""
    publish_small_bundle(tmp_path / "store")
    command = [sys.executable, "-c", "import sys; from shortlist.cli import main; sys.exit(main())", "bundles", "pull"]
    subprocess.run([*command, str(tmp_path / "store"), "--to", str(tmp_path / "bundles")], check=True)
    assert (tmp_path / "bundles" / "CURRENT").is_file()
    assert _files(home) == []


def test_onnx_runtime_alone_writes_at_home(home: Path) -> None:
    """Proves that the tests above would see its telemetry; without it, this project's care can go."""
    subprocess.run([sys.executable, "-c", "import onnxruntime"], check=True)
    assert any("onnxruntime" in path for path in _files(home))


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM])
def test_a_socket_that_leads_out_is_found(kind: int) -> None:
    """Proves that the watch sees TCP on all addresses, and any UDP, but no TCP on the loopback."""
    code = (
        "import socket, sys\n"
        f"quiet, loud = socket.socket(), socket.socket(type={int(kind)})\n"
        "quiet.bind(('127.0.0.1', 0))\nquiet.listen()\n"
        "print(flush=True)\nsys.stdin.readline()\n"
        "loud.bind(('', 0))\nloud.type == socket.SOCK_STREAM and loud.listen()\n"
        "print(flush=True)\nsys.stdin.readline()\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdout.readline()
        with watching([process.pid]) as sockets:
            time.sleep(0.1)
            assert sockets == set()
            process.stdin.write(b"\n")
            process.stdin.flush()
            process.stdout.readline()
            until(lambda: bool(sockets))
        process.stdin.close()


def _directories(home: Path) -> Mapping[str, str]:
    names = {"XDG_CACHE_HOME": ".cache", "XDG_CONFIG_HOME": ".config", "XDG_DATA_HOME": ".local/share"}
    return {"HOME": str(home), **{name: str(home / folder) for name, folder in names.items()}}


def _files(home: Path) -> list[str]:
    return sorted(str(path.relative_to(home)) for path in home.rglob("*") if not path.is_dir())
