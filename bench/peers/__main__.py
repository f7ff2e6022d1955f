"""``python -m bench.peers``: our two services beside Ray Serve and Triton, with the same bundle in the same run.

Every round goes through all servers and all settings in turn, so that noise hits all alike. Writes
``build/bench/peers.json`` and prints a table. ``bench/peers/README.md`` describes the peers and their tuning.
"""

import argparse
import contextlib
import signal
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from bench.harness.load import Generators, generators
from bench.harness.machine import machine
from bench.harness.planted import BUILD, BUNDLES
from bench.harness.planted_bundle import planted_bundle
from bench.harness.processes import LineProcess, write_json
from bench.harness.requests import recommend_requests, user_ids
from bench.peers.answers import refuse_other_answers
from bench.peers.environments import FOLDER, ray_environment, triton_environment
from bench.peers.measure import Server, measure
from bench.peers.report import print_report, summary
from bench.peers.servers import PeerFailed, ray_serve, triton
from bench.peers.settings import RaySettings, TritonSettings
from bench.peers.triton_wire import infer_request
from shortlist.bundle import Bundle
from testbed.services import start_both

_RECOMMEND = "/shortlist.ranking.v1.RankingService/Recommend"
_INFER = "/inference.GRPCInferenceService/ModelInfer"


@dataclass(frozen=True, kw_only=True)
class _Running:
    servers: dict[str, Server]
    loaded: Generators
    limit: LineProcess


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(prog="python -m bench.peers", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="number of rounds (default: 3)")
    parser.add_argument("--seconds", type=float, default=3.0, help="seconds of each load (default: 3)")
    options = parser.parse_args()
    # Leaves by an exception, so that the peers are ended on SIGTERM too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    versions, bundle = _versions(), Bundle.open(planted_bundle())
    ray, model = RaySettings(), TritonSettings()
    try:
        with _everything(bundle, ray, model) as running:
            same = refuse_other_answers(running.servers)
            rounds = measure(running.servers, running.loaded, running.limit, options.rounds, options.seconds)
    except PeerFailed as failure:
        raise SystemExit(str(failure)) from failure
    result = {
        "machine": machine(),
        "index": asdict(bundle.manifest.index),
        "versions": versions,
        "settings": {"ray": asdict(ray), "triton": asdict(model)},
        "lists_compared": same,
        **summary(rounds),
    }
    write_json(BUILD / "peers.json", result)
    print_report(result)


@contextlib.contextmanager
def _everything(bundle: Bundle, ray: RaySettings, model: TritonSettings) -> Iterator[_Running]:
    FOLDER.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        own = stack.enter_context(start_both(BUNDLES, FOLDER, ranking=["--workers", "2"]))
        of_ray = stack.enter_context(ray_serve(bundle.directory, ray))
        of_triton = stack.enter_context(triton(bundle.directory, model))
        requests = recommend_requests(bundle)
        inferences = [infer_request(model.model, person) for person in user_ids(bundle)]
        pids = (own.retrieval.process.pid, own.ranking.process.pid)
        servers = {
            "shortlist": Server(address=own.ranking.address, method=_RECOMMEND, roots=pids, requests=requests),
            "ray": Server(address=of_ray.address, method=_RECOMMEND, roots=(of_ray.pid,), requests=requests),
            "triton": Server(address=of_triton.address, method=_INFER, roots=(of_triton.pid,), requests=inferences),
        }
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        targets = {name: server.target() for name, server in servers.items()}
        loaded = stack.enter_context(generators(targets, folder))
        limit = stack.enter_context(LineProcess("bench.serving.limit", str(BUNDLES)))
        yield _Running(servers=servers, loaded=loaded, limit=limit)


def _versions() -> dict[str, str]:
    """The peers' versions; makes their environments unless they exist."""
    return {
        "ray": ray_environment().version_of("ray"),
        "nvidia-pytriton": triton_environment().version_of("nvidia-pytriton"),
    }


if __name__ == "__main__":
    main()
