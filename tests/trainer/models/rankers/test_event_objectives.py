"""The objectives of a log with several kinds of events."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from trainer.data import load
from trainer.models.rankers.event_objectives import with_event_objectives
from trainer.recipe import InteractionsConfig, ObjectiveConfig, Recipe

Weights = Callable[..., dict[str, float | None]]
# Of six viewed pairs three are bought; of three pairs in a cart two are.
LOG = """a w view; b w view; a x view; a x cart; a x buy; a y view; a y cart; b x view; b x buy; b x return
b y view; b y cart; b y buy""".replace("\n", "; ").split("; ")


@pytest.fixture
def weights(tmp_path: Path, recipe: Recipe, monkeypatch: pytest.MonkeyPatch) -> Weights:
    """From keys of [interactions] to the weights of the objectives, in their order; none are too rare."""
    monkeypatch.setattr("trainer.models.rankers.event_objectives.LEAST_QUESTIONS", 0.3)

    def make(objectives: dict[str, ObjectiveConfig] | None = None, **keys: Any) -> dict[str, float | None]:  # noqa: ANN401
        lines = [",".join([*row.split(), str(time)]) for time, row in enumerate(LOG)]
        (tmp_path / "events.csv").write_text("\n".join(["user_id,item_id,event,timestamp", *lines]) + "\n")
        keys = {"positive_events": ("buy",), **keys}
        columns = InteractionsConfig(file="events.csv", event="event", **keys)
        given = replace(recipe, interactions=columns, items=None, users=None, objectives=objectives or {})
        found = with_event_objectives(given, load(tmp_path, given)).objectives
        assert all(one.events == (name,) for name, one in found.items() if objectives is None)
        return {name: one.weight for name, one in found.items()}

    return make


def test_a_kind_weighs_as_much_as_the_share_of_its_pairs_that_reach_a_positive_event(weights: Weights) -> None:
    """Proves it by hand, and that an event after the purchase is no objective, as it has no question."""
    assert weights() == {"buy": 1.0, "cart": 0.667, "view": 0.5}
    assert list(weights()) == ["buy", "cart", "view"]


def test_every_positive_kind_weighs_one(weights: Weights) -> None:
    """Proves that a pair reaches it by any of them."""
    assert weights(positive_events=("buy", "cart")) == {"cart": 1.0, "buy": 1.0, "view": 0.667}


def test_kinds_that_are_too_rare_are_no_objectives(weights: Weights, monkeypatch: pytest.MonkeyPatch) -> None:
    """Proves that the likes stay the objective when one kind is left, or no positive one."""
    monkeypatch.setattr("trainer.models.rankers.event_objectives.LEAST_QUESTIONS", 1.2)
    assert weights() == {}
    assert weights(positive_events=("return",), seen_events=("return",)) == {}


def test_declared_objectives_stay(weights: Weights) -> None:
    """Proves that the rule is a default alone."""
    assert weights(objectives={"like": ObjectiveConfig(weight=2.0)}) == {"like": 2.0}
