"""Writes the directory of models that Triton serves."""

import shutil
from pathlib import Path

from bench.harness.planted import CANDIDATES, DIMENSION
from bench.peers.settings import TritonSettings
from bench.peers.stages import LIMIT

Tensors = dict[str, tuple[str, int]]

_USER: Tensors = {"USER_ID": ("TYPE_STRING", 1)}
_CANDIDATES: Tensors = {
    "ROWS": ("TYPE_INT32", CANDIDATES),
    "RETRIEVAL_SCORES": ("TYPE_FP32", CANDIDATES),
    "USER_VECTOR": ("TYPE_FP32", DIMENSION),
}
_LIST: Tensors = {"ITEM_IDS": ("TYPE_STRING", LIMIT), "SCORES": ("TYPE_FP32", LIMIT)}


def write_repository(folder: Path, bundle: Path, settings: TritonSettings) -> None:
    """Replaces the folder by the models of the settings."""
    shutil.rmtree(folder, ignore_errors=True)
    models = [
        ("retrieval", "RetrievalModel", _USER, _CANDIDATES, settings.retrieval_instances),
        ("ranking", "RankingModel", _USER | _CANDIDATES, _LIST, settings.ranking_instances),
        ("recommend", "RecommendModel", _USER, _LIST, settings.ranking_instances),
    ]
    for name, model, inputs, outputs, instances in models:
        if name in ("ranking", "recommend") and (name == "recommend") != (settings.model == "recommend"):
            continue
        text = _config(name, settings.batch, inputs, outputs) + _PYTHON.format(
            instances=instances, delay=settings.delay_us, bundle=bundle.resolve()
        )
        _write(folder / name, text, _MODEL.format(model=model))
    if settings.model == "ensemble":
        _write(folder / "ensemble", _config("ensemble", settings.batch, _USER, _LIST) + _ensemble(), None)


def _write(folder: Path, config: str, model: str | None) -> None:
    (folder / "1").mkdir(parents=True)
    (folder / "config.pbtxt").write_text(config)
    if model is not None:
        (folder / "1" / "model.py").write_text(model)


def _config(name: str, batch: int, inputs: Tensors, outputs: Tensors) -> str:
    return f'name: "{name}"\nmax_batch_size: {batch}\n{_tensors("input", inputs)}{_tensors("output", outputs)}'


def _tensors(side: str, tensors: Tensors) -> str:
    lines = [
        f'{side} {{ name: "{name}" data_type: {kind} dims: [{size}] }}\n' for name, (kind, size) in tensors.items()
    ]
    return "".join(lines)


def _ensemble() -> str:
    first = _step("retrieval", _USER, _CANDIDATES)
    second = _step("ranking", _USER | _CANDIDATES, _LIST)
    return f'platform: "ensemble"\nensemble_scheduling {{\n{first}{second}}}\n'


def _step(model: str, inputs: Tensors, outputs: Tensors) -> str:
    maps = [f'input_map {{ key: "{name}" value: "{name}" }}' for name in inputs]
    maps += [f'output_map {{ key: "{name}" value: "{name}" }}' for name in outputs]
    return f'step {{ model_name: "{model}" model_version: -1 {" ".join(maps)} }}\n'


# The interpreter inside Triton ignores PYTHONPATH.
_MODEL = """\
import os
import sys

sys.path[:0] = os.environ["PYTHONPATH"].split(os.pathsep)

from bench.peers.triton_models import {model} as TritonPythonModel
"""
_PYTHON = """\
backend: "python"
instance_group {{ count: {instances} kind: KIND_CPU }}
dynamic_batching {{ max_queue_delay_microseconds: {delay} }}
parameters {{ key: "bundle" value: {{ string_value: "{bundle}" }} }}
"""
