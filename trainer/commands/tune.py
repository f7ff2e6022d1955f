"""``python -m trainer tune``."""

import argparse
import shlex
from pathlib import Path

import optuna

from trainer.commands.inputs import add_inputs, add_protocol, positive, read_inputs
from trainer.commands.outputs import check_file
from trainer.errors import TrainerError
from trainer.progress import Reporter
from trainer.protocols import PROTOCOLS
from trainer.tuning.search import Search, finished
from trainer.tuning.study_file import check_study, keeping, open_study
from trainer.tuning.tuned_recipe import write_tuned

HELP = "search for better settings of the encoder, by the validation alone"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command."""
    add_inputs(parser)
    add_protocol(parser, list(PROTOCOLS), "the protocol whose validation decides; its test is never ranked")
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
    """Tries settings and writes a recipe with the best on the validation, again whenever a trial improves on it.

    Raises:
        KeyboardInterrupt: somebody stopped it; the message says where the trials are and how to resume.
    """
    if options.out.resolve() == options.recipe.resolve():
        raise TrainerError(f"--out {options.out}: is the recipe to start from, which is never overwritten")
    path = options.study or options.out.with_suffix(".study.sqlite3")
    check_file("--out", options.out)
    check_file("--study", path)
    check_study(path)
    recipe, dataset = read_inputs(options.recipe, options.data, reporter)
    task = PROTOCOLS[options.protocol](dataset, recipe, options.data)
    for text in task.warnings:
        reporter.warn(text)
    study = open_study(path, options.protocol, task, recipe)
    if done := len(finished(study)):
        reporter.say(f"{path} has {done} finished trials, which count")

    def write(trial: optuna.trial.FrozenTrial) -> None:
        write_tuned(options.recipe, options.out, trial.params, _header(options, study, trial, task.chosen_by))

    try:
        with keeping(path):
            Search(study, task, recipe, reporter).run(options.trials, write)
    except KeyboardInterrupt as stopped:
        kept = f"{path} keeps the {len(finished(study))} finished of {options.trials} trials"
        raise KeyboardInterrupt(f"stopped; {kept}, and the same command resumes") from stopped
    # Also if the last trials were no better, so that the header counts them.
    write(study.best_trial)
    reporter.say(f"wrote {options.out}: {task.chosen_by} {study.best_value:.4f} on the validation")


def _header(
    options: argparse.Namespace, study: optuna.Study, best: optuna.trial.FrozenTrial, metric: str
) -> tuple[str, str]:
    given = {name: str(getattr(options, name)) for name in ("recipe", "protocol", "data", "trials", "out")}
    if options.study is not None:
        given["study"] = str(options.study)
    command = " ".join(f"--{name} {shlex.quote(value)}" for name, value in given.items())
    return (
        f"python -m trainer tune {command}",
        f"{metric} {best.value:.4f} on the validation of {options.protocol}, the best of {len(finished(study))} trials",
    )
