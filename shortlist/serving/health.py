"""Health checks for probes and clients. No call, and no caller of theirs, can keep them waiting."""

# grpc's classes are generic for the type checker only.
from __future__ import annotations

from collections.abc import Callable, Sequence

import grpc
from grpc_health.v1 import health, health_pb2
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthServicer, add_HealthServicer_to_server

from shortlist.serving.incoming import Incoming, ReceivingPool, ServingThread
from shortlist.serving.pools import answered_in
from shortlist.serving.waiting import MOST_WAITING, Waiting, expire_in_background
from shortlist.serving.watchers import Watchers

# SERVING from the start: it says that the process runs, with or without a bundle.
LIVENESS = "liveness"
STARTUP, READINESS = "startup", "readiness"
_WATCH_THREADS = 2


class Health:
    """The health of ``""``, ``liveness``, ``startup``, ``readiness`` and each service.

    All but ``liveness`` start as NOT_SERVING.
    """

    def __init__(self, service_names: Sequence[str]) -> None:
        self._names = (health.OVERALL_HEALTH, STARTUP, READINESS, *service_names)
        self._states: dict[str, int] = {LIVENESS: HealthCheckResponse.SERVING}
        self._watchers = Watchers(self._states)
        messages = Waiting[Incoming]("message", MOST_WAITING)
        self._checks = ServingThread(messages)
        self._watches = ReceivingPool(_WATCH_THREADS, "watch", messages, started=_WATCH_THREADS)
        expire_in_background(messages)
        self._set(HealthCheckResponse.NOT_SERVING)

    def add_to(self, server: grpc.Server) -> None:
        """Answers health checks on this server."""
        servicer = HealthServicer()
        servicer.Check = answered_in(self._checks, self._check)  # type: ignore[method-assign]
        servicer.List = answered_in(self._checks, self._list)  # type: ignore[attr-defined]  # its stubs are older
        servicer.Watch = answered_in(  # type: ignore[method-assign]
            self._watches, self._watch, experimental_non_blocking=True
        )
        add_HealthServicer_to_server(servicer, server)

    def serves(self) -> None:
        """Reports SERVING: calls are answered from now on."""
        self._set(HealthCheckResponse.SERVING)

    def drains(self) -> None:
        """Reports NOT_SERVING: clients should begin no more calls. ``liveness`` stays SERVING to the end."""
        self._set(HealthCheckResponse.NOT_SERVING)

    def _set(self, status: int) -> None:
        self._states.update(dict.fromkeys(self._names, status))
        self._watchers.changed()

    def _check(self, request: HealthCheckRequest, context: grpc.ServicerContext) -> HealthCheckResponse:
        status = self._states.get(request.service)
        if status is None:
            context.abort(grpc.StatusCode.NOT_FOUND, "no such service")
        return HealthCheckResponse(status=status)

    def _list(self, request: object, context: grpc.ServicerContext) -> object:
        statuses = {name: HealthCheckResponse(status=status) for name, status in self._states.items()}
        return health_pb2.HealthListResponse(statuses=statuses)  # type: ignore[attr-defined]  # its stubs are older

    def _watch(
        self, request: HealthCheckRequest, context: grpc.ServicerContext, send: Callable[[HealthCheckResponse], None]
    ) -> None:
        # A watcher occupies a thread only while it is informed.
        self._watchers.add(request.service, context, send)
