"""The parts of a report, in the order they are read."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from shortlist.bundle.manifest import IndexInfo
from trainer.analysis.tables import Spread, deviation
from trainer.baselines.linear import BASELINES
from trainer.report import charts, html
from trainer.report.findings import Findings, Measured, is_baseline
from trainer.report.item_map import ItemMap
from trainer.report.names import is_error, metric_label, model_colour, model_label
from trainer.report.slices import HISTORY, ITEMS, POPULARITY, USERS
from trainer.training.log import Line

_LEAST_SPREAD = 5e-5
# Recommending at random is best at these.
_UNJUDGED = ("coverage", "gini", "novelty")


def figures_section(found: Measured) -> str:
    """Every metric of every model but of single folds, and a bar for the one that decides."""
    figures, metric = found.figures, found.chosen_by
    names = [name for name in next(iter(figures.values())) if not name.endswith("]")]
    best = {name: _best(figures, name) for name in names if not name.startswith(_UNJUDGED)}
    longest = max(abs(row[metric][0]) for row in figures.values()) or 1.0
    rows = []
    for model, row in figures.items():
        cells = [html.cell(model_label(model))]
        cells += [figure_cell(*row[name], best=row[name][0] == best.get(name)) for name in names]
        width = f"width:{100 * abs(row[metric][0]) / longest:.1f}%;background:var(--series-{model_colour(model)})"
        cells.append(f'<td class="bar"><i style="{width}"></i></td>')
        rows.append(html.row(cells, "" if is_baseline(model) else "ours"))
    head = ["", *(metric_label(name) for name in names), metric_label(metric)]
    decided = f"{metric_label(metric)} on the validation decided" if found.logs else "how long to train is the recipe's"
    about = f"On the test, which nothing was chosen by; {decided}."
    return html.section("figures", "Beside the baselines", about, html.table(head, rows))


def folds_section(found: Measured) -> str:
    """What decides, of each fold."""
    figures, metric = found.figures, found.chosen_by
    names = [name for name in next(iter(figures.values())) if name.startswith(f"{metric}[")]
    rows = []
    for model, row in figures.items():
        cells = [figure_cell(*row[name], best=row[name][0] == _best(figures, name)) for name in names]
        rows.append(html.row([html.cell(model_label(model)), *cells], "" if is_baseline(model) else "ours"))
    table = html.table(["", *(name.removeprefix(metric)[1:-1] for name in names)], rows)
    return html.section("folds", "By fold", f"{metric_label(metric)} of each, predicted by the others.", table)


def recall_section(found: Findings) -> str:
    """Recall by the length of the list."""
    chart = charts.by_k({name: _series(found, name, None) for name in found.figures})
    body = _key(found) + html.wide(chart)
    return html.section("recall", "Recall by k", "The share of what was wanted that is among the first k.", body)


def groups_section(found: Findings) -> str:
    """Recall by how popular the item, how long the history, and how known the user and the item are."""
    cut = found.groups.cut
    shown = {
        POPULARITY: ("By popularity of the wanted item", "tenth of the catalogue, 10 the most popular"),
        HISTORY: ("By length of the history", "interactions known of who asks"),
    }
    drawn = []
    for kind, (title, about) in shown.items():
        grouping = found.groups.kinds[kind]
        series = {name: _series(found, name, kind) for name in found.figures}
        drawn.append(html.figure(title, charts.by_group(series, grouping.labels, grouping.sizes, about)))
    for kind, title in ((USERS, "New users"), (ITEMS, "New items")):
        drawn.append(html.figure(f"{title}, by interactions learnt from", _group_table(found, kind)))
    about = f"Recall@{cut} of the wanted items of each group."
    body = f'{_key(found)}<div class="charts">{"".join(drawn)}</div>'
    return html.section("groups", "Who is served well", about, body)


def training_section(found: Measured) -> str:
    """Loss and validation figure of each stage by epoch."""
    logs = found.logs.items()
    drawn = _stage("Retrieval", {name: (log.encoder, log.encoder_chosen_by) for name, log in logs})
    drawn += _stage("Ranking", {name: (log.ranker, log.ranker_chosen_by) for name, log in logs})
    key = html.key((name, charts.run_colour(number), "line") for number, name in enumerate(found.logs))
    return html.section(
        "training", "Training", "By epoch; training ends when the validation no longer grows.", key + drawn
    )


def map_section(items: ItemMap) -> str:
    """The item vectors in the plane."""
    about = (
        f"{len(items.points):,} item vectors on their first two principal components, which hold "
        f"{items.explained:.0%} of their variance{f', by {items.column}' if items.column else ''}."
    )
    key = html.key(
        (label, colour, "dot") for label, colour in zip(items.labels, charts.map_colours(items), strict=True)
    )
    return html.section("map", "Items", about, key + html.wide(charts.item_map(items)))


def index_section(index: IndexInfo) -> str:
    """Every index that was tried, and those that were not, with the reason."""
    rows = [
        html.row(
            [
                html.cell(f"{trial.spec} {trial.parameters}"),
                html.cell(f"{trial.recall:.4f}"),
                html.cell(f"{trial.search_us:.0f}"),
                html.cell(f"{trial.search_us_batch:.0f}"),
                html.cell(f"{trial.bytes_per_vector:.0f}"),
                html.cell(f"{trial.build_seconds:.1f}"),
            ],
            "chosen" if trial.chosen else "",
        )
        for trial in index.trials
    ]
    rows += [
        f'<tr><td>{html.text(spec)}</td><td class="text dim" colspan="5">not tried: {html.text(reason)}</td></tr>'
        for spec, reason in index.not_tried.items()
    ]
    head = ["index", f"recall@{index.recall_at}", "µs alone", "µs of eight", "bytes a vector", "built s"]
    about = (
        f"The fastest with a recall of at least {index.target} is {index.spec} {index.parameters}".rstrip()
        + f"; it finds {index.recall:.4f} of the exact nearest {index.recall_at}."
    )
    return html.section("index", "Index", about, html.table(head, rows))


def recipe_section(recipe: Mapping[str, Any], default: Mapping[str, Any]) -> str:
    """What the run was told; what is not the default stands out."""
    rows = []
    for name, part in recipe.items():
        usual = default[name] or {}
        for key, value in (part or {}).items():
            changed = key not in usual or usual[key] != value
            rows.append(html.row([html.cell(f"[{name}] {key}"), html.cell(_plain(value))], "ours" if changed else ""))
    body = f"<details><summary>every key</summary>{html.table(['key', 'value'], rows)}</details>"
    changes = [line for line in rows if "ours" in line]
    if changes:
        body = html.table(["not the default", ""], changes) + body
    return html.section("recipe", "Recipe", "What the run was told.", body)


def _stage(title: str, runs: Mapping[str, tuple[Sequence[Line], str]]) -> str:
    """Of those that a validation chose the epoch of: not all have one."""
    chosen = {name: lines for name, (lines, by) in runs.items() if lines and by in lines[0]}
    [metric] = {by for _, by in runs.values()}
    return html.figure(title, html.wide(charts.by_epoch(chosen, metric))) if chosen else ""


def _best(figures: Spread, name: str) -> float:
    values = [row[name][0] for row in figures.values()]
    return min(values) if is_error(name.partition("[")[0]) else max(values)


def _group_table(found: Findings, kind: str) -> str:
    grouping = found.groups.kinds[kind]
    there = np.flatnonzero(grouping.sizes).tolist()
    rows = [html.row([html.cell("wanted"), *(html.cell(f"{grouping.sizes[group]:,}") for group in there)], "dim")]
    for name in found.figures:
        cells = [html.cell(model_label(name))]
        for group in there:
            values = [run.slices[name].by_group[kind][group] for run in found.runs]
            cells.append(figure_cell(float(np.mean(values)), float(deviation(values))))
        rows.append(html.row(cells, "" if is_baseline(name) else "ours"))
    return html.table(["", *(grouping.labels[group] for group in there)], rows)


def _series(found: Findings, name: str, kind: str | None) -> charts.Series:
    slices = [run.slices[name] for run in found.runs]
    if name in BASELINES:
        # The same for every seed, which boosted trees are not.
        slices = slices[:1]
    runs = np.stack([one.by_k if kind is None else one.by_group[kind] for one in slices])
    return charts.Series(colour=model_colour(name), runs=runs, strong=not is_baseline(name))


def _key(found: Findings) -> str:
    return html.key(
        (model_label(name), model_colour(name), "baseline" if is_baseline(name) else "line") for name in found.figures
    )


def figure_cell(mean: float, spread: float, *, best: bool = False) -> str:
    """A figure as mean and standard deviation over the seeds, where they differ."""
    shown = f' <span class="spread">± {spread:.4f}</span>' if spread >= _LEAST_SPREAD else ""
    return f'<td class="best">{mean:.4f}{shown}</td>' if best else f"<td>{mean:.4f}{shown}</td>"


def _plain(value: object) -> str:
    if isinstance(value, tuple | list):
        return ", ".join(str(one) for one in value) or "none"
    return "none" if value is None else str(value)
