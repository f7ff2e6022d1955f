"""Reflection: lists the services for tools such as grpcurl, in development."""

# grpc's classes are generic for the type checker only.
from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import grpc
from grpc_health.v1.health import SERVICE_NAME as HEALTH_SERVICE
from grpc_reflection.v1alpha import reflection
from grpc_reflection.v1alpha.reflection_pb2_grpc import add_ServerReflectionServicer_to_server

from shortlist.serving.pools import StartedPool, answered_in
from shortlist.serving.waiting import Waiting, expire_in_background

_THREADS = 4


def add_reflection(server: grpc.Server, service_names: Sequence[str]) -> None:
    """Answers reflection on this server.

    A stream occupies one of a few threads until the client hangs up, or has sent and read nothing for a second.

    Raises:
        RuntimeError: the system gives no more threads.
    """
    waiting = Waiting[grpc.ServicerContext]("message", _THREADS)
    expire_in_background(waiting)
    servicer = reflection.ReflectionServicer([*service_names, HEALTH_SERVICE, reflection.SERVICE_NAME])
    answer = servicer.ServerReflectionInfo

    def answer_in_time(requests: Iterable[Any], context: grpc.ServicerContext) -> Iterator[object]:
        def arriving() -> Iterator[Any]:
            for request in requests:
                waiting.remove(context)
                yield request

        # The stream waits for its caller whenever it is not making the one answer to a request.
        waiting.add(context)
        try:
            for response in answer(arriving(), context):
                waiting.add(context)
                yield response
        finally:
            waiting.remove(context)

    servicer.ServerReflectionInfo = answered_in(StartedPool(_THREADS, "reflection"), answer_in_time)  # type: ignore[method-assign]
    add_ServerReflectionServicer_to_server(servicer, server)  # type: ignore[no-untyped-call]
