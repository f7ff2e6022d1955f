"""The calls that all clients of the live service share."""

# grpc's classes are generic for the type checker only.
from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Generic, Self, TypeVar

import grpc

from shortlist.client.channels import Channels, Stub
from shortlist.client.service_config import channel_options
from shortlist.client.tls_cause import read_failure
from shortlist.errors import ShortlistError
from shortlist.security.settings import ClientSecurity

PLAINTEXT = ClientSecurity()
Request = TypeVar("Request", bound=object)
Response = TypeVar("Response", bound=object)


class LiveClient(Generic[Stub]):
    """Calls one ``service`` of a live service, whose stub ``make`` makes. Thread-safe."""

    def __init__(
        self,
        target: str,
        service: str,
        make: Callable[[grpc.Channel], Stub],
        timeout: float,
        security: ClientSecurity,
    ) -> None:
        options = channel_options(f"shortlist.live.v1.{service}", attempts=4, backoff_seconds=0.02)
        self._channels = Channels(target, make, options, security)
        self._timeout, self._security = timeout, security
        self._closed = False

    def close(self) -> None:
        """Ends the calls in flight and closes the connections."""
        self._closed = True
        self._channels.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _call(
        self,
        method: Callable[[Stub], grpc.UnaryUnaryMultiCallable[Request, Response]],
        request: Request,
        timeout: float | None,
    ) -> Response:
        if self._closed:
            raise ShortlistError("this client is closed; make a new one")
        seconds = self._timeout if timeout is None else timeout
        with self._channels.stub() as stub:
            try:
                return method(stub)(request, timeout=seconds, metadata=self._channels.metadata())
            except grpc.RpcError as error:
                raise read_failure(error, self._security) from error
