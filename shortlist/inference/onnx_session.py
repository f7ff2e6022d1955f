"""ONNX Runtime, set up for a server."""

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from shortlist.errors import BundleError
from shortlist.inference.onnx_runtime import onnxruntime


class Runs:
    """Stops sessions, for good: the loading of a graph, and each of its runs."""

    def __init__(self) -> None:
        self.options = onnxruntime.RunOptions()
        self._loading: list[onnxruntime.SessionOptions] = []

    def add(self, options: onnxruntime.SessionOptions) -> None:
        """A session with these options is being made."""
        self._loading.append(options)

    def stop(self) -> None:
        """A graph that is being loaded or run raises before its next node."""
        self.options.terminate = True
        for options in self._loading:
            options.set_load_cancellation_flag(True)


_OF_THREAD = threading.local()


@contextlib.contextmanager
def stoppable(runs: Runs) -> Iterator[None]:
    """Makes ``runs`` stop the sessions that this thread makes in the block, wherever they run."""
    _OF_THREAD.runs = runs
    try:
        yield
    finally:
        del _OF_THREAD.runs


class OnnxSession:
    """A model that many request threads run, each on its own core."""

    def __init__(self, path: Path) -> None:
        options = onnxruntime.SessionOptions()
        # By default, every session uses every core and spins on them between requests.
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        # The runtime's own pool, and its plan of blocks for each shape, would keep the memory of the largest batch for
        # ever. Without both, runs are as fast, and the allocator gives it back.
        options.enable_cpu_mem_arena = False
        options.enable_mem_pattern = False
        options.log_severity_level = 3
        runs = getattr(_OF_THREAD, "runs", None) or Runs()
        runs.add(options)
        self._options = runs.options
        try:
            # From bytes, so that a graph cannot make the runtime read external data from another file.
            self._session = onnxruntime.InferenceSession(path.read_bytes(), options, providers=["CPUExecutionProvider"])
        except Exception as error:
            raise BundleError(path, f"ONNX Runtime cannot load it: {error}") from error
        self._output = [self._session.get_outputs()[0].name]
        self._inputs = {item.name: item.shape for item in self._session.get_inputs()}

    def takes(self, name: str) -> bool:
        """Whether the graph has an input of that name."""
        return name in self._inputs

    def width(self, name: str) -> int:
        """The last dimension of the input of that name."""
        return int(self._inputs[name][-1])

    def run(self, inputs: dict[str, NDArray[np.generic]]) -> NDArray[np.float32]:
        """The model's only output. Inputs that the graph does not have are left out."""
        known = {name: array for name, array in inputs.items() if name in self._inputs}
        output: NDArray[np.float32] = self._session.run(self._output, known, self._options)[0]
        return output

    def run_all(self, inputs: dict[str, NDArray[np.generic]]) -> list[NDArray[np.float32]]:
        """All outputs of a model that has several."""
        outputs: list[NDArray[np.float32]] = self._session.run(None, inputs, self._options)
        return outputs
