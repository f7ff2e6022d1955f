"""One measurement of the training benchmark, in a process of its own, so that its memory is its own.

``python -m bench.train_run '{"log": {...}, "folder": "...", ...}'`` prints the figures as JSON on the last line.
"""

import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch

from bench.train_data import RECIPE, Log
from bench.train_memory import MemoryWatch
from trainer.data import Dataset, load
from trainer.encode import Encoded
from trainer.fit_encoder import EncoderTraining
from trainer.fit_ranker import RankerFit, RankerTraining, RankingExamples, ranker_sizes
from trainer.recipe import Encoder
from trainer.split import Split, evaluation_split, evenly
from trainer.statistics import item_tables
from trainer.windows import batch_by_length, windows_of

T = TypeVar("T")
Figures = dict[str, float]
_WARM_STEPS, _LEAST_STEPS = 3, 3
_RANKER_EXAMPLES = 1920


@dataclass(frozen=True, kw_only=True)
class Run:
    """What to measure: ``seconds`` of each stage's training on the data in a folder.

    ``write`` has the data written, and nothing measured; ``softmax_limit`` overrides the recipe's.
    """

    folder: str
    log: Log | None = None
    seconds: float = 10.0
    softmax_limit: int | None = None
    ranker: bool = True


class Silent:
    """Tells nobody."""

    def say(self, text: str) -> None:
        """See Reporter."""

    def track(self, items: Sequence[T], name: str) -> Iterator[T]:
        """See Reporter."""
        yield from items


def main() -> None:
    """See the module."""
    raw = json.loads(sys.argv[1])
    run = Run(**{**raw, "log": Log(**raw["log"]) if raw.get("log") else None})
    if run.log is not None:
        Path(run.folder).mkdir(parents=True)
        run.log.write(Path(run.folder))
        return
    torch.use_deterministic_algorithms(True)
    print(json.dumps(measured(run)))


def measured(run: Run) -> dict[str, Figures]:
    """Figures of loading, of the encoder and of the ranker."""
    limit = RECIPE.encoder.softmax_limit if run.softmax_limit is None else run.softmax_limit
    encoder = replace(RECIPE.encoder, softmax_limit=limit)
    figures: dict[str, Figures] = {}
    with _stage("load", figures):
        dataset = load(Path(run.folder), RECIPE)
        split = evaluation_split(dataset, RECIPE.split)
    figures["load"]["events"] = len(dataset.times)
    with _stage("encoder", figures):
        training = EncoderTraining(dataset, split, encoder, seed=0)
        speed = _speed(training.batches.epoch(Silent(), ""), training.step, lambda batch: len(batch.targets), run.seconds)
    figures["encoder"] |= {**speed, "sampled": float(training.batches.sampled), "steps": len(training.batches)}
    figures["encoder"]["padding"] = _padding(dataset, split, encoder)
    if run.ranker:
        _ranker(dataset, split, training, run.seconds, figures)
    return figures
