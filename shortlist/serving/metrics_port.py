"""The port that Prometheus reads the metrics from."""

import contextlib
import socket
import socketserver
import threading
import time

from prometheus_client import MetricsHandler, disable_created_metrics

from shortlist.observability.metrics import REGISTRY
from shortlist.serving.pools import StartedPool

# Prometheus needs one connection. Each has a thread, and a further one closes the one that has been idle the longest.
_CONNECTIONS = 8
_SECONDS = 5.0


class MetricsServer:
    """Answers Prometheus in threads of its own, which no call can keep busy."""

    def __init__(self, listen: str) -> None:
        host, _, port = listen.rpartition(":")
        self._port = _Port(host.strip("[]"), int(port))
        self._thread = threading.Thread(target=self._port.serve_forever, name="metrics", daemon=True)
        self._thread.start()
        self.address = f"{host}:{self._port.server_address[1]}"

    def close(self) -> None:
        """Stops listening."""
        self._port.shutdown()
        self._port.server_close()
        self._thread.join()


def start_metrics(listen: str) -> MetricsServer:
    """Serves ``/metrics`` on HOST:PORT; port 0 takes a free port, found in the result's ``address``.

    Raises:
        OSError: the port is not available.
    """
    # Otherwise each counter adds a series with its creation time, which Prometheus does not read.
    disable_created_metrics()  # type: ignore[no-untyped-call]
    return MetricsServer(listen)


class _Port(socketserver.TCPServer):
    allow_reuse_address = True
    request_queue_size = 64

    def __init__(self, host: str, port: int) -> None:
        self.address_family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        self._lock = threading.Lock()
        # Open connections, the oldest first, since when; and those of them whose request has arrived.
        self._open: dict[socket.socket, float] = {}
        self._asked: set[socket.socket] = set()
        self._pool = StartedPool(_CONNECTIONS, "metrics")
        super().__init__((str(address[0]), int(address[1])), _Handler)

    def process_request(self, request: socket.socket, client_address: object) -> None:  # type: ignore[override]
        """Handles a new connection in one of the threads."""
        with self._lock:
            if len(self._open) >= _CONNECTIONS:
                idle = [connection for connection in self._open if connection not in self._asked]
                self._end(idle[0] if idle else next(iter(self._open)))
            self._open[request] = time.monotonic()
        self._pool.submit(self._handle, request, client_address)

    def asked(self, request: socket.socket) -> None:
        """The connection's request has arrived."""
        with self._lock:
            self._asked.add(request)

    def service_actions(self) -> None:
        """Ends connections that take too long, twice a second."""
        with self._lock:
            for request, since in list(self._open.items()):
                if time.monotonic() - since > _SECONDS:
                    self._end(request)

    def server_close(self) -> None:
        """Closes the port and its connections."""
        super().server_close()
        with self._lock:
            for request in list(self._open):
                self._end(request)
        self._pool.shutdown()

    def _handle(self, request: socket.socket, client_address: object) -> None:
        # A caller who hangs up, or is too slow, is no error.
        try:
            with contextlib.suppress(OSError):
                self.finish_request(request, client_address)
        finally:
            with self._lock:
                self._open.pop(request, None)
                self._asked.discard(request)
            self.shutdown_request(request)

    def _end(self, request: socket.socket) -> None:
        # Its thread closes it.
        del self._open[request]
        with contextlib.suppress(OSError):
            request.shutdown(socket.SHUT_RDWR)


class _Handler(MetricsHandler):
    registry = REGISTRY
    timeout = _SECONDS
    server: _Port

    def do_GET(self) -> None:  # noqa: N802 - of the library
        """Answers with the metrics."""
        self.server.asked(self.connection)
        super().do_GET()
