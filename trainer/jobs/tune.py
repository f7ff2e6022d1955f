"""The search for better settings of an encoder."""

import argparse
import shlex
from pathlib import Path

import optuna

from trainer.jobs.inputs import read_inputs
from trainer.progress import Reporter
from trainer.protocols.registry import PROTOCOLS
from trainer.recipe import Recipe
from trainer.tuning.search import Search, finished
from trainer.tuning.study_file import keeping, open_study
from trainer.tuning.tuned_recipe import write_tuned


def tune(options: argparse.Namespace, recipe: Recipe, path: Path, reporter: Reporter) -> None:
    """Tries settings and writes a recipe with the best on the validation, again whenever a trial improves on it.

    The study file ``path`` keeps the trials.

    Raises:
        KeyboardInterrupt: somebody stopped it; the message says where the trials are and how to resume.
    """
    recipe, dataset = read_inputs(recipe, options.data, reporter)
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
