"""What a caller is told when a call fails."""

# grpc's classes are generic for the type checker only.
from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.rpc.error_details_pb2 import BadRequest
from google.rpc.status_pb2 import Status
from grpc_status import rpc_status

from shortlist.errors import STATUS_CODES, InvalidRequest, ShortlistError

_LOG = logging.getLogger(__name__)
# A status travels as metadata, and gRPC refuses more than 8 KiB of that.
_MAX_MESSAGE_CHARS = 300
_MAX_VIOLATIONS = 16

Request = TypeVar("Request")
Response = TypeVar("Response")
Behaviour = Callable[[Request, grpc.ServicerContext], Response]


class ErrorInterceptor(grpc.ServerInterceptor):
    """Turns exceptions into status codes, and counts the unary calls that are being handled."""

    def __init__(self) -> None:
        self._in_flight = 0
        self._lock = threading.Lock()
        # gRPC asks anew for every call, and the answer for a method is always the same.
        self._wrapped: dict[str, grpc.RpcMethodHandler[Any, Any]] = {}

    @property
    def in_flight(self) -> int:
        """How many unary calls are being handled now."""
        return self._in_flight

    def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], grpc.RpcMethodHandler[Request, Response] | None],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler[Request, Response] | None:
        """Wraps unary handlers; streams (health's Watch, reflection) are not ours, and pass as they are."""
        wrapped = self._wrapped.get(handler_call_details.method)
        if wrapped is not None:
            return wrapped
        handler = continuation(handler_call_details)
        if handler is None or handler.unary_unary is None:
            return handler
        wrapped = grpc.unary_unary_rpc_method_handler(
            self._guarded(handler.unary_unary, handler_call_details.method),
            request_deserializer=handler.request_deserializer,
            response_serializer=handler.response_serializer,
        )
        self._wrapped[handler_call_details.method] = wrapped
        return wrapped

    def _guarded(self, behaviour: Behaviour[Request, Response], method: str) -> Behaviour[Request, Response]:
        def call(request: Request, context: grpc.ServicerContext) -> Response:
            with self._counted():
                try:
                    return behaviour(request, context)
                except Exception as error:
                    if _is_abort(error):
                        raise
                    context.abort_with_status(_status(error, method))

        return call

    @contextmanager
    def _counted(self) -> Iterator[None]:
        with self._lock:
            self._in_flight += 1
        try:
            yield
        finally:
            with self._lock:
                self._in_flight -= 1


def _is_abort(error: Exception) -> bool:
    # ``context.abort`` has written the status by itself, and leaves the handler by a bare ``Exception()``.
    return type(error) is Exception and not error.args


def _status(error: Exception, method: str) -> grpc.Status:
    code = STATUS_CODES.get(type(error)) if isinstance(error, ShortlistError) else None
    if code is None:
        _LOG.error("%s failed", method, exc_info=error)
        return _grpc_status(grpc.StatusCode.INTERNAL, "internal error")
    details = [_bad_request(error)] if isinstance(error, InvalidRequest) else []
    return _grpc_status(code, str(error)[:_MAX_MESSAGE_CHARS], details)


def _grpc_status(code: grpc.StatusCode, message: str, details: Sequence[AnyMessage] = ()) -> grpc.Status:
    status: grpc.Status = rpc_status.to_status(Status(code=code.value[0], message=message, details=details))
    return status


def _bad_request(error: InvalidRequest) -> AnyMessage:
    violations = [
        BadRequest.FieldViolation(field=violation.field, description=violation.description)
        for violation in error.violations[:_MAX_VIOLATIONS]
    ]
    packed = AnyMessage()
    packed.Pack(BadRequest(field_violations=violations))
    return packed
