"""Whether a new bundle may take the place of the one that is served."""

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from shortlist.bundle.manifest import Manifest
from shortlist.bundle.store import CURRENT, BundleStore
from shortlist.errors import BundleError
from trainer.analysis.measurement import GAIN, GAIN_INTERVAL
from trainer.baselines.linear import BASELINES
from trainer.errors import RecipeError, TrainerError
from trainer.models.rankers.objectives import Objectives
from trainer.recipe import DataRecipe, Recipe, read_data
from trainer.training.ranker.impression_examples import AUC, RMSE

_BOTH = "two_stage/"
STAGES = "stages"
"""The name of the figures that compare the stages, beside the models' names."""
BASELINE = "strongest_baseline"
"""The name of the figures that compare both stages with the strongest baseline, beside the models' names."""
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
    """Whether a bundle with these ``metrics`` becomes the current one of a directory.

    The first one does unasked, unless the strongest baseline ranks better. Without force, none does whose two stages
    lose to its retrieval alone.
    """
    first = not os.path.lexists(root / CURRENT)
    if not first and not asked:
        return Decision(publish=False, text=f"what is served stays ({_current(root)}); --publish moves it")
    comparison = Comparison(text="it is the first one here, and is served") if first else compare(root, metrics, recipe)
    of_first = _loss_to_baseline(metrics, recipe) if first else ""
    losses = (of_first, _loss_to_retrieval(metrics, recipe), _loss(comparison, recipe, force))
    reasons = [text for text in losses if text]
    if reasons and not force:
        return Decision(publish=False, refused=True, text="; ".join(reasons))
    forced = "; ".join(reasons)
    if first and not forced:
        return Decision(publish=True, text=comparison.text)
    return Decision(publish=True, forced=forced, text=f"published{', as forced' if forced else ''}: {comparison.text}")


def _loss(comparison: Comparison, recipe: Recipe, force: bool) -> str:
    margin = "" if force else f", and [publish] margin allows {recipe.publish.margin:.1%}"
    return f"{comparison.text}{margin}" if comparison.worse else ""


def _loss_to_retrieval(metrics: Mapping[str, float], recipe: Recipe) -> str:
    """By how much both stages rank worse than retrieval alone; empty when it may be chance, or is not known.

    A list that is ordered by values alone has another aim than nDCG, and is not judged by it.
    """
    if _by_values(recipe):
        return ""
    names = ("two_stage/ndcg@10", "retrieval/ndcg@10", f"{STAGES}/{GAIN}", f"{STAGES}/{GAIN_INTERVAL}")
    both, one, gain, interval = (metrics.get(name, math.nan) for name in names)
    if not gain < -interval:
        return ""
    return (
        f"both stages together have a test nDCG@10 of {both:.4f}, and retrieval alone has {one:.4f}: the ranker makes "
        f"the lists worse by {-gain:.4f}, where chance explains {interval:.4f}"
    )


def _loss_to_baseline(metrics: Mapping[str, float], recipe: Recipe) -> str:
    """By how much both stages rank worse than the strongest baseline; empty when it may be chance, or is not known.

    Rankers of impressions and lists ordered by values alone have another aim than nDCG, and are not judged by it.
    """
    gain, interval = (metrics.get(f"{BASELINE}/{name}", math.nan) for name in (GAIN, GAIN_INTERVAL))
    if recipe.impressions is not None or _by_values(recipe) or not gain < -interval:
        return ""
    figures = {name: metrics.get(f"{name}/ndcg@10", -math.inf) for name in BASELINES}
    best = max(figures, key=lambda name: figures[name])
    return (
        f"both stages together have a test nDCG@10 of {metrics.get(f'{_BOTH}ndcg@10', math.nan):.4f}, and the "
        f"strongest baseline, {best}, has {figures[best]:.4f}: the models are worse by {-gain:.4f}, where chance "
        f"explains {interval:.4f}; docs/quality.md says which encoders suit which data"
    )


def _by_values(recipe: Recipe) -> bool:
    """Whether values alone order the lists."""
    if not recipe.objectives:
        return False
    ordering = [objective.config for objective in Objectives.declared(recipe.objectives) if objective.weight]
    return all(one.kind == "value" for one in ordering)


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
    try:
        return BundleStore(root).current_id()
    except BundleError as error:
        return str(error)


def _change(found: float, before: float) -> str:
    if not abs(before) > 0:
        return "beside"
    change = (found - before) / abs(before)
    # A percentage of almost 0 says nothing.
    size = f"{abs(change):.1%}" if abs(change) <= 1 else f"{abs(found - before):.4f}"
    return f"{size} {'below' if change < 0 else 'above'}"
