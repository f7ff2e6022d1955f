"""Health checks for probes and clients, answered by threads that no call can keep busy."""

# grpc's classes are generic for the type checker only.
from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue

import grpc
from grpc_health.v1 import health, health_pb2
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthServicer, add_HealthServicer_to_server

from shortlist.serving.admission import answered_in

# SERVING from the start: it says that the process runs, with or without a bundle.
LIVENESS = "liveness"
STARTUP, READINESS = "startup", "readiness"
_CHECK_THREADS, _WATCH_THREADS = 4, 2


class Health:
    """The health of ``""``, ``liveness``, ``startup``, ``readiness`` and each service.

    All but ``liveness`` start as NOT_SERVING.
    """

    def __init__(self, service_names: Sequence[str]) -> None:
        self._names = (health.OVERALL_HEALTH, STARTUP, READINESS, *service_names)
        self._states: dict[str, int] = {LIVENESS: HealthCheckResponse.SERVING}
        # The library's servicer blocks until each watcher has read the news, and one may never read. So a thread that
        # nobody waits for informs the watchers.
        self._watched = health.HealthServicer()
        self._watched.set(LIVENESS, HealthCheckResponse.SERVING)
        self._news: SimpleQueue[int] = SimpleQueue()
        threading.Thread(target=self._tell, name="health", daemon=True).start()
        self._set(HealthCheckResponse.NOT_SERVING)

    def add_to(self, server: grpc.Server) -> None:
        """Answers health checks on this server, in threads of their own."""
        add_HealthServicer_to_server(_Servicer(self._states, self._watched), server)

    def serves(self) -> None:
        """Reports SERVING: calls are answered from now on."""
        self._set(HealthCheckResponse.SERVING)

    def drains(self) -> None:
        """Reports NOT_SERVING: clients should begin no more calls. ``liveness`` stays SERVING to the end."""
        self._set(HealthCheckResponse.NOT_SERVING)

    def _set(self, status: int) -> None:
        self._states.update(dict.fromkeys(self._names, status))
        self._news.put(status)

    def _tell(self) -> None:
        while True:
            status = self._news.get()
            for name in self._names:
                self._watched.set(name, status)


class _Servicer(HealthServicer):
    """Answers checks from ``states`` and watchers from ``watched``; a watcher occupies no thread."""

    def __init__(self, states: Mapping[str, int], watched: health.HealthServicer) -> None:
        self._states = states
        pool = ThreadPoolExecutor(_CHECK_THREADS, thread_name_prefix="probe")
        self.Check = answered_in(pool, self._check)  # type: ignore[method-assign]
        self.List = answered_in(pool, self._list)
        self.Watch = answered_in(  # type: ignore[method-assign]
            ThreadPoolExecutor(_WATCH_THREADS, thread_name_prefix="watch"),
            watched.Watch,
            experimental_non_blocking=True,
        )

    def _check(self, request: HealthCheckRequest, context: grpc.ServicerContext) -> HealthCheckResponse:
        status = self._states.get(request.service)
        if status is None:
            context.abort(grpc.StatusCode.NOT_FOUND, "no such service")
        return HealthCheckResponse(status=status)

    def _list(self, request: object, context: grpc.ServicerContext) -> object:
        statuses = {name: HealthCheckResponse(status=status) for name, status in self._states.items()}
        return health_pb2.HealthListResponse(statuses=statuses)  # type: ignore[attr-defined]  # its stubs are older
