"""A client that speaks HTTP/2 frame by frame, and does what no gRPC library does."""

import contextlib
import socket
import struct
from collections.abc import Iterator
from typing import NamedTuple

DATA, HEADERS, RST_STREAM, SETTINGS, GOAWAY = 0, 1, 3, 4, 7
_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_END_STREAM, _END_HEADERS, _ACK = 0x1, 0x4, 0x1
_INITIAL_WINDOW_SIZE, _CANCEL = 4, 8


class Frame(NamedTuple):
    """A received frame; a constant of this module is its ``kind``."""

    kind: int
    stream: int
    payload: bytes


class RawHttp2:
    """One plaintext connection. With ``window=0`` the server may send no data."""

    def __init__(self, address: str, *, window: int | None = None) -> None:
        host, _, port = address.rpartition(":")
        self._socket = socket.create_connection((host, int(port)), timeout=5)
        self._next, self._received, self._unsent = 1, b"", b""
        self._unsent += _PREFACE
        self._frame(SETTINGS, 0, 0, b"" if window is None else struct.pack(">HI", _INITIAL_WINDOW_SIZE, window))
        self.flush()

    def open(self, method: str, *, end: bool = False) -> int:
        """Queues the headers of a call of ``/package.Service/Method``; returns its stream."""
        stream, self._next = self._next, self._next + 2
        headers = {
            ":method": "POST",
            ":scheme": "http",
            ":path": method,
            ":authority": "test",
            "content-type": "application/grpc",
            "te": "trailers",
        }
        block = b"".join(b"\0" + _text(name) + _text(value) for name, value in headers.items())
        self._frame(HEADERS, _END_HEADERS | (_END_STREAM if end else 0), stream, block)
        return stream

    def message(self, stream: int, message: bytes) -> None:
        """Queues the one message of a call."""
        self._frame(DATA, _END_STREAM, stream, struct.pack(">BI", 0, len(message)) + message)

    def reset(self, stream: int) -> None:
        """Queues the cancellation of a call."""
        self._frame(RST_STREAM, 0, stream, struct.pack(">I", _CANCEL))

    def flush(self) -> None:
        """Sends everything that is queued."""
        unsent, self._unsent = self._unsent, b""
        self._socket.sendall(unsent)

    def frames(self, seconds: float) -> Iterator[Frame]:
        """The frames that arrive until none has for some seconds; acknowledges settings."""
        self._socket.settimeout(seconds)
        while True:
            while len(self._received) >= 9 and len(self._received) >= 9 + (length := self._length()):
                kind, flags, stream = struct.unpack(">BBI", self._received[3:9])
                frame = Frame(kind, stream, self._received[9 : 9 + length])
                self._received = self._received[9 + length :]
                if kind == SETTINGS and not flags & _ACK:
                    self._frame(SETTINGS, _ACK, 0, b"")
                    self.flush()
                yield frame
            try:
                received = self._socket.recv(65536)
            except TimeoutError:
                return
            if not received:
                return
            self._received += received

    def close(self) -> None:
        """Closes the connection."""
        self._socket.close()

    def __enter__(self) -> "RawHttp2":
        return self

    def __exit__(self, *raised: object) -> None:
        with contextlib.suppress(OSError):
            self.close()

    def _length(self) -> int:
        return int.from_bytes(self._received[:3], "big")

    def _frame(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        self._unsent += len(payload).to_bytes(3, "big") + struct.pack(">BBI", kind, flags, stream) + payload


def _text(text: str) -> bytes:
    # A literal without compression; lengths below 127 take one byte.
    return bytes([len(text)]) + text.encode()
