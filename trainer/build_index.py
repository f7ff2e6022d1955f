"""Chooses, builds and measures a bundle's index, in a process without PyTorch.

``python -m trainer.build_index TASK.json`` writes the index and prints, as JSON, what the manifest says of it. The task
has ``vectors`` and ``queries`` (.npy files), ``index`` (the file to write), ``count`` (how many neighbours serving asks
for), ``recall`` (the target), and ``spec`` and ``parameters``: null to choose.
"""

import dataclasses
import json
import shutil
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from shortlist.bundle.manifest import IndexInfo, IndexTrial
from trainer.index_families import Family, families
from trainer.index_trials import Queries, Vectors, measured, try_family


def choose(items: Vectors, users: Vectors, count: int, target: float, tried: list[Family], path: Path) -> IndexInfo:
    """Tries the families, writes the cheapest that reaches the target to ``path``, and says what was measured.

    Half of the users choose the parameters, the other half measure. When nothing reaches the target, what finds the
    most is taken.

    Raises:
        RuntimeError: FAISS refuses a specification.
    """
    tuning = Queries.of(np.ascontiguousarray(users[::2]), items, count)
    reporting = Queries.of(np.ascontiguousarray(users[1::2]), items, count) if len(users) > 1 else tuning
    with tempfile.TemporaryDirectory(dir=path.parent) as scratch:
        paths, trials = list[Path](), list[IndexTrial]()
        for family in tried:
            paths.append(Path(scratch) / f"{len(paths)}.faiss")
            trials.append(try_family(family, items, tuning, target, paths[-1]))
            _say(trials[-1])
        # Who did not reach the target on the one half is not taken for a lucky other half.
        reached = [trial.recall >= target for trial in trials]
        trials = measured(trials, paths, reporting)
        best = _best(trials, reached)
        shutil.move(paths[best], path)
    chosen = trials[best]
    return IndexInfo(
        spec=chosen.spec,
        parameters=chosen.parameters,
        recall=chosen.recall,
        recall_at=count,
        target=target,
        trials=tuple(trials),
    )


def _best(trials: list[IndexTrial], reached: list[bool]) -> int:
    places = range(len(trials))
    if any(reached):
        return min((place for place in places if reached[place]), key=lambda place: trials[place].search_us)
    return max(places, key=lambda place: trials[place].recall)


def _say(trial: IndexTrial) -> None:
    line = f"index {trial.spec} {trial.parameters}: recall {trial.recall:.4f}, {trial.search_us:.0f} us a search, "
    print(line + f"built in {trial.build_seconds:.1f} s", file=sys.stderr, flush=True)


def run(task: Mapping[str, Any]) -> IndexInfo:
    """See the module."""
    items = np.load(task["vectors"], mmap_mode="r", allow_pickle=False)
    users = np.load(task["queries"], allow_pickle=False)
    count = min(task["count"], len(items))
    if task["spec"] is None:
        tried = families(len(items), items.shape[1], count)
    elif task["parameters"] is None:
        tried = [Family.of(task["spec"], count, len(items))]
    else:
        tried = [Family(spec=task["spec"], ladders=((task["parameters"],),))]
    return choose(items, users, count, task["recall"], tried, Path(task["index"]))


def main(task: str) -> int:
    """See the module."""
    try:
        info = run(json.loads(Path(task).read_text()))
    except RuntimeError as error:
        print(str(error).strip().splitlines()[-1], file=sys.stderr)
        return 1
    print(json.dumps(dataclasses.asdict(info)))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
