"""Converts Shortlist's exceptions to gRPC statuses with details, and back."""

# grpc's classes are generic for the type checker only.
from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import cast

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status
from grpc_status import rpc_status

from shortlist.errors import (
    STATUS_CODES,
    BundleNotServed,
    FieldViolation,
    InvalidRequest,
    Overloaded,
    ShortlistError,
    Unavailable,
)

_LOG = logging.getLogger(__name__)
# A status travels as metadata, which gRPC limits to 8 KiB.
_MAX_MESSAGE_CHARS = 300
_MAX_VIOLATIONS = 16
_DOMAIN = "shortlist"
_SERVED = "served_bundle_ids"
_KINDS = {code: kind for kind, code in STATUS_CODES.items() if kind is not InvalidRequest}


def code_of(error: Exception) -> grpc.StatusCode:
    """The status code that an exception ends a call with."""
    known = STATUS_CODES.get(type(error)) if isinstance(error, ShortlistError) else None
    return known or grpc.StatusCode.INTERNAL


def to_status(error: Exception, method: str) -> grpc.Status:
    """The status for the caller. The text of an unexpected exception goes only to the log."""
    code = code_of(error)
    if code is grpc.StatusCode.INTERNAL:
        _LOG.error("%s failed", method, exc_info=error)
        return _status(code, "internal error")
    return _status(code, str(error)[:_MAX_MESSAGE_CHARS], _details(error))


def read_error(error: grpc.RpcError) -> ShortlistError:
    """The exception of a failed call."""
    details = _read_details(error)
    for detail in details:
        if isinstance(detail, BadRequest):
            return InvalidRequest(tuple(FieldViolation(one.field, one.description) for one in detail.field_violations))
    code, message = error.code(), error.details() or ""
    kind = _KINDS.get(code)
    if kind is None:
        return ShortlistError(f"{code.name}: {message}")
    return _with_details(kind(message), details)


def _details(error: Exception) -> list[Message]:
    match error:
        case InvalidRequest():
            violations = [
                BadRequest.FieldViolation(field=violation.field, description=violation.description)
                for violation in error.violations[:_MAX_VIOLATIONS]
            ]
            return [BadRequest(field_violations=violations)]
        case BundleNotServed():
            served = {_SERVED: ",".join(error.served)}
            return [ErrorInfo(reason="BUNDLE_NOT_SERVED", domain=_DOMAIN, metadata=served)]
        case Overloaded():
            return [_retry_info(error.retry_seconds)]
        case Unavailable() if error.retry_seconds:
            return [_retry_info(error.retry_seconds)]
    return []


def _retry_info(seconds: float) -> RetryInfo:
    delay = Duration()
    delay.FromNanoseconds(int(seconds * 1e9))
    return RetryInfo(retry_delay=delay)


def _with_details(error: ShortlistError, details: Sequence[Message]) -> ShortlistError:
    for detail in details:
        if isinstance(detail, ErrorInfo) and isinstance(error, BundleNotServed):
            return BundleNotServed(str(error), tuple(detail.metadata[_SERVED].split(",")))
        if isinstance(detail, RetryInfo) and isinstance(error, Overloaded | Unavailable):
            return type(error)(str(error), detail.retry_delay.ToNanoseconds() / 1e9)
    return error


def _status(code: grpc.StatusCode, message: str, details: Sequence[Message] = ()) -> grpc.Status:
    packed = []
    for detail in details:
        packed.append(AnyMessage())
        packed[-1].Pack(detail)
    status: grpc.Status = rpc_status.to_status(Status(code=code.value[0], message=message, details=packed))
    return status


def _read_details(error: grpc.RpcError) -> list[Message]:
    # Both clients' errors have the methods that are read here, although the type of asyncio's does not show it.
    status = rpc_status.from_call(cast(grpc.Call, error))
    packed = status.details if status is not None else ()
    kinds = (BadRequest, ErrorInfo, RetryInfo)
    return [message for one in packed for message in (kind() for kind in kinds) if one.Unpack(message)]
