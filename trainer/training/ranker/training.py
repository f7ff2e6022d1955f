"""One run of a ranker's training: epochs until the validation has seen the best, then calibration."""

import copy
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trainer.data.split import subsample
from trainer.errors import DataError
from trainer.models.rankers import RankerDataSpec
from trainer.models.rankers.calibration import Calibration, calibrate, platt
from trainer.progress import Reporter
from trainer.recipe import RankerConfig
from trainer.training.ranker.examples import PredictLogits, RankerExamples
from trainer.training.ranker.fit import RankerFit, TrainedRanker
from trainer.training.ranker.labels import check_learnt, warn_of_one_class

_PATIENCE = 2
_VALIDATION_SHARE = 0.2
# Candidates that a calibration is fitted on.
_CALIBRATED_ON = 2_000_000


@dataclass(frozen=True, kw_only=True)
class FoundRanker:
    """The outcome of an earlier run: the best number of ``epochs``, and the calibration of each event objective."""

    epochs: int
    calibrations: Mapping[str, Calibration]


class RankerTraining:
    """One run over examples in the order of time.

    The examples at the places ``deciding`` choose the epoch and are not learnt from. Without them the latest fifth
    chooses it; the ranker is then trained again on all examples, for as many epochs.

    Raises:
        DataError: no example to learn from, or none that decides.
    """

    def __init__(
        self, examples: RankerExamples, recipe: RankerConfig, seed: int, deciding: NDArray[np.int64] | None = None
    ) -> None:
        self.examples, self.recipe, self.seed = examples, recipe, seed
        self.spec = RankerDataSpec.of(examples.inputs.layout, examples.inputs.items, examples.objectives)
        self._usable = examples.usable
        start = int(len(self._usable) * (1 - _VALIDATION_SHARE))
        self.early, self.late = self._usable[:start], self._usable[start:]
        """The examples that are learnt from while the epoch is chosen, and those that choose it."""
        self.given = deciding is not None
        if deciding is not None:
            self.early, self.late = np.setdiff1d(self._usable, deciding), np.intersect1d(self._usable, deciding)
        self._refuse_too_few()
        self.curve: list[dict[str, float]] = []
        """The loss and the validation figures of each epoch."""
        self.calibrations: Mapping[str, Calibration] = {}
        """The calibration of each event objective."""

    def run(self, reporter: Reporter, found: FoundRanker | None = None) -> TrainedRanker:
        """The calibrated ranker; see the class.

        With the outcome ``found`` by a run over earlier data, it learns from all examples at once.

        The best epoch's ranker is calibrated on the examples that chose the epoch. Its calibration is also used where
        the ranker is then trained again on all examples.
        """
        self._check_labels(reporter)
        if found is None:
            epochs, best = self._best_epoch(reporter)
            self.calibrations = self._calibrations(best)
            self._say_calibrations(reporter)
            trained = best if self.given else self._trained_on_all(epochs, reporter)
        else:
            self.calibrations = found.calibrations
            trained = self._trained_on_all(found.epochs, reporter)
        calibrate(trained.ranker, self.calibrations)
        return trained

    def _say_calibrations(self, reporter: Reporter) -> None:
        for name, one in self.calibrations.items():
            reporter.say(f"ranker: objective {name} calibrated, error {one.error_before:.5f} -> {one.error_after:.5f}")

    def fit(self, places: NDArray[np.int64]) -> RankerFit:
        """A ranker before its first step on the examples at the places."""
        return RankerFit(self.examples, self.spec, self.recipe, self.seed, places)

    def logits_of(self, trained: TrainedRanker) -> PredictLogits:
        """From places of the examples to the logits of a ranker."""
        return lambda places: trained.predict(self.examples.inputs, places)

    def _best_epoch(self, reporter: Reporter) -> tuple[int, TrainedRanker]:
        fit, examples = self.fit(self.early), self.examples
        reporter.say(f"ranker: {len(examples.judged(self.late)):,} of {len(self.late):,} later lists choose the epoch")
        best, best_epoch, kept = -math.inf, 1, fit.trained()
        for epoch in range(1, self.recipe.epochs + 1):
            started, name = time.monotonic(), f"ranker epoch {epoch}/{self.recipe.epochs}"
            found = {"loss": fit.epoch(reporter, name), **fit.figures(self.late)}
            figures = "  ".join(f"{key} {value:.4f}" for key, value in found.items())
            reporter.say(f"{name}  {figures}  {time.monotonic() - started:.1f} s")
            self.curve.append(found)
            if math.isnan(found[examples.chosen_by]) and math.isinf(best):
                # Nothing compares the epochs: the last one is as good as any.
                best_epoch, kept = epoch, fit.trained()
            if found[examples.chosen_by] > best:
                best, best_epoch, kept = found[examples.chosen_by], epoch, copy.deepcopy(fit.trained())
            if epoch - best_epoch == _PATIENCE:
                break
        return best_epoch, kept

    def _trained_on_all(self, epochs: int, reporter: Reporter) -> TrainedRanker:
        reporter.say(f"ranker: best after {epochs} epochs; training on the whole slice")
        fit = self.fit(self._usable)
        for epoch in range(1, epochs + 1):
            fit.epoch(reporter, f"ranker epoch {epoch}/{epochs} on all")
        return fit.trained()

    def _calibrations(self, trained: TrainedRanker) -> dict[str, Calibration]:
        if not len(self.late):
            return {}
        # Including the lists that retrieval missed, as in serving.
        late = np.setdiff1d(np.arange(self.late[0], len(self.examples.targets)), self.early)
        places = subsample(late, max(1, _CALIBRATED_ON // self.examples.inputs.candidate_count))
        found = self.examples.outcomes(self.logits_of(trained), places)
        return {name: platt(outcomes) for name, outcomes in found.items()}

    def _check_labels(self, reporter: Reporter) -> None:
        examples = self.examples
        learnt = self.early if self.given else self._usable
        check_learnt(examples.objectives, examples.targets[learnt], reporter, contrasted=examples.contrasted)
        if len(self.late) and not examples.contrasted:
            warn_of_one_class(examples.objectives, examples.targets[self.late], "ranker's validation", reporter)

    def _refuse_too_few(self) -> None:
        if self.given and not (len(self.early) and len(self.late)):
            part, purpose = ("validation", "choose its epoch by") if len(self.early) else ("train", "learn from")
            raise DataError(
                f"no impression of the {part} part has anything in the column of an objective, and the ranker "
                f"needs some to {purpose}; fill the column, or split otherwise"
            )
        if not len(self.early):
            raise DataError(
                f"of {len(self.examples.targets):,} examples, the ranker can learn from {len(self._usable)}, and needs "
                "two at least: give it more data or a longer slice, [split] ranker; where nobody logged what was shown "
                "also more candidates, [ranker] candidates, and else something in the columns of the objectives"
            )
