"""The settings of the log of served answers."""

import argparse
import os
from dataclasses import dataclass
from pathlib import Path

from shortlist.flags import add_setting, require
from shortlist.served.segment_writer import SEGMENT_BYTES, Bounds

_GIGABYTE = 10**9
_DAY_SECONDS = 86_400
_MOST_DAYS = 36_500


@dataclass(frozen=True, kw_only=True)
class ServedSettings:
    """The directory of the log, and how large and old it becomes before its oldest segments are deleted.

    Makes the directory where it is missing.

    Raises:
        ValueError: a value is out of range, or nothing can be written to the directory.
    """

    directory: Path
    gigabytes: float = 10.0
    days: int = 30

    def __post_init__(self) -> None:
        least = SEGMENT_BYTES / _GIGABYTE
        fits = least <= self.gigabytes < float("inf")
        require(fits, "--served-log-gigabytes", f"at least {least:.3f}, the size of a segment", self.gigabytes)
        require(1 <= self.days <= _MOST_DAYS, "--served-log-days", f"1 to {_MOST_DAYS}", self.days)

        try:
            self.directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ValueError(f"--served-log: {error}") from error
        require(os.access(self.directory, os.W_OK), "--served-log", "a directory to write to", str(self.directory))

    @property
    def bounds(self) -> Bounds:
        """The bounds of the log."""
        return Bounds(log_bytes=int(self.gigabytes * _GIGABYTE), log_seconds=self.days * _DAY_SECONDS)


def add_served_settings(parser: argparse.ArgumentParser) -> None:
    """Adds the flags of :class:`ServedSettings`."""
    add_setting(parser, "--served-log", default="", help="directory of the log of served answers; none when empty")
    add_setting(
        parser,
        "--served-log-gigabytes",
        default=ServedSettings.gigabytes,
        type=float,
        help="size of the log, beyond which its oldest segments are deleted",
    )
    add_setting(
        parser,
        "--served-log-days",
        default=ServedSettings.days,
        type=int,
        help="days after which segments of the log are deleted",
    )


def read_served_settings(parser: argparse.ArgumentParser, options: argparse.Namespace) -> ServedSettings | None:
    """The settings, if a log is wanted; values or a directory that cannot be used end the process with exit code 2."""
    if not options.served_log:
        return None
    try:
        return ServedSettings(
            directory=Path(options.served_log), gigabytes=options.served_log_gigabytes, days=options.served_log_days
        )
    except ValueError as error:
        parser.error(str(error))
