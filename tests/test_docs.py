"""The documentation names only files, links, modules and targets that exist."""

import ast
import inspect
import re
from importlib.util import find_spec
from pathlib import Path

import pytest
from google.protobuf import json_format
from google.protobuf.message import Message

from shortlist import Recommendation, Recommender
from shortlist.live.v1 import catalog_service_pb2, event_service_pb2
from shortlist.ranking.v1 import ranking_service_pb2
from trainer.recipe import Recipe

_ROOT = Path(__file__).parents[1]
_PAGES = [_ROOT / "README.md", *sorted(_ROOT.glob("docs/*.md")), *sorted(_ROOT.glob("bench/**/*.md"))]
_PAGES += sorted(_ROOT.glob("deploy/**/*.md"))
_LINK = re.compile(r"\]\(([^)#\s]+)(?:#([^)\s]+))?\)|\]\(#([^)\s]+)\)")
_CODE = re.compile(r"`([^`\n]+)`")
_FENCED = re.compile(r"^```\w*\n(.*?)^```", re.MULTILINE | re.DOTALL)
_MODULE = re.compile(r"python -m ([\w.]+)")
_GRPCURL = re.compile(r"-d '(.+)'[\s\\]+[\d.:]+ shortlist\.\w+\.v1\.(\w+)/(\w+)")
_DATE = re.compile(r"'\$\(date [^)]*\)'")
_TARGETS = re.compile(r"(?:^|`)make ([a-z][a-z -]*[a-z])", re.MULTILINE)
_WRITTEN = ("build/", "data/")


def _is_path(text: str, folders: set[str]) -> bool:
    """Whether a piece of code names a file or folder of the repository."""
    return bool(re.fullmatch(r"[\w.*/-]+", text)) and text.split("/")[0] in folders and not text.startswith(_WRITTEN)


@pytest.mark.parametrize("page", _PAGES, ids=lambda page: str(page.relative_to(_ROOT)))
def test_every_link_leads_to_a_file_and_a_heading(page: Path) -> None:
    """Proves that relative links work, those to a heading included."""
    wrong = []
    for target, anchor, own in _LINK.findall(page.read_text()):
        if target.startswith("http"):
            continue
        path = page.parent / target if target else page
        wanted = anchor or own
        if not path.exists() or (wanted and wanted not in _anchors(path)):
            wrong.append(f"{target}#{wanted}")
    assert wrong == []


@pytest.mark.parametrize("page", _PAGES, ids=lambda page: str(page.relative_to(_ROOT)))
def test_every_path_in_backticks_exists(page: Path) -> None:
    """Proves that a moved file takes its mentions with it."""
    folders = {folder.name for folder in _ROOT.iterdir() if folder.is_dir()}
    named = [name for name in _CODE.findall(_FENCED.sub("", page.read_text())) if "/" in name]
    missing = [name for name in named if _is_path(name, folders) and not list(_ROOT.glob(name.rstrip("/")))]
    assert missing == []


@pytest.mark.parametrize("page", [*_PAGES, _ROOT / "CHANGELOG.md"], ids=lambda page: str(page.relative_to(_ROOT)))
def test_every_command_names_a_module_and_a_target(page: Path) -> None:
    """Proves that ``python -m`` and ``make`` find what the page names; the changelog also has former names."""
    text = page.read_text()
    if page.name == "CHANGELOG.md":
        text = "".join(line for line in text.splitlines(keepends=True) if not line.startswith("|"))
    targets = set(re.findall(r"^([a-z-]+):", (_ROOT / "Makefile").read_text(), re.MULTILINE))
    modules = {name.rstrip(".") for name in _MODULE.findall(text)}
    assert [name for name in modules if find_spec(name) is None] == []
    asked = {target for names in _TARGETS.findall(text) for target in names.split() if target != "and"}
    assert asked - targets == set()


def test_every_grpcurl_request_of_the_readme_fits_the_contract() -> None:
    """Proves that each request parses as its method's message, unknown fields refused, and has the limit it needs."""
    requests = _GRPCURL.findall((_ROOT / "README.md").read_text())
    assert len(requests) == 7
    modules = (ranking_service_pb2, event_service_pb2, catalog_service_pb2)
    services = {name: module for module in modules for name in module.DESCRIPTOR.services_by_name}
    for request, service, method in requests:
        message: Message = getattr(services[service], f"{method}Request")()
        json_format.Parse(_DATE.sub("2026-01-01T00:00:00Z", request), message)
        # A request without a limit parses, and the service refuses it.
        assert not hasattr(message, "limit") or message.limit, request


def test_the_readme_calls_the_client_as_it_is() -> None:
    """Proves that the arguments and the attributes of its Python exist."""
    parameters = set(inspect.signature(Recommender.recommend).parameters)
    for block in re.findall(r"^```python\n(.*?)^```", (_ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL):
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "recommender.recommend":
                assert {keyword.arg for keyword in node.keywords} <= parameters
            if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "item":
                assert node.attr in Recommendation.__dataclass_fields__


def test_the_recipe_of_the_readme_is_read(tmp_path: Path) -> None:
    """Proves that its sections and keys exist."""
    (recipe,) = re.findall(r"^```toml\n(.*?)^```", (_ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    path = tmp_path / "recipe.toml"
    path.write_text(recipe)
    assert Recipe.read(path).interactions.positive_events == ("buy",)


def _anchors(page: Path) -> set[str]:
    """The anchors that GitHub gives the headings of a page."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
