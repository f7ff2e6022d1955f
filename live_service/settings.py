"""The settings of the live service's own."""

import argparse
import time
from dataclasses import dataclass, field

from live_service.store.opening import DATABASE_SCHEMES
from shortlist.flags import add_setting, require

_DAY_SECONDS = 86_400
_MOST_DAYS = 36_500
_MOST_EVENTS = 1_000_000


@dataclass(frozen=True, kw_only=True)
class Retention:
    """How long events are kept: so many ``days``, and of each user the latest ``events_per_user``.

    Raises:
        ValueError: a value is out of range.
    """

    days: int = 400
    events_per_user: int = 5_000

    def __post_init__(self) -> None:
        require(1 <= self.days <= _MOST_DAYS, "--keep-days", f"1 to {_MOST_DAYS}", self.days)
        fits = 1 <= self.events_per_user <= _MOST_EVENTS
        require(fits, "--keep-events-per-user", f"1 to {_MOST_EVENTS}", self.events_per_user)

    def oldest_seconds(self) -> float:
        """The time, in seconds since 1970, before which events are deleted."""
        return time.time() - self.days * _DAY_SECONDS


@dataclass(frozen=True, kw_only=True)
class LiveSettings:
    """The store of the events, and how long they are kept.

    ``store`` is a file of SQLite or the URL of a PostgreSQL database, which may hold a password.
    """

    store: str = field(repr=False)
    retention: Retention


def add_live_settings(parser: argparse.ArgumentParser) -> None:
    """Adds the flags of :class:`LiveSettings`."""
    add_setting(
        parser,
        "--store",
        default="live/events.sqlite",
        type=_store,
        help="SQLite file of the events, on a local disk, or postgresql://USER@HOST/DATABASE",
    )
    add_setting(parser, "--keep-days", default=Retention.days, type=int, help="days that an event is kept")
    add_setting(
        parser,
        "--keep-events-per-user",
        default=Retention.events_per_user,
        type=int,
        help="latest events of each user that are kept",
    )


def read_live_settings(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> LiveSettings:
    """The validated settings; a value out of range ends the process with exit code 2, like argparse's errors."""
    try:
        retention = Retention(days=arguments.keep_days, events_per_user=arguments.keep_events_per_user)
    except ValueError as error:
        parser.error(str(error))
    return LiveSettings(store=arguments.store, retention=retention)


def _store(text: str) -> str:
    scheme, separator, _ = text.partition("://")
    if separator and scheme not in DATABASE_SCHEMES:
        raise ValueError("is neither a file nor postgresql://…")
    return text
