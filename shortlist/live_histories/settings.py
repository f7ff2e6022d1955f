"""The flags of a service that reads live histories."""

# Imported by the parent of several workers, which has no use for numpy.
from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from shortlist.flags import add_setting
from shortlist.security.settings import add_client_security, read_client_security

if TYPE_CHECKING:
    from shortlist.live_histories.client import LiveClient


def add_live(parser: argparse.ArgumentParser) -> None:
    """Adds ``--live`` and the flags of its connection."""
    add_setting(parser, "--live", default="", help="gRPC target of the live service; none when empty")
    add_client_security(parser, "live")


def read_live(parser: argparse.ArgumentParser, options: argparse.Namespace) -> LiveClient | None:
    """The client of the live service; None without one. Unusable settings end the process with exit code 2."""
    from shortlist.live_histories.client import LiveClient

    security = read_client_security(parser, options, "live")
    return LiveClient(options.live, security) if options.live else None
