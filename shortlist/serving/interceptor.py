"""The path of every call: authorisation, admission, handling, measurement, and the status of a failure."""

# grpc's classes are generic for the type checker only.
from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import grpc
from google.protobuf.message import DecodeError

from shortlist.errors import FieldViolation, InvalidRequest
from shortlist.observability import logs, metrics, tracing
from shortlist.security.authorisation import AllowList, TokenCheck, unauthenticated
from shortlist.security.settings import ServerSecurity
from shortlist.serving.admission import overloaded, refusal
from shortlist.serving.gate import Gate
from shortlist.serving.incoming import refusing
from shortlist.serving.pools import answered_in
from shortlist.status import code_of, to_status

Request = TypeVar("Request")
Response = TypeVar("Response")
Behaviour = Callable[[Request, grpc.ServicerContext], Response]
# gRPC's own services stay unwrapped: health must answer everybody, and reflection is a stream.
_NOT_OURS = "/grpc."


class CallInterceptor(grpc.ServerInterceptor):
    """Wraps every method of Shortlist's services, and counts the unary calls in flight.

    Calls without one of the ``tokens`` are refused before they take a thread. So are calls whose certificate the
    ``gate`` does not let through.
    """

    def __init__(self, tokens: TokenCheck | None = None, gate: Gate | None = None) -> None:
        self._tokens, self._gate = tokens, gate
        self._in_flight = _InFlight()
        # gRPC asks again for every call, but a method always has the same handler.
        self._wrapped: dict[str, grpc.RpcMethodHandler[Any, Any]] = {}
        self._refusals: dict[str, grpc.RpcMethodHandler[Any, Any]] = {}

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
        if wrapped is None:
            handler = continuation(handler_call_details)
            if handler is None or method.startswith(_NOT_OURS):
                return handler
            wrapped = self._add(method, handler) if handler.unary_unary else self._add_stream(method, handler)
        if self._tokens is not None and not self._tokens.knows(handler_call_details.invocation_metadata):
            return self._refusals[method]
        return wrapped

    def _add(self, method: str, handler: grpc.RpcMethodHandler[Any, Any]) -> grpc.RpcMethodHandler[Any, Any]:
        service, name = method.removeprefix("/").split("/")
        call = refusing(self._wrap(handler, service, name), overloaded(service, name))
        if self._gate is not None:
            call = self._gate.before(call, service, name)
        # The request arrives as bytes. Left to parse it, gRPC would answer INTERNAL and log a traceback for a bad one.
        wrapped: grpc.RpcMethodHandler[Any, Any] = grpc.unary_unary_rpc_method_handler(
            call, response_serializer=handler.response_serializer
        )
        self._wrapped[method], self._refusals[method] = wrapped, refusal(_unauthenticated(service, name))
        return wrapped

    def _add_stream(self, method: str, handler: grpc.RpcMethodHandler[Any, Any]) -> grpc.RpcMethodHandler[Any, Any]:
        """The same for a method that answers with a stream. It names its own pool, since a stream keeps its thread."""
        service, name = method.removeprefix("/").split("/")
        behaviour: Any = handler.unary_stream
        pool = behaviour.experimental_thread_pool
        call = refusing(_stream(handler, service, name), overloaded(service, name))
        call = answered_in(pool, call) if self._gate is None else self._gate.before(call, service, name, pool)
        wrapped: grpc.RpcMethodHandler[Any, Any] = grpc.unary_stream_rpc_method_handler(
            call, response_serializer=handler.response_serializer
        )
        self._wrapped[method], self._refusals[method] = wrapped, refusal(_unauthenticated(service, name))
        return wrapped

    def _wrap(self, handler: grpc.RpcMethodHandler[Any, Any], service: str, name: str) -> Behaviour[bytes, Any]:
        # The stubs declare every part of a handler as optional.
        behaviour: Any = handler.unary_unary
        parse: Any = handler.request_deserializer
        method = f"/{service}/{name}"

        def call(request: bytes, context: grpc.ServicerContext) -> object:
            started = time.perf_counter()
            metrics.call_started(service, name)
            code, message, response = grpc.StatusCode.OK, None, None
            with self._in_flight, tracing.server_span(method, context.invocation_metadata()):
                try:
                    message = _parsed(request, parse)
                    response = behaviour(message, context)
                    return response
                except Exception as error:
                    code = code_of(error)
                    context.abort_with_status(to_status(error, method))
                finally:
                    tracing.call_ended(code.name)
                    seconds = time.perf_counter() - started
                    metrics.call_handled(service, name, code.name, seconds)
                    logs.log_call(method, code.name, seconds, message, response, context)

        return call


def interceptor(security: ServerSecurity, pool: ThreadPoolExecutor) -> CallInterceptor:
    """The interceptor of a server with these demands on its callers; ``pool`` runs its calls.

    Raises:
        ValueError: a file cannot be used.
    """
    tokens = None if security.token_file is None else TokenCheck(security.token_file)
    gate = None if security.allow is None else Gate(AllowList(security.allow), pool)
    return CallInterceptor(tokens, gate)


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


def _stream(handler: grpc.RpcMethodHandler[Any, Any], service: str, name: str) -> Behaviour[bytes, Any]:
    """The behaviour of a method that answers with a stream. It is not timed: it lasts as long as the caller wants."""
    behaviour: Any = handler.unary_stream
    parse: Any = handler.request_deserializer

    def call(request: bytes, context: grpc.ServicerContext) -> Iterator[object]:
        metrics.call_started(service, name)
        code = grpc.StatusCode.OK
        try:
            yield from behaviour(_parsed(request, parse), context)
        except Exception as error:
            code = code_of(error)
            context.abort_with_status(to_status(error, f"/{service}/{name}"))
        finally:
            metrics.stream_ended(service, name, code.name)

    return call


def _unauthenticated(service: str, method: str) -> Callable[[], grpc.Status]:
    status = to_status(unauthenticated(), method)

    def refused() -> grpc.Status:
        metrics.call_refused(service, method, grpc.StatusCode.UNAUTHENTICATED.name)
        return status

    return refused


def _parsed(request: bytes, parse: Callable[[bytes], object]) -> object:
    try:
        return parse(request)
    except DecodeError as error:
        raise InvalidRequest((FieldViolation("request", "is not a message of this method's type"),)) from error
