"""Permutation importance: the loss of the order without a group of features (Breiman, 2001).

A group's inputs are shuffled together between the examples (Fisher, Rudin and Dominici, 2019). So each value stays as
likely as before, but carries nothing of its example. Inputs of a candidate are shuffled between the candidates of all
lists, because every list has the same places.
"""

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from shortlist.bundle.item_item import COOCCURRENCE, SLIM
from trainer.evaluation.rankings import batches
from trainer.features.layout import ID_EMBEDDINGS, FeatureLayout, width_of
from trainer.progress import Reporter
from trainer.training.ranker.examples import RankerExamples
from trainer.training.ranker.fit import TrainedRanker

Group = Mapping[str, slice]
"""The last columns of each input, by its name."""
_ALL = slice(None)
_OF_CANDIDATE = "candidate_"
# Candidates ranked at once.
_TOGETHER = 12_800


def groups_of(layout: FeatureLayout) -> dict[str, Group]:
    """The groups of a ranker's inputs, without constant ones."""
    items = {
        f"item: {name}": {"candidate_features": part}
        for name, part in layout.item_groups.items()
        if name != ID_EMBEDDINGS
    }
    context = {f"context: {name}": {"context": part} for name, part in layout.context_groups.items()}
    id_embeddings = {
        "candidate_features": layout.item_groups.get(ID_EMBEDDINGS),
        "user_features": layout.user_groups.get(ID_EMBEDDINGS),
    }
    known = width_of({name: part for name, part in layout.user_groups.items() if name != ID_EMBEDDINGS})
    groups: dict[str, Group] = {
        "cooccurrence": {"candidate_item_item": COOCCURRENCE},
        "item-item scores": {"candidate_item_item": SLIM},
        "history": {f"history_{name}": _ALL for name in ("vectors", "features", "values", "mask")},
        "score and place of retrieval": {"candidate_scores": _ALL, "candidate_places": _ALL},
        "item vector": {"candidate_vectors": _ALL},
        "user vector": {"user_vectors": _ALL},
        **items,
        # The first column is whether the user is known, and every user here is.
        **({"user features": {"user_features": slice(0, known)}} if known > 1 else {}),
        **context,
        "id embeddings": {name: part for name, part in id_embeddings.items() if part is not None},
    }
    return {name: group for name, group in groups.items() if group}


def importance(
    examples: RankerExamples,
    trained: TrainedRanker,
    reporter: Reporter,
) -> dict[str, float]:
    """The loss of the examples' figure ``chosen_by`` by each shuffled group, the most important first."""
    places, groups = examples.usable, groups_of(trained.ranker.spec.layout)
    if not len(places):
        return {}
    logits = _logits(examples, trained, groups, reporter)

    def figure(found: NDArray[np.float32]) -> float:
        return examples.figures(lambda asked: found[np.searchsorted(places, asked)], places)[examples.chosen_by]

    whole = figure(logits.pop(""))
    lost = {name: whole - figure(found) for name, found in logits.items()}
    return dict(sorted(lost.items(), key=lambda one: -one[1]))


@torch.no_grad()
def _logits(
    examples: RankerExamples,
    trained: TrainedRanker,
    groups: Mapping[str, Group],
    reporter: Reporter,
) -> dict[str, NDArray[np.float32]]:
    """The logits of the usable examples with each group shuffled, and under "" with none."""
    places, random = examples.usable, np.random.default_rng(0)
    others = random.permutation(places)
    size = max(1, _TOGETHER // examples.inputs.candidate_count)
    logits: dict[str, list[NDArray[np.float32]]] = {name: [] for name in ("", *groups)}
    pairs = list(zip(batches(places, size), batches(others, size), strict=True))
    for batch, shuffled in reporter.track(pairs, "importance of the features"):
        inputs, other = (examples.inputs.at(one, trained.id_embeddings) for one in (batch, shuffled))
        other = _candidates_shuffled(other, random)
        logits[""].append(trained.ranker(**inputs).numpy())
        for name, group in groups.items():
            logits[name].append(trained.ranker(**_exchanged(inputs, other, group)).numpy())
    return {name: np.concatenate(parts) for name, parts in logits.items()}


def _candidates_shuffled(inputs: dict[str, Tensor], random: np.random.Generator) -> dict[str, Tensor]:
    """Shuffles within each list, all inputs in the same way."""
    order_BC = torch.from_numpy(random.random(inputs["candidate_scores"].shape).argsort(axis=1))
    lines_B1 = torch.arange(len(order_BC))[:, None]
    moved = {name: tensor[lines_B1, order_BC] for name, tensor in inputs.items() if name.startswith(_OF_CANDIDATE)}
    return inputs | moved


def _exchanged(inputs: dict[str, Tensor], other: dict[str, Tensor], group: Group) -> dict[str, Tensor]:
    changed = dict(inputs)
    for name, part in group.items():
        if part == _ALL:
            changed[name] = other[name]
        else:
            changed[name] = inputs[name].clone()
            changed[name][..., part] = other[name][..., part]
    return changed
