"""``python -m trainer``: fit, evaluate, export, tune."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from shortlist.errors import ShortlistError
from trainer.commands.commands import evaluate, export, fit
from trainer.commands.evaluators import PREDICTIONS
from trainer.commands.tune import tune
from trainer.errors import NotPublishedError, TrainerError
from trainer.progress import ConsoleReporter
from trainer.protocols import DEFAULT, PROTOCOLS

EXIT_BAD_INPUT = 2
EXIT_NOT_PUBLISHED = 3
_EXIT_INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; returns the exit code.

    It is 0, 2 for bad data or a bad recipe, 3 when a bundle was written and is too bad to be served, 130 after Ctrl-C.
    """
    parser = _parser()
    options = parser.parse_args(arguments)
    if getattr(options, "force", False) and not options.publish:
        parser.error("--force: needs --publish")
    console = Console(stderr=True)
    try:
        options.run(options, ConsoleReporter(console))
    except (TrainerError, ShortlistError) as error:
        console.print(f"error: {error}", style="red", highlight=False, markup=False, soft_wrap=True)
        return EXIT_BAD_INPUT
    except NotPublishedError as error:
        console.print(f"not published: {error}", style="yellow", highlight=False, markup=False, soft_wrap=True)
        return EXIT_NOT_PUBLISHED
    except KeyboardInterrupt as stopped:
        console.print(str(stopped) or "stopped; no bundle was written", highlight=False, soft_wrap=True)
        return _EXIT_INTERRUPTED
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m trainer", description="Trains both stages and writes bundles.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_fit(commands.add_parser("fit", help="train, evaluate, write a bundle; with --publish serve it"))
    _add_evaluate(commands.add_parser("evaluate", help="train and evaluate for several seeds; writes no bundle"))
    _add_export(
        commands.add_parser(
            "export", help="write a bundle's models again, with newer histories and counts; with --publish serve them"
        )
    )
    _add_tune(commands.add_parser("tune", help="look for better settings of the encoder, by the validation alone"))
    return parser


def _add_fit(parser: argparse.ArgumentParser) -> None:
    _add_inputs(parser)
    _add_report(parser, "also write the figures to this JSON file")
    _add_output(parser)
    parser.add_argument("--seed", type=int, default=0, help="the same seed gives the same models (default: 0)")
    _add_publish(parser)
    parser.set_defaults(run=fit)


def _add_evaluate(parser: argparse.ArgumentParser) -> None:
    _add_inputs(parser)
    _add_report(parser, "also write the figures to this JSON file, and a page for people beside it")
    _add_protocol(
        parser,
        [*PROTOCOLS, *PREDICTIONS],
        f"how to split and to measure (default: {DEFAULT}; with leave-one-out the one of both stages; of predictions "
        f"instead of lists: {', '.join(PREDICTIONS)})",
    )
    parser.add_argument("--seeds", type=_positive, default=3, help="how many seeds, from 0 (default: 3)")
    parser.set_defaults(run=evaluate)


def _add_tune(parser: argparse.ArgumentParser) -> None:
    _add_inputs(parser)
    _add_protocol(parser, list(PROTOCOLS), f"whose validation decides; the test is not looked at (default: {DEFAULT})")
    parser.add_argument(
        "--trials", type=_positive, required=True, help="how many settings to try, those of the study file included"
    )
    parser.add_argument(
        "--out", type=Path, required=True, metavar="RECIPE", help="write the recipe with the best settings here"
    )
    parser.add_argument(
        "--study", type=Path, metavar="FILE", help="keep the trials here, to go on later (default: beside --out)"
    )
    parser.set_defaults(run=tune)


def _add_protocol(parser: argparse.ArgumentParser, choices: list[str], help: str) -> None:
    parser.add_argument("--protocol", choices=choices, default=DEFAULT, help=help)


def _add_report(parser: argparse.ArgumentParser, help: str) -> None:
    parser.add_argument("--report", type=Path, metavar="FILE", help=help)


def _add_export(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--bundle", type=Path, required=True, help="the bundle's directory, such as BUNDLES/<id>")
    parser.add_argument("--data", type=Path, required=True, help="the folder that the bundle's recipe reads")
    _add_output(parser)
    _add_publish(parser)
    parser.set_defaults(run=export)


def _add_publish(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--publish",
        action="store_true",
        help="serve the bundle, unless its validation figure is worse than the served one's by more than the recipe's "
        "[publish] margin: then it is written, the other stays, and the exit code is 3; without --publish only the "
        "first bundle of a directory is served",
    )
    parser.add_argument(
        "--force", action="store_true", help="with --publish: serve it all the same; its manifest says so"
    )


def _add_output(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", type=Path, required=True, metavar="BUNDLES", help="the directory of bundles")
    parser.add_argument("--sign-key", type=Path, metavar="FILE", help="sign the bundle with this private key (PEM)")


def _add_inputs(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--recipe", type=Path, required=True, help="a TOML file, such as trainer/recipes/movielens.toml"
    )
    parser.add_argument("--data", type=Path, required=True, help="the folder with the tables that the recipe names")


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("has to be at least 1")
    return value


if __name__ == "__main__":
    sys.exit(main())
