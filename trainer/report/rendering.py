"""Renders the templates of the page; Jinja2 escapes every text, and nothing else does."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from trainer.analysis.tables import deviation
from trainer.report.findings import is_baseline
from trainer.report.names import metric_label, model_colour, model_label

_LEAST_SPREAD = 5e-5
_TEMPLATES = Environment(
    loader=PackageLoader("trainer.report"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_TEMPLATES.filters["metric_label"] = metric_label


def render(template: str, **values: object) -> Markup:
    """The template of that name, without its ending, with these values."""
    return Markup(_TEMPLATES.get_template(f"{template}.html.j2").render(values))  # noqa: S704 - the template escapes


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A cell with a ``mean``, None where it is not known, and a ``spread`` over the seeds, None where they agree."""

    mean: float | None
    spread: float | None = None
    best: bool = False

    @classmethod
    def of(cls, mean: float, spread: float, *, best: bool = False) -> Self:
        """A known figure."""
        return cls(mean=mean, spread=spread if spread >= _LEAST_SPREAD else None, best=best)

    @classmethod
    def of_runs(cls, values: Sequence[float | None]) -> Self:
        """Mean and standard deviation of the runs in which it is known."""
        known = [value for value in values if value is not None]
        return cls.of(float(np.mean(known)), float(deviation(known))) if known else cls(mean=None)


@dataclass(frozen=True, kw_only=True)
class ModelRow:
    """A model's line of a table; ``bar`` is a percentage of the longest bar."""

    name: str
    figures: Sequence[Figure]
    bar: float = 0.0

    @property
    def label(self) -> str:
        """The model's name as people read it."""
        return model_label(self.name)

    @property
    def colour(self) -> int:
        """The model's colour of the style."""
        return model_colour(self.name)

    @property
    def ours(self) -> bool:
        """Whether it is not a baseline."""
        return not is_baseline(self.name)


@dataclass(frozen=True, kw_only=True)
class KeyEntry:
    """The meaning of a colour; ``kind`` is "line", "baseline" or "dot"."""

    label: str
    colour: int
    kind: str = "line"
