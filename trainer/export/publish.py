"""Whether a new bundle may take the place of the one that is served."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from shortlist.bundle.manifest import Manifest
from shortlist.bundle.store import CURRENT, BundleStore
from shortlist.errors import BundleError
from trainer.errors import RecipeError, TrainerError
from trainer.recipe import DataRecipe, Recipe, read_data
from trainer.training.ranker.impression_examples import AUC, RMSE

_BOTH = "two_stage/"
_OF_RETRIEVAL = ("retrieval/hr@10", "retrieval/ndcg@10", "retrieval/recall@200")


@dataclass(frozen=True, kw_only=True)
class Decision:
    """Whether to make a new bundle the current one, and the line that says why.

    It is ``refused`` when publishing was asked for and the bundle is worse. ``forced`` is the reason against a bundle
    that was published anyway.
    """

    publish: bool
    text: str
    refused: bool = False
    forced: str = ""


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """A comparison with the served bundle in words, and whether the new one is ``worse``."""

    text: str
    worse: bool = False


def metrics_of(recipe: Recipe) -> tuple[str, ...]:
    """The validation metrics of a fit. Bundles are compared by the first, unless a recipe names another.

    The first also chooses the ranker's epoch.
    """
    if recipe.impressions is None:
        return f"{_BOTH}ndcg@10", *_OF_RETRIEVAL
    values_alone = all(objective.kind == "value" for objective in recipe.objectives.values())
    return f"{_BOTH}{RMSE if values_alone else AUC}", *_OF_RETRIEVAL


def check_metric(recipe: Recipe) -> None:
    """Raises RecipeError when bundles cannot be compared by the recipe's metric: before the training, not after it."""
    there, metric = metrics_of(recipe), recipe.publish.metric
    if metric is not None and metric not in there:
        raise RecipeError(f"[publish] metric: no {metric!r}; there are {', '.join(there)}")


def decide(root: Path, metrics: Mapping[str, float], recipe: Recipe, *, asked: bool, force: bool) -> Decision:
    """Whether a bundle with these ``metrics`` becomes the current one of a directory; the first there always does."""
    if not (root / CURRENT).exists():
        return Decision(publish=True, text="it is the first one here, and is served")
    if not asked:
        return Decision(publish=False, text=f"what is served stays ({_current(root)}); --publish moves it")
    comparison = compare(root, metrics, recipe)
    if comparison.worse and not force:
        margin = f"[publish] margin allows {recipe.publish.margin:.1%}"
        return Decision(publish=False, refused=True, text=f"{comparison.text}, and {margin}")
    forced = comparison.text if comparison.worse else ""
    return Decision(publish=True, forced=forced, text=f"published{', as forced' if forced else ''}: {comparison.text}")


def compare(root: Path, metrics: Mapping[str, float], recipe: Recipe) -> Comparison:
    """The new bundle's validation figure, ``[publish] metric``, beside that of the current one of a directory.

    It is worse when it is below the other by more than ``[publish] margin`` of it, or not a number. Each figure comes
    from its own bundle's validation, at its training time.

    Two figures are comparable only if both recipes have the same [interactions] and [split]. A ranker of impressions
    also needs the same rows of [impressions] and the same columns of [objectives].

    A bundle that cannot be compared is not worse: no bundle is current, or its manifest cannot be read. The same holds
    if one of them lacks the figure, or if the recipes differ.
    """
    metric = recipe.publish.metric or metrics_of(recipe)[0]
    name = f"validation/{metric}"
    try:
        served = Manifest.read(BundleStore(root).current())
        asked = read_data(served.recipe)
    except (BundleError, TrainerError) as error:
        return Comparison(text=f"nothing to compare {name} with: {error}")
    before, found = served.metrics.get(name), metrics.get(name)
    if before is None or math.isnan(before) or found is None:
        without = "the new one" if found is None else served.bundle_id
        return Comparison(text=f"nothing to compare with: {without} has no {name}")
    here, there = _question(recipe, metric), _question(asked, metric)
    if here != there:
        others = " and ".join(part for part in here if here[part] != there[part])
        return Comparison(text=f"nothing to compare with: {served.bundle_id} has {others}")
    text = f"{name} is {found:.4f}, {_change(found, before)} the {before:.4f} of {served.bundle_id}"
    # Negated, so that NaN counts as worse.
    return Comparison(text=text, worse=not found >= before - recipe.publish.margin * abs(before))


def _question(recipe: DataRecipe, metric: str) -> dict[str, object]:
    """The parts of a recipe that a metric depends on, by their name in a message about a difference."""
    asked: dict[str, object] = {"other [interactions]": recipe.interactions, "another [split]": recipe.split}
    if recipe.impressions is None or not metric.startswith(_BOTH):
        return asked
    # The ranker's context and positions do not change the question.
    rows = replace(recipe.impressions, categorical=(), numeric=(), position=None)
    events = [str(objective.column) for objective in recipe.objectives.values() if objective.kind == "event"]
    columns = events or [str(objective.column) for objective in recipe.objectives.values()]
    return {**asked, "other [impressions]": rows, "other [objectives]": sorted(columns)}


def _current(root: Path) -> str:
    return (root / CURRENT).read_text(encoding="utf-8", errors="replace").strip()[:80]


def _change(found: float, before: float) -> str:
    if not abs(before) > 0:
        return "beside"
    change = (found - before) / abs(before)
    return f"{abs(change):.1%} {'below' if change < 0 else 'above'}"
