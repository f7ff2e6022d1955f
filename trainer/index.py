"""The index of a bundle, built and measured by another process.

PyTorch and FAISS bring an OpenMP each, and crash when both work in one process.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from shortlist.bundle.bundle import INDEX
from shortlist.bundle.manifest import IndexInfo
from trainer.data import Dataset
from trainer.errors import TrainerError
from trainer.histories import histories_before
from trainer.two_stage import TwoStage

# Half of them choose the parameters of the index, the other half measure it.
_QUERIES = 500


def build_index(model: TwoStage, dataset: Dataset, directory: Path) -> IndexInfo:
    """Chooses the index of a bundle directory that holds the item vectors, writes it, and says what was measured.

    Raises:
        TrainerError: FAISS refuses the recipe's specification.
    """
    recipe = model.recipe.index
    with tempfile.TemporaryDirectory() as scratch:
        queries, task = Path(scratch) / "queries.npy", Path(scratch) / "task.json"
        np.save(queries, _user_vectors(model, dataset))
        task.write_text(
            json.dumps(
                {
                    "vectors": str(directory / "item_vectors.npy"),
                    "queries": str(queries),
                    "index": str(directory / INDEX),
                    "count": model.recipe.ranker.candidates,
                    "recall": recipe.recall,
                    "spec": recipe.spec,
                    "parameters": recipe.parameters,
                }
            )
        )
        command = [sys.executable, "-m", "trainer.build_index", str(task)]
        # It says on stderr what it tries, which may take a while.
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise TrainerError(f"[index] spec {recipe.spec!r} with {recipe.parameters!r} cannot be built, see above")
    return IndexInfo.from_json(json.loads(done.stdout))


def _user_vectors(model: TwoStage, dataset: Dataset) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    """Vectors of real users, ``[queries, dimension]``: those of the latest events that have a history."""
    events = np.flatnonzero(dataset.position >= 1)[-_QUERIES:]
    return model.encoded.user_vectors(histories_before(dataset, events))
