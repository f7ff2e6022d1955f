"""Variables of the environment that gRPC reads."""

import socket

import pytest


def set_proxy(monkeypatch: pytest.MonkeyPatch, proxy: socket.socket) -> None:
    """Names the socket as the proxy in each variable that gRPC reads."""
    for name in ("http_proxy", "https_proxy", "grpc_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.getsockname()[1]}")
    for name in ("no_proxy", "no_grpc_proxy"):
        monkeypatch.delenv(name, raising=False)
