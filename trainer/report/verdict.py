"""Is it better than what anybody could have had?"""

from dataclasses import dataclass

from trainer.report.findings import OURS, Findings, is_baseline
from trainer.report.names import metric_label, model_label

_CLEARLY = 2.0


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """``mood`` is "good", "even" or "bad"."""

    mood: str
    headline: str
    detail: str


def verdict(found: Findings) -> Verdict:
    """The last stage beside the best baseline, by the metric that everything was chosen by.

    With several seeds, a difference within two standard deviations over them is none.
    """
    figures, metric = found.figures, found.chosen_by
    ours = next(name for name in OURS if name in figures)
    best = max((name for name in figures if is_baseline(name)), key=lambda name: figures[name][metric][0])
    (mean, spread), (other, _) = figures[ours][metric], figures[best][metric]
    difference = mean - other
    mood = "even" if abs(difference) <= _CLEARLY * spread else "good" if difference > 0 else "bad"
    words = {"good": "Better than every baseline", "even": "No better than the best baseline"}
    change = f", {difference / other:+.0%}" if other > 0 else ""
    seeds = f"mean of {len(found.runs)} seeds ± standard deviation" if len(found.runs) > 1 else "one seed"
    shown = f"{mean:.4f} ± {spread:.4f}" if len(found.runs) > 1 else f"{mean:.4f}"
    return Verdict(
        mood=mood,
        headline=words.get(mood, "Worse than a baseline"),
        detail=f"{metric_label(metric)} of {model_label(ours)} is {shown}; the best baseline, {model_label(best)}, "
        f"has {other:.4f}{change} ({seeds}, on the test).",
    )
