"""The sections of a recipe that describe the data: its files and columns, its objectives and its split."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from msgspec import Meta

from trainer.errors import RecipeError
from trainer.recipe.bad_rows import DataConfig
from trainer.recipe.sections import Number, Text, Texts, read_section

LIKE, VALUE = OBJECTIVES_OF_INTERACTIONS = ("like", "value")
"""The objectives that need no column: every interaction has them."""

Weight = Annotated[float, Meta(ge=-10, le=10)]
Slice = Annotated[float, Meta(ge=0.01, le=0.4)]


@dataclass(frozen=True, kw_only=True)
class InteractionsConfig:
    """The file of interactions, relative to the data directory, and the names of its columns.

    An interaction is a like when its value is at least `positive_value` or its event is among `positive_events`.
    Without either key, every interaction is a like. With `rows_in_order` there is no column of times: an
    earlier row is an earlier interaction.

    Lists leave out the items that a user has seen, and no question asks for them. The `seen_events` make an item seen.
    By default these are the positive events, so that a viewed item may still be bought. Without positive events, or
    with a `positive_value`, every event makes its item seen.

    The last in the file counts among rows with the same user, item, time and event.

    The `file` of any section may be a folder of Parquet or CSV files, as Spark and Hive write them. They are read in
    the order of their names.
    """

    file: Text = "interactions.parquet"
    user: Text = "user_id"
    item: Text = "item_id"
    time: Text = "timestamp"
    rows_in_order: bool = False
    event: Text | None = None
    value: Text | None = None
    positive_value: Number | None = None
    positive_events: Texts = ()
    seen_events: Texts = ()

    def __post_init__(self) -> None:
        if self.positive_value is not None and self.value is None:
            raise RecipeError("positive_value: needs value, the name of the column it is compared with")
        if self.positive_events and self.event is None:
            raise RecipeError("positive_events: needs event, the name of the column they are found in")
        if self.seen_events and self.event is None:
            raise RecipeError("seen_events: needs event, the name of the column they are found in")

    @property
    def excluding_events(self) -> Texts:
        """The events that make an item seen; empty for all."""
        return self.seen_events or (self.positive_events if self.positive_value is None else ())


@dataclass(frozen=True, kw_only=True)
class ImpressionsConfig:
    """The items that users were shown: a row for each, with a column for each objective.

    `categorical` and `numeric` columns are the context, known when the request is made, such as the device or the hour.
    Where the `position` in the list is known, the ranker learns its effect, and leaves it out when it serves.
    """

    file: Text = "impressions.parquet"
    user: Text = "user_id"
    item: Text = "item_id"
    time: Text = "timestamp"
    categorical: Texts = ()
    numeric: Texts = ()
    position: Text | None = None

    def __post_init__(self) -> None:
        if both := set(self.categorical) & set(self.numeric):
            raise RecipeError(f"numeric: {', '.join(sorted(both))} cannot be categorical as well")


@dataclass(frozen=True, kw_only=True)
class ObjectiveConfig:
    """A possible outcome of showing an item: an event, or of `kind` "value" a number, such as a rating.

    Impressions have it in a `column`, whose empty cells were not observed. Interactions have it as one of the `events`,
    or under a name of its own: "like" as [interactions] defines it, "value" for the value.

    Items are ordered by the product of the objectives, each to its `weight`. Without weights the first objective has 1
    and the others 0. A call may choose other weights from `min_weight` to `max_weight`.

    A value with the only weight orders items by its prediction, of whatever sign. Beside other weights its values must
    be above 0, since a product cannot order others; shift the column where they are not.
    """

    kind: Literal["event", "value"] = "event"
    column: Text | None = None
    events: Texts = ()
    loss_weight: Annotated[float, Meta(ge=0, le=1000)] = 1
    weight: Weight | None = None
    min_weight: Weight = 0
    max_weight: Weight = 4

    def __post_init__(self) -> None:
        if self.min_weight > self.max_weight:
            raise RecipeError(f"min_weight: must not be more than max_weight, {self.max_weight}")
        if self.weight and not self.min_weight <= self.weight <= self.max_weight:
            raise RecipeError(f"weight: must be from min_weight to max_weight, not {self.weight}")


@dataclass(frozen=True, kw_only=True)
class FeatureColumns:
    """A table of items or users: its file, its id column and how each column becomes features.

    Columns of `text`, or of lists of words, become the main `directions` of their TF-IDF. Texts in scripts without
    spaces, such as Japanese, count pairs of characters for words. Use it for columns of far more than 256 categories.
    `vectors` are columns of lists of numbers, such as the embedding of an image.

    Columns of `sentences` become embeddings by a small sentence encoder, which brings texts of similar meaning close
    together. It is all-MiniLM-L6-v2, for English; `sentence_model` is a folder, relative to the data directory, with
    another model of sentence-transformers. Nothing is fetched.
    """

    file: Text
    id: Text
    categorical: Texts = ()
    multi_valued: Texts = ()
    numeric: Texts = ()
    text: Texts = ()
    sentences: Texts = ()
    vectors: Texts = ()
    sentence_model: Text | None = None
    directions: Annotated[int, Meta(ge=1, le=4096)] = 16
    separator: Text = "|"

    def __post_init__(self) -> None:
        if self.sentence_model is not None and not self.sentences:
            raise RecipeError("sentence_model: needs sentences, the names of the columns it reads")


@dataclass(frozen=True, kw_only=True)
class ItemsConfig(FeatureColumns):
    """The item table.

    Lists hold its items alone, unless `only_listed` is false. The column `available` says which of them lists may hold,
    by true and false or 1 and 0. Interactions with other items stay in histories and in training.
    """

    file: Text = "items.parquet"
    id: Text = "item_id"
    only_listed: bool = True
    available: Text | None = None


@dataclass(frozen=True, kw_only=True)
class UsersConfig(FeatureColumns):
    """The user table."""

    file: Text = "users.parquet"
    id: Text = "user_id"


@dataclass(frozen=True, kw_only=True)
class SplitConfig:
    """Fractions of the events, in time order: the encoder's, then the ranker's, then the test's.

    Some data is published with its split. A `column` of the interactions then names each row's part: train,
    validation or test. Where impressions are measured, their column does. Or a `test_file` holds the test's
    interactions. Only the protocols that need a published split read these two keys.

    Ratings are split into `folds` at random, or into the folds that such a column names.
    """

    ranker: Slice = 0.1
    test: Slice = 0.1
    refit: bool = True
    column: Text | None = None
    test_file: Text | None = None
    folds: Annotated[int, Meta(ge=2, le=1000)] = 5


@dataclass(frozen=True, kw_only=True)
class DataRecipe:
    """The data of a training run. Without `items` or `users` there is no such table and there are no such features.

    Without `objectives`, each kind of event that is frequent enough is one, with the weight of
    `trainer/models/rankers/event_objectives.py`. With one kind of event, or a `positive_value`, the like is the
    objective. The value is another where interactions have values.
    """

    data: DataConfig = field(default_factory=DataConfig)
    interactions: InteractionsConfig = field(default_factory=InteractionsConfig)
    items: ItemsConfig | None = None
    users: UsersConfig | None = None
    split: SplitConfig = field(default_factory=SplitConfig)
    impressions: ImpressionsConfig | None = None
    objectives: Mapping[str, ObjectiveConfig] = field(default_factory=dict)


DATA_SECTIONS: Mapping[str, type[Any]] = {
    "data": DataConfig,
    "interactions": InteractionsConfig,
    "items": ItemsConfig,
    "users": UsersConfig,
    "split": SplitConfig,
    "impressions": ImpressionsConfig,
}
OBJECTIVES = "objectives"


def data_sections(raw: Mapping[str, object]) -> dict[str, Any]:
    """The sections of a recipe that are about data; others are left out. Raises RecipeError."""
    read: dict[str, Any] = {
        name: read_section(name, DATA_SECTIONS[name], section) for name, section in raw.items() if name in DATA_SECTIONS
    }
    return read | ({OBJECTIVES: _objectives(raw[OBJECTIVES])} if OBJECTIVES in raw else {})


def read_data(raw: Mapping[str, Any]) -> DataRecipe:
    """The data of a stored recipe, such as a manifest's, whatever its other sections are.

    Raises:
        RecipeError: a section has a key or a value that this release does not accept.
    """
    return DataRecipe(**data_sections(without_none(raw)))


def _objectives(raw: object) -> dict[str, ObjectiveConfig]:
    if not isinstance(raw, Mapping):
        raise RecipeError(f"[{OBJECTIVES}]: must be a section, not {raw!r}")
    if any(not name.strip() for name in raw):
        raise RecipeError(f"[{OBJECTIVES}]: the name of an objective must not be empty")
    read = {name: read_section(f"{OBJECTIVES}.{name}", ObjectiveConfig, section) for name, section in raw.items()}
    for name, objective in read.items():
        if objective.column is None and not objective.events and name not in OBJECTIVES_OF_INTERACTIONS:
            raise RecipeError(
                f"[{OBJECTIVES}.{name}]: needs column or events; only {' and '.join(OBJECTIVES_OF_INTERACTIONS)} "
                "need neither"
            )
    return read


def without_none(raw: Mapping[str, Any]) -> dict[str, Any]:
    """A stored recipe as a person would write it: a key without a value is not there."""
    given = {name: value for name, value in raw.items() if value is not None}
    return {name: without_none(value) if isinstance(value, Mapping) else value for name, value in given.items()}
