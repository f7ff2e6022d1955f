"""``python -m trainer tune``."""

import argparse
from pathlib import Path

from trainer.commands.arguments import add_inputs, add_protocol, positive
from trainer.commands.checks import check_file, check_study, read_recipe
from trainer.errors import TrainerError
from trainer.progress import Reporter
from trainer.protocols import OF_LISTS

HELP = "search for better settings of the encoder, by the validation alone"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command."""
    add_inputs(parser)
    add_protocol(parser, OF_LISTS, "the protocol whose validation decides; its test is never ranked")
    parser.add_argument(
        "--trials", type=positive, required=True, help="how many settings to try, including those of the study file"
    )
    parser.add_argument(
        "--out", type=Path, required=True, metavar="RECIPE", help="write the recipe with the best settings here"
    )
    parser.add_argument(
        "--study", type=Path, metavar="FILE", help="keep the trials here, to resume later (default: beside --out)"
    )


def run(options: argparse.Namespace, reporter: Reporter) -> None:
    """See :func:`trainer.jobs.tune.tune`."""
    if options.out.resolve() == options.recipe.resolve():
        raise TrainerError(f"--out {options.out}: is the recipe to start from, which is never overwritten")
    study = options.study or options.out.with_suffix(".study.sqlite3")
    check_file("--out", options.out)
    check_file("--study", study)
    check_study(study)
    recipe = read_recipe(options)
    # PyTorch takes seconds to load, and a mistake needs no wait.
    from trainer.jobs.tune import tune

    tune(options, recipe, study, reporter)
