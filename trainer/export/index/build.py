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
from shortlist.bundle.index_info import IndexInfo
from trainer.data import Dataset
from trainer.data.history_slices import HistorySlices
from trainer.errors import OutputError, TrainerError
from trainer.models.pipeline import TrainedPipeline

# Half of them choose the parameters of the index, the other half measure it.
_USERS = 1000


def build_index(model: TrainedPipeline, dataset: Dataset, directory: Path) -> IndexInfo:
    """Chooses the index of a bundle directory that holds the item vectors, writes it, and returns its measurements.

    It has the vectors of the items that lists may hold.

    Raises:
        TrainerError: FAISS refuses the recipe's specification.
        OutputError: the disk refuses the file.
    """
    recipe = model.recipe.index
    with tempfile.TemporaryDirectory() as scratch:
        queries, task = Path(scratch) / "queries.npy", Path(scratch) / "task.json"
        vectors = directory / "item_vectors.npy"
        if model.items.listed is not None:
            vectors = Path(scratch) / "vectors.npy"
            np.save(vectors, model.encoded.vectors[model.items.listed])
        np.save(queries, user_vectors(model, dataset))
        task.write_text(
            json.dumps(
                {
                    "vectors": str(vectors),
                    "queries": str(queries),
                    "index": str(directory / INDEX),
                    "count": model.recipe.ranker.candidates,
                    "recall": recipe.recall,
                    "spec": recipe.spec,
                    "parameters": recipe.parameters,
                }
            )
        )
        command = [sys.executable, "-m", "trainer.export.index.process", str(task)]
        # Its progress goes to stderr.
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise TrainerError(f"choosing the index ended with code {done.returncode} (-9: out of memory), see above")
    answer = json.loads(done.stdout)
    if "disk" in answer:
        raise OutputError(f"{directory / INDEX}: cannot be written: {answer['disk']}")
    if "refused" in answer:
        raise TrainerError(
            f"[index] spec {recipe.spec!r}, parameters {recipe.parameters!r}: cannot be built for "
            f"{model.items.listed_count} items of {model.encoded.vectors.shape[1]} dimensions. "
            f"Leave both out to have an index chosen. FAISS says: {answer['refused']}"
        )
    return IndexInfo.from_json(answer)


def user_vectors(model: TrainedPipeline, dataset: Dataset) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    """Vectors of different real users, ``[users, dimension]``: the latest to act, as they were before they did."""
    # Different users, so that no user both chooses the parameters and measures them.
    ends = dataset.user_offsets[1:][np.diff(dataset.user_offsets) > 1]
    events = np.sort(dataset.user_events[ends - 1])[-_USERS:]
    features = dataset.known_user_features[dataset.user_rows[events]]
    return model.encoded.user_vectors(HistorySlices.before(dataset, events).listed(), features)
