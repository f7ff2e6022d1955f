"""Is it better than what anybody could have had?"""

from dataclasses import dataclass

from trainer.analysis.tables import Spread
from trainer.report.findings import OURS, Measured, is_baseline
from trainer.report.names import is_error, metric_label, model_label

_CLEARLY = 2.0


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """``mood`` is "good", "even" or "bad"."""

    mood: str
    headline: str
    detail: str


def verdict(found: Measured) -> Verdict:
    """The last stage beside the best baseline, by the metric that everything was chosen by.

    With several seeds, a difference within two standard deviations over them is none; without a baseline there is
    nothing to say.
    """
    figures, metric = found.figures, found.chosen_by
    ours = next(name for name in OURS if name in figures)
    mean, spread = figures[ours][metric]
    seeds = f"mean of {len(found.runs)} seeds ± standard deviation" if len(found.runs) > 1 else "one seed"
    figure = f"{mean:.4f} ± {spread:.4f}" if len(found.runs) > 1 else f"{mean:.4f}"
    result = f"{metric_label(metric)} of {model_label(ours)} is {figure}"
    best = _best_baseline(figures, metric)
    if best is None:
        return Verdict(mood="even", headline="Nothing to compare with", detail=f"{result} ({seeds}, on the test).")
    other = figures[best][metric][0]
    difference = mean - other
    better = difference < 0 if is_error(metric) else difference > 0
    mood = "even" if abs(difference) <= _CLEARLY * spread else "good" if better else "bad"
    words = {"good": "Better than every baseline", "even": "No better than the best baseline"}
    change = f", {difference / other:+.1%}" if other > 0 else ""
    return Verdict(
        mood=mood,
        headline=words.get(mood, "Worse than a baseline"),
        detail=f"{result}; the best baseline, {model_label(best)}, has {other:.4f}{change} ({seeds}, on the test).",
    )


def _best_baseline(figures: Spread, metric: str) -> str | None:
    baselines = [name for name in figures if is_baseline(name)]
    if not baselines:
        return None
    sign = -1 if is_error(metric) else 1
    return max(baselines, key=lambda name: sign * figures[name][metric][0])
