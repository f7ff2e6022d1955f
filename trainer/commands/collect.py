"""``python -m trainer collect``."""

import argparse
from pathlib import Path

import polars as pl

from shortlist.flags import add_setting
from shortlist.security.settings import add_client_security, read_client_security
from trainer.errors import DataError
from trainer.files import writing
from trainer.live.answers import read_answers
from trainer.live.events import read_events
from trainer.live.position import write_with_position
from trainer.live.tables import make_tables
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
    """Writes ``interactions.parquet``, and with a log ``impressions.parquet``.

    Raises:
        DataError: the service does not answer, or there is nothing to learn from.
        OutputError: a table cannot be written.
    """
    log = Path(options.served_log) if options.served_log else None
    if log is not None and not log.is_dir():
        raise DataError(f"{log} is no directory; see --served-log")
    # The answers first, so that the events know what became of them.
    answers = None if log is None else read_answers(log)
    events, position = read_events(options.live, read_client_security(options.parser, options, "live"))
    tables = make_tables(events, answers)
    _write(tables.interactions, options.out / "interactions.parquet", position, reporter)
    if tables.impressions is not None:
        _write(tables.impressions, options.out / "impressions.parquet", None, reporter)
    for note in tables.notes:
        reporter.warn(note)


def _write(table: pl.DataFrame, path: Path, position: int | None, reporter: Reporter) -> None:
    temporary = path.with_name(f".{path.name}")
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_with_position(table, temporary, position)
        temporary.replace(path)
    reporter.say(f"wrote {path}: {table.height:,} rows with {', '.join(table.columns)}")
