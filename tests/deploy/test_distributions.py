"""The files of the sdist and the wheel, by planted archives. ``make package`` builds both and tries the wheel."""

import tarfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from deploy.check.distributions import Unusable, check_contents, tracked

_WANTED = {"shortlist/__init__.py", "trainer/recipes/a.toml"}
_INFO = "shortlist-1.dist-info"
_METADATA = [f"{_INFO}/METADATA", f"{_INFO}/licenses/LICENSE"]
_BESIDE = [".gitignore", "LICENSE", "PKG-INFO", "README.md", "pyproject.toml"]


def _wheel(directory: Path, names: Sequence[str]) -> Path:
    path = directory / "shortlist-1-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, "")
    return path


def _sdist(directory: Path, names: Sequence[str]) -> Path:
    path = directory / "shortlist-1.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        for name in names:
            archive.addfile(tarfile.TarInfo(f"shortlist-1/{name}"))
    return path


def test_both_archives_may_have_the_tracked_files_and_their_metadata(tmp_path: Path) -> None:
    """Proves that a sound pair is accepted."""
    check_contents(_wheel(tmp_path, [*_WANTED, *_METADATA]), _WANTED)
    check_contents(_sdist(tmp_path, [*_WANTED, *_BESIDE]), _WANTED)


@pytest.mark.parametrize("stray", ["tests/test_version.py", "trainer/__pycache__/a.pyc", "build/demo/data.csv"])
def test_a_file_that_no_build_needs_is_refused(tmp_path: Path, stray: str) -> None:
    """Proves that tests, caches and data stay out."""
    with pytest.raises(Unusable, match=f"has 1 files: {stray}"):
        check_contents(_sdist(tmp_path, [*_WANTED, *_BESIDE, stray]), _WANTED)
    with pytest.raises(Unusable, match=f"has 1 files: {stray}"):
        check_contents(_wheel(tmp_path, [*_WANTED, *_METADATA, stray]), _WANTED)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    """Proves that a recipe or the license that an archive lacks is found."""
    with pytest.raises(Unusable, match=r"lacks 1 files: trainer/recipes/a\.toml"):
        check_contents(_wheel(tmp_path, ["shortlist/__init__.py", *_METADATA]), _WANTED)
    with pytest.raises(Unusable, match="lacks the license"):
        check_contents(_wheel(tmp_path, [*_WANTED, f"{_INFO}/METADATA"]), _WANTED)
    with pytest.raises(Unusable, match="lacks LICENSE"):
        check_contents(_sdist(tmp_path, [*_WANTED, *(name for name in _BESIDE if name != "LICENSE")]), _WANTED)


def test_the_wanted_files_are_those_of_the_packages() -> None:
    """Proves that stubs, the types' marker, recipes and templates count, and nothing beside the packages."""
    files = tracked()
    assert {
        "shortlist/py.typed",
        "shortlist/type/v1/user_pb2.pyi",
        "trainer/recipes/movielens.toml",
        "trainer/report/templates/figures.html.j2",
    } <= files
    assert {name.partition("/")[0] for name in files} == {
        "shortlist",
        "retrieval_service",
        "ranking_service",
        "live_service",
        "trainer",
    }
