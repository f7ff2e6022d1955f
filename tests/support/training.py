"""Training without its measurements, for tests that need a bundle."""

from pathlib import Path

from trainer.data import load
from trainer.data.split import evaluation_split
from trainer.export.bundle import export_bundle
from trainer.progress import Reporter
from trainer.recipe import Recipe
from trainer.training.two_stage import fit_two_stage


def train(recipe_path: Path, data: Path, bundles: Path) -> Path:
    """Fits both stages on the evaluation's slices and publishes them; returns the bundle's directory."""
    recipe = Recipe.read(recipe_path)
    dataset = load(data, recipe)
    model, _ = fit_two_stage(dataset, evaluation_split(dataset, recipe.split), recipe, seed=0, reporter=Reporter())
    return export_bundle(model, dataset, {}, bundles)
