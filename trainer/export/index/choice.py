"""The choice of an index by measurement. Runs in a process without PyTorch."""

import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np

from shortlist.bundle.index_info import IndexInfo, IndexTrial
from trainer.export.index.builder import Builder, Vectors, say
from trainer.export.index.families import MOST_IN_GRAPH, Family, inverted
from trainer.export.index.queries import Queries
from trainer.export.index.trials import measured, try_family

# Building an index of ten million takes a quarter of an hour, so that only the best on a sample are built whole.
_SAMPLE = 500_000
_FINALISTS = 2


def choose(items: Vectors, users: Vectors, count: int, target: float, tried: list[Family], path: Path) -> IndexInfo:
    """Tries the families, writes the fastest index that reaches the target to ``path``, and returns the measurements.

    Half of the users choose the parameters, the other half measure. If no index reaches the target, the index with the
    highest recall is taken.

    Raises:
        RuntimeError: FAISS refuses a specification.
    """
    tuning = Queries.of(users[::2], items, count)
    reporting = Queries.of(users[1::2], items, count) if len(users) > 1 else tuning
    builder = Builder(items)
    with tempfile.TemporaryDirectory(dir=path.parent) as scratch:
        paths, trials, reached = list[Path](), list[IndexTrial](), list[bool]()
        for family in tried:
            say(f"{len(trials) + 1} of {len(tried)}, {family.spec}, {len(items):,} items")
            paths.append(Path(scratch) / f"{len(paths)}.faiss")
            trial, reaches = try_family(family, builder, tuning, target, paths[-1])
            trials.append(trial)
            # An index that missed the target on the one half is not chosen for luck on the other.
            reached.append(reaches)
        trials = measured(trials, paths, reporting)
        best = _best(trials, reached)
        shutil.move(paths[best], path)
    trials[best] = chosen = replace(trials[best], chosen=True)
    if not reached[best]:
        say(f"nothing that was tried surely reaches a recall of {target}; {chosen.spec} has {chosen.recall:.4f}")
    return IndexInfo(
        spec=chosen.spec,
        parameters=chosen.parameters,
        recall=chosen.recall,
        recall_at=count,
        target=target,
        trials=tuple(trials),
        rescored=chosen.rescored,
    )


def _best(trials: list[IndexTrial], reached: list[bool]) -> int:
    places = range(len(trials))
    if any(reached):
        return min((place for place in places if reached[place]), key=lambda place: trials[place].search_us)
    return max(places, key=lambda place: trials[place].recall)


def finalists(
    items: Vectors, users: Vectors, count: int, target: float, tried: list[Family], scratch: Path
) -> tuple[list[Family], dict[str, str]]:
    """The inverted lists that are worth building for a very large catalogue, and why the others are not.

    They are tried on a sample of the items, with fewer lists. Which kind is faster hardly depends on the size.
    """
    if len(items) <= MOST_IN_GRAPH:
        return tried, {}
    sample = np.ascontiguousarray(items[:: -(-len(items) // _SAMPLE)])
    specs = inverted(len(sample), sample.shape[1])
    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        small = [Family.of(spec, count) for spec in specs]
        trials = choose(sample, users, count, target, small, Path(folder) / "sample.faiss").trials
    order = sorted(range(len(tried)), key=lambda place: (trials[place].recall < target, trials[place].search_us))
    kept = [tried[place] for place in order[:_FINALISTS]]
    reasons = {
        tried[place].spec: f"{trials[place].search_us:.0f} us and recall {trials[place].recall:.4f} on a sample of "
        f"{len(sample):,} items, where {kept[0].spec.split(',', 1)[1]} takes {trials[order[0]].search_us:.0f} us"
        for place in order[_FINALISTS:]
    }
    return kept, reasons
