"""Writes recorded events and served answers as tables to train from."""

import argparse
from pathlib import Path

import polars as pl

from shortlist.security.settings import ClientSecurity
from trainer.files import writing
from trainer.live.answers import read_answers
from trainer.live.events import read_events
from trainer.live.position import write_with_position
from trainer.live.tables import make_tables
from trainer.progress import Reporter


def collect(options: argparse.Namespace, log: Path | None, security: ClientSecurity, reporter: Reporter) -> None:
    """Writes ``interactions.parquet``, and with a log of served answers ``impressions.parquet``.

    Raises:
        DataError: the service does not answer, or there is nothing to learn from.
        OutputError: a table cannot be written.
    """
    # The answers first, so that the events know what became of them.
    answers = None if log is None else read_answers(log)
    events, position = read_events(options.live, security)
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
