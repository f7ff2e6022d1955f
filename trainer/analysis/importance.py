"""What the order would lose without a group of features (Breiman, 2001; Fisher, Rudin and Dominici, 2019).

A group's inputs are shuffled between the examples, all of them together, so that each is still as likely as it was but
says nothing of its example. What describes a candidate is shuffled between the candidates of all lists, for the places
of a list are the same in every other.
"""

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from shortlist.bundle.item_item import COOCCURRENCE, SLIM
from shortlist.bundle.tables import ItemTables
from trainer.evaluation.rankings import batches
from trainer.models.rankers import RankerDataSpec
from trainer.models.rankers.base import ID_EMBEDDINGS, width_of
from trainer.progress import Reporter
from trainer.training.ranker.examples import RankerExamples
from trainer.training.ranker.training import TrainedRanker

Group = Mapping[str, slice]
"""By the name of an input, which of its last columns."""
_ALL = slice(None)
_OF_CANDIDATE = "candidate_"
# How many candidates are ranked at once.
_TOGETHER = 12_800


def groups_of(spec: RankerDataSpec) -> dict[str, Group]:
    """The groups of a ranker's inputs, without those that are always the same."""
    items = {
        f"item: {name}": {"candidate_features": part}
        for name, part in spec.item_columns.items()
        if name != ID_EMBEDDINGS
    }
    context = {f"context: {name}": {"context": part} for name, part in spec.context_columns.items()}
    id_embeddings = {
        "candidate_features": spec.item_columns.get(ID_EMBEDDINGS),
        "user_features": spec.user_columns.get(ID_EMBEDDINGS),
    }
    known = width_of({name: part for name, part in spec.user_columns.items() if name != ID_EMBEDDINGS})
    groups: dict[str, Group] = {
        "cooccurrence": {"candidate_item_item": COOCCURRENCE},
        "item-item scores": {"candidate_item_item": SLIM},
        "history": {f"history_{name}": _ALL for name in ("vectors", "features", "values", "mask")},
        "score and place of retrieval": {"candidate_scores": _ALL, "candidate_places": _ALL},
        "item vector": {"candidate_vectors": _ALL},
        "user vector": {"user_vectors": _ALL},
        **items,
        # The first is whether anything is known, which it is of everyone here.
        **({"user features": {"user_features": slice(0, known)}} if known > 1 else {}),
        **context,
        "id embeddings": {name: part for name, part in id_embeddings.items() if part is not None},
    }
    return {name: group for name, group in groups.items() if group}


def importance(
    examples: RankerExamples,
    trained: TrainedRanker,
    items: ItemTables,
    length: int,
    reporter: Reporter,
) -> dict[str, float]:
    """What of the figure that the examples are ``chosen_by`` is lost when a group is shuffled, for each group, the most
    important first.

    ``items`` are without the ranker's own columns; ``length`` is that of its histories.
    """
    places, groups, scales = examples.usable, groups_of(trained.ranker.spec), trained.ranker.spec.objectives
    if not len(places):
        return {}
    said = _said(examples, trained, items, length, groups, reporter)

    def figure(columns: NDArray[np.float32]) -> float:
        return examples.figures(lambda asked: columns[np.searchsorted(places, asked)], places, scales)[
            examples.chosen_by
        ]

    whole = figure(said.pop(""))
    lost = {name: whole - figure(columns) for name, columns in said.items()}
    return dict(sorted(lost.items(), key=lambda one: -one[1]))


@torch.no_grad()
def _said(
    examples: RankerExamples,
    trained: TrainedRanker,
    items: ItemTables,
    length: int,
    groups: Mapping[str, Group],
    reporter: Reporter,
) -> dict[str, NDArray[np.float32]]:
    """What is said of the usable examples with each group shuffled, and with none of them."""
    places, random = examples.usable, np.random.default_rng(0)
    others = random.permutation(places)
    size = max(1, _TOGETHER // examples.inputs.candidates.rows.shape[1])
    said: dict[str, list[NDArray[np.float32]]] = {name: [] for name in ("", *groups)}
    pairs = list(zip(batches(places, size), batches(others, size), strict=True))
    for batch, shuffled in reporter.track(pairs, "importance of the features"):
        known = np.ones(len(batch), dtype=np.bool_)
        inputs, other = (examples.inputs.at(one, items, length, known, trained.columns) for one in (batch, shuffled))
        other = _candidates_shuffled(other, random)
        said[""].append(trained.ranker(**inputs).numpy())
        for name, group in groups.items():
            said[name].append(trained.ranker(**_exchanged(inputs, other, group)).numpy())
    return {name: np.concatenate(parts) for name, parts in said.items()}


def _candidates_shuffled(inputs: dict[str, Tensor], random: np.random.Generator) -> dict[str, Tensor]:
    """The same within each list, each input in the same way."""
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
