"""``python -m trainer``: collect, fit, evaluate, export, tune."""

import argparse
import sys
import tempfile
from collections.abc import Sequence

from trainer.huge_pages import use_huge_pages

if __name__ == "__main__":
    # Before anything is loaded, which would be loaded twice.
    use_huge_pages()

from rich.console import Console

from shortlist.errors import ShortlistError
from trainer.commands import collect, evaluate, export, fit, tune
from trainer.errors import NotPublishedError, OutputError, TrainerError
from trainer.files import disk_error
from trainer.progress import ConsoleReporter

EXIT_NOT_WRITTEN = 1
EXIT_BAD_INPUT = 2
EXIT_NOT_PUBLISHED = 3
_EXIT_INTERRUPTED = 130
_COMMANDS = {"collect": collect, "fit": fit, "evaluate": evaluate, "export": export, "tune": tune}


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit code.

    The code is 0 on success, 2 for bad data, a bad recipe or bad arguments, and 130 after Ctrl-C. It is 1 when the disk
    refuses an output, and 3 for a written bundle that is worse than the served one.
    """
    parser = _parser()
    options = parser.parse_args(arguments)
    if getattr(options, "force", False) and not options.publish:
        parser.error("--force: needs --publish")
    console = Console(stderr=True)
    try:
        _run(options, ConsoleReporter(console))
    except KeyboardInterrupt as stopped:
        console.print(str(stopped) or "stopped; no bundle was written", highlight=False, soft_wrap=True)
        return _EXIT_INTERRUPTED
    except Exception as error:
        told = _told(error)
        if told is None:
            raise
        code, text = told
        style = "yellow" if code == EXIT_NOT_PUBLISHED else "red"
        console.print(text, style=style, highlight=False, markup=False, soft_wrap=True)
        return code
    return 0


def _told(error: Exception) -> tuple[int, str] | None:
    """The exit code and the line for an error that is no defect; None for a defect."""
    match error:
        case TrainerError() | ShortlistError():
            return EXIT_BAD_INPUT, f"error: {error}"
        case OutputError():
            return EXIT_NOT_WRITTEN, f"error: {error}"
        case NotPublishedError():
            return EXIT_NOT_PUBLISHED, f"not published: {error}"
        case ModuleNotFoundError() if not (error.name or "").startswith(("trainer", "shortlist")):
            return EXIT_BAD_INPUT, f"error: {error}; pip install 'shortlist[train]' installs what training needs"
    reason = disk_error(error)
    if reason is None:
        return None
    return EXIT_NOT_WRITTEN, f"error: {tempfile.gettempdir()}: {reason}; TMPDIR names another folder"


def _run(options: argparse.Namespace, reporter: ConsoleReporter) -> None:
    try:
        options.run(options, reporter)
    finally:
        reporter.finish()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m trainer", description="Train a two-stage recommender, measure it, and write bundles."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, command in _COMMANDS.items():
        description = f"{command.HELP[0].upper()}{command.HELP[1:]}."
        subparser = commands.add_parser(name, help=command.HELP, description=description)
        command.add_arguments(subparser)
        subparser.set_defaults(run=command.run)
    return parser


if __name__ == "__main__":
    sys.exit(main())
