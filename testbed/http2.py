"""A connection that speaks HTTP/2 by hand, to send a server anything that a client library refuses to send."""

import contextlib
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum
from types import TracebackType
from typing import Self

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_HEAD_BYTES = 9
_INITIAL_WINDOW_SIZE = 4
_CANCEL = 8
_READ_BYTES = 1 << 16
# Shorter texts have a length of one byte in HPACK.
_LONGEST_TEXT = 126


class FrameKind(IntEnum):
    """The kinds of frames of RFC 9113 that this module sends or that callers look for."""

    DATA = 0
    HEADERS = 1
    RST_STREAM = 3
    SETTINGS = 4
    PING = 6
    GOAWAY = 7
    WINDOW_UPDATE = 8


# Flags of frames: END_STREAM of DATA and HEADERS, END_HEADERS of HEADERS, ACK of SETTINGS and PING.
END_STREAM, END_HEADERS, ACK = 1, 4, 1


@dataclass(frozen=True, kw_only=True)
class Frame:
    """A frame; ``kind`` is one of :class:`FrameKind` or another number."""

    kind: int
    flags: int = 0
    stream: int = 0
    payload: bytes = b""


class Http2Connection:
    """Sends frames to HOST:PORT in plaintext, as a gRPC client would or as none would.

    Frames are collected until :meth:`flush`. ``window`` is the number of bytes of each answer that the server may send;
    None for the default of 65,535. Sending never waits for the server's own windows.

    Raises:
        OSError: the server does not accept the connection.
    """

    def __init__(self, address: str, *, window: int | None = None, timeout: float = 5.0) -> None:
        host, _, port = address.rpartition(":")
        self.socket = socket.create_connection((host, int(port)), timeout=timeout)
        self._authority, self._next_stream, self._timeout = address, 1, timeout
        self._unsent, self._unread = bytearray(_PREFACE), bytearray()
        size = b"" if window is None else _INITIAL_WINDOW_SIZE.to_bytes(2) + window.to_bytes(4)
        self.add(Frame(kind=FrameKind.SETTINGS, payload=size))
        self.flush()

    def add(self, frame: Frame) -> None:
        """Adds a frame to those that the next flush sends."""
        head = len(frame.payload).to_bytes(3) + bytes((frame.kind, frame.flags)) + frame.stream.to_bytes(4)
        self._unsent += head + frame.payload

    def open(self, method: str, metadata: Mapping[str, str] | None = None) -> int:
        """Opens a call of ``/package.Service/Method``: its headers without a message. Returns its stream."""
        stream, self._next_stream = self._next_stream, self._next_stream + 2
        fields = {
            ":method": "POST",
            ":scheme": "http",
            ":path": method,
            ":authority": self._authority,
            "content-type": "application/grpc",
            "te": "trailers",  # codespell:ignore te
            **(metadata or {}),
        }
        block = b"".join(_literal(name, value) for name, value in fields.items())
        self.add(Frame(kind=FrameKind.HEADERS, flags=END_HEADERS, stream=stream, payload=block))
        return stream

    def call(self, method: str, message: bytes, metadata: Mapping[str, str] | None = None) -> int:
        """Opens a call with its message. Returns its stream."""
        stream = self.open(method, metadata)
        self.send(stream, message)
        return stream

    def send(self, stream: int, message: bytes, *, ends: bool = True) -> None:
        """Adds the message of a call; ``ends`` says that no other follows."""
        prefixed = b"\0" + len(message).to_bytes(4) + message
        self.add(Frame(kind=FrameKind.DATA, flags=END_STREAM if ends else 0, stream=stream, payload=prefixed))

    def reset(self, stream: int) -> None:
        """Cancels a call."""
        self.add(Frame(kind=FrameKind.RST_STREAM, stream=stream, payload=_CANCEL.to_bytes(4)))

    def ping(self) -> None:
        """Adds a PING."""
        self.add(Frame(kind=FrameKind.PING, payload=bytes(8)))

    def settings(self) -> None:
        """Adds empty SETTINGS, which the server has to acknowledge."""
        self.add(Frame(kind=FrameKind.SETTINGS))

    def flush(self) -> None:
        """Sends all frames that were added.

        Raises:
            OSError: the server has closed the connection, or has read nothing for the timeout.
        """
        unsent, self._unsent = bytes(self._unsent), bytearray()
        self.socket.settimeout(self._timeout)
        self.socket.sendall(unsent)

    def frames(self, seconds: float) -> Iterator[Frame]:
        """The frames that the server sends, until none comes for so many seconds.

        Raises:
            ConnectionError: the server has closed the connection.
        """
        self.socket.settimeout(seconds)
        while True:
            while (frame := self._take()) is not None:
                yield frame
            try:
                received = self.socket.recv(_READ_BYTES)
            except TimeoutError:
                return
            if not received:
                raise ConnectionError("the server has closed the connection")
            self._unread += received

    def close(self) -> None:
        """Closes the connection at once."""
        with contextlib.suppress(OSError):
            self.socket.close()

    def _take(self) -> Frame | None:
        size = int.from_bytes(self._unread[:3])
        if len(self._unread) < _HEAD_BYTES + size:
            return None
        head, payload = self._unread[:_HEAD_BYTES], bytes(self._unread[_HEAD_BYTES : _HEAD_BYTES + size])
        del self._unread[: _HEAD_BYTES + size]
        return Frame(kind=head[3], flags=head[4], stream=int.from_bytes(head[5:9]), payload=payload)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.close()


def _literal(name: str, value: str) -> bytes:
    """A header field in HPACK (RFC 7541, 6.2.2): neither indexed nor compressed.

    Raises:
        ValueError: the name or the value is longer than 126 bytes.
    """
    parts = [name.encode(), value.encode()]
    if max(map(len, parts)) > _LONGEST_TEXT:
        raise ValueError(f"{name} is too long for this encoder")
    return b"\0" + b"".join(bytes((len(part),)) + part for part in parts)
