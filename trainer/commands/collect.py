"""``python -m trainer collect``."""

import argparse
from pathlib import Path

from shortlist.flags import add_setting
from shortlist.security.settings import add_client_security, read_client_security
from trainer.errors import DataError
from trainer.progress import Reporter

HELP = "write the events of a live service, and the impressions of a log of served answers, as tables to train from"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command."""
    add_setting(parser, "--live", default="dns:///127.0.0.1:50053", help="gRPC target of the live service")
    add_client_security(parser, "live")
    add_setting(parser, "--served-log", default="", help="directory of the log of served answers; none when empty")
    parser.add_argument("--out", type=Path, required=True, help="the folder to write the tables to")
    parser.set_defaults(parser=parser)


def run(options: argparse.Namespace, reporter: Reporter) -> None:
    """See :func:`trainer.jobs.collect.collect`."""
    log = Path(options.served_log) if options.served_log else None
    if log is not None and not log.is_dir():
        raise DataError(f"{log} is no directory; see --served-log")
    security = read_client_security(options.parser, options, "live")
    # Polars takes a second to load, and a mistake needs no wait.
    from trainer.jobs.collect import collect

    collect(options, log, security, reporter)
