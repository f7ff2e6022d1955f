"""Warnings, from whoever gives them to the person who ran the command."""

import io
from dataclasses import replace

from rich.console import Console

from trainer.commands.inputs import report_counts
from trainer.data import Dataset
from trainer.progress import ConsoleReporter, Reporter


def test_a_warning_is_kept_once_in_its_place() -> None:
    """Proves that two trainings of one command do not repeat each other's warnings."""
    reporter = Reporter()
    for text in ("b", "a", "b"):
        reporter.warn(text)
    assert reporter.warnings == ("b", "a")


def test_warnings_are_one_block_at_the_end(planted: Dataset) -> None:
    """Proves that the data's warnings come after the lines of progress, as they were written."""
    printed = io.StringIO()
    reporter = ConsoleReporter(Console(file=printed, width=40))
    report_counts(replace(planted, warnings=("[items] brand: " + "no features " * 5,)), reporter)
    reporter.say("epoch 1")
    reporter.show_warnings()
    lines = printed.getvalue().splitlines()
    assert lines[-3:] == ["epoch 1", "warnings: 1", "- [items] brand: " + "no features " * 5]


def test_without_warnings_there_is_no_block() -> None:
    """Proves that a clean run ends as it always did."""
    printed = io.StringIO()
    ConsoleReporter(Console(file=printed)).show_warnings()
    assert printed.getvalue() == ""
