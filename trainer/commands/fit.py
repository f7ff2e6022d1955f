"""``python -m trainer fit``."""

import argparse
import time

from trainer.commands.arguments import add_forgotten, add_inputs, add_publishing, add_report
from trainer.commands.checks import check_publishing, check_report, read_recipe
from trainer.progress import Reporter

HELP = "train both stages, measure them, and write a bundle; --publish serves it"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command."""
    add_inputs(parser)
    add_forgotten(parser)
    add_report(parser, "also write the figures to this JSON file, as the bundle's report.json has them")
    parser.add_argument("--seed", type=int, default=0, help="the same seed gives the same models (default: 0)")
    add_publishing(parser)


def run(options: argparse.Namespace, reporter: Reporter) -> None:
    """See :func:`trainer.jobs.fit.fit`."""
    started = time.monotonic()
    check_publishing(options)
    check_report(options.report)
    recipe = read_recipe(options)
    # PyTorch takes seconds to load, and a mistake needs no wait.
    from trainer.jobs.fit import fit

    fit(options, recipe, started, reporter)
