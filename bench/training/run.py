"""One measurement of the training benchmark, in a process of its own, so that its memory can be measured.

``python -m bench.training.run '{"log": {...}, "folder": "...", ...}'`` prints the figures as JSON on the last line.
"""

import argparse
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch

from bench.training.data import ENCODER, RECIPE, Log
from bench.training.memory import MemoryWatch
from trainer.data import Dataset, load
from trainer.data.split import Split, evaluation_split, subsample
from trainer.features.statistics import item_tables
from trainer.models.encoders.encoded import Encoded
from trainer.models.rankers.objectives import Objectives
from trainer.progress import Reporter
from trainer.recipe.models import RankerConfig, SequenceConfig
from trainer.training.encoder.next_item import NextItemTraining
from trainer.training.encoder.windows import batch_by_length, events_of_a_step, windows_of
from trainer.training.ranker.retrieved_examples import RetrievedExamples
from trainer.training.ranker.training import RankerTraining

T = TypeVar("T")
Figures = dict[str, float]
_WARM_STEPS, _LEAST_STEPS = 3, 3
_RANKER_EXAMPLES = 1920


@dataclass(frozen=True, kw_only=True)
class Run:
    """A measurement: ``seconds`` of each stage's training on the data in ``folder``.

    With a ``log``, it writes the data and measures nothing. ``softmax_limit`` overrides the encoder's, ``candidates``
    and ``history`` the ranker's.
    """

    folder: str
    log: Log | None = None
    seconds: float = 10.0
    softmax_limit: int | None = None
    ranker: bool = True
    candidates: int = RECIPE.ranker.candidates
    history: int = RECIPE.ranker.history


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(prog="python -m bench.training.run", description=__doc__)
    parser.add_argument("run", type=json.loads, help="the fields of Run, as JSON")
    raw = parser.parse_args().run
    run = Run(**{**raw, "log": Log(**raw["log"]) if raw.get("log") else None})
    if run.log is not None:
        Path(run.folder).mkdir(parents=True)
        run.log.write(Path(run.folder))
        return
    torch.use_deterministic_algorithms(True)
    print(json.dumps(measured(run)))


def measured(run: Run) -> dict[str, Figures]:
    """Figures of loading, the encoder and the ranker."""
    encoder = ENCODER if run.softmax_limit is None else replace(ENCODER, softmax_limit=run.softmax_limit)
    figures: dict[str, Figures] = {}
    with _stage("load", figures):
        dataset = load(Path(run.folder), RECIPE)
        split = evaluation_split(dataset, RECIPE.split)
    figures["load"]["events"] = len(dataset.times)
    with _stage("encoder", figures):
        training = NextItemTraining(dataset, split.encoder_end, encoder, seed=0)
        speed = _speed(
            training.batches.epoch(Reporter(), ""), training.step, lambda batch: len(batch.targets), run.seconds
        )
    figures["encoder"] |= {**speed, "sampled": float(training.batches.sampled), "steps": len(training.batches)}
    figures["encoder"]["padding"] = _padding(dataset, split, encoder)
    if run.ranker:
        config = replace(RECIPE.ranker, candidates=run.candidates, history=run.history)
        _ranker(dataset, split, training, config, run.seconds, figures)
    return figures


def _ranker(
    dataset: Dataset,
    split: Split,
    training: NextItemTraining,
    config: RankerConfig,
    seconds: float,
    figures: dict[str, Figures],
) -> None:
    """Measures the ranker on a few events. Where retrieval missed the item, the first candidate takes its place."""
    encoded = Encoded.of(training.encoder.eval(), RECIPE.encoder.history)
    with _stage("tables", figures):
        items = item_tables(dataset, split.encoder_end, RECIPE.statistics, encoded.vectors)
    events = np.arange(split.encoder_end, split.ranker_end)
    events = subsample(events[dataset.position[events] >= 1], _RANKER_EXAMPLES)
    with _stage("candidates", figures):
        objectives = Objectives.of(RECIPE, dataset)
        objectives = objectives.scaled_to_events(objectives.targets(dataset, events))
        found = RetrievedExamples.of(dataset, encoded, items, events, objectives, config)
    figures["candidates"]["examples_a_second"] = len(events) / figures["candidates"]["seconds"]
    examples = replace(found, chosen=np.maximum(found.chosen, 0))
    fit = RankerTraining(examples, config, seed=0).fit(np.arange(len(events)))
    with _stage("ranker", figures):
        speed = _speed(iter(fit.batches()), fit.step, len, seconds)
    figures["ranker"] |= speed


@contextmanager
def _stage(name: str, figures: dict[str, Figures]) -> Iterator[None]:
    started = time.monotonic()
    with MemoryWatch() as watch:
        yield
    figures[name] = {
        "seconds": time.monotonic() - started,
        "private_mb": watch.private,
        "file_mb": watch.files,
    }


def _speed(batches: Iterator[T], step: Callable[[T], float], count: Callable[[T], int], seconds: float) -> Figures:
    """Examples a second, milliseconds a step and the share of time spent on loading, after a warm-up."""
    for _ in range(_WARM_STEPS):
        step(next(batches))
    cpu = time.process_time()
    loading = computing = 0.0
    steps = examples = 0
    while steps < _LEAST_STEPS or loading + computing < seconds:
        started = time.perf_counter()
        batch = next(batches, None)
        if batch is None:
            break
        loaded = time.perf_counter()
        step(batch)
        loading, computing = loading + loaded - started, computing + time.perf_counter() - loaded
        steps, examples = steps + 1, examples + count(batch)
    total = loading + computing
    return {
        "examples_a_second": examples / total,
        "loading_share": loading / total,
        "step_ms": 1000 * total / steps,
        "step_cpu_ms": 1000 * (time.process_time() - cpu) / steps,
        "measured_steps": steps,
    }


def _padding(dataset: Dataset, split: Split, config: SequenceConfig) -> float:
    """The share of padding in all batches of an epoch."""
    windows = windows_of(dataset, split.encoder_end, config.history)
    batches = batch_by_length(windows, events_of_a_step(windows, config.batch_events), np.random.default_rng(0))
    places = sum(int(windows.lengths[batch].max()) * len(batch) for batch in batches)
    return 1 - int(windows.lengths.sum()) / places


if __name__ == "__main__":
    main()
