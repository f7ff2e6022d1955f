"""``python -m retrieval_service --bundles DIR --listen HOST:PORT``."""

import argparse
import sys
from collections.abc import Sequence

from shortlist.live_histories.settings import add_live, read_live
from shortlist.serving.settings import (
    add_bundle_settings,
    add_server_settings,
    read_bundle_settings,
    read_server_settings,
)
from shortlist.serving.worker import Worker
from shortlist.serving.workers import supervise

# Its calls compute, and hardly wait for each other. More threads only delay health checks and each other.
_THREADS = 8


def main(arguments: Sequence[str] | None = None, worker: Worker | None = None) -> int:
    """Serves until a signal comes, or checks one bundle; returns the exit code. ``worker`` marks one of several."""
    arguments = sys.argv[1:] if arguments is None else arguments
    parser = argparse.ArgumentParser(
        prog="python -m retrieval_service", description="Finds candidates for a user by nearest neighbour, over gRPC."
    )
    add_live(parser)
    add_bundle_settings(parser)
    add_server_settings(parser, listen="127.0.0.1:50051", threads=_THREADS)
    options = parser.parse_args(arguments)
    bundles = read_bundle_settings(options)
    if options.check:
        from retrieval_service.service import check_retrieval

        return check_retrieval(bundles, options.check)
    settings = read_server_settings(parser, options)
    if settings.workers > 1:
        return supervise(settings, "retrieval_service", arguments)
    # Not at the top: the parent of several workers has no use for FAISS and ONNX Runtime.
    from retrieval_service.service import serve_retrieval

    return serve_retrieval(settings, bundles, read_live(parser, options), worker)


if __name__ == "__main__":
    sys.exit(main())
