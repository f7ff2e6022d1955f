"""``python -m trainer evaluate``."""

import argparse
import time

from trainer.commands.arguments import add_inputs, add_protocol, add_report, positive
from trainer.commands.checks import check_report, read_recipe
from trainer.progress import Reporter
from trainer.protocols import OF_LISTS, OF_PREDICTIONS

HELP = "train and measure with several seeds; writes no bundle"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command."""
    add_inputs(parser)
    add_report(parser, "also write the figures to this JSON file, and a page for people beside it")
    add_protocol(
        parser,
        [*OF_LISTS, *OF_PREDICTIONS],
        "how to split the data and what to measure; "
        f"{' and '.join(OF_PREDICTIONS)} measure predictions instead of lists",
    )
    parser.add_argument("--seeds", type=positive, default=3, help="how many seeds, counted from 0 (default: 3)")


def run(options: argparse.Namespace, reporter: Reporter) -> None:
    """See :func:`trainer.jobs.evaluate.evaluate`."""
    started = time.monotonic()
    check_report(options.report, with_page=True)
    recipe = read_recipe(options)
    # PyTorch takes seconds to load, and a mistake needs no wait.
    from trainer.jobs.evaluate import evaluate

    evaluate(options, recipe, started, reporter)
