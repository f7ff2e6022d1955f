"""The file of a study's trials, which lets a search resume."""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path

import optuna
from sqlalchemy import URL
from sqlalchemy.exc import SQLAlchemyError

from trainer.errors import OutputError, TrainerError
from trainer.protocols.task import Task
from trainer.recipe import Recipe
from trainer.tuning.search import median_pruner

_QUESTION = "question"


@contextlib.contextmanager
def keeping(path: Path) -> Iterator[None]:
    """Raises OutputError when the trials of the block cannot be kept, such as on a full disk."""
    try:
        yield
    except (SQLAlchemyError, optuna.exceptions.StorageInternalError) as error:
        reason = getattr(error.__cause__, "orig", None) or getattr(error, "orig", None) or error
        raise OutputError(f"{path}: cannot be written: {str(reason).splitlines()[0]}") from error


def open_study(path: Path, protocol: str, task: Task, recipe: Recipe) -> optuna.Study:
    """The study of a file, created where there is none.

    Raises:
        TrainerError: the file is no study, or the trials in it are of another recipe, protocol or data.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    path.parent.mkdir(parents=True, exist_ok=True)
    url = URL.create("sqlite", database=str(path.resolve())).render_as_string()
    try:
        study = optuna.create_study(
            storage=url, study_name="tune", direction="maximize", load_if_exists=True, pruner=median_pruner()
        )
    except (SQLAlchemyError, optuna.exceptions.OptunaError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise TrainerError(f"{path}: cannot be used as a study: {reason}; give another --study") from error
    asked = _question(protocol, task, recipe)
    before = study.user_attrs.get(_QUESTION)
    if before is not None and before != asked:
        other = ", ".join(name for name in asked if before.get(name) != asked[name])
        raise TrainerError(f"{path}: its trials are of another {other}; give another --study, or remove it")
    study.set_user_attr(_QUESTION, asked)
    return study


def _question(protocol: str, task: Task, recipe: Recipe) -> dict[str, str]:
    """The properties that comparable trials share."""
    counts = task.dataset.counts
    raw = {name: part for name, part in recipe.plain().items() if name not in ("ranker", "index", "publish")}
    return {
        "recipe": json.dumps(raw, sort_keys=True),
        "protocol": f"{protocol}, by {task.chosen_by}",
        "data": f"{counts.interactions} interactions, {counts.users} users, {counts.items} items",
    }
