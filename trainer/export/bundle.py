"""From trained models to a bundle: all of it, or nothing."""

import dataclasses
import importlib.metadata
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from shortlist import __version__
from shortlist.bundle.bundle import ITEM_TABLE, RANKER, USER_ENCODER, save_tables
from shortlist.bundle.bundle_id import new_bundle_id
from shortlist.bundle.index_info import IndexInfo
from shortlist.bundle.manifest import FileDigest, Manifest, format_version
from shortlist.bundle.signature import sign
from shortlist.bundle.store import BundleStore
from shortlist.bundle.tables import UserTables
from trainer.data import Dataset
from trainer.errors import TrainerError
from trainer.evaluation.metrics import Figures
from trainer.export.checkpoint import save_checkpoint
from trainer.export.index.build import build_index
from trainer.export.new_items import export_new_items
from trainer.export.onnx_files import export_encoder, export_ranker
from trainer.files import writing
from trainer.models.pipeline import TrainedPipeline

_LIBRARIES = ("torch", "onnx", "onnxscript", "onnxruntime", "faiss-cpu", "numpy")


def export_bundle(
    model: TrainedPipeline,
    dataset: Dataset,
    figures: Figures,
    root: Path,
    *,
    sign_key: Path | None = None,
    publish: bool = True,
    forced: str = "",
    warnings: tuple[str, ...] = (),
    report: Callable[[IndexInfo], Mapping[str, str]] | None = None,
) -> Path:
    """Writes a bundle, signed when there is a key; returns its directory.

    With ``publish`` it becomes the current bundle; ``forced`` is the reason against that, if there is one. The
    manifest keeps the ``warnings``. ``report`` makes further files of text, by name, which show the chosen index.

    Raises:
        TrainerError: a vector is not finite, or an exported model differs from PyTorch; nothing is written.
        OutputError: the disk is full, or refuses a file; nothing is left of the new bundle.
    """
    if not np.isfinite(model.encoded.vectors).all():
        raise TrainerError("the encoder gave item vectors that are not finite; nothing is exported")
    users = user_tables(dataset, model.user_features(dataset))
    store = BundleStore(root)
    bundle_id = new_bundle_id(max(store.ids(), default=""))
    with writing(root), (store.publishing if publish else store.adding)(bundle_id) as directory:
        save_tables(directory, model.items, users)
        dataset.item_table.write_parquet(directory / ITEM_TABLE)
        export_encoder(model, directory / USER_ENCODER, len(dataset.event_names))
        export_ranker(model, directory / RANKER)
        refusal = export_new_items(model, dataset, directory)
        save_checkpoint(model, dataset.learnt_columns, directory)
        index = build_index(model, dataset, directory)
        for name, text in ({} if report is None else report(index)).items():
            (directory / name).write_text(text, encoding="utf-8")
        manifest = _manifest(model, dataset, figures, bundle_id, index, directory)
        manifest = dataclasses.replace(manifest, forced=forced, warnings=warnings, new_items_refusal=refusal)
        manifest.write(directory)
        if sign_key is not None:
            sign(directory, sign_key)
    return root / bundle_id


def user_tables(dataset: Dataset, features: NDArray[np.float32]) -> UserTables:
    """The features ``[users, U]`` and the whole history of all users."""
    events = dataset.user_events
    return UserTables(
        ids=dataset.user_ids,
        features=features,
        offsets=dataset.user_offsets,
        rows=dataset.item_rows[events].astype(np.int32),
        values=dataset.values[events],
        events=dataset.events[events].astype(np.min_scalar_type(len(dataset.event_names))),
    )


def _manifest(
    model: TrainedPipeline, dataset: Dataset, figures: Figures, bundle_id: str, index: IndexInfo, directory: Path
) -> Manifest:
    return Manifest(
        format_version=format_version(model.seen_events.names),
        bundle_id=bundle_id,
        create_time=datetime.now(UTC).isoformat(timespec="seconds"),
        libraries={"shortlist": __version__} | {name: importlib.metadata.version(name) for name in _LIBRARIES},
        dimension=model.encoded.vectors.shape[1],
        metric="inner_product",
        item_count=len(dataset.item_ids),
        user_count=len(dataset.user_ids),
        item_features=model.layout.item_names,
        user_features=model.layout.user_names,
        event_names=dataset.event_names,
        seen_events=model.seen_events.names,
        forgotten_position=dataset.forgotten_position,
        known_until=int(dataset.times[-1]) if model.recipe.interactions.time else None,
        known_position=dataset.known_position,
        encoder_history=model.recipe.encoder.history,
        ranker_history=model.recipe.ranker.history,
        value_mean=model.items.value_mean,
        value_std=model.items.value_std,
        liked_events=model.recipe.interactions.positive_events,
        objectives=model.objectives.served,
        context=model.layout.context,
        candidate_count=model.recipe.ranker.candidates,
        index=index,
        metrics=flat(figures),
        recipe=dataclasses.asdict(model.recipe),
        files={path.name: FileDigest.of(path) for path in sorted(directory.iterdir())},
    )


def flat(figures: Figures) -> Mapping[str, float]:
    """``{"two_stage": {"hr@10": …}}`` → ``{"two_stage/hr@10": …}``."""
    return {f"{name}/{metric}": value for name, values in figures.items() for metric, value in values.items()}


def by_model(metrics: Mapping[str, float]) -> Figures:
    """The inverse of :func:`flat`."""
    figures: Figures = {}
    for key, value in metrics.items():
        name, _, metric = key.rpartition("/")
        figures.setdefault(name, {})[metric] = value
    return figures
