"""The search for better settings, on planted data."""

import argparse
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import optuna
import pytest

from trainer.__main__ import main
from trainer.commands import tune
from trainer.data import load
from trainer.progress import Reporter, each_is_one
from trainer.protocols.registry import PROTOCOLS
from trainer.recipe import EncoderConfig, Recipe
from trainer.recipe.encoders import ENCODER_CONFIGS, TransformerConfig
from trainer.recipe.models import Choices, tuned_keys
from trainer.recipe.sections import keys_of
from trainer.tuning.search import Search, finished, median_pruner
from trainer.tuning.search_space import SearchSpace, with_settings

pytestmark = pytest.mark.usefixtures("determinism")
T = TypeVar("T")


@pytest.fixture
def base(planted_folder: Path, tmp_path: Path) -> Path:
    """A recipe of few epochs, with a comment."""
    text = (planted_folder / "recipe.toml").read_text().replace("epochs = 16", "epochs = 4")
    path = tmp_path / "base.toml"
    path.write_text(text.replace("[encoder]", "# chosen by hand\n[encoder]"))
    return path


class Stopping(Reporter):
    """A person who presses Ctrl-C in the midst of a trial."""

    def __init__(self, during: int) -> None:
        super().__init__()
        self.said: list[str] = []
        self._left = during

    def say(self, text: str) -> None:
        """Counts the trials that are done."""
        self.said.append(text)
        self._left -= text.startswith("trial ")

    def track(
        self, items: Sequence[T], name: str, unit: str = "steps", size: Callable[[T], int] = each_is_one
    ) -> Iterator[T]:
        """Stops."""
        if self._left == 0:
            raise KeyboardInterrupt
        yield from items


def options(base: Path, data: Path, out: Path, trials: int) -> list[str]:
    """The arguments of the command, for the protocol whose test is each user's last event."""
    inputs = ["--recipe", str(base), "--data", str(data), "--protocol", "leave-one-out"]
    return ["tune", *inputs, "--trials", str(trials), "--out", str(out)]


def trials_of(out: Path) -> list[optuna.trial.FrozenTrial]:
    """The trials in the file beside the recipe."""
    url = f"sqlite:///{out.with_suffix('.study.sqlite3')}"
    return optuna.load_study(study_name="tune", storage=url).get_trials()


def test_a_search_goes_on_and_writes_the_best(
    base: Path, planted_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Proves two trials, a third in a later run, and that the recipe with the best of them by validation reads back."""
    out = tmp_path / "tuned" / "best.toml"
    assert main(options(base, planted_folder, out, 2)) == 0
    own = Recipe.read(base).encoder
    assert isinstance(own, TransformerConfig)
    first, second = trials_of(out)
    assert first.params["learning_rate"] == own.learning_rate
    assert main(options(base, planted_folder, out, 3)) == 0
    trials = trials_of(out)
    assert [trial.value for trial in trials[:2]] == [first.value, second.value]
    assert len({tuple(trial.params.items()) for trial in trials}) == 3
    best = max(trials, key=lambda trial: trial.value or 0.0)
    assert Recipe.read(out) == with_settings(Recipe.read(base), best.params)
    text = out.read_text()
    assert "# chosen by hand\n[encoder]" in text
    assert text.startswith(f"# python -m trainer tune --recipe {base} --protocol leave-one-out")
    assert f"# ndcg@10 {best.value:.4f} on the validation of leave-one-out, the best of 3 trials" in text
    assert [path.name for path in out.parent.iterdir() if path.name.startswith(".")] == []
    told = capsys.readouterr().err
    assert re.findall(r"^trial (\d/\d)  ndcg@10 0\.\d{4}  best 0\.\d{4}  ", told, flags=re.M) == ["1/2", "2/2", "3/3"]


def test_the_test_is_not_looked_at(base: Path, planted_folder: Path, tmp_path: Path) -> None:
    """Proves that with other items in everybody's last event the same settings are tried and give the same figures."""
    data = tmp_path / "altered"
    shutil.copytree(planted_folder, data)
    head, *lines = (data / "interactions.csv").read_text().splitlines()
    rows = [line.split(",") for line in lines]
    last = {user: at for at, (user, *_) in enumerate(rows)}
    for user, at in last.items():
        seen = {row[1] for row in rows if row[0] == user}
        rows[at][1] = next(f"i{row:02}" for row in range(60) if f"i{row:02}" not in seen)
    (data / "interactions.csv").write_text("\n".join([head, *(",".join(row) for row in rows)]) + "\n")
    figures = []
    for folder, out in ((planted_folder, tmp_path / "a.toml"), (data, tmp_path / "b.toml")):
        assert main(options(base, folder, out, 2)) == 0
        figures.append([(trial.value, trial.params, trial.intermediate_values) for trial in trials_of(out)])
    assert figures[0] == figures[1]


def test_ctrl_c_keeps_what_was_done(base: Path, planted_folder: Path, tmp_path: Path) -> None:
    """Proves that the finished trial is kept and written, and that the same command resumes."""
    out = tmp_path / "best.toml"
    given = argparse.Namespace(
        recipe=base, data=planted_folder, protocol="leave-one-out", trials=2, out=out, study=tmp_path / "kept.db"
    )
    with pytest.raises(KeyboardInterrupt, match=r"kept\.db keeps the 1 finished of 2 trials, .* same command resumes"):
        tune.run(given, Stopping(during=1))
    assert Recipe.read(out) == Recipe.read(base)
    person = Stopping(during=-1)
    tune.run(given, person)
    assert f"{tmp_path / 'kept.db'} has 1 finished trials, which count" in person.said
    assert [text[:9] for text in person.said if text.startswith("trial ")] == ["trial 2/2"]


def test_a_hopeless_trial_is_pruned(base: Path, planted_folder: Path, reporter: Reporter, tmp_path: Path) -> None:
    """Proves that a trial below the median of five others ends with its second epoch, and counts as tried."""
    recipe = Recipe.read(base)
    task = PROTOCOLS["leave-one-out"](load(planted_folder, recipe), recipe, planted_folder)
    study = optuna.create_study(direction="maximize", pruner=median_pruner())
    for _ in range(5):
        epochs = dict.fromkeys(range(1, 5), 0.99)
        study.add_trial(optuna.trial.create_trial(value=0.99, intermediate_values=epochs))
    Search(study, task, recipe, reporter).run(6, lambda trial: pytest.fail("was no better"))
    trial = finished(study)[-1]
    assert trial.state == optuna.trial.TrialState.PRUNED
    assert list(trial.intermediate_values) == [1, 2]


def test_trials_of_another_question_are_refused(
    base: Path, planted_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Proves that figures which cannot be compared never meet in one file, and that a foreign file is left alone."""
    out, foreign = tmp_path / "best.toml", tmp_path / "foreign.db"
    assert main(options(base, planted_folder, out, 1)) == 0
    base.write_text(base.read_text().replace("epochs = 4", "epochs = 3"))
    assert main(options(base, planted_folder, out, 1)) == 2
    assert "its trials are of another recipe; give another --study" in capsys.readouterr().err
    foreign.write_text("a letter to nobody " * 100)
    assert main([*options(base, planted_folder, out, 1), "--study", str(foreign)]) == 2
    assert "cannot be used as a study" in capsys.readouterr().err
    assert foreign.read_text() == "a letter to nobody " * 100
    assert main(options(base, planted_folder, base, 1)) == 2
    assert "is the recipe to start from" in capsys.readouterr().err


@pytest.mark.parametrize("name", ENCODER_CONFIGS)
def test_an_encoder_states_what_is_tried(name: str) -> None:
    """Proves that a recipe accepts both ends of every range that a search tries, its default among them."""
    recipe = Recipe.of({"encoder": {"name": name}})
    space = SearchSpace.of(recipe)
    for key, tried in space.keys.items():
        for value in tried.values if isinstance(tried, Choices) else (tried.low, tried.high):
            assert getattr(with_settings(recipe, {key: value}).encoder, key) == value
    assert space.base(recipe) == {key: getattr(recipe.encoder, key) for key in space.keys}


def test_a_search_varies_the_keys_that_matter_to_an_encoder() -> None:
    """Proves that encoders share the search of the keys that they share, and that an encoder may leave keys out."""
    steps = {"dimension", "learning_rate"}
    of_histories = {*steps, "batch_size"}
    of_sequences = {*steps, "batch_events", "weight_decay", "layers", "dropout"}
    of_attention = {*of_sequences, "attention_dropout", "spectral_scale"}
    assert {name: set(tuned_keys(kind)) for name, kind in ENCODER_CONFIGS.items()} == {
        "autoencoder": {*of_histories, "weight_decay", "dropout", "kl_weight"},
        "bsarec": {*of_attention, "low_pass"},
        "content_ridge": {"dimension", "regularisation"},
        "gfcf": {"dimension"},
        "gru": of_sequences,
        "ials": {"dimension", "unobserved_weight", "regularisation"},
        "lightgcn": {*of_histories, "layers", "temperature", "noise", "contrast"},
        "none": set(),
        "transformer": of_attention,
        "two_tower": of_sequences,
    }


def space_of(**encoder: object) -> SearchSpace:
    """The space of a recipe with these keys of its encoder."""
    return SearchSpace.of(Recipe.of({"encoder": encoder}))


def test_settings_that_contradict_the_recipe_are_not_tried() -> None:
    """Proves that of the dimensions only those are left that its heads divide, the recipe's own among them."""
    kept = space_of(dimension=96, heads=48).keys["dimension"]
    assert isinstance(kept, Choices)
    assert kept.values == (96,)


def test_an_encoder_may_have_something_else_tried() -> None:
    """Proves it of gfcf, which has vectors of several hundred components, and of the others that they do not."""
    tried = {name: space_of(name=name).keys["dimension"] for name in ("gfcf", "ials")}
    assert (tried["gfcf"].has(1024), tried["gfcf"].has(32)) == (True, False)
    assert (tried["ials"].has(1024), tried["ials"].has(32)) == (False, True)


def test_a_recipe_outside_the_ranges_is_tried_too() -> None:
    """Proves that the first trial is the recipe as it is, whatever it says, except for a zero among powers of ten."""
    recipe = Recipe.of({"encoder": {"learning_rate": 0.5, "dropout": 0.9, "weight_decay": 0}})
    own = SearchSpace.of(recipe).base(recipe)
    assert (own["learning_rate"], own["dropout"]) == (0.5, 0.9)
    assert "weight_decay" not in own


@pytest.mark.parametrize("section", ENCODER_CONFIGS.values(), ids=ENCODER_CONFIGS)
def test_choices_are_for_whole_numbers(section: type[EncoderConfig]) -> None:
    """Proves that a trial never gives a key a number of another kind."""
    for key, tried in tuned_keys(section).items():
        assert isinstance(tried, Choices) == (keys_of(section)[key].__origin__ is int)
