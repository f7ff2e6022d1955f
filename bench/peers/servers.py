"""Starts the peers, and ends all their processes."""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from bench.peers.environments import FOLDER, ray_environment
from bench.peers.process_tree import kill_those_left, tree_of
from bench.peers.settings import RaySettings, TritonSettings
from testbed.ports import free_port

_STOP_SECONDS = 20.0


class PeerFailed(RuntimeError):  # noqa: N818
    """A peer did not start; carries its log."""


@dataclass(frozen=True, kw_only=True)
class Peer:
    """A running peer: its address, and the root of its processes."""

    address: str
    pid: int


@contextlib.contextmanager
def ray_serve(bundle: Path, settings: RaySettings) -> Iterator[Peer]:
    """Ray Serve, in a session folder of its own."""
    command = [ray_environment().python, "-m", "bench.peers.ray_server"]
    # Ray keeps sockets in its folder, and a socket's path must be short.
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        arguments = [str(bundle.absolute()), folder, json.dumps(asdict(settings))]
        with _running("ray", [*command, *arguments], _ray_variables(folder)) as peer:
            yield peer


@contextlib.contextmanager
def triton(bundle: Path, settings: TritonSettings) -> Iterator[Peer]:
    """Triton's own binary, with its Python backend."""
    command = [sys.executable, "-m", "bench.peers.triton_server"]
    with tempfile.TemporaryDirectory() as folder:
        arguments = [str(bundle.absolute()), folder, json.dumps(asdict(settings))]
        with _running("triton", [*command, *arguments], {}) as peer:
            yield peer


def _ray_variables(folder: str) -> Mapping[str, str]:
    """The settings that Ray's documentation recommends for throughput, with private files and ports."""
    return {
        "PYTHONPATH": str(Path.cwd()),
        "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1",
        # Lets batches form while a model runs.
        "RAY_SERVE_RUN_USER_CODE_IN_SEPARATE_THREAD": "1",
        "RAY_SERVE_ENABLE_HA_PROXY": "1",
        "RAY_SERVE_HAPROXY_NBTHREAD": "1",
        "RAY_SERVE_HAPROXY_CONFIG_FILE_LOC": f"{folder}/haproxy.cfg",
        "RAY_SERVE_HAPROXY_SOCKET_PATH": f"{folder}/admin.sock",
        "RAY_SERVE_HAPROXY_METRICS_SOCKET_PATH": f"{folder}/metrics.sock",
        "RAY_SERVE_HAPROXY_SERVER_STATE_BASE": folder,
        "RAY_SERVE_HAPROXY_SERVER_STATE_FILE": f"{folder}/server-state",
        "RAY_SERVE_HAPROXY_METRICS_PORT": str(free_port()),
        "RAY_SERVE_HAPROXY_STATS_PORT": str(free_port()),
        # The default writes a token into the home directory, and checks it in every call.
        "RAY_AUTH_MODE": "disabled",
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_enable_metrics_collection": "0",
        "RAY_SERVE_METRICS_EXPORT_INTERVAL_MS": "10000",
    }


@contextlib.contextmanager
def _running(name: str, command: Sequence[str], variables: Mapping[str, str]) -> Iterator[Peer]:
    """A process that prints its address and serves until its stdin ends."""
    log = FOLDER / f"{name}.log"
    with log.open("w") as errors:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env={**os.environ, **variables},
            # Keeps Ctrl-C from the peer, whose processes end below, in order.
            start_new_session=True,
        )
    try:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        if not address:
            raise PeerFailed(f"{name} did not start:\n{log.read_text()}")
        yield Peer(address=address, pid=process.pid)
    finally:
        _end(process)


def _end(process: subprocess.Popen[str]) -> None:
    # Taken in advance, because some descendants outlive their parent.
    tree = tree_of(process.pid)
    assert process.stdin is not None
    process.stdin.close()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(timeout=_STOP_SECONDS)
    kill_those_left(tree)
    process.wait()
