"""``python -m trainer export``."""

import argparse
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from shortlist.bundle.index_info import IndexInfo
from shortlist.bundle.manifest import Manifest
from trainer.commands.inputs import add_forgotten, report_counts
from trainer.commands.publishing import add_publishing, check_publishing, report_decision
from trainer.data.forgotten import read_forgotten
from trainer.export.bundle import by_model, export_bundle
from trainer.export.checkpoint import load_dataset, load_two_stage
from trainer.export.publish import decide
from trainer.models.new_items import report_new_items
from trainer.progress import Reporter
from trainer.report import REPORT, noted

HELP = "write a bundle's models into a new bundle, with newer items, histories and counts"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command."""
    parser.add_argument("--bundle", type=Path, required=True, help="the bundle's directory, such as BUNDLES/<id>")
    parser.add_argument("--data", type=Path, required=True, help="the folder with the tables of the bundle's recipe")
    add_forgotten(parser)
    add_publishing(parser)


def run(options: argparse.Namespace, reporter: Reporter) -> None:
    """Writes the models of a bundle into a new one, with the items, histories and counts of the current data.

    The new bundle keeps the figures and the page of the training, and is published by the same rule as a fit.

    Raises:
        NotPublishedError: the bundle was to be published and is worse than the served one.
    """
    check_publishing(options)
    manifest = Manifest.read(options.bundle)
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
        report=_kept_page(options.bundle / REPORT, manifest.bundle_id),
    )
    reporter.say(f"wrote {directory}")
    report_decision(decision, directory, "export", reporter)


def _kept_page(page: Path, bundle_id: str) -> Callable[[IndexInfo], str] | None:
    """The page of the bundle that was exported, under a line that says so; None if it has no page."""
    if not page.exists():
        return None
    note = (
        f"Exported again on {datetime.now(UTC):%Y-%m-%d} from {bundle_id}: the models and everything below are of "
        "that bundle; the histories, the counts and the index are newer than this page."
    )
    return lambda _: noted(page.read_text(encoding="utf-8"), note)
