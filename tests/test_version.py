"""One version, and all that names it."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.version import Version

from shortlist import __version__
from shortlist.cli import main

_ROOT = Path(__file__).parents[1]


def test_the_package_takes_its_version_from_the_code() -> None:
    """Proves that pyproject.toml has no second version, and finds the one of the code."""
    pyproject = tomllib.loads((_ROOT / "pyproject.toml").read_text())
    assert "version" not in pyproject["project"]
    assert pyproject["project"]["dynamic"] == ["version"]
    source = (_ROOT / pyproject["tool"]["hatch"]["version"]["path"]).read_text()
    assert re.findall(r'^__version__ = "(.*)"$', source, re.MULTILINE) == [__version__]


def test_the_changelog_leads_to_the_version() -> None:
    """Proves that a version is described before it is released, and that a release raises it.

    Changes are under "Unreleased" until a release renames that heading to its version.
    """
    headings = re.findall(r"^## (.+)$", (_ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    released = [Version(heading.split()[0]) for heading in headings if heading != "Unreleased"]
    assert released == sorted(set(released), reverse=True)
    if headings[0] == "Unreleased":
        assert Version(__version__) > max(released, default=Version("0"))
    else:
        assert Version(__version__) == released[0]


def test_the_images_are_tagged_with_the_version() -> None:
    """Proves that a new version reaches the manifests and the commands that build their images."""
    for name in ("deploy/Dockerfile", "deploy/README.md", "deploy/overlays/prod/kustomization.yaml"):
        tags = re.findall(r"(?:newTag: |shortlist-\$?\w+:|YOUR_REPOSITORY:)([\w.]+)", (_ROOT / name).read_text())
        assert tags, name
        assert {*tags} == {__version__}, name


def test_the_command_line_names_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    """Proves that an operator can ask an installation which release it is."""
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert (ended.value.code, capsys.readouterr().out) == (0, f"{__version__}\n")
