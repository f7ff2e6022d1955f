"""``python -m ranking_service --bundles DIR --listen HOST:PORT --retrieval TARGET``."""

import argparse
import sys
from collections.abc import Sequence

from ranking_service.served_settings import add_served_settings, read_served_settings
from shortlist.flags import add_setting
from shortlist.live_histories.settings import add_live, read_live
from shortlist.security.settings import add_client_security, read_client_security
from shortlist.serving.settings import (
    add_bundle_settings,
    add_server_settings,
    read_bundle_settings,
    read_server_settings,
)
from shortlist.serving.worker import Worker
from shortlist.serving.workers import supervise


def main(arguments: Sequence[str] | None = None, worker: Worker | None = None) -> int:
    """Serves until a signal comes, or checks one bundle; returns the exit code. ``worker`` marks one of several."""
    arguments = sys.argv[1:] if arguments is None else arguments
    parser = argparse.ArgumentParser(
        prog="python -m ranking_service", description="Recommends: retrieves candidates and ranks them, over gRPC."
    )
    add_setting(parser, "--retrieval", default="dns:///127.0.0.1:50051", help="gRPC target of the retrieval service")
    add_client_security(parser, "retrieval")
    add_live(parser)
    add_served_settings(parser)
    add_bundle_settings(parser)
    add_server_settings(parser, listen="127.0.0.1:50052")
    options = parser.parse_args(arguments)
    bundles = read_bundle_settings(options)
    if options.check:
        from ranking_service.service import check_ranking

        return check_ranking(bundles, options.check)
    settings = read_server_settings(parser, options)
    served = read_served_settings(parser, options)
    if settings.workers > 1:
        return supervise(settings, "ranking_service", arguments)
    # Not at the top: the parent of several workers has no use for ONNX Runtime.
    from ranking_service.retrieval import RetrievalClient
    from ranking_service.served_log import ServedLog
    from ranking_service.service import serve_ranking

    retrieval = RetrievalClient(options.retrieval, read_client_security(parser, options, "retrieval"))
    log = ServedLog(served.directory, served.bounds) if served else None
    return serve_ranking(settings, bundles, retrieval, read_live(parser, options), log, worker)


if __name__ == "__main__":
    sys.exit(main())
