"""The index of a bundle, built and measured by another process.

PyTorch and FAISS bring an OpenMP each, and crash when both work in one process.
"""

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

_QUERIES = 200


def build_index(model: TwoStage, dataset: Dataset, directory: Path) -> IndexInfo:
    """Writes the index of a bundle directory that holds the item vectors, and says what it finds.

    Raises:
        TrainerError: FAISS refuses the recipe's specification.
    """
    recipe, count = model.recipe.index, model.recipe.ranker.candidates
    with tempfile.TemporaryDirectory() as scratch:
        queries = Path(scratch) / "queries.npy"
        np.save(queries, _user_vectors(model, dataset))
        nprobe = "-" if recipe.nprobe is None else str(recipe.nprobe)
        arguments = [str(directory / "item_vectors.npy"), str(queries), str(directory / INDEX), recipe.spec, nprobe]
        command = [sys.executable, "-m", "trainer.build_index", *arguments, str(count)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        reason = done.stderr.strip().splitlines()[-1:] or [f"exit code {done.returncode}"]
        raise TrainerError(f"[index] spec {recipe.spec!r} cannot be built: {reason[0]}")
    return IndexInfo(spec=recipe.spec, nprobe=recipe.nprobe, recall=float(done.stdout), recall_at=count)


def _user_vectors(model: TwoStage, dataset: Dataset) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    """Vectors of real users, ``[queries, dimension]``: those of the latest events that have a history."""
    events = np.flatnonzero(dataset.position >= 1)[-_QUERIES:]
    return model.encoded.user_vectors(histories_before(dataset, events))
