"""A recipe: everything a training run is told, read from one TOML file and checked once."""

import json
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from trainer.errors import RecipeError
from trainer.recipe.keys import Choices, Range, one_of, read_section, within

OBJECTIVE_KINDS = ("event", "value")
LIKE, VALUE = OBJECTIVES_OF_INTERACTIONS = ("like", "value")
"""The objectives that every interaction has by itself."""


@dataclass(frozen=True, kw_only=True)
class InteractionsConfig:
    """Where the interactions are, relative to the data directory, and what their columns are called.

    An interaction is a like when its value is at least `positive_value` or its event is among `positive_events`; with
    neither given, every interaction is a like. With `rows_in_order` there is no column of times: an earlier row is an
    earlier interaction.
    """

    file: str = "interactions.parquet"
    user: str = "user_id"
    item: str = "item_id"
    time: str = "timestamp"
    rows_in_order: bool = False
    event: str | None = None
    value: str | None = None
    positive_value: float | None = None
    positive_events: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ImpressionsConfig:
    """What was shown to whom: a row for each item, with a column for each objective.

    `categorical` and `numeric` columns are the context, known when the request is made, such as the device or the hour.
    Where the `position` in the list is known, the ranker learns what it adds, and leaves it out when it serves.
    """

    file: str = "impressions.parquet"
    user: str = "user_id"
    item: str = "item_id"
    time: str = "timestamp"
    categorical: tuple[str, ...] = ()
    numeric: tuple[str, ...] = ()
    position: str | None = None


@dataclass(frozen=True, kw_only=True)
class ObjectiveConfig:
    """What showing an item may lead to: an event, or of `kind` "value" a number, such as a rating.

    It is in a `column` of the impressions; an empty cell says that it was not observed. Of interactions, it is one of
    the `events`, or has a name of its own: "like" as [interactions] defines it, "value" the value.

    The order is by the product of the objectives, each to its `weight`; of those that say none the first has 1, others
    0. A call may choose other weights from `min_weight` to `max_weight`.
    """

    kind: str = "event"
    column: str | None = None
    events: tuple[str, ...] = ()
    loss_weight: float = within(1, 0, 1000)
    weight: float | None = within(None, -10, 10)
    min_weight: float = within(0, -10, 10)
    max_weight: float = within(4, -10, 10)


@dataclass(frozen=True, kw_only=True)
class FeatureColumns:
    """A table of items or users: its file, its id column and how each column becomes features.

    Of a column of `text`, or of lists of words there, the TF-IDF's main `directions` are features: the way for columns
    of far more than 256 categories. `vectors` are columns of lists of numbers, such as the embedding of an image.

    A text of `sentences` becomes its embedding by a small sentence encoder, so that texts are close which mean the like
    in other words. It is all-MiniLM-L6-v2, of English; `sentence_model` is a folder, relative to the data directory,
    with another of sentence-transformers. Nothing is fetched.
    """

    file: str
    id: str
    categorical: tuple[str, ...] = ()
    multi_valued: tuple[str, ...] = ()
    numeric: tuple[str, ...] = ()
    text: tuple[str, ...] = ()
    sentences: tuple[str, ...] = ()
    vectors: tuple[str, ...] = ()
    sentence_model: str | None = None
    directions: int = within(16, 1, 4096)
    separator: str = "|"


@dataclass(frozen=True, kw_only=True)
class ItemsConfig(FeatureColumns):
    """The item table."""

    file: str = "items.parquet"
    id: str = "item_id"


@dataclass(frozen=True, kw_only=True)
class UsersConfig(FeatureColumns):
    """The user table."""

    file: str = "users.parquet"
    id: str = "user_id"


@dataclass(frozen=True, kw_only=True)
class SplitConfig:
    """Fractions of the events, in time order: the encoder's, then the ranker's, then the test's.

    Data that was published with its split has it in a `column` of the interactions, or of the impressions where these
    are what is measured, as train, validation or test, or has the test's interactions in a `test_file`; only the
    protocols that need such a split look at these.

    Ratings are split into `folds` at random, or into those that such a column names, whatever their names are.
    """

    ranker: float = within(0.1, 0.01, 0.4)
    test: float = within(0.1, 0.01, 0.4)
    refit: bool = True
    column: str | None = None
    test_file: str | None = None
    folds: int = within(5, 2, 1000)


@dataclass(frozen=True, kw_only=True)
class EncoderConfig:
    """The first stage. `history` is in events; up to `softmax_limit` items the softmax is full, above it sampled.

    Of encoders that learn what comes next: a `loss` other than the softmax tells it from `negatives` at any size. These
    are drawn `negatives_by` popularity, uniformly, or from what comes next elsewhere in the batch; a sampled softmax
    takes how they are drawn off again. `margin` and `negatives_weight` are those of ccl, whose vectors are of length
    one. Their items begin at a distance `spectral_scale` from nothing, in the direction of what is done with them by
    the counts; with 0 anywhere, from where transformer and bsarec take more epochs to a lesser end.

    Training ends after `epochs`, or when the validation's figure has not grown for `patience` of them.

    At each step `id_dropout` of the items are known by their features alone, and `history_dropout` of the users; with
    none of them, the encoder does not read what describes a user.

    Of encoders that learn from whole histories: `temperature`, `noise` and `contrast` are lightgcn's, `kl_weight` the
    autoencoder's (0 leaves it denoising alone), `unobserved_weight` and `regularisation` those of ials;
    content_ridge has `regularisation`, of its features' weights, too.
    `low_pass` is bsarec's: of what a block mixes of a history, the share that is not attention but a filter of slow
    changes.
    """

    name: str = "transformer"
    dimension: int = within(64, 1, 4096, Choices(32, 64, 128, 256))
    layers: int = within(1, 1, 64, Choices(1, 2, 3))
    heads: int = within(1, 1, 64)
    history: int = within(128, 1, 10_000)
    dropout: float = within(0.2, 0, 0.95, Range(0, 0.7))
    attention_dropout: float = within(0, 0, 0.95, Range(0, 0.7))
    low_pass: float = within(0.7, 0, 1, Range(0, 1))
    epochs: int = within(7, 1, 10_000)
    patience: int = within(2, 1, 10_000)
    learning_rate: float = within(0.004, 1e-8, 10, Range(3e-4, 3e-2, log=True))
    weight_decay: float = within(0.01, 0, 10, Range(1e-4, 0.3, log=True))
    batch_size: int = within(16, 1, 1_000_000, Choices(16, 32, 64, 128, 256))
    id_dropout: float = within(0, 0, 0.95, Range(0, 0.7))
    history_dropout: float = within(0, 0, 0.95)
    softmax_limit: int = within(10_000, 0, 100_000_000)
    loss: str = one_of("softmax", "bpr", "ccl", "bce")
    negatives: int = within(2048, 1, 10_000_000)
    negatives_by: str = one_of("popularity", "uniform", "batch")
    spectral_scale: float = within(1, 0, 10, Range(0, 4))
    margin: float = within(0.5, -1, 1)
    negatives_weight: float = within(10, 0, 1e6)
    temperature: float = within(0.1, 1e-3, 100, Range(0.05, 0.5, log=True))
    noise: float = within(0.0, 0, 10, Range(0, 0.3))
    contrast: float = within(0.2, 0, 100, Range(0, 0.5))
    kl_weight: float = within(0.2, 0, 100, Range(0, 0.5))
    unobserved_weight: float = within(0.03, 1e-6, 1, Range(1e-3, 0.3, log=True))
    regularisation: float = within(0.003, 0, 1000, Range(1e-4, 0.3, log=True))


@dataclass(frozen=True, kw_only=True)
class RankerConfig:
    """The second stage. `history` is in events, `candidates` in items a user.

    It learns from at most `examples` events of its slice, subsample spread, for each holds its candidates in memory. Of
    those, a step learns from `sampled` that are drawn anew, the one that was chosen among them. With an `embedding` it
    learns so many numbers of each item and each user by itself, all of which every step goes through. Those shrink by
    `embedding_decay` as the other weights do by `weight_decay`. Of the users, a share is shown to it as `strangers`, so
    that it learns a default for those it never met.
    With more `experts` than one, so many rankers of its name are mixed for each objective by a gate of its own. Where
    there are more of them than objectives, one belongs to each objective alone, and the rest to all.

    wide_deep, xdeepfm, dcn_v2 and final_mlp embed each group of columns in `field_width` numbers. Of their MLPs, of
    xdeepfm's maps and of dcn_v2's crosses there are `layers`. `slices` are of ntn_mlp's tensor; they are the maps of a
    layer of xdeepfm, and the heads of final_mlp.
    """

    name: str = "ntn_mlp"
    experts: int = within(1, 1, 64)
    candidates: int = within(200, 1, 100_000)
    sampled: int = within(32, 2, 100_000)
    examples: int = within(100_000, 100, 100_000_000)
    history: int = within(50, 1, 10_000)
    slices: int = within(8, 1, 1024)
    layers: int = within(2, 1, 64)
    hidden: int = within(64, 1, 65_536)
    field_width: int = within(16, 1, 1024)
    embedding: int = within(0, 0, 1024)
    embedding_decay: float = within(0.05, 0, 1000)
    dropout: float = within(0.2, 0, 0.95)
    user_dropout: float = within(0.3, 0, 0.95)
    strangers: float = within(0.2, 0, 0.95)
    epochs: int = within(6, 1, 10_000)
    learning_rate: float = within(0.001, 1e-8, 10)
    weight_decay: float = within(0.05, 0, 10)
    batch_size: int = within(64, 1, 1_000_000)


@dataclass(frozen=True, kw_only=True)
class RatingsConfig:
    """The prediction of ratings, in factors of `dimension`.

    A step learns from the ratings of `batch_size` users, in memory that grows with the product of users and items. Of
    their own factors `dropout` are left out, and `regularisation` shrinks them; `history_regularisation` shrinks those
    that stand for a rating in the sums over what a user rated and over who rated an item.

    Of the loss `ordinal` parts are the likelihood of levels, such as 1 to 5, and the others the squared error: for few
    ratings; with 0 the values need not be levels.
    """

    dimension: int = within(64, 1, 4096)
    epochs: int = within(60, 1, 10_000)
    batch_size: int = within(1000, 1, 1_000_000)
    dropout: float = within(0.7, 0, 0.95)
    regularisation: float = within(0.3, 0, 1000)
    history_regularisation: float = within(0.5, 0, 1000)
    ordinal: float = within(0.5, 0, 1)
    learning_rate: float = within(0.01, 1e-8, 10)


@dataclass(frozen=True, kw_only=True)
class IndexConfig:
    """The fastest index with this `recall` of the ranker's `candidates` is chosen, unless `spec` names one.

    `spec` is a FAISS factory string, such as "IVF1024,SQfp16"; `parameters` are its, as "nprobe=16", and found for the
    recall when not given.
    """

    recall: float = within(0.99, 0.5, 1)
    spec: str | None = None
    parameters: str | None = None


@dataclass(frozen=True, kw_only=True)
class StatisticsConfig:
    """What follows an item within `window` events, `decay` for each event further away, and what having it foretells.

    Of each an item keeps `neighbours`. The latest `events` are counted, for memory grows with them: 5 million take
    about 2.5 GB.
    """

    events: int = within(5_000_000, 1, 1_000_000_000)
    window: int = within(20, 1, 10_000)
    decay: float = within(0.85, 0, 1)
    neighbours: int = within(100, 1, 100_000)


@dataclass(frozen=True, kw_only=True)
class PublishConfig:
    """A new bundle is served when this validation `metric` is not worse than the served one's by more than `margin`.

    Without a metric it is two_stage/ndcg@10, with impressions two_stage/auc, and where all of their objectives are
    values two_stage/-rmse. The margin is a share of the served bundle's figure: 0.05 allows 0.095 after 0.1, and -1.05
    after -1.
    """

    metric: str | None = None
    margin: float = within(0.05, 0, 1)


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """One training run. Without `items` or `users` there is no such table and there are no such features.

    Without `objectives`, they are the like, and where interactions have values the value.
    """

    interactions: InteractionsConfig = field(default_factory=InteractionsConfig)
    items: ItemsConfig | None = None
    users: UsersConfig | None = None
    split: SplitConfig = field(default_factory=SplitConfig)
    encoder: EncoderConfig = field(default_factory=EncoderConfig)
    ranker: RankerConfig = field(default_factory=RankerConfig)
    ratings: RatingsConfig = field(default_factory=RatingsConfig)
    index: IndexConfig = field(default_factory=IndexConfig)
    statistics: StatisticsConfig = field(default_factory=StatisticsConfig)
    publish: PublishConfig = field(default_factory=PublishConfig)
    impressions: ImpressionsConfig | None = None
    objectives: Mapping[str, ObjectiveConfig] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a TOML file. Raises RecipeError, which names the file, the section, the key and what is accepted."""
        try:
            raw = tomllib.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise RecipeError(f"{path}: cannot be read: {error.strerror}") from error
        except ValueError as error:
            raise RecipeError(f"{path}: not TOML: {error}") from error
        try:
            return cls(**_sections(raw))
        except RecipeError as error:
            raise RecipeError(f"{path}, {error}") from error

    def plain(self) -> dict[str, Any]:
        """What :meth:`of` reads back."""
        plain: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return plain

    @classmethod
    def of(cls, raw: Mapping[str, Any]) -> Self:
        """The recipe that `dataclasses.asdict` gave, read back from JSON."""
        return cls(**_sections(_without_none(raw)))


_SECTIONS: Mapping[str, type[Any]] = {
    "interactions": InteractionsConfig,
    "items": ItemsConfig,
    "users": UsersConfig,
    "split": SplitConfig,
    "encoder": EncoderConfig,
    "ranker": RankerConfig,
    "ratings": RatingsConfig,
    "index": IndexConfig,
    "statistics": StatisticsConfig,
    "publish": PublishConfig,
    "impressions": ImpressionsConfig,
}
_OBJECTIVES = "objectives"


def _sections(raw: Mapping[str, object]) -> dict[str, Any]:
    read: dict[str, Any] = {}
    for name, section in raw.items():
        if name not in _SECTIONS and name != _OBJECTIVES:
            raise RecipeError(f"[{name}]: no such section; sections are {', '.join([*_SECTIONS, _OBJECTIVES])}")
        if not isinstance(section, dict):
            raise RecipeError(f"[{name}]: must be a section, not {section!r}")
        read[name] = _objectives(section) if name == _OBJECTIVES else read_section(name, _SECTIONS[name], section)
    if "interactions" in read:
        _check_likes(read["interactions"])
    for name in ("items", "users"):
        if name in read and read[name].sentence_model is not None and not read[name].sentences:
            raise RecipeError(f"[{name}] sentence_model: needs sentences, the names of the columns it reads")
    if "impressions" in read:
        _check_context(read["impressions"])
    if "index" in read and read["index"].parameters is not None and read["index"].spec is None:
        raise RecipeError("[index] parameters: needs spec; leave both out to have an index chosen")
    if "encoder" in read and read["encoder"].dimension % read["encoder"].heads:
        raise RecipeError("[encoder] heads: must divide dimension")
    return read


def _objectives(raw: Mapping[str, object]) -> dict[str, ObjectiveConfig]:
    read: dict[str, ObjectiveConfig] = {}
    for name, section in raw.items():
        if not isinstance(section, dict):
            raise RecipeError(f"[objectives.{name}]: must be a section, not {section!r}")
        objective: ObjectiveConfig = read_section(f"objectives.{name}", ObjectiveConfig, section)
        _check_objective(name, objective)
        read[name] = objective
    return read


def _without_none(raw: Mapping[str, Any]) -> dict[str, Any]:
    given = {name: value for name, value in raw.items() if value is not None}
    return {name: _without_none(value) if isinstance(value, Mapping) else value for name, value in given.items()}


def _check_objective(name: str, objective: ObjectiveConfig) -> None:
    where = f"[objectives.{name}]"
    if objective.kind not in OBJECTIVE_KINDS:
        raise RecipeError(f"{where} kind: must be {' or '.join(OBJECTIVE_KINDS)}, not {objective.kind!r}")
    if objective.min_weight > objective.max_weight:
        raise RecipeError(f"{where} min_weight: must not be more than max_weight, {objective.max_weight}")
    if objective.weight and not objective.min_weight <= objective.weight <= objective.max_weight:
        raise RecipeError(f"{where} weight: must be from min_weight to max_weight, not {objective.weight}")
    if objective.column is None and not objective.events and name not in OBJECTIVES_OF_INTERACTIONS:
        raise RecipeError(
            f"{where}: needs column or events; without them, objectives are {' and '.join(OBJECTIVES_OF_INTERACTIONS)}"
        )


def _check_context(impressions: ImpressionsConfig) -> None:
    both = set(impressions.categorical) & set(impressions.numeric)
    if both:
        raise RecipeError(f"[impressions] numeric: {', '.join(sorted(both))} cannot be categorical as well")


def _check_likes(interactions: InteractionsConfig) -> None:
    if interactions.positive_value is not None and interactions.value is None:
        raise RecipeError("[interactions] positive_value: needs value, the name of the column it is compared with")
    if interactions.positive_events and interactions.event is None:
        raise RecipeError("[interactions] positive_events: needs event, the name of the column they are found in")
