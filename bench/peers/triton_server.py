"""``python -m bench.peers.triton_server BUNDLE FOLDER SETTINGS``: Triton on one machine, until its stdin ends.

Prints the address of its gRPC endpoint. SETTINGS are the fields of ``TritonSettings`` as JSON.
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

import grpc

from bench.peers.environments import Environment, triton_environment
from bench.peers.settings import TritonSettings
from bench.peers.triton_repository import write_repository
from testbed.ports import free_port

_READY = "/inference.GRPCInferenceService/ServerReady"
_START_SECONDS = 120.0


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(prog="python -m bench.peers.triton_server", description=__doc__)
    parser.add_argument("bundle", type=Path, help="the directory of a bundle")
    parser.add_argument("folder", type=Path, help="a folder for the models")
    parser.add_argument("settings", type=json.loads, help="JSON")
    options = parser.parse_args()
    repository = options.folder / "models"
    write_repository(repository, options.bundle, TritonSettings(**options.settings))
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
        # A crashed model leaves its shared memory behind.
        for region in Path("/dev/shm").glob(f"{shared}*"):  # noqa: S108 - the folder of shared memory
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
    main()
