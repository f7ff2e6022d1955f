"""The part of a report that says what ranking adds to retrieval, and by what."""

from collections.abc import Callable, Sequence

import numpy as np

from trainer.analysis import Attribution, Chain, ObjectiveFigures, RankerAttribution
from trainer.analysis.chain import LARGEST_CATALOGUE
from trainer.analysis.tables import deviation
from trainer.report import charts, html
from trainer.report.names import metric_label
from trainer.report.sections import figure_cell

_MOST_GROUPS = 25
_UNKNOWN = "none"


def ranking_section(runs: Sequence[Attribution]) -> str:
    """From the catalogue to the candidates to their order, what that rests on, and whether its probabilities hold."""
    body = [_steps([run.chain for run in runs]), _recall_table([run.chain for run in runs])]
    if len(runs) > 1:
        body.append(html.figure("By seed", _seeds_table(runs)))
    body += _rests_on(runs, "Each objective, among the candidates")
    return html.section(
        "ranking", "What ranking adds", "On the test, from the catalogue to the first ten.", "".join(body)
    )


def shown_section(runs: Sequence[RankerAttribution]) -> str:
    """What a ranker's predictions rest on, and whether its probabilities hold."""
    body = "".join(_rests_on(runs, "Each objective of what was shown"))
    return html.section("ranking", "What it rests on", "Of an even sample of the test.", body)


def _rests_on(runs: Sequence[RankerAttribution], of_objectives: str) -> list[str]:
    body = []
    if runs[0].importance:
        body.append(html.figure("What the order rests on", _importance(runs)))
    if runs[0].objectives:
        table = html.figure(of_objectives, _objectives_table(runs))
        body.append(f'<div class="charts">{table}{_curves(runs)}</div>')
    return body


def _steps(chains: Sequence[Chain]) -> str:
    first = chains[0]
    retrieval, both, found = np.mean(
        [(one.retrieval, one.two_stage, one.recall[one.looked_at]) for one in chains], axis=0
    )
    return html.chain(
        [
            ("Catalogue", f"{first.items:,} items", _of_catalogue(chains)),
            (
                "Candidates",
                f"{first.candidates:,}",
                f"the first {first.looked_at:,} hold {found:.1%} of what was wanted{_loss(chains)}",
            ),
            ("Order of retrieval", f"{retrieval:.4f}", "nDCG@10 of what is nearest first"),
            ("Order of the ranker", f"{both:.4f}", f"nDCG@10, {_percent(_mean([one.gain for one in chains]))}"),
        ]
    )


def _of_catalogue(chains: Sequence[Chain]) -> str:
    if any(one.whole is None for one in chains):
        return f"more than the {LARGEST_CATALOGUE:,} that the ranker would be asked for all of"
    wholes = [one.whole for one in chains if one.whole is not None]
    items = float(np.mean([one.items for one in wholes]))
    return f"nDCG@10 {items:.4f} if the ranker saw all of it ({wholes[0].queries:,} of the queries)"


def _loss(chains: Sequence[Chain]) -> str:
    loss = _mean([None if one.whole is None else one.whole.loss for one in chains])
    return "" if loss is None else f"; nDCG@10 {_percent(-loss)} for ranking these alone"


def _recall_table(chains: Sequence[Chain]) -> str:
    cells = [html.cell("recall of retrieval")]
    cells += [_spread([one.recall[k] for one in chains]) for k in chains[0].recall]
    return html.table(["", *(f"@{k}" for k in chains[0].recall)], [html.row(cells)])


def _seeds_table(runs: Sequence[Attribution]) -> str:
    rows = []
    for seed, run in enumerate(runs):
        one, whole = run.chain, run.chain.whole
        loss = None if whole is None or whole.loss is None else -whole.loss
        cells = [str(seed), f"{one.retrieval:.4f}", f"{one.two_stage:.4f}", _percent(one.gain), _percent(loss)]
        rows.append(html.row(html.cell(value) for value in cells))
    return html.table(["seed", "retrieval", "both stages", "by ranking", "by candidates alone"], rows)


def _importance(runs: Sequence[RankerAttribution]) -> str:
    means = {name: np.array([run.importance.get(name, 0.0) for run in runs]) for name in runs[0].importance}
    names = sorted(means, key=lambda name: -float(means[name].mean()))
    shown, left = names[:_MOST_GROUPS], len(names) - _MOST_GROUPS
    lost = f"{metric_label(runs[0].importance_of)} lost when it is shuffled between the examples"
    chart = charts.by_name({name: means[name] for name in shown}, lost)
    more = f'<p class="dim">{left} more matter less.</p>' if left > 0 else ""
    return html.wide(chart) + more


def _objectives_table(runs: Sequence[RankerAttribution]) -> str:
    shown: dict[str, Callable[[ObjectiveFigures], float | None]] = {
        "AUC": lambda one: one.auc,
        "GAUC": lambda one: one.gauc,
        "log loss": lambda one: one.log_loss,
        "calibration error": lambda one: one.error,
        "calibration error, uncalibrated": lambda one: one.uncalibrated,
        "validation's calibration error": lambda one: one.validation.error_after,
        "validation's, uncalibrated": lambda one: one.validation.error_before,
    }
    objectives = list(runs[0].objectives)
    rows = [
        html.row(
            [
                html.cell(name),
                *(
                    _spread([told(run.objectives[objective]) for run in _with(runs, objective)])
                    for objective in objectives
                ),
            ]
        )
        for name, told in shown.items()
    ]
    return html.table(["", *objectives], rows)


def _curves(runs: Sequence[RankerAttribution]) -> str:
    return "".join(
        html.figure(
            f"Calibration of {objective}, by bins of one size",
            charts.calibration([run.objectives[objective].curve for run in _with(runs, objective)]),
        )
        for objective in runs[0].objectives
        if any((run.objectives[objective].curve.observed > 0).any() for run in _with(runs, objective))
    )


def _with(runs: Sequence[RankerAttribution], objective: str) -> list[RankerAttribution]:
    return [run for run in runs if objective in run.objectives]


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if len(known) == len(values) else None


def _spread(values: Sequence[float | None]) -> str:
    known = [value for value in values if value is not None]
    return figure_cell(float(np.mean(known)), float(deviation(known))) if known else html.cell(_UNKNOWN)


def _percent(value: float | None) -> str:
    return _UNKNOWN if value is None else f"{round(value, 3) + 0.0:+.1%}"
