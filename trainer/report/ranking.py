"""The section of a report on ranking: its gain over retrieval, the importance of features, and calibration."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from trainer.analysis import Attribution, Chain, ObjectiveFigures, RankerAttribution
from trainer.analysis.chain import LARGEST_CATALOGUE
from trainer.report import charts
from trainer.report.names import change_text, metric_label
from trainer.report.rendering import Figure, render

_MOST_GROUPS = 25
_UNKNOWN = "none"
_OBJECTIVE_ROWS: dict[str, Callable[[ObjectiveFigures], float | None]] = {
    "AUC": lambda one: one.auc,
    "GAUC": lambda one: one.gauc,
    "log loss": lambda one: one.log_loss,
    "calibration error": lambda one: one.error,
    "calibration error, uncalibrated": lambda one: one.uncalibrated,
    "validation's calibration error": lambda one: one.validation.error_after,
    "validation's, uncalibrated": lambda one: one.validation.error_before,
}


@dataclass(frozen=True, kw_only=True)
class Step:
    """A step of the chain: its name, its figure in large print, and a line that explains it."""

    name: str
    large: str
    about: str


def ranking_section(runs: Sequence[Attribution]) -> Markup:
    """From the catalogue to the candidates to their order, the importance of features, and the calibration."""
    chains = [run.chain for run in runs]
    chain = {
        "steps": _steps(chains),
        "cuts": [f"@{k}" for k in chains[0].recall],
        "recall": [Figure.of_runs([one.recall[k] for one in chains]) for k in chains[0].recall],
        "seeds": [_seed_cells(seed, one) for seed, one in enumerate(chains)],
    }
    about = "On the test, from the catalogue to the first ten."
    return _section(runs, "The gain of ranking", about, "Each objective, among the candidates", chain)


def impressions_section(runs: Sequence[RankerAttribution]) -> Markup:
    """The importance of features for a ranker's predictions, and their calibration."""
    about = "On an evenly spread sample of the test."
    return _section(runs, "The ranker's predictions", about, "Each objective, on the impressions", None)


def _section(
    runs: Sequence[RankerAttribution], title: str, about: str, of_objectives: str, chain: dict[str, object] | None
) -> Markup:
    objectives = {
        "title": of_objectives,
        "names": list(runs[0].objectives),
        "rows": _objective_rows(runs),
        "curves": _curves(runs),
    }
    return render(
        "ranking",
        title=title,
        about=about,
        chain=chain,
        importance=_importance(runs) if runs[0].importance else None,
        objectives=objectives if runs[0].objectives else None,
    )


def _steps(chains: Sequence[Chain]) -> list[Step]:
    first = chains[0]
    retrieval, both, found = np.mean(
        [(one.retrieval, one.two_stage, one.recall[one.looked_at]) for one in chains], axis=0
    )
    candidates = f"the first {first.looked_at:,} hold {found:.1%} of the relevant items{_loss(chains)}"
    return [
        Step(name="Catalogue", large=f"{first.items:,} items", about=_of_catalogue(chains)),
        Step(name="Candidates", large=f"{first.candidates:,}", about=candidates),
        Step(name="Retrieval's order", large=f"{retrieval:.4f}", about="nDCG@10 of the nearest first"),
        Step(name="The ranker's order", large=f"{both:.4f}", about=f"nDCG@10, {change_text(retrieval, both)}"),
    ]


def _of_catalogue(chains: Sequence[Chain]) -> str:
    if any(one.whole is None for one in chains):
        return f"more than {LARGEST_CATALOGUE:,}, so that ranking all of it was not measured"
    wholes = [one.whole for one in chains if one.whole is not None]
    items = float(np.mean([one.items for one in wholes]))
    return f"nDCG@10 {items:.4f} if the ranker ranks all of it (on {wholes[0].queries:,} queries)"


def _loss(chains: Sequence[Chain]) -> str:
    loss = _mean([None if one.whole is None else one.whole.loss for one in chains])
    return "" if loss is None else f"; ranking only them changes nDCG@10 by {_percent(-loss)}"


def _seed_cells(seed: int, chain: Chain) -> list[str]:
    loss = None if chain.whole is None or chain.whole.loss is None else -chain.whole.loss
    return [str(seed), f"{chain.retrieval:.4f}", f"{chain.two_stage:.4f}", _gain(chain), _percent(loss)]


def _gain(chain: Chain) -> str:
    return change_text(chain.retrieval, chain.two_stage)


def _importance(runs: Sequence[RankerAttribution]) -> dict[str, object]:
    means = {name: np.array([run.importance.get(name, 0.0) for run in runs]) for name in runs[0].importance}
    names = sorted(means, key=lambda name: -float(means[name].mean()))[:_MOST_GROUPS]
    x_label = f"{metric_label(runs[0].importance_of)} lost when the feature is shuffled between the examples"
    chart = charts.by_name({name: means[name] for name in names}, x_label)
    return {"chart": chart, "left": len(means) - len(names)}


def _objective_rows(runs: Sequence[RankerAttribution]) -> dict[str, list[Figure]]:
    return {
        name: [
            Figure.of_runs([figure(run.objectives[objective]) for run in _with(runs, objective)])
            for objective in runs[0].objectives
        ]
        for name, figure in _OBJECTIVE_ROWS.items()
    }


def _curves(runs: Sequence[RankerAttribution]) -> dict[str, Markup]:
    curves = {name: [run.objectives[name].curve for run in _with(runs, name)] for name in runs[0].objectives}
    return {
        name: charts.calibration(found)
        for name, found in curves.items()
        if any((curve.observed > 0).any() for curve in found)
    }


def _with(runs: Sequence[RankerAttribution], objective: str) -> list[RankerAttribution]:
    return [run for run in runs if objective in run.objectives]


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if len(known) == len(values) else None


def _percent(value: float | None) -> str:
    return _UNKNOWN if value is None else f"{round(value, 3) + 0.0:+.1%}"
