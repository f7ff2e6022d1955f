"""The sections of a report, in reading order."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from markupsafe import Markup

from shortlist.bundle.index_info import IndexInfo
from trainer.analysis.tables import Spread
from trainer.baselines.linear import BASELINES
from trainer.report import charts
from trainer.report.findings import Findings, Measured, is_baseline
from trainer.report.item_map import ItemMap
from trainer.report.names import is_error, metric_label, model_colour, model_label
from trainer.report.people import People
from trainer.report.rendering import Figure, KeyEntry, ModelRow, render
from trainer.report.slices import HISTORY, ITEMS, POPULARITY, USERS
from trainer.training.log import Line

# Recommending at random is best at these.
_UNJUDGED = ("coverage", "gini", "novelty")
_GROUP_CHARTS = {
    POPULARITY: ("By popularity of the relevant item", "tenth of the catalogue, 10 is the most popular"),
    HISTORY: ("By length of the history", "interactions in the user's history"),
}
_GROUP_TABLES = {USERS: "New users", ITEMS: "New items"}


def figures_section(found: Measured) -> Markup:
    """Every metric of every model, without single folds, and a bar for the metric that decides."""
    figures, metric = found.figures, found.chosen_by
    names = [name for name in next(iter(figures.values())) if not name.endswith("]")]
    best = {name: _best(figures, name) for name in names if not name.startswith(_UNJUDGED)}
    longest = max(abs(row[metric][0]) for row in figures.values()) or 1.0
    models = [
        ModelRow(
            name=model,
            figures=[Figure.of(*row[name], best=row[name][0] == best.get(name)) for name in names],
            bar=100 * abs(row[metric][0]) / longest,
        )
        for model, row in figures.items()
    ]
    choice = (
        f"{metric_label(metric)} on the validation chose the epochs" if found.logs else "the recipe sets the epochs"
    )
    return render("figures", names=names, metric=metric, models=models, choice=choice)


def events_section(found: Findings, weights: Mapping[str, float]) -> Markup:
    """The figures on the questions about each kind of event, and the ``weights`` of the objectives in the order."""
    kinds = {
        kind: {
            "questions": found.groups.by_event[kind],
            "names": list(next(iter(spread.values()))),
            "models": [
                ModelRow(
                    name=model,
                    figures=[Figure.of(*row[name], best=row[name][0] == _best(spread, name)) for name in row],
                )
                for model, row in spread.items()
            ],
        }
        for kind, spread in found.by_event.items()
    }
    shown = [f"{name} {weight:g}" for name, weight in weights.items()]
    return render("events", kinds=kinds, weights=", ".join(shown))


def folds_section(found: Measured) -> Markup:
    """The metric that decides, on each fold."""
    figures, metric = found.figures, found.chosen_by
    names = [name for name in next(iter(figures.values())) if name.startswith(f"{metric}[")]
    best = {name: _best(figures, name) for name in names}
    models = [
        ModelRow(name=model, figures=[Figure.of(*row[name], best=row[name][0] == best[name]) for name in names])
        for model, row in figures.items()
    ]
    return render("folds", metric=metric, folds=[name.removeprefix(metric)[1:-1] for name in names], models=models)


def recall_section(found: Findings) -> Markup:
    """Recall by the length of the list."""
    chart = charts.by_k({name: _series(found, name, None) for name in found.figures})
    return render("recall", entries=_key(found), chart=chart)


def groups_section(found: Findings) -> Markup:
    """Recall by how popular the item is, how long the history is, and how known the user and the item are."""
    drawn = {}
    for kind, (title, x_label) in _GROUP_CHARTS.items():
        grouping = found.groups.kinds[kind]
        series = {name: _series(found, name, kind) for name in found.figures}
        drawn[title] = charts.by_group(series, grouping.labels, grouping.sizes, x_label)
    tables = [_group_table(found, kind, title) for kind, title in _GROUP_TABLES.items()]
    return render("groups", cut=found.groups.cut, entries=_key(found), charts=drawn, tables=tables)


def people_section(people: People) -> Markup:
    """Some people's lists, and the reach of every model's."""
    reach = [
        {"name": model_label(name), "ours": not is_baseline(name), "reach": one} for name, one in people.reach.items()
    ]
    return render("people", model=model_label(people.model), people=people.people, reach=reach)


def training_section(found: Measured) -> Markup:
    """Loss and validation metric of each stage by epoch."""
    logs = found.logs.items()
    stages = {
        "Retrieval": {name: (log.encoder, log.encoder_chosen_by) for name, log in logs},
        "Ranking": {name: (log.ranker, log.ranker_chosen_by) for name, log in logs},
    }
    drawn = {title: chart for title, runs in stages.items() if (chart := _stage_chart(runs)) is not None}
    entries = [KeyEntry(label=name, colour=charts.run_colour(number)) for number, name in enumerate(found.logs)]
    return render("training", entries=entries, charts=drawn)


def map_section(items: ItemMap) -> Markup:
    """The item vectors in the plane."""
    colours = charts.map_colours(items)
    entries = [
        KeyEntry(label=label, colour=colour, kind="dot") for label, colour in zip(items.labels, colours, strict=True)
    ]
    return render("map", items=items, entries=entries, chart=charts.item_map(items))


def index_section(index: IndexInfo) -> Markup:
    """Every index that was tried, and the others with the reason."""
    return render("index", index=index)


def recipe_section(recipe: Mapping[str, Any], default: Mapping[str, Any]) -> Markup:
    """The settings of the run; those that are not the default stand out."""
    lines = []
    for name, part in recipe.items():
        usual = default[name] or {}
        for key, value in (part or {}).items():
            changed = key not in usual or usual[key] != value
            lines.append({"key": f"[{name}] {key}", "value": _plain(value), "changed": changed})
    return render("recipe", lines=lines)


def _stage_chart(runs: Mapping[str, tuple[Sequence[Line], str]]) -> Markup | None:
    """The runs whose epoch a validation chose; not all have one."""
    chosen = {name: lines for name, (lines, by) in runs.items() if lines and by in lines[0]}
    [metric] = {by for _, by in runs.values()}
    return charts.by_epoch(chosen, metric) if chosen else None


def _best(figures: Spread, name: str) -> float:
    values = [row[name][0] for row in figures.values()]
    return min(values) if is_error(name.partition("[")[0]) else max(values)


def _group_table(found: Findings, kind: str, title: str) -> dict[str, object]:
    grouping = found.groups.kinds[kind]
    there = np.flatnonzero(grouping.sizes).tolist()

    def row(name: str) -> ModelRow:
        slices = [run.slices[name].by_group[kind] for run in found.runs]
        return ModelRow(name=name, figures=[Figure.of_runs([float(one[group]) for one in slices]) for group in there])

    return {
        "title": title,
        "labels": [grouping.labels[group] for group in there],
        "sizes": [int(grouping.sizes[group]) for group in there],
        "models": [row(name) for name in found.figures],
    }


def _series(found: Findings, name: str, kind: str | None) -> charts.Series:
    slices = [run.slices[name] for run in found.runs]
    if name in BASELINES:
        # The same for every seed, unlike boosted trees.
        slices = slices[:1]
    runs = np.stack([one.by_k if kind is None else one.by_group[kind] for one in slices])
    return charts.Series(colour=model_colour(name), runs=runs, strong=not is_baseline(name))


def _key(found: Findings) -> list[KeyEntry]:
    return [
        KeyEntry(label=model_label(name), colour=model_colour(name), kind="baseline" if is_baseline(name) else "line")
        for name in found.figures
    ]


def _plain(value: object) -> str:
    if isinstance(value, tuple | list):
        return ", ".join(str(one) for one in value) or "none"
    return "none" if value is None else str(value)
