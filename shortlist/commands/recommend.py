"""``shortlist recommend`` and ``similar``: call a ranking service and print its answer."""

import argparse
from collections.abc import Callable

from rich.console import Console
from rich.table import Table

from shortlist.client import Recommender
from shortlist.client.messages import Recommendations
from shortlist.commands.command import Commands, advice, fail
from shortlist.errors import ShortlistError
from shortlist.flags import add_setting
from shortlist.limits import DEFAULT_LIMIT, DEFAULT_TIMEOUT_SECONDS
from shortlist.security.settings import add_client_security, read_client_security


def add_recommend(commands: Commands) -> None:
    """Adds the command."""
    recommend = commands.add_parser(
        "recommend",
        help="print the best items for a user",
        description="Prints the best items for a user. Without --user and --history, prints popular items.",
    )
    recommend.add_argument("--user", default="", metavar="ID", help="the user's id in the training data")
    recommend.add_argument(
        "--history", nargs="+", default=[], metavar="ID", help="ids of items the user interacted with, oldest first"
    )
    recommend.add_argument(
        "--append",
        action="store_true",
        help="add --history to the history that the bundle has of --user, in place of replacing it",
    )
    _add_call(recommend, _recommend)


def add_similar(commands: Commands) -> None:
    """Adds the command."""
    similar = commands.add_parser(
        "similar",
        help="print the items that go best with others",
        description="Prints the items that go best with an item, or with a basket of several.",
    )
    similar.add_argument("--items", nargs="+", required=True, metavar="ID", help="ids of the items")
    similar.add_argument(
        "--event", default="", help="a kind of interaction that counts as a like; by default, any interaction counts"
    )
    _add_call(similar, _similar)


def _add_call(
    command: argparse.ArgumentParser, call: Callable[[Recommender, argparse.Namespace], Recommendations]
) -> None:
    """Adds the arguments of every call, and runs it."""
    add_setting(command, "--target", default="dns:///127.0.0.1:50052", help="gRPC target of the ranking service")
    command.add_argument(
        "--limit", type=int, default=DEFAULT_LIMIT, metavar="N", help="how many items (default %(default)s)"
    )
    command.add_argument(
        "--timeout",
        type=float,
        default=DEFAULT_TIMEOUT_SECONDS,
        metavar="SECONDS",
        help="how long to wait for the answer (default %(default)s)",
    )
    add_client_security(command, "ranking")
    command.set_defaults(run=_run, call=call, parser=command)


def _run(arguments: argparse.Namespace) -> int:
    arguments.security = read_client_security(arguments.parser, arguments, "ranking")
    try:
        with Recommender(arguments.target, timeout=arguments.timeout, security=arguments.security) as recommender:
            recommendations = arguments.call(recommender, arguments)
    except ShortlistError as error:
        return fail(advice(error, arguments.target, arguments.timeout, "ranking", "--target"))
    _show(recommendations)
    return 0


def _recommend(recommender: Recommender, arguments: argparse.Namespace) -> Recommendations:
    if arguments.append and not arguments.history:
        arguments.parser.error("--append needs --history, with the ids to add")
    return recommender.recommend(
        user_id=arguments.user, history=arguments.history, append=arguments.append, limit=arguments.limit
    )


def _similar(recommender: Recommender, arguments: argparse.Namespace) -> Recommendations:
    return recommender.similar(item_ids=arguments.items, event=arguments.event, limit=arguments.limit)


def _show(recommendations: Recommendations) -> None:
    # An item id may look like markup, and has to be printed as it is.
    console = Console(markup=False, emoji=False, highlight=False)
    table = Table("rank", "item", "score", "objectives", "source")
    for rank, item in enumerate(recommendations.items, start=1):
        objectives = ", ".join(f"{name} {score:.4f}" for name, score in sorted(item.objectives.items()))
        table.add_row(str(rank), item.item_id, f"{item.score:.4f}", objectives, item.source)
    console.print(table)
    console.print(f"{recommendations.found} of {recommendations.asked} items from bundle {recommendations.bundle_id}")
    if recommendations.unknown_items:
        console.print(f"{recommendations.unknown_items} ids are not in the bundle and were ignored")
    if recommendations.degraded:
        console.print(f"degraded: {recommendations.degraded}")
