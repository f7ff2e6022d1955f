"""Importance of features, where it is known."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from trainer.analysis import Attribution, described_attributions
from trainer.analysis.importance import groups_of
from trainer.analysis.measurement import measure_two_stage
from trainer.data import Dataset, load
from trainer.data.split import Split, evaluation_split
from trainer.features.layout import width_of
from trainer.models.pipeline import TrainedPipeline
from trainer.progress import Reporter
from trainer.protocols.next_like import next_like_task
from trainer.recipe import Recipe
from trainer.training.log import TrainingLog
from trainer.training.two_stage import fit_two_stage


def attributed(
    model: TrainedPipeline, dataset: Dataset, split: Split, reporter: Reporter, log: TrainingLog | None = None
) -> Attribution:
    """On the test."""
    return measure_two_stage(model, log or TrainingLog(), next_like_task(dataset, split), reporter)[1]


@pytest.mark.parametrize(
    ("column", "groups"),
    [
        ("retrieval", {"score and place of retrieval"}),
        ("cooccurrence", {"cooccurrence"}),
        ("slim", {"item-item scores"}),
        ("match", {"item: genre", "history"}),
    ],
)
def test_only_what_a_ranker_looks_at_is_important(
    untrained: Callable[[float], TrainedPipeline],
    planted: Dataset,
    split: Split,
    reporter: Reporter,
    column: str,
    groups: set[str],
) -> None:
    """Proves that of a ranker of one column what it is made of is important, and all else exactly nothing."""
    model = untrained(0.0)
    with torch.no_grad():
        model.ranker.linear.weight[0, model.ranker.spec.crossing[column].start] = 1.0
    found = attributed(model, planted, split, reporter).importance
    assert {name for name, lost in found.items() if lost} == groups
    assert min(found[name] for name in groups) > 0.02
    assert list(found.values()) == sorted(found.values(), reverse=True)


def test_what_was_planted_is_important_and_noise_is_not(
    planted_folder: Path, tmp_path: Path, reporter: Reporter
) -> None:
    """Proves it of a ranker that is trained with a column of noise beside the genre, and with numbers of its own."""
    random = np.random.default_rng(1)
    for name in ("interactions.csv", "users.csv"):
        (tmp_path / name).write_text((planted_folder / name).read_text())
    head, *items = (planted_folder / "items.csv").read_text().splitlines()
    lines = [f"{head},noise", *(f"{item},{random.normal():.3f}" for item in items)]
    (tmp_path / "items.csv").write_text("\n".join(lines) + "\n")
    text = (planted_folder / "recipe.toml").read_text().replace('["genre"]', '["genre"]\nnumeric = ["noise"]')
    (tmp_path / "recipe.toml").write_text(text.replace("slices = 2", "slices = 2\nembedding = 4"))
    recipe = Recipe.read(tmp_path / "recipe.toml")
    dataset = load(tmp_path, recipe)
    split = evaluation_split(dataset, recipe.split)
    model, log = fit_two_stage(dataset, split, recipe, seed=0, reporter=reporter)
    found = attributed(model, dataset, split, reporter, log)
    assert {"id embeddings", "user features", "history", "item vector", "user vector"} <= found.importance.keys()
    assert next(iter(found.importance)) in {"cooccurrence", "score and place of retrieval"}
    assert max(found.importance.values()) > 0.1
    assert abs(found.importance["item: noise"]) < 0.01
    assert found.objectives["like"].error < 0.025


def test_every_input_is_in_one_group(fitted: TrainedPipeline) -> None:
    """Proves that nothing a ranker is given is left out or counted twice, but that a user is known, which all are."""
    groups = groups_of(fitted.layout)
    parts = [(name, part.start) for group in groups.values() for name, part in group.items()]
    assert len(parts) == len(set(parts))
    of_candidates = [group["candidate_features"] for group in groups.values() if "candidate_features" in group]
    covered = sum(part.stop - part.start for part in of_candidates)
    assert covered == width_of(fitted.layout.item_groups)
    assert "item: genre" in groups
    assert "id embeddings" not in groups


def test_the_mean_of_runs_is_of_every_number(
    fitted: TrainedPipeline,
    fitted_log: TrainingLog,
    planted: Dataset,
    split: Split,
    reporter: Reporter,
    untrained: Callable[[float], TrainedPipeline],
) -> None:
    """Proves that a report of several seeds has the mean of each figure, and the runs themselves."""
    runs = [attributed(model, planted, split, reporter, fitted_log) for model in (fitted, untrained(-1.0))]
    written = described_attributions(runs)
    assert [run["gain"] for run in written["runs"]] == [run.chain.gain for run in runs]
    known = [run.objectives["like"].error for run in runs]
    assert written["mean"]["objectives"]["like"]["calibration_error"]["calibrated"] == pytest.approx(np.mean(known))
    assert written["mean"]["importance"].keys() == runs[0].importance.keys()
    assert "curve" in written["runs"][0]["objectives"]["like"]
