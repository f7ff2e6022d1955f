"""A report as one HTML file that asks for nothing else: first whether it is any good, then all that shows why."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.resources import files

from shortlist.bundle.manifest import IndexInfo
from trainer.analysis.evaluation_result import EvaluationResult
from trainer.models.registry import DEFAULT_RECIPE
from trainer.recipe import Recipe
from trainer.report import html
from trainer.report.findings import Findings, Measured
from trainer.report.item_map import ItemMap
from trainer.report.ranking import ranking_section, shown_section
from trainer.report.sections import (
    figures_section,
    folds_section,
    groups_section,
    index_section,
    map_section,
    recall_section,
    recipe_section,
    training_section,
)
from trainer.report.verdict import verdict


@dataclass(frozen=True, kw_only=True, eq=False)
class Report:
    """What a page is made of; ``facts`` stand at the top. An evaluation has no ``index``."""

    title: str
    facts: Mapping[str, str]
    found: Findings
    items: ItemMap
    recipe: Recipe
    index: IndexInfo | None = None

    def html(self) -> str:
        """The page."""
        sections = [
            figures_section(self.found),
            recall_section(self.found),
            *([ranking_section(self.found.attributions)] if self.found.attributions else []),
            groups_section(self.found),
            training_section(self.found),
            map_section(self.items),
            *([] if self.index is None else [index_section(self.index)]),
        ]
        return _page(self.title, self.facts, self.found, sections, self.recipe)


@dataclass(frozen=True, kw_only=True, eq=False)
class PredictionReport:
    """The same of a protocol whose answers are predictions."""

    title: str
    facts: Mapping[str, str]
    found: EvaluationResult
    recipe: Recipe

    def html(self) -> str:
        """The page."""
        in_folds = any(name.endswith("]") for row in self.found.figures.values() for name in row)
        sections = [
            figures_section(self.found),
            *([folds_section(self.found)] if in_folds else []),
            *([shown_section(self.found.attributions)] if self.found.attributions else []),
            *([training_section(self.found)] if self.found.logs else []),
        ]
        return _page(self.title, self.facts, self.found, sections, self.recipe)


def noted(page: str, note: str) -> str:
    """A page with a line above all that it says."""
    return page.replace("<main>", f"<main>\n<p>{html.text(note)}</p>", 1)


def _page(title: str, facts: Mapping[str, str], found: Measured, sections: Sequence[str], recipe: Recipe) -> str:
    said = verdict(found)
    head = (
        f'<header id="verdict"><h1>{html.text(title)}</h1>'
        f'<div class="verdict {said.mood}">{html.text(said.headline)}</div><p>{html.text(said.detail)}</p>'
        f"{html.facts(facts.items())}</header>"
    )
    style = files("trainer.report").joinpath("page.css").read_text(encoding="utf-8")
    body = "\n".join([head, *sections, recipe_section(asdict(recipe), asdict(DEFAULT_RECIPE))])
    return _PAGE.format(title=html.text(title), style=style, body=body)


_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<link rel="icon" href="data:,">
<style>
{style}</style>
</head>
<body>
<main>
{body}
</main>
</body>
</html>
"""
