"""Helpers of all commands."""

import argparse
import sys
from typing import TypeAlias

from shortlist.errors import DeadlineExceeded, InvalidRequest, ShortlistError, TlsMismatch, Unavailable

EXIT_FAILED = 1

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


def fail(message: str) -> int:
    """Prints to standard error why a command failed; returns the exit code."""
    print(f"shortlist: {message}", file=sys.stderr, flush=True)
    return EXIT_FAILED


def advice(error: ShortlistError, target: str, timeout: float, service: str, flag: str) -> str:
    """The message of a failed call of a ``service``, such as "ranking", with the next thing to do."""
    match error:
        case Unavailable() if "Connection refused" in str(error):
            return f"nothing answers at {target}; start it with python -m {service}_service, or see {flag}"
        case TlsMismatch():
            return f"{target} cannot be called: {error} (flags --{service}-ca, --{service}-cert, --{service}-key)"
        case Unavailable():
            return f"{target} cannot answer now: {error}; try again"
        case DeadlineExceeded():
            return f"{target} did not answer within {timeout:g} s; wait longer with --timeout"
        case InvalidRequest():
            return f"the service refuses the request: {error}"
    return f"{target} failed: {error}; its log says more"
