"""Writes the models of a bundle into a new one."""

import argparse
import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

from shortlist.bundle.index_info import IndexInfo
from shortlist.bundle.json_text import json_text
from shortlist.bundle.manifest import Manifest
from trainer.data.forgotten import read_forgotten
from trainer.export.bundle import by_model, export_bundle
from trainer.export.checkpoint import load_dataset, load_two_stage
from trainer.export.publish import decide
from trainer.jobs.inputs import report_counts
from trainer.jobs.publishing import conclude_decision
from trainer.models.new_items import report_new_items
from trainer.progress import Reporter
from trainer.report import FIGURES, REPORT, noted


def export(options: argparse.Namespace, manifest: Manifest, reporter: Reporter) -> None:
    """Writes the models of a bundle into a new one, with the items, histories and counts of the current data.

    The new bundle keeps the figures and the page of the training, and is published by the same rule as a fit.

    Raises:
        NotPublishedError: the bundle was to be published and is worse than the served one.
    """
    dataset = load_dataset(options.bundle, options.data, read_forgotten(options.forgotten))
    report_counts(dataset, reporter)
    model = load_two_stage(options.bundle, dataset, end=dataset.counts.interactions)
    report_new_items(model, dataset, manifest.bundle_id, reporter)
    decision = decide(options.out, manifest.metrics, model.recipe, asked=options.publish, force=options.force)
    directory = export_bundle(
        model,
        dataset,
        by_model(manifest.metrics),
        options.out,
        sign_key=options.sign_key,
        publish=decision.publish,
        forced=decision.forced or manifest.forced,
        # The models are those of the bundle, and so are its warnings.
        warnings=tuple(dict.fromkeys((*manifest.warnings, *reporter.warnings))),
        report=_kept_report(options.bundle, manifest.bundle_id),
    )
    reporter.conclude(f"wrote {directory}")
    conclude_decision(decision, directory, "export", reporter)


def _kept_report(bundle: Path, bundle_id: str) -> Callable[[IndexInfo], Mapping[str, str]]:
    """The page and the figures of the bundle that was exported, where it has them, each with a note that says so."""
    today = f"{datetime.now(UTC):%Y-%m-%d}"
    page, figures, kept = bundle / REPORT, bundle / FIGURES, dict[str, str]()
    if page.exists():
        note = (
            f"Exported again on {today} from {bundle_id}: the models and everything below are of that bundle; the "
            "histories, the counts and the index are newer than this page."
        )
        kept[REPORT] = noted(page.read_text(encoding="utf-8"), note)
    if figures.exists():
        exported = {"exported_from": bundle_id, "exported_on": today}
        kept[FIGURES] = json_text(json.loads(figures.read_text(encoding="utf-8")) | exported)
    return lambda _: kept
