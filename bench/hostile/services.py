"""Both services as in production: two instances of retrieval and one of ranking, with ports for probes and metrics."""

import contextlib
import signal
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import grpc

from bench.hostile.targets import Targets
from shortlist.bundle import Bundle
from shortlist.ranking.v1 import ranking_service_pb2 as ranking_pb
from shortlist.ranking.v1.ranking_service_pb2_grpc import RankingServiceStub
from shortlist.retrieval.v1 import retrieval_service_pb2 as retrieval_pb
from shortlist.retrieval.v1.retrieval_service_pb2_grpc import RetrievalServiceStub
from testbed.ports import free_port
from testbed.services import Service

_IDS = 2000
_POLL_SECONDS, _CALL_SECONDS = 0.2, 2.0


@dataclass(frozen=True, kw_only=True)
class Instance:
    """A running service and the address of its port for probes."""

    service: Service
    probes: str


@dataclass(frozen=True, kw_only=True)
class Setting:
    """The instances under attack, by name, and the port of ranking's metrics."""

    instances: Mapping[str, Instance]
    metrics: str

    @property
    def ranking(self) -> str:
        """The address of ranking."""
        return self.instances["ranking"].service.address

    def ports(self) -> dict[str, str]:
        """The address of every port that answers health checks."""
        calls = {name: one.service.address for name, one in self.instances.items()}
        return calls | {f"{name}, probes": one.probes for name, one in self.instances.items()}

    def targets(self, bundle: Bundle) -> Targets:
        """The addresses that attacks aim at, and some ids of the bundle."""
        retrieval = self.instances["retrieval-1"]
        return Targets(
            ranking=self.ranking,
            ranking_probes=self.instances["ranking"].probes,
            ranking_metrics=self.metrics,
            retrieval=retrieval.service.address,
            retrieval_probes=retrieval.probes,
            items=tuple(bytes(one).decode() for one in bundle.items.ids[:_IDS]),
            users=tuple(bytes(one).decode() for one in bundle.users.ids[:_IDS]),
        )

    def seconds_until_served(self, bundle_id: str, patience: float) -> float | None:
        """The seconds until every instance answers from a bundle; None when one does not within ``patience``."""
        started = time.monotonic()
        while (waited := time.monotonic() - started) < patience:
            if all(_bundle_id(one.service) == bundle_id for one in self.instances.values()):
                return waited
            time.sleep(_POLL_SECONDS)
        return None


@contextlib.contextmanager
def started(root: Path, logs: Path) -> Iterator[Setting]:
    """Starts the instances over a directory of bundles; leaving the block stops them."""
    with contextlib.ExitStack() as stack:

        def start(name: str, module: str, *arguments: str) -> Instance:
            probes = f"127.0.0.1:{free_port()}"
            flags = ["--bundles", str(root), "--profile", "production", "--health-listen", probes, *arguments]
            service = Service.start(module, flags, logs / f"{name}.log")
            return Instance(service=stack.enter_context(service), probes=probes)

        instances = {name: start(name, "retrieval_service") for name in ("retrieval-1", "retrieval-2")}
        target = ",".join(one.service.address for one in instances.values())
        metrics = f"127.0.0.1:{free_port()}"
        flags = ("--retrieval", f"ipv4:{target}", "--metrics-listen", metrics)
        instances["ranking"] = start("ranking", "ranking_service", *flags)
        yield Setting(instances=instances, metrics=metrics)


@contextlib.contextmanager
def stopped(instance: Instance) -> Iterator[None]:
    """The process stands still during the block, as on a machine that swaps: it holds its connections, and is mute."""
    process = instance.service.process
    process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        process.send_signal(signal.SIGCONT)


def _bundle_id(service: Service) -> str:
    with grpc.insecure_channel(service.address) as channel, contextlib.suppress(grpc.RpcError):
        if service.module == "ranking_service":
            request = ranking_pb.GetBundleRequest()
            return RankingServiceStub(channel).GetBundle(request, timeout=_CALL_SECONDS).bundle.bundle_id
        message = retrieval_pb.GetBundleRequest()
        return RetrievalServiceStub(channel).GetBundle(message, timeout=_CALL_SECONDS).bundle.bundle_id
    return ""
