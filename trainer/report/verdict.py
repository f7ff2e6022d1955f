"""Is it better than the strongest of the simple models?"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from trainer.analysis.measurement import GAIN, GAIN_INTERVAL
from trainer.analysis.tables import Spread
from trainer.report.findings import OURS, Measured, is_baseline
from trainer.report.names import change_text, is_error, metric_label, model_label

_CLEARLY = 2.0
_HEADLINES = {
    "good": "Better than every baseline that ran",
    "even": "No better than the strongest baseline",
    "bad": "Worse than the strongest baseline",
}


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """``mood`` is "good", "even" or "bad".

    The ``difference`` to the ``strongest`` baseline is chance within the ``interval``, where one is known. ``not_run``
    are baselines, with the reason.
    """

    mood: str
    headline: str
    detail: str
    strongest: str | None = None
    difference: float | None = None
    interval: float | None = None
    not_run: Mapping[str, str] = field(default_factory=dict)

    def plain(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)

    @property
    def gain(self) -> dict[str, float]:
        """The difference and its interval by the names of a bundle's metrics; empty without a baseline."""
        known = {GAIN: self.difference, GAIN_INTERVAL: self.interval}
        return {name: value for name, value in known.items() if value is not None}


def verdict(found: Measured) -> Verdict:
    """The last stage beside the strongest baseline, by the metric that everything was chosen by.

    A difference is none within its 95 % interval over the questions. Nor is one within two standard deviations over the
    seeds. Without a baseline there is nothing to say.
    """
    figures, metric = found.figures, found.chosen_by
    ours = next(name for name in OURS if name in figures)
    mean, spread = figures[ours][metric]
    seeds = f"mean of {len(found.runs)} seeds ± standard deviation" if len(found.runs) > 1 else "one seed"
    figure = f"{mean:.4f} ± {spread:.4f}" if len(found.runs) > 1 else f"{mean:.4f}"
    result = f"{metric_label(metric)} of {model_label(ours)} is {figure}"
    best = _strongest(figures, metric)
    if best is None:
        return Verdict(mood="even", headline="Nothing to compare with", detail=f"{result} ({seeds}, on the test).")
    other = figures[best][metric][0]
    difference, interval = mean - other, found.interval(ours, best)
    better = difference < 0 if is_error(metric) else difference > 0
    # Negated, so that nothing is claimed of an interval that is not a number.
    chance = not abs(difference) > max(interval or 0.0, _CLEARLY * spread)
    mood = "even" if chance else "good" if better else "bad"
    without = _of_retrieval(figures, ours, metric)
    paired = "" if interval is None else f"; {difference:+.4f} ± {interval:.4f} over the questions, 95 % interval"
    return Verdict(
        mood=mood,
        headline=_HEADLINES[mood],
        detail=f"{result}; the strongest baseline, {model_label(best)}, has {other:.4f}, {change_text(other, mean)} "
        f"({seeds}, on the test{paired}).{without}{_missing(found.not_run)}",
        strongest=best,
        difference=difference,
        interval=interval,
        not_run=found.not_run,
    )


def _strongest(figures: Spread, metric: str) -> str | None:
    baselines = [name for name in figures if is_baseline(name)]
    if not baselines:
        return None
    sign = -1 if is_error(metric) else 1
    return max(baselines, key=lambda name: sign * figures[name][metric][0])


def _of_retrieval(figures: Spread, ours: str, metric: str) -> str:
    """A sentence where ranking gains nothing over retrieval alone."""
    if ours != "two_stage" or "retrieval" not in figures:
        return ""
    mean, alone = figures[ours][metric][0], figures["retrieval"][metric][0]
    better = mean < alone if is_error(metric) else mean > alone
    return "" if better else f" Retrieval alone has {alone:.4f}, so ranking gains nothing ({change_text(alone, mean)})."


def _missing(not_run: Mapping[str, str]) -> str:
    named = "; ".join(f"{model_label(name)} ({reason})" for name, reason in not_run.items())
    return f" Did not run: {named}." if named else ""
