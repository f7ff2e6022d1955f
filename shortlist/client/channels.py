"""Connections to one target, replaced when the certificates change."""

# grpc's classes are generic for the type checker only.
from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import Generic, TypeVar

import grpc

from shortlist.client.connections import CONNECTIONS, OWN_CONNECTION, Connections
from shortlist.observability import tracing
from shortlist.security.metadata import call_metadata
from shortlist.security.settings import ClientSecurity
from shortlist.security.tls import channel_credentials

Options = Sequence[tuple[str, str | int]]
Stub = TypeVar("Stub")
Channel = TypeVar("Channel")
# A proxy variable of a pod is for its calls to the internet, and must not reroute calls inside the cluster.
_NO_PROXY = ("grpc.enable_http_proxy", 0)
_LOOK_SECONDS = 1.0
# A call in flight on a replaced connection may take this long.
_RETIRED_SECONDS = 30.0


class _AnyChannels(ABC, Generic[Channel, Stub]):
    """Several channels to ``target``, each with a stub that ``make`` makes of it. Thread-safe."""

    def __init__(
        self, target: str, make: Callable[[Channel], Stub], options: Options, security: ClientSecurity
    ) -> None:
        self._target, self._make, self._security = target, make, security
        self._options = [*options, OWN_CONNECTION, _NO_PROXY]
        self._lock = threading.Lock()
        self._look_at = float("inf") if security.ca is None else 0.0
        self._open(channel_credentials(security))

    @contextlib.contextmanager
    def stub(self) -> Iterator[Stub]:
        """The stub of the least busy connection, for one call within the ``with`` block."""
        if time.monotonic() >= self._look_at:
            self._renew()
        with self._connections.stub() as stub:
            yield stub

    def postpone(self, stub: Stub) -> None:
        """Prefers the other connections for a while, because a call on this one had no answer."""
        self._connections.postpone(stub)

    def metadata(self) -> tuple[tuple[str, str], ...]:
        """The metadata of a call: its token and its trace."""
        return tracing.inject(call_metadata(self._security))

    def _open(self, credentials: grpc.ChannelCredentials | None) -> None:
        self._credentials = credentials
        self._channels = [self._channel(credentials) for _ in range(CONNECTIONS)]
        self._connections = Connections([self._make(channel) for channel in self._channels])

    def _renew(self) -> None:
        with self._lock:
            self._look_at = time.monotonic() + _LOOK_SECONDS
            credentials = channel_credentials(self._security)
            if credentials is self._credentials:
                return
            former = self._channels
            self._open(credentials)
        self._retire(former)

    @abstractmethod
    def _channel(self, credentials: grpc.ChannelCredentials | None) -> Channel:
        """A channel to the target; in plaintext without credentials."""

    @abstractmethod
    def _retire(self, channels: Sequence[Channel]) -> None:
        """Closes channels after the calls in flight on them have had time to end."""


class Channels(_AnyChannels[grpc.Channel, Stub]):
    """Channels for threads."""

    def close(self) -> None:
        """Ends the calls in flight and closes the connections."""
        for channel in self._channels:
            channel.close()

    def _channel(self, credentials: grpc.ChannelCredentials | None) -> grpc.Channel:
        if credentials is None:
            return grpc.insecure_channel(self._target, options=self._options)
        return grpc.secure_channel(self._target, credentials, options=self._options)

    def _retire(self, channels: Sequence[grpc.Channel]) -> None:
        timer = threading.Timer(_RETIRED_SECONDS, lambda: [channel.close() for channel in channels])
        timer.daemon = True
        timer.start()


class AsyncChannels(_AnyChannels[grpc.aio.Channel, Stub]):
    """Channels for asyncio: made, used and closed within one event loop."""

    async def close(self) -> None:
        """Ends the calls in flight and closes the connections."""
        for channel in self._channels:
            await channel.close()

    def _channel(self, credentials: grpc.ChannelCredentials | None) -> grpc.aio.Channel:
        if credentials is None:
            return grpc.aio.insecure_channel(self._target, options=self._options)
        return grpc.aio.secure_channel(self._target, credentials, options=self._options)

    def _retire(self, channels: Sequence[grpc.aio.Channel]) -> None:
        loop = asyncio.get_running_loop()
        # The loop keeps no reference to a task.
        self._closing = [loop.create_task(channel.close(_RETIRED_SECONDS)) for channel in channels]
