"""The search for better settings of stage one. It uses the validation alone, never the test."""

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import optuna

from trainer.errors import TrainerError
from trainer.models.encoders.encoded import Encoded
from trainer.progress import Reporter, each_is_one
from trainer.protocols.task import Task
from trainer.recipe import Recipe
from trainer.training.encoder.fit import fit_encoder
from trainer.training.encoder.training import Validation
from trainer.tuning.search_space import SearchSpace, with_settings

T = TypeVar("T")
Best = Callable[[optuna.trial.FrozenTrial], None]
# The median of fewer trials is noise, and the first epoch is a poor predictor.
_LEAST_TRIALS = 5
_FIRST_EPOCH = 2
_SEED = 0


@dataclass(frozen=True, kw_only=True, eq=False)
class _Watched(Validation):
    """A validation that prunes a trial whose figures are below the median of the others."""

    trial: optuna.Trial
    epochs: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def figures(self, encoded: Encoded) -> dict[str, float]:
        """See :class:`Validation`. Raises TrialPruned."""
        found = super().figures(encoded)
        self.trial.report(found[self.chosen_by], next(self.epochs))
        if self.trial.should_prune():
            raise optuna.TrialPruned
        return found


class _Bars(Reporter):
    """Shows the progress of a trial without its epochs: one line for each trial is enough."""

    def __init__(self, reporter: Reporter) -> None:
        super().__init__()
        self._reporter = reporter

    def track(
        self, items: Sequence[T], name: str, unit: str = "steps", size: Callable[[T], int] = each_is_one
    ) -> Iterator[T]:
        """See Reporter."""
        return self._reporter.track(items, name, unit, size)

    def warn(self, text: str) -> None:
        """See Reporter."""
        self._reporter.warn(text)


class Search:
    """A new or resumed study, which runs until it has a given number of trials.

    The first trial is the recipe itself, so that the result is seldom worse. Settings come from Optuna's tree of Parzen
    estimators (Bergstra et al., 2011).
    """

    def __init__(self, study: optuna.Study, task: Task, recipe: Recipe, reporter: Reporter) -> None:
        self._study, self._task, self._recipe, self._reporter = study, task, recipe, reporter
        self._space = SearchSpace.of(recipe)
        self._trials = 0

    def run(self, trials: int, best: Best) -> None:
        """Runs until there are so many finished trials; calls ``best`` with each trial that improves on all before.

        Raises:
            KeyboardInterrupt: the user stopped it; finished trials are kept.
            TrainerError: every trial was pruned.
        """
        self._trials = trials
        done = len(finished(self._study))
        if not done:
            self._study.enqueue_trial(dict(self._space.base(self._recipe)))
        # The same seed would repeat the same settings.
        self._study.sampler = optuna.samplers.TPESampler(seed=_SEED + len(self._study.get_trials(deepcopy=False)))

        def report(study: optuna.Study, trial: optuna.trial.FrozenTrial) -> None:
            self._say(trial)
            if trial.state == optuna.trial.TrialState.COMPLETE and study.best_trial.number == trial.number:
                best(trial)

        self._study.optimize(self._try, n_trials=max(0, trials - done), callbacks=[report])
        if not any(trial.state == optuna.trial.TrialState.COMPLETE for trial in finished(self._study)):
            raise TrainerError("every trial was pruned; give more --trials")

    def _try(self, trial: optuna.Trial) -> float:
        recipe = with_settings(self._recipe, self._space.suggest(trial))
        usual = Validation.of(self._task)
        watched = _Watched(**vars(usual), trial=trial)
        data, end = self._task.dataset, self._task.learn_end
        trained = fit_encoder(data, end, recipe.encoder, _SEED, _Bars(self._reporter), watched)
        return max(line[usual.chosen_by] for line in trained.curve)

    def _say(self, trial: optuna.trial.FrozenTrial) -> None:
        name, tried = self._task.chosen_by, "  ".join(f"{key} {value:.4g}" for key, value in trial.params.items())
        if trial.state == optuna.trial.TrialState.COMPLETE:
            outcome = f"{name} {trial.value:.4f}  best {self._study.best_value:.4f}"
        else:
            outcome = f"pruned after {len(trial.intermediate_values)} epochs"
        seconds = 0.0 if trial.duration is None else trial.duration.total_seconds()
        count = len(finished(self._study))
        self._reporter.say(f"trial {count}/{self._trials}  {outcome}  {tried}  {seconds:.1f} s")


def finished(study: optuna.Study) -> list[optuna.trial.FrozenTrial]:
    """The trials that completed or were pruned."""
    states = (optuna.trial.TrialState.COMPLETE, optuna.trial.TrialState.PRUNED)
    return study.get_trials(deepcopy=False, states=states)


def median_pruner() -> optuna.pruners.BasePruner:
    """Prunes a trial whose best figure so far is below the median of the others at the same epoch."""
    return optuna.pruners.MedianPruner(n_startup_trials=_LEAST_TRIALS, n_warmup_steps=_FIRST_EPOCH)
