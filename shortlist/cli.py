"""The command line: asks a ranking service, and shows what it answers."""

import argparse
import sys
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from shortlist.client import Recommender
from shortlist.errors import DeadlineExceeded, InvalidRequest, ShortlistError, Unavailable
from shortlist.messages import Recommendations
from shortlist.settings import add_setting

_EXIT_FAILED = 1
_EXIT_INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command; returns 0, 1 when the service gave no list, 130 after Ctrl-C. Exits with 2 for a wrong usage."""
    arguments = _parser().parse_args(argv)
    try:
        recommendations = _recommend(arguments)
    except ShortlistError as error:
        print(f"shortlist: {_advice(error, arguments)}", file=sys.stderr)
        return _EXIT_FAILED
    except KeyboardInterrupt:
        return _EXIT_INTERRUPTED
    _show(recommendations)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="shortlist", description="Asks a Shortlist ranking service.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    recommend = commands.add_parser(
        "recommend",
        help="print the best items for a user",
        description="Prints the best items for a user. With neither --user nor --history, the popular ones.",
    )
    add_setting(
        recommend, "--target", default="dns:///127.0.0.1:50052", help="where the ranking service is, as gRPC names it"
    )
    recommend.add_argument("--user", default="", metavar="ID", help="the user, as the training data names them")
    recommend.add_argument(
        "--history", nargs="+", default=[], metavar="ID", help="items that the user had to do with, oldest first"
    )
    recommend.add_argument("--limit", type=int, default=10, metavar="N", help="how many items (default %(default)s)")
    recommend.add_argument(
        "--timeout", type=float, default=2.0, metavar="SECONDS", help="how long to wait (default %(default)s)"
    )
    return parser


def _recommend(arguments: argparse.Namespace) -> Recommendations:
    with Recommender(arguments.target, timeout=arguments.timeout) as recommender:
        return recommender.recommend(user_id=arguments.user, history=arguments.history, limit=arguments.limit)


def _show(recommendations: Recommendations) -> None:
    # An item id may look like markup, and has to come out as it is.
    console = Console(markup=False, emoji=False, highlight=False)
    table = Table("rank", "item", "score", "heads", "source")
    for rank, item in enumerate(recommendations.items, start=1):
        heads = ", ".join(f"{name} {score:.4f}" for name, score in sorted(item.heads.items()))
        table.add_row(str(rank), item.item_id, f"{item.score:.4f}", heads, item.source)
    console.print(table)
    console.print(f"{recommendations.found} of {recommendations.asked} items from bundle {recommendations.bundle_id}")
    if recommendations.unknown_items:
        console.print(f"{recommendations.unknown_items} ids are not in the bundle and were ignored")
    if recommendations.degraded:
        console.print(f"degraded: {recommendations.degraded}")


def _advice(error: ShortlistError, arguments: argparse.Namespace) -> str:
    match error:
        case Unavailable() if "Connection refused" in str(error):
            return f"nothing answers at {arguments.target}; start it with python -m ranking_service, or see --target"
        case Unavailable():
            return f"{arguments.target} cannot answer now: {error}; try again"
        case DeadlineExceeded():
            return f"{arguments.target} did not answer within {arguments.timeout:g} s; give it longer with --timeout"
        case InvalidRequest():
            return f"the service refuses the request: {error}"
    return f"{arguments.target} failed: {error}; its log says more"
