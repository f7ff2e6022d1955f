"""What probes and clients are told of a service, by threads that no call can keep busy."""

# grpc's classes are generic for the type checker only.
from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import grpc
from grpc_health.v1.health import OVERALL_HEALTH, HealthServicer
from grpc_health.v1.health_pb2 import HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import add_HealthServicer_to_server

from shortlist.serving.admission import answered_in

# The process lives: true from the start, whatever becomes of the bundle.
LIVENESS = "liveness"
STARTUP, READINESS = "startup", "readiness"


class Health:
    """The states of ``""``, ``liveness``, ``startup``, ``readiness`` and each service; NOT_SERVING but for liveness.

    ``pool`` has the threads that answer.
    """

    def __init__(self, service_names: Sequence[str], pool: ThreadPoolExecutor) -> None:
        self._servicer = _Servicer(pool)
        self._names = (OVERALL_HEALTH, STARTUP, READINESS, *service_names)
        # A fresh HealthServicer says SERVING.
        self._set(HealthCheckResponse.NOT_SERVING)
        self._servicer.set(LIVENESS, HealthCheckResponse.SERVING)

    def add_to(self, server: grpc.Server) -> None:
        """Answers on this server as well."""
        add_HealthServicer_to_server(self._servicer, server)

    def serves(self) -> None:
        """From now on calls are answered."""
        self._set(HealthCheckResponse.SERVING)

    def drains(self) -> None:
        """From now on nobody should begin a call. The process lives on, and says so, until it ends."""
        self._set(HealthCheckResponse.NOT_SERVING)

    def _set(self, status: int) -> None:
        for name in self._names:
            self._servicer.set(name, status)


class _Servicer(HealthServicer):
    """One whose watchers keep no thread."""

    def __init__(self, pool: ThreadPoolExecutor) -> None:
        super().__init__()
        # The library sets this for the whole class, and with it for every other server of the process.
        self.Check = answered_in(pool, super().Check)  # type: ignore[method-assign]
        self.Watch = answered_in(pool, super().Watch, experimental_non_blocking=True)  # type: ignore[method-assign]
