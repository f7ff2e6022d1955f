"""Tables of the training benchmark, and extrapolations from its figures."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

Stages = Mapping[str, Mapping[str, float]]
_SECONDS_AN_HOUR = 3600
_FORMULAS = {
    "epoch": "epoch hours = events / examples a second of the largest slice / 3600",
    "load": "load hours = events / events a second of the largest slice / 3600",
    "memory": "private MB = intercept + growth * events, by least squares over the peaks of the slices (growth at "
    "least 0). Users grow with the events, the catalogue does not. The ranker's examples and the item tables come on "
    "top; the recipe bounds both",
}


def extrapolated(slices: Sequence[Stages], events: int) -> dict[str, Any]:
    """Extrapolates from slices, the largest last, to all events; the result holds the formulas."""
    largest = slices[-1]
    read = [part["load"]["events"] for part in slices]
    private = [max(part["load"]["private_mb"], part["encoder"]["private_mb"]) for part in slices]
    growth = max(0.0, float(np.polyfit(read, private, 1)[0]))
    return {
        "events": events,
        "epoch_hours": events / largest["encoder"]["examples_a_second"] / _SECONDS_AN_HOUR,
        "load_hours": events / (read[-1] / largest["load"]["seconds"]) / _SECONDS_AN_HOUR,
        "private_bytes_an_event": growth * 2**20,
        "private_mb": float(np.mean(private)) + growth * (events - float(np.mean(read))),
        "formulas": _FORMULAS,
    }


def crossing(by_items: Mapping[int, Stages]) -> dict[str, float | None]:
    """The catalogue sizes from which the sampled softmax is faster and smaller, by log-log interpolation."""
    return {f"crossing_by_{key}": _crossing(by_items, key) for key in ("step_ms", "private_mb")}


def _crossing(by_items: Mapping[int, Stages], key: str) -> float | None:
    sizes = sorted(by_items)
    above = [math.log(by_items[size]["full"][key] / by_items[size]["sampled"][key]) for size in sizes]
    for place in range(1, len(sizes)):
        if above[place - 1] <= 0 < above[place]:
            share = above[place - 1] / (above[place - 1] - above[place])
            return float(sizes[place - 1] * (sizes[place] / sizes[place - 1]) ** share)
    return None


def print_report(result: Mapping[str, Any], console: Console) -> None:
    """Prints the tables, and the extrapolation with its formulas."""
    console.print(_speeds(result))
    console.print(_lists(result["by_lists"]))
    console.print(_softmax(result["softmax"]))
    whole = result["large"]["extrapolated"]
    console.print(
        f"Extrapolated, not measured, for {whole['events']:,} events: {whole['epoch_hours']:.2f} h an epoch of the "
        f"encoder, {whole['load_hours']:.2f} h to load, {whole['private_mb']:,.0f} MB of private memory "
        f"({whole['private_bytes_an_event']:.1f} bytes an event).",
        highlight=False,
    )
    for formula in whole["formulas"].values():
        console.print(f"  {formula}.", highlight=False)


def _speeds(result: Mapping[str, Any]) -> Table:
    table = Table(title=f"Training on {result['threads']} threads; memory is the peak of each stage")
    names = ("events x items", "stage", "examples/s", "step ms", "loading", "padding", "private MB", "file pages MB")
    for name in names:
        table.add_column(name, justify="left" if name in names[:2] else "right")
    large = result["large"]
    runs = {f"{_millions(result['ml_1m'])} x {result['ml_1m']['items']:,}": result["ml_1m"]}
    for part in (*large["slices"], large["ranker_slice"]):
        runs[f"{_millions(part)} x {large['items']:,}"] = part
    for length, stages in result["by_length"].items():
        runs[f"{_millions(stages)} x {stages['items']:,}, {length} a user"] = stages
    for data, stages in runs.items():
        for stage in ("load", "encoder", "tables", "candidates", "ranker"):
            if stage in stages:
                table.add_row(data, stage, *_cells(stages[stage]))
                data = ""
    return table


def _lists(by_lists: Sequence[Mapping[str, Any]]) -> Table:
    table = Table(title="The ranker, by the candidates of a list and the events of a history that it reads")
    for name in ("candidates", "history", "learnt lists/s", "CPU ms a step", "retrieved lists/s", "SLIM and counts, s"):
        table.add_column(name, justify="right")
    for one in by_lists:
        stages = one["stages"]
        table.add_row(
            str(one["lists"]),
            str(one["history"]),
            f"{stages['ranker']['examples_a_second']:,.0f}",
            f"{stages['ranker']['step_cpu_ms']:.1f}",
            f"{stages['candidates']['examples_a_second']:,.0f}",
            f"{stages['tables']['seconds']:.1f}",
        )
    return table


def _millions(stages: Stages) -> str:
    return f"{stages['load']['events'] / 1e6:.2f} M"


def _cells(stage: Mapping[str, float]) -> list[str]:
    speed = stage.get("examples_a_second", stage["events"] / stage["seconds"] if "events" in stage else None)
    return [
        f"{speed:,.0f}" if speed else "",
        f"{stage['step_ms']:.1f}" if "step_ms" in stage else "",
        f"{stage['loading_share']:.1%}" if "loading_share" in stage else "",
        f"{stage['padding']:.1%}" if "padding" in stage else "",
        f"{stage['private_mb']:,.0f}",
        f"{stage['file_mb']:,.0f}",
    ]


def _softmax(softmax: Mapping[str, Any]) -> Table:
    faster, smaller = (softmax[f"crossing_by_{key}"] for key in ("step_ms", "private_mb"))
    gains = " and ".join(
        f"{gain} from {items:,.0f} items on" for gain, items in (("faster", faster), ("smaller", smaller)) if items
    )
    table = Table(
        title=f"The sampled softmax is {gains or 'neither faster nor smaller'}; the limit is {softmax['limit']:,}"
    )
    for name in ("items", "full, ms a step", "sampled", "full, private MB", "sampled"):
        table.add_column(name, justify="right")
    for items, kinds in softmax["by_items"].items():
        times = [f"{kinds[kind]['step_ms']:.1f}" for kind in ("full", "sampled")]
        memory = [f"{kinds[kind]['private_mb']:,.0f}" for kind in ("full", "sampled")]
        table.add_row(f"{items:,}", *times, *memory)
    return table
