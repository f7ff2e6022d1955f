"""Both stages, with a ranker of impressions: trained, exported, read back."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from torch import Tensor

from ranking_service.options import OptionsReader
from ranking_service.ranker import OnnxRanker
from shortlist.bundle.bundle import Bundle
from shortlist.bundle.manifest import Manifest
from shortlist.bundle.store import BundleStore
from shortlist.inference.candidates import Candidates
from shortlist.inference.users import ResolvedUser, Unknown
from tests.trainer.commands.test_impression_evaluation import BEGIN, RECIPE, tables, write
from trainer.__main__ import main
from trainer.data import load
from trainer.data.history_slices import HistorySlices
from trainer.data.split import evaluation_split, final_split
from trainer.export.checkpoint import load_two_stage
from trainer.features.layout import STATISTICS
from trainer.recipe import Recipe
from trainer.report import REPORT

FIT = (
    RECIPE.replace('column = "part"', "ranker = 0.4\nrefit = false").replace("epochs = 5", "epochs = 3")
    + "candidates = 12\n"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The planted impressions, whose clicks are interactions as well, and a bundle trained on them."""
    folder = tmp_path_factory.mktemp("shown")
    frames = dict(tables(np.random.default_rng(1), biased=False))
    shown = frames["impressions"].filter((pl.col("clicked") == 1) & (pl.col("timestamp") % 3 == 0))
    clicks = shown.select("user_id", "item_id", "timestamp").cast({"timestamp": pl.Int64})
    past = frames["interactions"].cast({"timestamp": pl.Int64}).sample(fraction=0.5, seed=0)
    frames["interactions"] = pl.concat([past, clicks])
    write(folder, frames, FIT)
    given = ["--recipe", folder / "recipe.toml", "--data", folder, "--out", folder / "bundles"]
    assert main(["fit", *map(str, given)]) == 0
    return folder


def test_a_bundle_says_what_a_call_may_say_of_itself(folder: Path) -> None:
    """Proves context, objectives and the names of the counted columns, in the order of the tables."""
    manifest = Manifest.read(BundleStore(folder / "bundles").current())
    assert [(column.name, column.categories) for column in manifest.context] == [("device", ("phone", "tv"))]
    assert manifest.context[0].absent == pytest.approx((0.5, 0.5), abs=0.05)
    assert sum(manifest.context[0].absent) == pytest.approx(1.0)
    assert [objective.name for objective in manifest.objectives] == ["click", "stars"]
    click_rates = tuple(f"click-through rates~{name}" for name in ("impressions", "click", "stars"))
    assert manifest.item_features[len(STATISTICS) :][:3] == click_rates
    assert manifest.user_features[:4] == ("known", *click_rates)
    assert manifest.metrics["validation/two_stage/auc"] > 0.7
    assert manifest.metrics["two_stage/ndcg@10"] > 0


def test_what_is_read_back_is_what_was_exported(folder: Path) -> None:
    """Proves that the tables of a bundle are those that its models are given offline, rates and context among them."""
    directory = BundleStore(folder / "bundles").current()
    dataset = load(folder, Recipe.read(folder / "recipe.toml"))
    model = load_two_stage(directory, dataset, dataset.until(_known_end(dataset.times)))
    np.testing.assert_array_equal(np.load(directory / "item_features.npy"), model.items.features)
    np.testing.assert_array_equal(np.load(directory / "user_features.npy"), model.user_features(dataset))
    assert model.click_rates.items.any()
    events = np.arange(len(dataset.times) - 20, len(dataset.times))
    features = model.user_features(dataset)[dataset.user_rows[events]]
    assert model.recommend(HistorySlices.before(dataset, events).listed(), features, 5).shape == (20, 5)


def test_a_call_that_does_not_say_its_context_is_served_as_offline(folder: Path) -> None:
    """Proves that the service and PyTorch give the ranker the same in its place, and get the same columns from it."""
    opened = Bundle.open(BundleStore(folder / "bundles").current())
    dataset = load(folder, Recipe.read(folder / "recipe.toml"))
    model = load_two_stage(opened.directory, dataset, dataset.until(_known_end(dataset.times)))
    offline = list[tuple[Tensor, Tensor]]()
    model.ranker.register_forward_hook(
        lambda _, __, inputs, said: offline.append((inputs["context"], said)), with_kwargs=True
    )
    events = np.arange(len(dataset.times) - 20, len(dataset.times))
    features, histories = (
        model.user_features(dataset)[dataset.user_rows[events]],
        HistorySlices.before(dataset, events).listed(),
    )
    found, _ = model.rank(histories, features)
    nobody = ResolvedUser(history=histories[0], seen=events[:0], features=features[:1], unknown=Unknown())
    pairs = zip(histories, features[:, None], strict=True)
    users = [replace(nobody, history=history, features=known) for history, known in pairs]
    served = [OptionsReader(opened.manifest).read({}, {}).context] * len(users)
    [(context, said)] = offline
    np.testing.assert_array_equal(context.numpy(), np.stack(served))
    assert context.gt(0).all()
    lists = [*map(Candidates.from_model, found.candidates.rows, found.candidates.scores)]
    logits = OnnxRanker(opened).score(users, lists, [*found.user_vectors], served)
    np.testing.assert_allclose(logits, said.numpy(), rtol=1e-4, atol=1e-4)


def _known_end(times: np.ndarray[tuple[int], np.dtype[np.int64]]) -> int:
    return int(times[round(len(times) * 0.9)])


@pytest.mark.usefixtures("empty_graphs")
def test_it_is_written_again_with_newer_counts(folder: Path, tmp_path: Path) -> None:
    """Proves that export reads impressions as they are now, newer ones included."""
    directory = BundleStore(folder / "bundles").current()
    given = ["--bundle", directory, "--data", folder, "--out", tmp_path]
    assert main(["export", *map(str, given)]) == 0
    again = BundleStore(tmp_path).current()
    before, after = (np.load(one / "item_features.npy")[:, len(STATISTICS)] for one in (directory, again))
    assert (after > before).all()


def test_bundles_are_compared_by_what_is_measured(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Proves that a figure of lists, which a ranker of impressions does not have, is refused before any training where
    it is asked for."""
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(FIT + '[publish]\nmetric = "two_stage/ndcg@10"\n')
    assert main(["fit", "--recipe", str(recipe), "--data", str(folder), "--out", str(tmp_path / "bundles")]) == 2
    assert "[publish] metric: no 'two_stage/ndcg@10'; there are two_stage/auc" in capsys.readouterr().err


def test_impressions_of_another_time_are_refused(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Proves that there has to be something shown in the ranker's slice."""
    frames = {name: pl.read_parquet(folder / f"{name}.parquet") for name in ("impressions", "interactions", "items")}
    frames["impressions"] = frames["impressions"].with_columns(pl.col("timestamp") + 10 * BEGIN)
    write(tmp_path, frames, FIT)
    given = ["--recipe", tmp_path / "recipe.toml", "--data", tmp_path, "--out", tmp_path / "bundles"]
    assert main(["fit", *map(str, given)]) == 2
    assert "no impression is in the slice of the ranker" in capsys.readouterr().err


def test_without_times_both_stages_are_refused(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Proves that the error comes before any training, and names the missing column and the alternative."""
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(f"[interactions]\nrows_in_order = true\n{FIT}")
    assert main(["fit", "--recipe", str(recipe), "--data", str(folder), "--out", str(tmp_path / "bundles")]) == 2
    told = capsys.readouterr().err
    assert "[interactions] rows_in_order: without times nothing says which impressions are" in told
    assert "`evaluate --protocol impressions`" in told
    assert "epoch" not in told


def test_what_was_shown_and_done_in_one_second_is_of_one_slice(folder: Path, tmp_path: Path) -> None:
    """Proves that no slice begins within a second of many events.

    Its impressions belong to the later slice, and the earlier slice would hold their outcomes.
    """
    frames = {name: pl.read_parquet(folder / f"{name}.parquet") for name in ("impressions", "interactions", "items")}
    for name in ("impressions", "interactions"):
        frames[name] = frames[name].with_columns(pl.col("timestamp") // 100)
    recipe = write(tmp_path, frames, FIT)
    dataset = load(tmp_path, recipe)
    split, final = evaluation_split(dataset, recipe.split), final_split(dataset, recipe.split)
    for border, share in ((split.encoder_end, 0.5), (split.ranker_end, 0.9), (final.encoder_end, 0.6)):
        assert dataset.times[border - 1] < dataset.times[border]
        assert dataset.times[border] == dataset.times[round(share * len(dataset.times))]
    assert final.ranker_end == len(dataset.times)


def test_the_page_says_of_which_metric_the_importance_is(folder: Path) -> None:
    """Proves that it is not the metric of lists, which does not judge a ranker of impressions."""
    page = (BundleStore(folder / "bundles").current() / REPORT).read_text()
    assert "mean AUC lost when the feature is shuffled" in page
    assert "nDCG@10 lost when the feature is shuffled" not in page
