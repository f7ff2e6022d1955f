"""The same load on all servers, in turn."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.progress import track

from bench.harness.load import Generators, Target
from bench.harness.processes import LineProcess
from bench.peers.process_tree import cpu_of_tree

IN_FLIGHT = (1, 4, 16, 64)
# Long enough for batches of every size, and for Ray's idle workers to end.
_WARM_SECONDS = 2.0
Figures = dict[str, float]
# The figures of each round, by server and calls in flight.
Rounds = Mapping[tuple[str, int], list[Figures]]


@dataclass(frozen=True, kw_only=True)
class Server:
    """A server under test; it consists of all processes that descend from its ``roots``."""

    address: str
    method: str
    roots: tuple[int, ...]
    requests: Sequence[bytes]

    def target(self) -> Target:
        """The target of the generators, without processes: a server's processes come and go."""
        return Target(address=self.address, method=self.method, pids=(), requests=self.requests)

    def cpu_seconds(self) -> float:
        """CPU time of all its processes until now."""
        return sum(cpu_of_tree(root) for root in self.roots)


def measure(
    servers: Mapping[str, Server], loaded: Generators, limit: LineProcess, rounds: int, seconds: float
) -> Rounds:
    """Measures all servers with all numbers of calls in flight, in rounds."""
    measured = defaultdict[tuple[str, int], list[Figures]](list)
    settings = [(name, in_flight) for in_flight in IN_FLIGHT for name in servers]
    for name, in_flight in settings:
        loaded.load(name, in_flight, _WARM_SECONDS)
    for _ in track(range(rounds), "rounds", console=Console(stderr=True)):
        limit.send(f"encoder {seconds}")
        alone = limit.answer()
        measured["limit", 1].append({**alone, "rps": 1e6 / alone["cpu_us"], "failed": 0})
        for name, in_flight in settings:
            measured[name, in_flight].append(_load(servers[name], loaded, name, in_flight, seconds))
    return measured


def _load(server: Server, loaded: Generators, name: str, in_flight: int, seconds: float) -> Figures:
    before = server.cpu_seconds()
    load = loaded.load(name, in_flight, seconds)
    spent = server.cpu_seconds() - before
    answered = load.calls - load.failed
    return {
        # Failed calls do not count as served.
        "rps": answered / seconds,
        "cpu_us": spent / max(answered, 1) * 1e6,
        "p50_ms": load.p50_ms,
        "p99_ms": load.p99_ms,
        "failed": load.failed,
    }
