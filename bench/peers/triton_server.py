"""``python -m bench.peers.triton_server BUNDLE FOLDER SETTINGS``: Triton on one machine, until its stdin ends.

Prints the address of its gRPC endpoint. SETTINGS are those of :class:`TritonSettings`, as JSON.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import grpc

from bench.peers.environments import Environment, triton_environment
from bench.peers.ports import free_port
from bench.peers.settings import TritonSettings
from bench.peers.triton_repository import write_repository

_READY = "/inference.GRPCInferenceService/ServerReady"
_START_SECONDS = 120.0


def main(bundle: str, folder: str, settings: str) -> None:
    """See the module."""
    repository = Path(folder) / "models"
    write_repository(repository, Path(bundle), TritonSettings(**json.loads(settings)))
    address = f"127.0.0.1:{free_port()}"
    shared = f"shortlist_bench_{os.getpid()}_"
    server = _start(triton_environment(), repository, address, shared)
    try:
        ready: grpc.UnaryUnaryMultiCallable[bytes, bytes] = grpc.insecure_channel(address).unary_unary(_READY)
        ready(b"", timeout=_START_SECONDS, wait_for_ready=True)
        print(address, flush=True)
        sys.stdin.read()
    finally:
        server.terminate()
        server.wait()
        # A model that crashed leaves its shared memory behind.
        for region in Path("/dev/shm").glob(f"{shared}*"):  # noqa: S108 - where shared memory is
            region.unlink()


def _start(environment: Environment, repository: Path, address: str, shared: str) -> subprocess.Popen[bytes]:
    packages = environment.packages
    server = packages / "pytriton" / "tritonserver"
    host, _, port = address.partition(":")
    command = [
        str(server / "bin" / "tritonserver"),
        f"--model-repository={repository}",
        f"--backend-directory={server / 'backends'}",
        f"--backend-config=python,shm-region-prefix-name={shared}",
        "--allow-http=false",
        "--allow-metrics=false",
        "--log-info=false",
        f"--grpc-address={host}",
        f"--grpc-port={port}",
        "--exit-timeout-secs=5",
    ]
    variables = {
        **os.environ,
        "PYTHONPATH": f"{packages}{os.pathsep}{Path.cwd()}",
        "LD_LIBRARY_PATH": str(packages / "nvidia_pytriton.libs"),
    }
    return subprocess.Popen(command, env=variables, stdin=subprocess.DEVNULL, stdout=sys.stderr)


if __name__ == "__main__":
    main(*sys.argv[1:])
