"""The protocols of ranked lists, by name."""

from collections.abc import Callable
from pathlib import Path

from trainer.data import Dataset
from trainer.protocols.cold import cold_items, cold_users
from trainer.protocols.leave_one_out import leave_one_out
from trainer.protocols.lightgcn_split import lightgcn_split
from trainer.protocols.next_like import next_like
from trainer.protocols.strong_generalisation import strong_generalisation
from trainer.protocols.task import Task
from trainer.recipe import DataRecipe

PROTOCOLS: dict[str, Callable[[Dataset, DataRecipe, Path], Task]] = {
    "next-like": next_like,
    "leave-one-out": leave_one_out,
    "lightgcn-split": lightgcn_split,
    "strong-generalisation": strong_generalisation,
    "cold-items": cold_items,
    "cold-users": cold_users,
}
