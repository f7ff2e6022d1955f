"""The quality of the predictions of each event objective for the candidates."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from trainer.evaluation.classification import (
    CalibrationCurve,
    Outcomes,
    auc,
    calibration_curve,
    calibration_error,
    gauc,
    log_loss,
)
from trainer.models.rankers.calibration import Calibration


@dataclass(frozen=True, kw_only=True, eq=False)
class ObjectiveFigures:
    """One objective on the test; ``error`` is its calibration error, ``uncalibrated`` the error without calibration."""

    auc: float | None
    gauc: float | None
    log_loss: float
    error: float
    uncalibrated: float
    validation: Calibration
    curve: CalibrationCurve

    @classmethod
    def of(cls, outcomes: Outcomes, calibration: Calibration) -> Self:
        """The quality on at least one observed row."""
        logits, labels, users = outcomes.logits, outcomes.labels, outcomes.users
        curve = calibration_curve(logits, labels)
        return cls(
            auc=_known(auc(logits, labels)),
            gauc=_known(gauc(logits, labels, users)),
            log_loss=log_loss(logits, labels),
            error=curve.error,
            uncalibrated=calibration_error(calibration.undone(logits), labels),
            validation=calibration,
            curve=curve,
        )

    def plain(self) -> dict[str, Any]:
        """For JSON; None where all labels are equal."""
        given = self.validation
        return {
            "auc": self.auc,
            "gauc": self.gauc,
            "logloss": self.log_loss,
            "calibration_error": {"uncalibrated": self.uncalibrated, "calibrated": self.error},
            "validation": {"uncalibrated": given.error_before, "calibrated": given.error_after},
            "slope": given.slope,
            "shift": given.shift,
            "curve": {name: values.tolist() for name, values in vars(self.curve).items()},
        }


def figures_of_objectives(
    outcomes: Mapping[str, Outcomes], calibrations: Mapping[str, Calibration]
) -> dict[str, ObjectiveFigures]:
    """The quality of each objective; unobserved ones are left out."""
    return {
        name: ObjectiveFigures.of(found, calibrations[name])
        for name, found in outcomes.items()
        if name in calibrations and len(found.logits)
    }


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value
