"""Bundles that a trainer with a bug, or a thief of its signing key, would publish: consistent, and unusable."""

import itertools
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper

from shortlist.bundle import Manifest
from shortlist.bundle.bundle import USER_ENCODER
from shortlist.bundle.manifest import FileDigest
from testbed.versions import add_version, edit_manifest, publish, replace_file

_VECTORS = "item_vectors.npy"
_KEPT = 4


class Versions:
    """Publishes versions of one bundle in a directory, good and unusable ones."""

    def __init__(self, root: Path, bundle: Path) -> None:
        self.root, self._bundle, self._numbers = root, bundle, itertools.count()

    def good(self) -> str:
        """Publishes a usable version and returns its id."""
        bundle_id = self._add()
        publish(self.root, bundle_id)
        return bundle_id

    def unusable(self, damage: Callable[[Path], None]) -> None:
        """Publishes a version that ``damage`` has changed; its manifest says what its files now hold."""
        bundle_id = self._add()
        directory = self.root / bundle_id
        damage(directory)
        files = Manifest.read(directory).files
        digests = {name: FileDigest.of(directory / name) for name in files}
        edit_manifest(
            directory, files={name: {"sha256": one.sha256, "size": one.size} for name, one in digests.items()}
        )
        publish(self.root, bundle_id)

    def _add(self) -> str:
        for directory in sorted(path for path in self.root.iterdir() if path.is_dir())[:-_KEPT]:
            shutil.rmtree(directory)
        return add_version(self.root, self._bundle, next(self._numbers))


def odd_array(directory: Path) -> None:
    """The item vectors become a file that no reader of arrays knows."""
    replace_file(directory / _VECTORS, b"PK\x03\x04" + bytes(200))


def nan_vectors(directory: Path) -> None:
    """One item vector gets a NaN."""
    vectors = np.load(directory / _VECTORS)
    vectors[len(vectors) // 2, 0] = np.nan
    path = directory / _VECTORS
    path.unlink()
    np.save(path, vectors)


def endless_encoder(directory: Path) -> None:
    """The encoder becomes a graph that loops for centuries."""
    model = onnx.load_model(directory / USER_ENCODER)
    body = helper.make_graph(
        [helper.make_node("Identity", ["going"], ["goes_on"]), helper.make_node("Identity", ["value"], ["next"])],
        "body",
        [
            helper.make_tensor_value_info("step", TensorProto.INT64, []),
            helper.make_tensor_value_info("going", TensorProto.BOOL, []),
            helper.make_tensor_value_info("value", TensorProto.FLOAT, [1]),
        ],
        [
            helper.make_tensor_value_info("goes_on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("next", TensorProto.FLOAT, [1]),
        ],
    )
    nodes = [
        _constant("steps", TensorProto.INT64, [], 2**62),
        _constant("yes", TensorProto.BOOL, [], True),
        _constant("one", TensorProto.FLOAT, [1], 1.0),
        helper.make_node("Loop", ["steps", "yes", "one"], [model.graph.output[0].name], body=body),
    ]
    output = helper.make_tensor_value_info(model.graph.output[0].name, TensorProto.FLOAT, None)
    graph = helper.make_graph(nodes, "endless", list(model.graph.input), [output])
    endless = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    replace_file(directory / USER_ENCODER, endless.SerializeToString())


UNUSABLE: Mapping[str, Callable[[Path], None]] = {
    "odd array": odd_array,
    "NaN vectors": nan_vectors,
    "endless encoder": endless_encoder,
}


def _constant(name: str, kind: int, shape: list[int], value: float) -> onnx.NodeProto:
    return helper.make_node("Constant", [], [name], value=helper.make_tensor(name, kind, shape, [value]))
