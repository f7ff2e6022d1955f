"""The settings that the services share."""

import argparse
from dataclasses import dataclass, field
from pathlib import Path

from shortlist.flags import add_setting, is_address, require
from shortlist.observability.settings import Observability, add_observability, read_observability, worker_listen
from shortlist.security.public_keys import add_bundle_public_key
from shortlist.security.settings import ServerSecurity, add_server_security, read_server_security

MAX_THREADS = 1024
MAX_QUEUE = 4096
MAX_WORKERS = 256
DEVELOPMENT, PRODUCTION = PROFILES = ("development", "production")


@dataclass(frozen=True, kw_only=True)
class ServerSettings:
    """How a server runs.

    ``listen`` is HOST:PORT; port 0 takes a free port. Each of the ``workers``, which are processes, handles
    calls in ``threads``; ``queue`` more calls may wait, and the server refuses the rest. After SIGTERM the server
    accepts new calls for ``drain_delay_seconds`` more, then gives calls in flight ``drain_seconds`` to finish.
    ``health_listen`` is a second HOST:PORT for probes, none when empty. The ``production`` profile logs each call as
    JSON and turns reflection off.

    Raises:
        ValueError: a value is out of range.
    """

    listen: str
    threads: int = 32
    queue: int = 96
    workers: int = 1
    drain_delay_seconds: float = 0.0
    drain_seconds: float = 5.0
    health_listen: str = ""
    profile: str = DEVELOPMENT
    security: ServerSecurity = field(default_factory=ServerSecurity)
    observability: Observability = field(default_factory=Observability)

    def __post_init__(self) -> None:
        require(is_address(self.listen), "--listen", "HOST:PORT", self.listen)
        require(1 <= self.threads <= MAX_THREADS, "--threads", f"1 to {MAX_THREADS}", self.threads)
        require(0 <= self.queue <= MAX_QUEUE, "--queue", f"0 to {MAX_QUEUE}", self.queue)
        require(1 <= self.workers <= MAX_WORKERS, "--workers", f"1 to {MAX_WORKERS}", self.workers)
        for flag, seconds in (("delay-", self.drain_delay_seconds), ("", self.drain_seconds)):
            require(0 <= seconds < float("inf"), f"--drain-{flag}seconds", "0 or more", seconds)
        require(
            not self.health_listen or is_address(self.health_listen), "--health-listen", "HOST:PORT", self.health_listen
        )
        if self.observability.metrics_listen:
            # Every worker has its own port.
            worker_listen(self.observability.metrics_listen, self.workers - 1)
        require(self.profile in PROFILES, "--profile", " or ".join(PROFILES), self.profile)

    @property
    def in_production(self) -> bool:
        """Whether this is the production profile."""
        return self.profile == PRODUCTION


@dataclass(frozen=True, kw_only=True)
class BundleSettings:
    """The directory of bundles. With a ``public_key``, only bundles signed with its private half are served."""

    directory: Path
    public_key: Path | None = None


def add_bundle_settings(parser: argparse.ArgumentParser) -> None:
    """Adds the flags of :class:`BundleSettings`, and the one that checks a bundle."""
    add_setting(parser, "--bundles", default="bundles", help="directory that the trainer writes bundles to")
    add_bundle_public_key(parser, "serve only bundles signed with its private half")
    parser.add_argument(
        "--check",
        default="",
        metavar="BUNDLE_ID",
        help="load that bundle and answer a first query, without a port; exit with 0, or with 3 if it cannot be served",
    )


def read_bundle_settings(arguments: argparse.Namespace) -> BundleSettings:
    """The directory of bundles, and the key that they must be signed with, if any."""
    return BundleSettings(directory=Path(arguments.bundles), public_key=arguments.bundle_public_key)


def add_server_settings(parser: argparse.ArgumentParser, *, listen: str, threads: int = ServerSettings.threads) -> None:
    """Adds the flags of :class:`ServerSettings`; ``listen`` and ``threads`` are the service's defaults."""
    add_setting(parser, "--listen", default=listen, help="HOST:PORT to listen on; port 0 takes a free one")
    add_setting(parser, "--threads", default=threads, type=int, help="threads that handle calls")
    add_setting(parser, "--queue", default=ServerSettings.queue, type=int, help="calls that may wait for a thread")
    add_setting(parser, "--workers", default=ServerSettings.workers, type=int, help="processes that share the port")
    _add_draining(parser)
    add_setting(parser, "--health-listen", default="", help="HOST:PORT of a plaintext port for probes; none when empty")
    add_setting(
        parser,
        "--profile",
        default=DEVELOPMENT,
        help=f"{DEVELOPMENT}, or {PRODUCTION}: no reflection, JSON logs with a line for each call",
    )
    add_server_security(parser)
    add_observability(parser)


def _add_draining(parser: argparse.ArgumentParser) -> None:
    add_setting(
        parser,
        "--drain-delay-seconds",
        default=ServerSettings.drain_delay_seconds,
        type=float,
        help="time after SIGTERM in which new calls are still accepted, while health says NOT_SERVING",
    )
    add_setting(
        parser,
        "--drain-seconds",
        default=ServerSettings.drain_seconds,
        type=float,
        help="time after that for calls in flight to finish",
    )


def read_server_settings(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> ServerSettings:
    """The validated settings; a value out of range ends the process with exit code 2, like argparse's errors."""
    try:
        return ServerSettings(
            listen=arguments.listen,
            threads=arguments.threads,
            queue=arguments.queue,
            workers=arguments.workers,
            drain_delay_seconds=arguments.drain_delay_seconds,
            drain_seconds=arguments.drain_seconds,
            health_listen=arguments.health_listen,
            profile=arguments.profile,
            security=read_server_security(parser, arguments),
            observability=read_observability(parser, arguments),
        )
    except ValueError as error:
        parser.error(str(error))
