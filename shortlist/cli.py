"""The command line: asks a ranking service, records events, hides items, and manages bundles and logs."""

import argparse
from collections.abc import Sequence

from shortlist import __version__
from shortlist.commands.answers import add_answers
from shortlist.commands.bundles import add_bundles
from shortlist.commands.events import add_events
from shortlist.commands.items import add_items
from shortlist.commands.recommend import add_recommend, add_similar

_EXIT_INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command; returns 0, 1 after a failure, or 130 after Ctrl-C. Wrong usage exits with 2."""
    arguments = _parser().parse_args(argv)
    try:
        exit_code: int = arguments.run(arguments)
    except KeyboardInterrupt:
        return _EXIT_INTERRUPTED
    return exit_code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="shortlist",
        description="Asks a ranking service, records events, hides items, and manages bundles and the log of answers.",
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    add_recommend(commands)
    add_similar(commands)
    add_events(commands)
    add_items(commands)
    add_bundles(commands)
    add_answers(commands)
    return parser
