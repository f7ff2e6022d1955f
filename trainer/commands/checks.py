"""The checks of arguments before anything heavy is loaded or read."""

import argparse
import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

from shortlist.bundle.signature import check_private_key
from shortlist.errors import BundleError
from trainer.errors import TrainerError
from trainer.files import PAGE, check_data_folder
from trainer.recipe import Recipe

_SQLITE = b"SQLite format 3"


def read_recipe(options: argparse.Namespace) -> Recipe:
    """The recipe of ``--recipe``, once the folder ``--data`` is there, too.

    Raises:
        RecipeError: the recipe cannot be used; the message names the key.
        DataError: there is no such folder.
    """
    recipe = Recipe.read(options.recipe)
    check_data_folder(options.data)
    return recipe


def check_publishing(options: argparse.Namespace) -> None:
    """Raises TrainerError when ``--out`` or ``--sign-key`` cannot be used."""
    check_folder("--out", options.out)
    check_key(options.sign_key)


def check_folder(flag: str, folder: Path) -> None:
    """Raises TrainerError when no files can be made in the folder, or it can not be made itself."""
    with _named(flag, folder):
        if folder.exists() and not folder.is_dir():
            raise TrainerError(f"{flag} {folder}: is a file; a folder is needed")
        _check_writable(folder)


def check_file(flag: str, path: Path) -> None:
    """Raises TrainerError when the file can neither be made nor replaced."""
    with _named(flag, path):
        if path.is_dir():
            raise TrainerError(f"{flag} {path}: is a folder; name a file")
        if not path.exists() or path.is_file():
            _check_writable(path.resolve().parent)


def check_report(path: Path | None, *, with_page: bool = False) -> None:
    """Raises TrainerError when ``--report`` cannot be written, or the page beside it would take its place."""
    if path is None:
        return
    check_file("--report", path)
    if with_page:
        if path.suffix == PAGE:
            raise TrainerError(f"--report {path}: the page for people gets this name; end the name with .json")
        check_file("--report", path.with_suffix(PAGE))


def check_key(path: Path | None) -> None:
    """Raises TrainerError when ``--sign-key`` is no private key that can sign."""
    if path is None:
        return
    try:
        check_private_key(path)
    except BundleError as error:
        raise TrainerError(f"--sign-key {error}") from error


@contextlib.contextmanager
def _named(flag: str, path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        where = f" {error.filename}:" if error.filename else ""
        raise TrainerError(f"{flag} {path}: cannot be written:{where} {error.strerror}") from error


def _check_writable(folder: Path) -> None:
    """Makes a file without a name in the folder, or in the nearest one above it that exists. Raises OSError."""
    nearest = next(one for one in (folder, *folder.absolute().parents) if one.exists())
    try:
        with tempfile.TemporaryFile(dir=nearest):
            pass
    except OSError as error:
        # The name of the temporary file says nothing to anybody.
        raise OSError(error.errno, error.strerror, str(nearest)) from error


def check_study(path: Path) -> None:
    """Raises TrainerError when a file is there that keeps no trials, before anything is trained."""
    if path.is_file() and path.stat().st_size:
        with path.open("rb") as file:
            if file.read(len(_SQLITE)) != _SQLITE:
                raise TrainerError(f"--study {path}: cannot be used as a study: it is another file; name a new one")
