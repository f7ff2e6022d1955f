"""``python -m trainer tune``."""

import argparse
import shlex

import optuna

from trainer.commands.commands import read_inputs
from trainer.errors import TrainerError
from trainer.progress import Reporter
from trainer.protocols import PROTOCOLS
from trainer.tuning.search import Search, finished
from trainer.tuning.study_file import open_study
from trainer.tuning.tuned_recipe import write_tuned


def tune(options: argparse.Namespace, reporter: Reporter) -> None:
    """Tries settings, and writes the recipe with those that are best on the validation, as soon as there are better.

    Raises:
        KeyboardInterrupt: somebody stopped it; the message says what is kept and how it goes on.
    """
    if options.out.resolve() == options.recipe.resolve():
        raise TrainerError(f"--out {options.out}: is the recipe to begin with, which stays as it is")
    recipe, dataset = read_inputs(options.recipe, options.data, reporter)
    task = PROTOCOLS[options.protocol](dataset, recipe, options.data)
    path = options.study or options.out.with_suffix(".study.sqlite3")
    study = open_study(path, options.protocol, task, recipe)
    if done := len(finished(study)):
        reporter.say(f"{path} has {done} trials, which count")

    def write(trial: optuna.trial.FrozenTrial) -> None:
        write_tuned(options.recipe, options.out, trial.params, _header(options, study, trial, task.chosen_by))

    try:
        Search(study, task, recipe, reporter).run(options.trials, write)
    except KeyboardInterrupt as stopped:
        kept = f"{path} keeps the {len(finished(study))} of {options.trials} trials that came to an end"
        raise KeyboardInterrupt(f"stopped; {kept}, and the same command goes on from there") from stopped
    # Also where the last trials were no better, so that the file says of how many it is the best.
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
