"""Flags with environment twins, and the settings that every server has. No other module reads the environment."""

import argparse
import os
from collections.abc import Callable
from dataclasses import dataclass

MAX_THREADS = 1024
MAX_WORKERS = 256


@dataclass(frozen=True, kw_only=True)
class ServerSettings:
    """How a server runs.

    ``listen`` is HOST:PORT, port 0 for any that is free. ``threads`` handle calls, in each of the ``workers``, which
    are processes. ``drain_seconds`` is what calls in flight get to finish in after SIGTERM.

    Raises:
        ValueError: a value is out of its range.
    """

    listen: str
    threads: int = 64
    workers: int = 1
    drain_seconds: float = 5.0

    def __post_init__(self) -> None:
        host, _, port = self.listen.rpartition(":")
        _require(bool(host) and port.isdecimal() and int(port) < 2**16, "--listen", "HOST:PORT", self.listen)
        _require(1 <= self.threads <= MAX_THREADS, "--threads", f"1 to {MAX_THREADS}", self.threads)
        _require(1 <= self.workers <= MAX_WORKERS, "--workers", f"1 to {MAX_WORKERS}", self.workers)
        _require(0 <= self.drain_seconds < float("inf"), "--drain-seconds", "0 or more", self.drain_seconds)


def add_server_settings(parser: argparse.ArgumentParser, *, listen: str) -> None:
    """Adds the flags of :class:`ServerSettings`; ``listen`` is the service's own default."""
    add_setting(parser, "--listen", default=listen, help="HOST:PORT to listen on; port 0 takes a free one")
    add_setting(parser, "--threads", default=ServerSettings.threads, type=int, help="threads that handle calls")
    add_setting(parser, "--workers", default=ServerSettings.workers, type=int, help="processes that share the port")
    add_setting(
        parser,
        "--drain-seconds",
        default=ServerSettings.drain_seconds,
        type=float,
        help="what calls in flight get to finish in after SIGTERM",
    )


def read_server_settings(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> ServerSettings:
    """The validated settings; a value out of range ends the process with exit code 2, as argparse does."""
    try:
        return ServerSettings(
            listen=arguments.listen,
            threads=arguments.threads,
            workers=arguments.workers,
            drain_seconds=arguments.drain_seconds,
        )
    except ValueError as error:
        parser.error(str(error))


def add_setting(
    parser: argparse.ArgumentParser, flag: str, *, default: object, help: str, type: Callable[[str], object] = str
) -> None:
    """Adds a flag whose default is its environment twin: ``SHORTLIST_LISTEN`` for ``--listen``, when set and not empty.

    ``type`` raises ValueError for what it cannot read.
    """
    variable = _variable(flag)

    def read(text: str) -> object:
        try:
            return type(text)
        except ValueError as error:
            source = f"{variable}: " if isinstance(text, _FromEnvironment) else ""
            raise argparse.ArgumentTypeError(f"{source}{error}") from error

    value = os.environ.get(variable)
    parser.add_argument(
        flag,
        default=_FromEnvironment(value) if value else default,
        type=read,
        metavar=flag.removeprefix("--").replace("-", "_").upper(),
        help=f"{help} (default {default}; environment {variable})",
    )


class _FromEnvironment(str):
    """A default out of the environment: argparse reads it like an argument, and a complaint has to name the source."""

    __slots__ = ()


def _variable(flag: str) -> str:
    return "SHORTLIST_" + flag.removeprefix("--").replace("-", "_").upper()


def _require(holds: bool, flag: str, expected: str, found: object) -> None:
    if not holds:
        raise ValueError(f"{flag} (environment {_variable(flag)}) has to be {expected}; it is {found!r}")
