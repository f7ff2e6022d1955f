"""Arguments and messages of the commands that write a bundle."""

import argparse
from pathlib import Path

from trainer.commands.outputs import check_folder, check_key
from trainer.errors import NotPublishedError
from trainer.export.publish import Decision
from trainer.progress import Reporter

_NEXT_STEPS = (
    "{id} is written but not served. If you accept that, `shortlist bundles pin {id} --bundles {root}` "
    "serves it, and `{command} --publish --force` publishes regardless"
)


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


def check_publishing(options: argparse.Namespace) -> None:
    """Raises TrainerError when ``--out`` or ``--sign-key`` cannot be used: before the training, not after it."""
    check_folder("--out", options.out)
    check_key(options.sign_key)


def report_decision(decision: Decision, directory: Path, command: str, reporter: Reporter) -> None:
    """Reports whether the bundle is served.

    Raises:
        NotPublishedError: the bundle was to be published, and is worse than the served one or than a baseline.
    """
    if decision.refused:
        next_steps = _NEXT_STEPS.format(id=directory.name, root=directory.parent, command=command)
        raise NotPublishedError(f"{decision.text}. {next_steps}")
    reporter.say(f"{directory.name}: {decision.text}")
