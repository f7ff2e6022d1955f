"""Warnings, from whoever gives them to the person who ran the command."""

import io
from dataclasses import replace

import numpy as np
from rich.console import Console

from trainer.data import Dataset
from trainer.jobs.inputs import report_counts
from trainer.progress import ConsoleReporter, Reporter


def test_a_warning_is_kept_once_in_its_place() -> None:
    """Proves that two trainings of one command do not repeat each other's warnings."""
    reporter = Reporter()
    for text in ("b", "a", "b"):
        reporter.warn(text)
    assert reporter.warnings == ("b", "a")


def test_warnings_are_one_block_at_the_end(planted: Dataset) -> None:
    """Proves that the data's warnings come after the lines of progress, as they were written, and conclusions last."""
    printed = io.StringIO()
    reporter = ConsoleReporter(Console(file=printed, width=40))
    report_counts(replace(planted, warnings=("[items] brand: " + "no features " * 5,)), reporter)
    reporter.conclude("better")
    reporter.conclude("next: serve")
    reporter.say("epoch 1")
    reporter.finish()
    lines = printed.getvalue().splitlines()
    warnings = ["warnings: 1", "- [items] brand: " + "no features " * 5]
    assert lines[-5:] == ["epoch 1", *warnings, "better", "next: serve"]


def test_longer_work_tells_its_speed_and_the_time_left_off_a_terminal() -> None:
    """Proves that the first line comes within ten seconds, then one every thirty, with units of work and not steps.

    Work that ends before the first line, and its end, print nothing.
    """
    clock, printed = iter([0.0, *range(3, 1000, 3)]), io.StringIO()
    reporter = ConsoleReporter(Console(file=printed), clock=lambda: float(next(clock)))
    batches = [np.arange(50)] * 24
    assert len(list(reporter.track(batches, "epoch 1/7", "events", len))) == 24
    assert list(reporter.track([0, 1], "short")) == [0, 1]
    assert printed.getvalue().splitlines() == [
        "epoch 1/7: 100 of 1,200 events, 17 a second, 66 s left",
        "epoch 1/7: 600 of 1,200 events, 17 a second, 36 s left",
        "epoch 1/7: 1,100 of 1,200 events, 17 a second, 6 s left",
    ]


def test_without_warnings_there_is_no_block() -> None:
    """Proves that a clean run ends as it always did."""
    printed = io.StringIO()
    ConsoleReporter(Console(file=printed)).finish()
    assert printed.getvalue() == ""
