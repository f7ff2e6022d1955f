"""``python -m trainer``: collect, fit, evaluate, export, tune."""

import argparse
import sys
import tempfile
from collections.abc import Sequence

from rich.console import Console

from shortlist.errors import ShortlistError
from trainer.errors import NotPublishedError, OutputError, TrainerError
from trainer.files import disk_error
from trainer.huge_pages import use_huge_pages
from trainer.progress import ConsoleReporter

if __name__ == "__main__":
    # Before PyTorch is loaded, which would be loaded twice.
    use_huge_pages()
try:
    from trainer.commands import collect, evaluate, export, fit, tune
except ModuleNotFoundError as missing:
    if (missing.name or "").startswith(("trainer", "shortlist")):
        raise
    print(f"error: {missing}; pip install 'shortlist[train]' installs what training needs", file=sys.stderr)
    sys.exit(2)

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
    except (TrainerError, ShortlistError) as error:
        console.print(f"error: {error}", style="red", highlight=False, markup=False, soft_wrap=True)
        return EXIT_BAD_INPUT
    except OutputError as error:
        console.print(f"error: {error}", style="red", highlight=False, markup=False, soft_wrap=True)
        return EXIT_NOT_WRITTEN
    except NotPublishedError as error:
        console.print(f"not published: {error}", style="yellow", highlight=False, markup=False, soft_wrap=True)
        return EXIT_NOT_PUBLISHED
    except KeyboardInterrupt as stopped:
        console.print(str(stopped) or "stopped; no bundle was written", highlight=False, soft_wrap=True)
        return _EXIT_INTERRUPTED
    except Exception as error:
        reason = disk_error(error)
        if reason is None:
            raise
        place = f"{tempfile.gettempdir()}: {reason}; TMPDIR names another folder"
        console.print(f"error: {place}", style="red", highlight=False, markup=False, soft_wrap=True)
        return EXIT_NOT_WRITTEN
    return 0


def _run(options: argparse.Namespace, reporter: ConsoleReporter) -> None:
    try:
        options.run(options, reporter)
    finally:
        reporter.show_warnings()


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
