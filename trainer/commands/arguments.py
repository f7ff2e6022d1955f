"""Arguments that several commands share."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from trainer.protocols import DEFAULT


def add_inputs(parser: argparse.ArgumentParser) -> None:
    """Adds ``--recipe`` and ``--data``."""
    parser.add_argument(
        "--recipe", type=Path, required=True, help="the recipe, a TOML file such as trainer/recipes/movielens.toml"
    )
    parser.add_argument("--data", type=Path, required=True, help="the folder with the tables that the recipe names")


def add_forgotten(parser: argparse.ArgumentParser) -> None:
    """Adds ``--forgotten``."""
    parser.add_argument(
        "--forgotten",
        type=Path,
        metavar="FILE",
        help="leave out the users of this list, which `shortlist events forgotten` writes",
    )


def add_protocol(parser: argparse.ArgumentParser, choices: Sequence[str], help: str) -> None:
    """Adds ``--protocol``."""
    parser.add_argument("--protocol", choices=choices, default=DEFAULT, help=f"{help} (default: {DEFAULT})")


def add_report(parser: argparse.ArgumentParser, help: str) -> None:
    """Adds ``--report``."""
    parser.add_argument("--report", type=Path, metavar="FILE", help=help)


def add_publishing(parser: argparse.ArgumentParser) -> None:
    """Adds ``--out``, ``--sign-key``, ``--publish`` and ``--force``."""
    parser.add_argument("--out", type=Path, required=True, metavar="BUNDLES", help="the directory of bundles")
    parser.add_argument("--sign-key", type=Path, metavar="FILE", help="sign the bundle with this private key (PEM)")
    parser.add_argument(
        "--publish",
        action="store_true",
        help="serve the new bundle, unless its validation metric is below the served bundle's by more than the "
        "recipe's [publish] margin. Then the served bundle stays and the exit code is 3. The same holds when "
        "its ranker makes retrieval's lists worse. Without --publish, only the first bundle of a directory is served, "
        "if the strongest baseline of its test does not rank better",
    )
    parser.add_argument(
        "--force",
        action="store_true",
        help="with --publish: serve the bundle even if it is worse, and record that in its manifest",
    )


def positive(text: str) -> int:
    """An argument that is a positive whole number."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return value
