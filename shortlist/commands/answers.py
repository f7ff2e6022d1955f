"""``shortlist answers``: makes served answers again, and removes a user from their log."""

import argparse
import time
from collections.abc import Callable
from pathlib import Path

from shortlist.commands.answers_replay import Outcome, replay
from shortlist.commands.command import EXIT_FAILED, Commands, fail
from shortlist.errors import ShortlistError
from shortlist.flags import add_setting
from shortlist.security.settings import add_client_security, read_client_security
from shortlist.served.forgetting import forget

# A service writes its answers sooner than this.
_WRITTEN_SECONDS = 0.5
_DEFAULT_MOST = 1000


def add_answers(commands: Commands) -> None:
    """Adds the commands."""
    description = "Makes served answers again, and removes a user from their log."
    group = commands.add_parser("answers", help="use the log of served answers", description=description)
    answers = group.add_subparsers(required=True, metavar="COMMAND")
    replaying = _add(answers, "replay", _replay, "make the latest answers again, and count the equal ones")
    add_setting(replaying, "--target", default="dns:///127.0.0.1:50052", help="gRPC target of the ranking service")
    replaying.add_argument(
        "--most", type=int, default=_DEFAULT_MOST, metavar="N", help="how many answers at most (default %(default)s)"
    )
    add_client_security(replaying, "ranking")
    forgetting = _add(answers, "forget", _forget, "delete the answers to a user")
    forgetting.add_argument("--user", required=True, metavar="ID", help="the user's id")


def _add(answers: Commands, name: str, run: Callable[[argparse.Namespace], int], help: str) -> argparse.ArgumentParser:
    parser = answers.add_parser(name, help=help, description=f"{help[0].upper()}{help[1:]}.")
    add_setting(parser, "--served-log", default="served", help="the directory of the log")
    parser.set_defaults(run=lambda arguments: _guarded(run, arguments), parser=parser)
    return parser


def _guarded(run: Callable[[argparse.Namespace], int], arguments: argparse.Namespace) -> int:
    if not Path(arguments.served_log).is_dir():
        return fail(f"{arguments.served_log} is no directory; see --served-log")
    try:
        return run(arguments)
    except (OSError, ShortlistError) as error:
        return fail(str(error))


def _replay(arguments: argparse.Namespace) -> int:
    if arguments.most < 1:
        arguments.parser.error(f"--most is {arguments.most}; has to be at least 1")
    security = read_client_security(arguments.parser, arguments, "ranking")
    done = replay(Path(arguments.served_log), arguments.target, security, arguments.most)
    for outcome, count in done.counts.items():
        print(f"{count:8,} {outcome.value}")
    for recommendation_id in done.unequal_ids:
        print(f"         such as {recommendation_id}")
    if not done.counts:
        return fail(f"the log in {arguments.served_log} has no answer yet; start a service with --served-log")
    if done.counts[Outcome.FAILED] == done.counts.total():
        return fail(f"{arguments.target} made no answer again ({done.last_code}); see --target")
    if not done.compared:
        return fail("no answer could be made again")
    return EXIT_FAILED if done.unequal_ids else 0


def _forget(arguments: argparse.Namespace) -> int:
    time.sleep(_WRITTEN_SECONDS)
    print(f"{forget(Path(arguments.served_log), arguments.user):,} answers deleted")
    return 0
