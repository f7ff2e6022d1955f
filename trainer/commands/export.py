"""``python -m trainer export``."""

import argparse
from pathlib import Path

from shortlist.bundle.manifest import Manifest
from trainer.commands.arguments import add_forgotten, add_publishing
from trainer.commands.checks import check_publishing
from trainer.files import check_data_folder
from trainer.progress import Reporter

HELP = "write a bundle's models into a new bundle, with newer items, histories and counts"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command."""
    parser.add_argument("--bundle", type=Path, required=True, help="the bundle's directory, such as BUNDLES/<id>")
    parser.add_argument("--data", type=Path, required=True, help="the folder with the tables of the bundle's recipe")
    add_forgotten(parser)
    add_publishing(parser)


def run(options: argparse.Namespace, reporter: Reporter) -> None:
    """See :func:`trainer.jobs.export.export`."""
    check_publishing(options)
    manifest = Manifest.read(options.bundle)
    check_data_folder(options.data)
    # PyTorch takes seconds to load, and a mistake needs no wait.
    from trainer.jobs.export import export

    export(options, manifest, reporter)
