"""A bundle's models over a catalogue that has changed since the training."""

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from shortlist.bundle import Bundle
from shortlist.errors import BundleError
from shortlist.inference.new_items import NewItemEncoder
from shortlist.inference.onnx_session import OnnxSession
from shortlist.serving.served_messages import bundle_message
from tests.trainer.configs import encoder_config
from trainer.data import Dataset
from trainer.export.bundle import export_bundle
from trainer.export.checkpoint import load_dataset, load_two_stage
from trainer.export.onnx_files import export_item_encoder
from trainer.models.encoders.content_ridge import ContentRidgeEncoder
from trainer.models.encoders.encoded import Encoded
from trainer.models.new_items import report_new_items
from trainer.models.pipeline import TrainedPipeline
from trainer.models.registry import build_encoder
from trainer.progress import Reporter
from trainer.recipe import IndexConfig, Recipe
from trainer.training.encoder.closed_form import ClosedFormTraining
from trainer.training.encoder.training import encoder_data_spec

GONE, CONTENT, PLAYED, NOTHING = "i07", "a00", "i30b", "z99"


def changed(folder: Path, planted_folder: Path, new: Sequence[str]) -> Path:
    """The planted tables without the item `GONE`, and with these new ones.

    `CONTENT` has the genre of the rows 45 to 59, `PLAYED` is what users play after these, and `NOTHING` has neither.
    """
    data = folder / "data"
    shutil.copytree(planted_folder, data)
    items = [line for line in (data / "items.csv").read_text().splitlines() if not line.startswith(GONE)]
    genres = {CONTENT: "genre3", PLAYED: "", NOTHING: ""}
    (data / "items.csv").write_text("\n".join([*items, *(f"{one},{genres[one]}" for one in new)]) + "\n")
    events = [line for line in (data / "interactions.csv").read_text().splitlines() if f",{GONE}," not in line]
    if PLAYED in new:
        events += [f"u{user:03},{PLAYED},9000,5" for user in range(3, 120, 4)]
    (data / "interactions.csv").write_text("\n".join(events) + "\n")
    return data


def vectors_by_id(model: TrainedPipeline, dataset: Dataset) -> dict[str, np.ndarray]:
    """The vector of each item."""
    return {one.decode(): vector for one, vector in zip(dataset.item_ids, model.encoded.vectors, strict=True)}


def over(bundle: Path, data: Path) -> tuple[TrainedPipeline, Dataset]:
    """The models of a bundle over other data."""
    dataset = load_dataset(bundle, data)
    return load_two_stage(bundle, dataset, end=len(dataset.times)), dataset


def test_items_come_and_go(
    exported: Path, final: TrainedPipeline, planted: Dataset, planted_folder: Path, tmp_path: Path, empty_graphs: None
) -> None:
    """Proves that each item keeps its own vector, that a new one has that of its genre, and that a bundle is written.

    From this bundle, the item that was gone comes back as it was.
    """
    model, dataset = over(exported, changed(tmp_path, planted_folder, [CONTENT]))
    before, now = vectors_by_id(final, planted), vectors_by_id(model, dataset)
    assert set(now) == set(before) - {GONE} | {CONTENT}
    for one in set(now) - {CONTENT}:
        np.testing.assert_array_equal(now[one], before[one])
    assert model.encoded.inputs is model.encoded.vectors
    nearest = sorted(before, key=lambda one: -float(before[one] @ now[CONTENT]))[:10]
    assert sum(one >= "i45" for one in nearest) >= 8
    model = replace(model, recipe=replace(model.recipe, index=IndexConfig(spec="Flat")))
    written = Bundle.open(export_bundle(model, dataset, {}, tmp_path / "bundles"))
    assert written.items.ids.tolist() == dataset.item_ids.tolist()
    again, same = over(written.directory, planted_folder)
    np.testing.assert_array_equal(again.encoded.vectors, final.encoded.vectors)
    assert again.trained_items is None
    assert same.item_ids.tolist() == planted.item_ids.tolist()


def test_a_service_describes_a_new_item_as_the_next_export(
    exported: Path, planted_folder: Path, tmp_path: Path
) -> None:
    """Proves it of the vector, the input in histories, and the ranker's features, with and without a known genre.

    The counted features are those of the served bundle's items without events; the next bundle has other means.
    """
    model, dataset = over(exported, changed(tmp_path, planted_folder, [CONTENT, NOTHING]))
    bundle = Bundle.open(exported)
    described = NewItemEncoder(bundle).describe([{"genre": "genre3"}, {"genre": ""}, {}])
    rows = [dataset.item_ids.tolist().index(one.encode()) for one in (CONTENT, NOTHING, NOTHING)]
    np.testing.assert_allclose(described.vectors, model.encoded.vectors[rows], atol=1e-6)
    np.testing.assert_allclose(described.inputs, model.encoded.inputs[rows], atol=1e-6)
    counted = model.layout.point_in_time
    np.testing.assert_array_equal(described.features[:, counted:], model.items.features[rows, counted:])
    assert bundle.items.unseen is not None
    np.testing.assert_array_equal(described.features[:, :counted], np.tile(bundle.items.unseen, (3, 1)))
    assert model.items.unseen is not None
    np.testing.assert_allclose(model.items.features[rows, :counted], np.tile(model.items.unseen, (3, 1)), atol=1e-6)
    message = bundle_message(bundle)
    assert (message.describes_new_items, message.new_items_refusal) == (True, "")


def test_the_new_items_are_counted(
    exported: Path, planted_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Proves that an item of which nothing is known is a warning, which says why, and that others are none."""

    model, dataset = over(exported, changed(tmp_path, planted_folder, [CONTENT, PLAYED, NOTHING]))
    reporter, lines = Reporter(), list[str]()
    monkeypatch.setattr(reporter, "say", lines.append)
    report_new_items(model, dataset, exported.name, reporter)
    assert lines == [f"3 items are new since the training of {exported.name}, and 1 are gone"]
    assert reporter.warnings == (
        "1 of 62 items are new and have no vector, so that lists hold them as popular items alone: they have none of "
        "the features that the encoder reads, and nobody with a history has had them",
    )
    played = vectors_by_id(model, dataset)[PLAYED]
    rows = np.argsort(-(model.encoded.vectors @ played))[1:11]
    assert sum(dataset.item_ids[row] >= b"i45" for row in rows) >= 6


@pytest.mark.usefixtures("empty_graphs")
def test_an_encoder_without_content_places_new_items_by_their_users(
    fitted: TrainedPipeline, planted: Dataset, planted_folder: Path, tmp_path: Path
) -> None:
    """Proves that one with events has a vector, and that the warning names the encoder for one without."""
    config = encoder_config(fitted.recipe.encoder, "ials")
    encoder = build_encoder(config, encoder_data_spec(planted, len(planted.times))).eval()
    recipe: Recipe = replace(fitted.recipe, encoder=config, index=IndexConfig(spec="Flat"))
    model = replace(fitted, recipe=recipe, encoded=Encoded.of(encoder, 16))
    bundle = export_bundle(model, planted, {}, tmp_path / "bundles")
    message = bundle_message(Bundle.open(bundle))
    assert not message.describes_new_items
    assert message.new_items_refusal == (
        "the encoder ials reads no features of items: choose bsarec, content_ridge, gru, transformer or two_tower as "
        "the name in the recipe's [encoder]"
    )
    with pytest.raises(BundleError, match="describes no new items: the encoder ials reads no features"):
        NewItemEncoder(Bundle.open(bundle))
    again, dataset = over(bundle, changed(tmp_path, planted_folder, [CONTENT, PLAYED]))
    now = vectors_by_id(again, dataset)
    assert now[PLAYED].any()
    assert not now[CONTENT].any()
    reporter = Reporter()
    report_new_items(again, dataset, bundle.name, reporter)
    assert "the encoder ials reads no features of items, and nobody with a history" in reporter.warnings[0]


# All encoders of sequences make vectors of content alike.
@pytest.mark.parametrize("name", ["two_tower", "content_ridge"])
def test_an_item_that_comes_later_is_one_that_was_there_without_events(
    recipe: Recipe, planted: Dataset, name: str, tmp_path: Path
) -> None:
    """Proves that both have the same vector and the same input of the same features, in PyTorch and as exported."""
    end = len(planted.times) // 20
    spec = encoder_data_spec(planted, end)
    cold = ~spec.learnt
    assert cold.any()
    encoder = build_encoder(encoder_config(recipe.encoder, name), spec)
    if isinstance(encoder, ContentRidgeEncoder):
        training = ClosedFormTraining(planted, end, encoder_config(recipe.encoder, name), seed=0)
        training.epoch(Reporter(), "")
        encoder = training.encoder
    with torch.no_grad():
        content = encoder.eval().of_content(torch.from_numpy(planted.item_features.matrix[cold]))
        encoded = Encoded.of(encoder, 16)
        export_item_encoder(encoder, planted.item_features.matrix, tmp_path / "item_encoder.onnx")
    exported = OnnxSession(tmp_path / "item_encoder.onnx").run_all(
        {"item_features": planted.item_features.matrix[cold]}
    )
    assert content is not None
    assert content.vectors.any()
    assert len(exported) == (1 if encoder.item_inputs() is None else 2)
    np.testing.assert_allclose(exported[0], content.vectors, atol=1e-6)
    np.testing.assert_allclose(exported[-1], content.inputs, atol=1e-6)
    np.testing.assert_allclose(content.vectors, encoded.vectors[cold], atol=1e-6)
    np.testing.assert_allclose(content.inputs, encoded.inputs[cold], atol=1e-6)
