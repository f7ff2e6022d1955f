"""The path of every call: admission, authorisation, handling, measurement, and the status of a failure."""

# grpc's classes are generic for the type checker only.
from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

import grpc
from google.protobuf.message import DecodeError

from shortlist.errors import FieldViolation, InvalidRequest
from shortlist.observability import logs, metrics, tracing
from shortlist.security.authorisation import Authoriser, unauthenticated
from shortlist.serving.admission import overloaded, refusal
from shortlist.serving.incoming import refusing
from shortlist.status import code_of, to_status

Request = TypeVar("Request")
Response = TypeVar("Response")
Behaviour = Callable[[Request, grpc.ServicerContext], Response]
# gRPC's own services stay unwrapped: health must answer everybody, and reflection is a stream.
_NOT_OURS = "/grpc."


class CallInterceptor(grpc.ServerInterceptor):
    """Wraps every unary method of Shortlist's services, and counts the calls in flight."""

    def __init__(self, authoriser: Authoriser | None = None) -> None:
        self._authoriser = authoriser
        self._in_flight = _InFlight()
        # gRPC asks again for every call, but a method always has the same handler.
        self._wrapped: dict[str, grpc.RpcMethodHandler[Any, Any]] = {}
        self._unauthenticated = refusal(lambda: to_status(unauthenticated(), "any method"))

    @property
    def in_flight(self) -> int:
        """The number of unary calls being handled now."""
        return self._in_flight.count

    def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], grpc.RpcMethodHandler[Request, Response] | None],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler[Request, Response] | None:
        """The handler of a method, wrapped when it belongs to Shortlist's services."""
        method = handler_call_details.method
        wrapped = self._wrapped.get(method)
        if wrapped is not None:
            # Before the call takes a thread, so that callers without a token keep none busy.
            if self._authoriser is not None and not self._authoriser.knows(handler_call_details.invocation_metadata):
                return self._unauthenticated
            return wrapped
        handler = continuation(handler_call_details)
        if handler is None or handler.unary_unary is None or method.startswith(_NOT_OURS):
            return handler
        # The request arrives as bytes. Left to parse it, gRPC would answer INTERNAL and log a traceback for a bad one.
        service, name = method.removeprefix("/").split("/")
        call = refusing(self._wrap(handler, service, name), overloaded(service, name))
        wrapped = grpc.unary_unary_rpc_method_handler(call, response_serializer=handler.response_serializer)
        self._wrapped[method] = wrapped
        return wrapped

    def _wrap(self, handler: grpc.RpcMethodHandler[Any, Any], service: str, name: str) -> Behaviour[bytes, Any]:
        # The stubs declare every part of a handler as optional.
        behaviour: Any = handler.unary_unary
        parse: Any = handler.request_deserializer
        method, authoriser = f"/{service}/{name}", self._authoriser

        def call(request: bytes, context: grpc.ServicerContext) -> object:
            started = time.perf_counter()
            metrics.call_started(service, name)
            code, response = grpc.StatusCode.OK, None
            with self._in_flight, tracing.server_span(method, context.invocation_metadata()):
                try:
                    if authoriser is not None:
                        authoriser.check(method, context)
                    response = behaviour(_parsed(request, parse), context)
                    return response
                except Exception as error:
                    code = code_of(error)
                    context.abort_with_status(to_status(error, method))
                finally:
                    tracing.call_ended(code.name)
                    seconds = time.perf_counter() - started
                    metrics.call_handled(service, name, code.name, seconds)
                    logs.log_call(method, code.name, seconds, response, context)

        return call


class _InFlight:
    """Counts open ``with`` blocks. A generator-based context manager would cost each call twice as much."""

    def __init__(self) -> None:
        self.count = 0
        self._lock = threading.Lock()

    def __enter__(self) -> None:
        with self._lock:
            self.count += 1

    def __exit__(self, *raised: object) -> None:
        with self._lock:
            self.count -= 1


def _parsed(request: bytes, parse: Callable[[bytes], object]) -> object:
    try:
        return parse(request)
    except DecodeError as error:
        raise InvalidRequest((FieldViolation("request", "is not a message of this method's type"),)) from error
