"""Helpers of all commands."""

import argparse
import sys
from typing import TypeAlias

EXIT_FAILED = 1

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


def fail(message: str) -> int:
    """Prints to standard error why a command failed; returns the exit code."""
    print(f"shortlist: {message}", file=sys.stderr, flush=True)
    return EXIT_FAILED
