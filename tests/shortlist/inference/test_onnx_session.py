"""A model file cannot make the runtime read other files, and a large batch leaves no memory behind."""

import os
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from bench.harness.process_state import process_state
from shortlist.errors import BundleError
from shortlist.inference.onnx_session import OnnxSession
from shortlist.serving.memory import give_back_freed


def _model(weights: TensorProto) -> onnx.ModelProto:
    graph = helper.make_graph(
        [helper.make_node("Add", ["x", "w"], ["y"])],
        "adds",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [4])],
        [weights],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def _outside(location: str) -> TensorProto:
    weights = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[4], data_location=TensorProto.EXTERNAL)
    weights.external_data.add(key="location", value=location)
    return weights


def test_a_model_with_its_weights_inside_runs(tmp_path: Path) -> None:
    """So the test below refuses a model because of the place of its weights."""
    path = tmp_path / "model.onnx"
    path.write_bytes(_model(helper.make_tensor("w", TensorProto.FLOAT, [4], [1.0] * 4)).SerializeToString())
    assert OnnxSession(path).run({"x": np.zeros(4, dtype=np.float32)}).tolist() == [1.0] * 4


@pytest.mark.parametrize("location", ["secret.bin", "../secret.bin", "{folder}/secret.bin"])
def test_a_model_cannot_read_another_file(tmp_path: Path, location: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bundle's graph gives no access to files of the machine, next to it, above it or elsewhere."""
    bundle = tmp_path / "bundle"
    bundle.mkdir()
    monkeypatch.chdir(bundle)
    for folder in (tmp_path, bundle):
        np.ones(4, dtype=np.float32).tofile(folder / "secret.bin")
    path = bundle / "model.onnx"
    path.write_bytes(_model(_outside(location.format(folder=tmp_path))).SerializeToString())
    with pytest.raises(BundleError, match="ONNX Runtime cannot load it"):
        OnnxSession(path)


def test_a_large_batch_leaves_no_memory_behind(tmp_path: Path) -> None:
    """Proves that the runtime gives back the memory of a run: some 60 MB, for a batch that may never come again."""
    number = TensorProto.FLOAT
    graph = helper.make_graph(
        [
            helper.make_node("Exp", ["x"], ["first"]),
            helper.make_node("MatMul", ["first", "w"], ["second"]),
            helper.make_node("ReduceSum", ["second"], ["y"], keepdims=0),
        ],
        "sums",
        [helper.make_tensor_value_info("x", number, ["rows", 1024])],
        [helper.make_tensor_value_info("y", number, [])],
        [helper.make_tensor("w", number, [1024, 1024], np.eye(1024, dtype=np.float32).tobytes(), raw=True)],
    )
    path = tmp_path / "model.onnx"
    path.write_bytes(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10).SerializeToString()
    )
    session = OnnxSession(path)

    def memory_after_a_batch(rows: int) -> float:
        session.run({"x": np.zeros((rows, 1024), dtype=np.float32)})
        give_back_freed()
        return process_state(os.getpid()).anonymous_mb

    small = memory_after_a_batch(8)
    assert memory_after_a_batch(8192) < small + 10
