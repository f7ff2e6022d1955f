"""A report as one HTML file that loads nothing else: first the verdict, then the evidence."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from markupsafe import Markup

from shortlist.bundle.index_info import IndexInfo
from trainer.analysis.evaluation_result import EvaluationResult
from trainer.models.rankers.objectives import Objectives
from trainer.recipe import DEFAULT_RECIPE, LIKE, Recipe
from trainer.report.findings import Findings
from trainer.report.item_map import ItemMap
from trainer.report.ranking import impressions_section, ranking_section
from trainer.report.rendering import render
from trainer.report.sections import (
    events_section,
    figures_section,
    folds_section,
    groups_section,
    index_section,
    map_section,
    people_section,
    recall_section,
    recipe_section,
    training_section,
)
from trainer.report.verdict import verdict


@dataclass(frozen=True, kw_only=True, eq=False)
class Report:
    """The page of ranked lists; ``facts`` and ``warnings`` stand at the top. An evaluation has no ``index``."""

    title: str
    facts: Mapping[str, str]
    warnings: tuple[str, ...] = ()
    found: Findings
    items: ItemMap
    recipe: Recipe
    index: IndexInfo | None = None

    def html(self) -> str:
        """The page."""
        sections = [
            figures_section(self.found),
            *([events_section(self.found, _weights(self.recipe))] if self.found.by_event else []),
            *([people_section(self.found.people)] if self.found.people else []),
            recall_section(self.found),
            *([ranking_section(self.found.attributions)] if self.found.attributions else []),
            groups_section(self.found),
            training_section(self.found),
            map_section(self.items),
            *([] if self.index is None else [index_section(self.index)]),
        ]
        return _page(self, sections)


@dataclass(frozen=True, kw_only=True, eq=False)
class PredictionReport:
    """The page of a protocol whose answers are predictions."""

    title: str
    facts: Mapping[str, str]
    warnings: tuple[str, ...] = ()
    found: EvaluationResult
    recipe: Recipe

    def html(self) -> str:
        """The page."""
        in_folds = any(name.endswith("]") for row in self.found.figures.values() for name in row)
        sections = [
            figures_section(self.found),
            *([folds_section(self.found)] if in_folds else []),
            *([impressions_section(self.found.attributions)] if self.found.attributions else []),
            *([training_section(self.found)] if self.found.logs else []),
        ]
        return _page(self, sections)


def noted(page: str, note: str) -> str:
    """A page with a line above everything else."""
    return page.replace("<main>", f"<main>\n{render('note', note=note)}", 1)


def _weights(recipe: Recipe) -> dict[str, float]:
    """The weight of each objective in the order of lists; without any declared, likes alone order them."""
    if not recipe.objectives:
        return {LIKE: 1.0}
    return {objective.name: objective.weight for objective in Objectives.declared(recipe.objectives)}


def _page(report: Report | PredictionReport, sections: Sequence[Markup]) -> str:
    last = recipe_section(asdict(report.recipe), asdict(DEFAULT_RECIPE))
    page = render(
        "page",
        title=report.title,
        facts=report.facts,
        warnings=report.warnings,
        verdict=verdict(report.found),
        sections=[*sections, last],
    )
    # A caller that puts something into the page must not have it escaped.
    return str(page)
