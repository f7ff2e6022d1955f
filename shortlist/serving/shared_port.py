"""A port that several processes share."""

import socket


def keep_port(host: str, port: int) -> socket.socket:
    """A bound socket that does not listen: it keeps the port while workers come and go.

    Raises:
        OSError: another process has the port, with or without SO_REUSEPORT.
    """
    family, _, _, _, address = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)[0]
    # With SO_REUSEPORT the workers would share the port with a forgotten server; a socket without it fails instead.
    # SO_REUSEADDR ignores lingering closed connections.
    with _bound(family, address, socket.SO_REUSEADDR) as alone:
        address = alone.getsockname()
    try:
        # Without SO_REUSEADDR, so that another supervisor cannot bind the port above while nobody listens yet.
        return _bound(family, address, socket.SO_REUSEPORT)
    except OSError:
        # Closed connections linger of a server that did not share its port.
        return _bound(family, address, socket.SO_REUSEPORT, socket.SO_REUSEADDR)


def _bound(family: int, address: tuple[object, ...], *options: int) -> socket.socket:
    unbound = socket.socket(family, socket.SOCK_STREAM)
    try:
        for option in options:
            unbound.setsockopt(socket.SOL_SOCKET, option, 1)
        unbound.bind(address)
    except OSError:
        unbound.close()
        raise
    return unbound
