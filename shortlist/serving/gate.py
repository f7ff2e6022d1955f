"""Refuses the calls that a caller's certificate may not make, before they cost a place or a thread."""

# grpc's classes are generic for the type checker only.
from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import grpc

from shortlist.observability import metrics
from shortlist.observability.throttled import Throttled
from shortlist.security.authorisation import AllowList, forbidden
from shortlist.security.names import names_in
from shortlist.serving.incoming import DONE, Incoming
from shortlist.serving.pools import answered_in
from shortlist.status import to_status

# Throttled, for any call may cause it.
_LOG = Throttled(logging.getLogger(__name__))
_FORBIDDEN = to_status(forbidden(), "any method")


class Gate:
    """The way into a server's ``pool``: open to the callers that the allow list names for the method."""

    def __init__(self, allow: AllowList, pool: ThreadPoolExecutor) -> None:
        self._allow, self._pool = allow, pool

    def before(
        self, behaviour: Callable[..., Any], service: str, method: str, pool: ThreadPoolExecutor | None = None
    ) -> Callable[..., Any]:
        """The behaviour of a method, for callers that may call it; in another ``pool`` where one is given."""
        return answered_in(_Entrance(self._allow, pool or self._pool, service, method), behaviour)


class _Entrance(ThreadPoolExecutor):
    """Checks a method's calls in gRPC's serving thread; has no threads of its own.

    gRPC tells a pool of a call as soon as its headers have arrived. A caller's certificate is known by then.
    """

    def __init__(self, allow: AllowList, pool: ThreadPoolExecutor, service: str, method: str) -> None:
        super().__init__(1)
        self._allow, self._pool, self._service, self._method = allow, pool, service, method

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:  # noqa: ANN401 - of gRPC
        """Takes a call from gRPC; the result means nothing."""
        call = Incoming(fn, args)
        if self._permits(call):
            return self._pool.submit(fn, *args, **kwargs)
        call.refuse(self._refused)
        return DONE

    def _permits(self, call: Incoming) -> bool:
        method = f"{self._service}/{self._method}"
        try:
            certificate = call.certificate
            permitted = self._allow.permits(certificate, method)
        except Exception:
            # It would end gRPC's serving thread, and with it the server.
            _LOG.error("cannot check a caller's certificate", exc_info=True)
            return False
        if not permitted:
            _LOG.warning("a certificate of %s may not call %s", sorted(names_in(certificate)) or "no name", method)
        return permitted

    def _refused(self) -> grpc.Status:
        metrics.call_refused(self._service, self._method, grpc.StatusCode.PERMISSION_DENIED.name)
        return _FORBIDDEN
