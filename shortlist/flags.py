"""Flags that can also be set by environment variables. No other module reads the environment."""

import argparse
import os
from collections.abc import Callable


def add_setting(
    parser: argparse.ArgumentParser, flag: str, *, default: object, help: str, type: Callable[[str], object] = str
) -> None:
    """Adds a flag whose environment variable, ``SHORTLIST_LISTEN`` for ``--listen``, replaces the default.

    An empty variable counts as unset. ``type`` converts the text and raises ValueError for malformed text.
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
    """A default from the environment. Errors must name the variable, since argparse reads it like an argument."""

    __slots__ = ()


def _variable(flag: str) -> str:
    return "SHORTLIST_" + flag.removeprefix("--").replace("-", "_").upper()


def is_address(text: str) -> bool:
    """Whether the text is HOST:PORT."""
    host, _, port = text.rpartition(":")
    return bool(host) and port.isdecimal() and int(port) < 2**16


def require(holds: bool, flag: str, expected: str, found: object) -> None:
    """Refuses a value unless a condition holds.

    Raises:
        ValueError: the condition does not hold; names the flag and its environment variable.
    """
    if not holds:
        raise ValueError(f"{flag} (environment {_variable(flag)}) must be {expected}; it is {found!r}")
