"""``python -m live_service --store FILE|URL --listen HOST:PORT``."""

import argparse
import sys
from collections.abc import Sequence

from live_service.service import serve_live
from live_service.settings import add_live_settings, read_live_settings
from shortlist.serving.settings import add_server_settings, read_server_settings


def main(arguments: Sequence[str] | None = None) -> int:
    """Serves until a signal comes; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m live_service", description="Records events durably and gives them as histories, over gRPC."
    )
    add_live_settings(parser)
    add_server_settings(parser, listen="127.0.0.1:50053")
    options = parser.parse_args(arguments)
    live, settings = read_live_settings(parser, options), read_server_settings(parser, options)
    if settings.workers > 1:
        parser.error("--workers: one process has the store, and it has threads; leave it at 1")
    return serve_live(settings, live)


if __name__ == "__main__":
    sys.exit(main())
