"""The data that the work of the commands reads."""

from pathlib import Path

import torch

from trainer.data import Dataset, load
from trainer.data.forgotten import read_forgotten
from trainer.models.rankers.event_objectives import with_event_objectives
from trainer.models.rankers.objectives import Objectives
from trainer.progress import Reporter
from trainer.recipe import Recipe


def read_inputs(
    recipe: Recipe, data: Path, reporter: Reporter, forgotten: Path | None = None
) -> tuple[Recipe, Dataset]:
    """Reads the data, without users of the list ``forgotten``, and adds the objectives that it gives to the recipe.

    From here on, PyTorch is deterministic under a seed.
    """
    torch.use_deterministic_algorithms(True)
    reporter.say(f"reading {data}")
    dataset = load(data, recipe, forgotten=read_forgotten(forgotten))
    report_counts(dataset, reporter)
    recipe = with_event_objectives(recipe, dataset)
    _say_objectives(recipe, dataset, reporter)
    # Refuse bad objectives now, not after hours of training.
    Objectives.of(recipe, dataset)
    return recipe, dataset


def _say_objectives(recipe: Recipe, dataset: Dataset, reporter: Reporter) -> None:
    by_event = {name: one.weight for name, one in recipe.objectives.items() if one.events and one.weight is not None}
    if by_event:
        reporter.say(f"objectives and their weights: {', '.join(f'{name} {one:g}' for name, one in by_event.items())}")
    columns = recipe.interactions
    if len(dataset.event_names) > 1 and not (columns.positive_events or columns.seen_events or columns.positive_value):
        reporter.warn(
            f"{columns.file}: has {len(dataset.event_names)} kinds of events, and [interactions] positive_events is "
            "missing. So each of them is a like and keeps its item from later lists: a purchase after a view counts "
            "for nothing. Name the events that lists shall lead to"
        )


def report_counts(dataset: Dataset, reporter: Reporter) -> None:
    """Reports the size of the data and the rows that were left out, and passes its warnings on."""
    counts, impressions = dataset.counts, dataset.impressions
    reporter.say(
        f"read {counts.interactions:,} interactions of {counts.users:,} users with {counts.items:,} items; "
        f"dropped {counts.duplicates_dropped:,} duplicates; "
        f"{counts.items_without_interactions:,} items have no interactions"
    )
    if dataset.seen_events.names:
        others = ", ".join(name for name in dataset.event_names if name not in dataset.seen_events.names)
        reporter.say(f"lists leave out the items of {', '.join(dataset.seen_events.names)}, and keep those of {others}")
    if counts.items_without_row or counts.users_without_row:
        reporter.say(
            f"{counts.items_without_row:,} items and {counts.users_without_row:,} users of the interactions have no "
            "usable row in their tables"
        )
    listed = int(dataset.listed.sum())
    if listed < counts.items:
        reporter.say(f"lists hold {listed:,} of {counts.items:,} items; {counts.items_unavailable:,} are unavailable")
    if impressions is not None:
        reporter.say(f"read {len(impressions):,} impressions; left out {impressions.unknown_items:,} of unknown items")
    for text in dataset.warnings:
        reporter.warn(text)
