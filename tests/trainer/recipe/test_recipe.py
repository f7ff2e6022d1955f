"""Recipes: their defaults and their errors."""

import json
from dataclasses import asdict
from pathlib import Path

import pytest

import trainer
from shortlist.bundle.ranker_columns import check_objectives
from trainer.errors import RecipeError
from trainer.models.rankers.objectives import Objectives
from trainer.models.registry import BACKBONES, ENCODERS
from trainer.recipe import DEFAULT_RECIPE, Recipe, read_data
from trainer.recipe.encoders import ENCODER_CONFIGS
from trainer.recipe.rankers import RANKER_CONFIGS

SHIPPED = sorted((Path(trainer.__path__[0]) / "recipes").glob("*.toml"))

MINIMAL = """
[interactions]
file = "plays.csv"
user = "listener"
item = "song"
time = "played_at"

[items]
file = "songs.csv"
id = "song"
multi_valued = ["tags"]
"""


def read(folder: Path, text: str) -> Recipe:
    """The recipe that a file with this text gives."""
    path = folder / "mine.toml"
    path.write_text(text, encoding="utf-8")
    return Recipe.read(path)


def test_ten_lines_are_a_recipe_and_the_rest_has_defaults(tmp_path: Path) -> None:
    """Proves that someone's own data needs only the names of its files and columns."""
    recipe = read(tmp_path, MINIMAL)
    assert recipe.interactions.user == "listener"
    assert recipe.items is not None
    assert recipe.items.multi_valued == ("tags",)
    assert recipe.users is None
    assert (recipe.encoder.name, recipe.ranker.name, recipe.index.spec) == ("transformer", "ntn_mlp", None)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_a_shipped_recipe_is_read_and_stored(path: Path) -> None:
    """Proves that its models read all of its keys, and that a manifest gives the recipe back, whole or its data."""
    recipe = Recipe.read(path)
    stored = json.loads(json.dumps(asdict(recipe)))
    assert Recipe.of(stored) == recipe
    assert stored == recipe.plain()
    data = read_data(stored)
    assert vars(data) == {name: getattr(recipe, name) for name in vars(data)}


def test_every_ranker_has_a_recipe() -> None:
    """Proves that each can be tried without a line of one's own."""
    assert {Recipe.read(path).ranker.name for path in SHIPPED} == set(BACKBONES)


def test_every_model_has_a_section() -> None:
    """Proves that a recipe may name each model, and that each accepted name is a model's."""
    assert set(ENCODERS) == set(ENCODER_CONFIGS)
    assert set(BACKBONES) == set(RANKER_CONFIGS)


def test_an_empty_file_is_the_default_recipe(tmp_path: Path) -> None:
    """Proves that every section and every key has a default."""
    assert read(tmp_path, "") == DEFAULT_RECIPE


def test_a_recipe_becomes_plain_values(tmp_path: Path) -> None:
    """Proves that a recipe can be stored, section by section."""
    plain = asdict(read(tmp_path, "[index]\nspec = 'IVF64,Flat'\nparameters = 'nprobe=8'"))
    assert plain["index"] == {"recall": 0.99, "spec": "IVF64,Flat", "parameters": "nprobe=8"}
    assert plain["split"] == {
        "ranker": 0.1,
        "test": 0.1,
        "refit": True,
        "column": None,
        "test_file": None,
        "folds": 5,
    }


def test_a_whole_number_is_a_number(tmp_path: Path) -> None:
    """Proves that `positive_value = 4` need not be written 4.0."""
    recipe = read(tmp_path, "[interactions]\nvalue = 'rating'\npositive_value = 4")
    assert recipe.interactions.positive_value == 4.0


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[encodr]\nlayers = 2", r"\[encodr\]: no such section; sections are data, interactions, items, .*statistics"),
        ("encoder = 3", r"\[encoder\]: must be a section"),
        ("[split]\ntrain = 0.8", r"\[split\] train: no such key; keys are ranker, test, refit"),
        ("[encoder]\nname = 'oracle'", r"\[encoder\] name: no encoder 'oracle'; there are autoencoder, .*transformer"),
        ("[ranker]\nname = 'oracle'", r"\[ranker\] name: no ranker 'oracle'; there are .*ntn_mlp"),
        ("[ranker]\nname = 3", r"\[ranker\] name: must be a text that is not empty, not 3"),
        ("[ranker]\nname = ''", r"\[ranker\] name: no ranker ''"),
        ("[encoder]\nname = 'ials'\nlayers = 2", r"\[encoder\] layers: no such key; keys are name, dimension, history"),
        ("[ranker]\nname = 'din'\nslices = 2", r"\[ranker\] slices: no such key; keys are name, .*user_dropout"),
        ("[encoder]\nlearning_rate = inf", r"\[encoder\] learning_rate: must be a number from 1e-08 to 10, not inf"),
        ("[encoder]\nlearning_rate = 1" + "0" * 400, r"\[encoder\] learning_rate: must be a number"),
        ("[encoder]\nlayers = 1" + "0" * 400, r"\[encoder\] layers: must be a whole number from 1 to 64"),
        ("[encoder]\nlayers = 1979-05-27", r"\[encoder\] layers: must be a whole number from 1 to 64"),
        ("[encoder]\nloss = 'hinge'", r"\[encoder\] loss: must be one of bce, bpr, ccl, softmax, not 'hinge'"),
        (
            "[interactions]\nvalue = 'rating'\npositive_value = inf",
            r"\[interactions\] positive_value: must be a number, not",
        ),
        ("[objectives]\nlike = 1", r"\[objectives.like\]: must be a section, not 1"),
        ("[objectives.' ']\ncolumn = 'x'", r"\[objectives\]: the name of an objective must not be empty"),
        ("[objectives.buy]", r"\[objectives.buy\]: needs column or events"),
        ("[objectives.like]\nkind = 'wish'", r"\[objectives.like\] kind: must be one of event, value, not 'wish'"),
        ("[objectives.like]\nmin_weight = 2\nmax_weight = 1", r"\[objectives.like\] min_weight: must not be more than"),
        ("[ranker]\nname = 'final_mlp'\nslices = 5", r"\[ranker\] slices: must divide hidden"),
        ("[encoder]\nlayers = '2'", r"\[encoder\] layers: must be a whole number from 1 to 64, not '2'"),
        ("[encoder]\nlayers = true", r"\[encoder\] layers: must be a whole number"),
        ("[encoder]\nlayers = 2.0", r"\[encoder\] layers: must be a whole number"),
        ("[encoder]\nlayers = 0", r"\[encoder\] layers: must be a whole number from 1 to 64, not 0"),
        ("[ranker]\ndropout = 1.5", r"\[ranker\] dropout: must be a number from 0 to 0.95, not 1.5"),
        ("[ranker]\ndropout = nan", r"\[ranker\] dropout: must be a number"),
        ("[split]\nrefit = 1", r"\[split\] refit: must be true or false, not 1"),
        ("[index]\nspec = 'IMI2x8,Flat'", r"\[index\] spec: services search no IMI, but flat, IVF and HNSW indexes"),
        ("[index]\nspec = ''", r"\[index\] spec: must be a text that is not empty"),
        ("[items]\ntext = 'title'", r"\[items\] text: must be a list of different texts"),
        ("[items]\ntext = ['title', 3]", r"\[items\] text: must be a list of different texts"),
        ("[items]\ntext = ['title', 'title']", r"\[items\] text: must be a list of different texts"),
        ("[users]\nsentence_model = 'model'", r"\[users\] sentence_model: needs sentences"),
        ("[encoder]\ndimension = 64\nheads = 5", r"\[encoder\] heads: must divide dimension"),
        (
            "[index]\nparameters = 'nprobe=8'",
            r"\[index\] parameters: needs spec; leave both out to have an index chosen",
        ),
        ("[index]\nrecall = 1.2", r"\[index\] recall: must be a number from 0.5 to 1, not 1.2"),
        ("[interactions]\npositive_value = 4", r"\[interactions\] positive_value: needs value"),
        ("[interactions]\npositive_events = ['buy']", r"\[interactions\] positive_events: needs event"),
        ("[interactions]\nseen_events = ['buy']", r"\[interactions\] seen_events: needs event"),
        ("[interactions", r"mine.toml: not TOML"),
    ],
)
def test_a_bad_recipe_is_refused_by_file_section_and_key(tmp_path: Path, text: str, said: str) -> None:
    """Proves that an error names the mistake and the accepted values, and that no default replaces it."""
    with pytest.raises(RecipeError, match=f"mine.toml.*{said}" if "mine.toml" not in said else said):
        read(tmp_path, text)


def test_a_recipe_that_is_not_there_is_refused(tmp_path: Path) -> None:
    """Proves that a wrong path is a message and not a traceback."""
    with pytest.raises(RecipeError, match=r"none.toml: cannot be read"):
        Recipe.read(tmp_path / "none.toml")


@pytest.mark.parametrize(
    ("objectives", "message"),
    [
        (
            "[objectives.like]\nmax_weight = 0.5",
            r"\[objectives.like\] weight: is 1, not from min_weight to max_weight",
        ),
        ("[objectives.like]\nweight = 0", r"\[objectives\]: the weight of all of them is 0"),
    ],
)
def test_objectives_that_no_bundle_can_have_are_refused(tmp_path: Path, objectives: str, message: str) -> None:
    """Proves it of weights that a recipe leaves to their defaults, too, before anything is trained."""
    with pytest.raises(RecipeError, match=message):
        Objectives.declared(read(tmp_path, objectives).objectives)


def test_an_objective_may_be_left_out_of_the_order_whatever_its_bounds(tmp_path: Path) -> None:
    """Proves that a manifest accepts the recipe's objectives: a weight of 0 below the least of a call."""
    objectives = '[objectives.like]\n[objectives.value]\nkind = "value"\nmin_weight = 0.5'
    served = Objectives.declared(read(tmp_path, objectives).objectives).served
    check_objectives(served)
    assert [(objective.weight, objective.min_weight) for objective in served] == [(1.0, 0.0), (0.0, 0.5)]


def test_a_context_column_of_two_kinds_is_refused(tmp_path: Path) -> None:
    """Proves that one name in a call means one thing."""
    with pytest.raises(RecipeError, match=r"\[impressions\] numeric: hour cannot be categorical as well"):
        read(tmp_path, '[impressions]\ncategorical = ["hour"]\nnumeric = ["hour"]')
