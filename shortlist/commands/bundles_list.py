"""``shortlist bundles list``: a table for people, JSON for programs."""

import argparse
from datetime import UTC, datetime
from typing import Any

from rich import box
from rich.console import Console
from rich.filesize import decimal
from rich.table import Table

from shortlist.bundle.json_text import json_text
from shortlist.bundle.manifest import Manifest
from shortlist.bundle.operations import Listed, list_bundles
from shortlist.bundle.store import BundleStore
from shortlist.commands.command import fail

# Metrics of both stages together, from the test of `trainer fit`.
_METRICS = ("hr@10", "ndcg@10", "recall@200")
# Wider than the table, so that rich cuts nothing; a narrower terminal wraps the lines.
_WIDTH = 200
_SHOWN_DIGITS = 12


def show_bundles(arguments: argparse.Namespace, store: BundleStore) -> int:
    """Prints every bundle of the directory; returns the exit code."""
    listed = list_bundles(store)
    if arguments.json:
        print(json_text([_as_json(one) for one in listed]), end="")
        return 0
    if not listed:
        return fail(f"{store.root} has no bundles; see --bundles")
    _show_table(listed)
    return 0


def _show_table(listed: list[Listed]) -> None:
    # A manifest may come from anywhere; text that looks like markup must print unchanged.
    console = Console(markup=False, emoji=False, highlight=False, width=_WIDTH)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for name in ("bundle", "made (UTC)"):
        table.add_column(name)
    for name in ("items", "users"):
        table.add_column(name, justify="right")
    table.add_column("index")
    for name in ("recall", *_METRICS, "size"):
        table.add_column(name, justify="right")
    for name in ("signed by", ""):
        table.add_column(name)
    for one in listed:
        table.add_row(one.bundle_id, *_cells(one.manifest), decimal(one.size), _signed_by(one), _marks(one))
    console.print(table)
    for one in listed:
        if one.problem:
            console.print(f"{one.bundle_id}: {one.problem}", soft_wrap=True)


def _cells(manifest: Manifest | None) -> list[str]:
    if manifest is None:
        return [""] * (5 + len(_METRICS))
    metrics = [manifest.metrics.get(f"two_stage/{name}") for name in _METRICS]
    made = datetime.fromisoformat(manifest.create_time).astimezone(UTC)
    counts = [f"{made:%Y-%m-%d %H:%M}", f"{manifest.item_count:,}", f"{manifest.user_count:,}"]
    figures = ["" if value is None else f"{value:.3f}" for value in (manifest.index.recall, *metrics)]
    return [*counts, manifest.index.spec, *figures]


def _signed_by(one: Listed) -> str:
    return "nobody" if one.signed_by is None else one.signed_by[:_SHOWN_DIGITS] or "unknown"


def _marks(one: Listed) -> str:
    forced = one.manifest is not None and bool(one.manifest.forced)
    marks = (("current", one.current), ("pinned", one.pinned), ("forced", forced), ("unreadable", bool(one.problem)))
    return ", ".join(name for name, holds in marks if holds)


def _as_json(one: Listed) -> dict[str, Any]:
    described: dict[str, Any] = {
        "id": one.bundle_id,
        "current": one.current,
        "pinned": one.pinned,
        "bytes": one.size,
        "problem": one.problem or None,
        "signed_by": one.signed_by,
    }
    if one.manifest is not None:
        described |= {
            "create_time": one.manifest.create_time,
            "items": one.manifest.item_count,
            "users": one.manifest.user_count,
            "index": {
                "spec": one.manifest.index.spec,
                "parameters": one.manifest.index.parameters,
                "recall": one.manifest.index.recall,
                "recall_at": one.manifest.index.recall_at,
            },
            "metrics": dict(one.manifest.metrics),
            "forced": one.manifest.forced or None,
        }
    return described
