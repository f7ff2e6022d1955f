"""The keys that models share. Each encoder and each ranker has its own section on top.

The annotation of a key holds its accepted range, and where ``tune`` varies the key, the values that it tries.
"""

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from msgspec import Meta

from trainer.errors import RecipeError
from trainer.recipe.sections import Count, Share, Text, keys_of


@dataclass(frozen=True)
class Range:
    """A search tries numbers from ``low`` to ``high``, with ``log`` equally often in each power of ten."""

    low: float
    high: float
    log: bool = False

    def has(self, value: float) -> bool:
        """Whether the search may try the value."""
        return self.low <= value <= self.high


class Choices:
    """A search tries these whole numbers."""

    def __init__(self, *values: int) -> None:
        self.values = values

    def has(self, value: float) -> bool:
        """Whether the search may try the value."""
        return value in self.values


def tuned_keys(section: type[Any]) -> dict[str, Range | Choices]:
    """The keys of a section that a search varies."""
    return {
        key: tried
        for key, kind in keys_of(section).items()
        for tried in getattr(kind, "__metadata__", ())
        if isinstance(tried, Range | Choices)
    }


Dimension = Annotated[int, Meta(ge=1, le=4096)]
Layers = Annotated[int, Meta(ge=1, le=64)]
TunedLayers = Annotated[Layers, Choices(1, 2, 3)]
TunedDropout = Annotated[Share, Range(0, 0.7)]
LearningRate = Annotated[float, Meta(ge=1e-8, le=10)]
WeightDecay = Annotated[float, Meta(ge=0, le=10)]
BatchSize = Annotated[int, Meta(ge=1, le=1_000_000)]
SpectralScale = Annotated[float, Meta(ge=0, le=10)]
Regularisation = Annotated[float, Meta(ge=0, le=1000)]
TunedRegularisation = Annotated[Regularisation, Range(1e-4, 0.3, log=True)]


@dataclass(frozen=True, kw_only=True)
class EncoderConfig:
    """The first stage, by the `name` of an encoder.

    Its vectors have `dimension` components. It reads at most `history` events.
    """

    name: Text = ""
    dimension: Annotated[Dimension, Choices(32, 64, 128, 256)] = 64
    history: Count = 128


@dataclass(frozen=True, kw_only=True)
class IterativeConfig(EncoderConfig):
    """An encoder that learns in epochs: at most `epochs`, or until `patience` of them in a row were no better."""

    epochs: Count = 7
    patience: Count = 2


@dataclass(frozen=True, kw_only=True)
class GradientConfig(IterativeConfig):
    """An encoder that learns by gradient descent (AdamW).

    At each step `history_dropout` of the users are known by their features alone. With 0, the encoder does not read
    user features.

    Up to `softmax_limit` items the softmax is full. In larger catalogues it is over `negatives` sampled items.
    """

    learning_rate: Annotated[LearningRate, Range(3e-4, 3e-2, log=True)] = 0.004
    weight_decay: Annotated[WeightDecay, Range(1e-4, 0.3, log=True)] = 0.01
    history_dropout: Share = 0
    softmax_limit: Annotated[int, Meta(ge=0, le=100_000_000)] = 10_000
    negatives: Annotated[int, Meta(ge=1, le=10_000_000)] = 2048


@dataclass(frozen=True, kw_only=True)
class WholeHistoryConfig(GradientConfig):
    """An encoder that learns from whole histories. A step reads those of `batch_size` users."""

    batch_size: Annotated[BatchSize, Choices(16, 32, 64, 128, 256)] = 16


@dataclass(frozen=True, kw_only=True)
class SequenceConfig(GradientConfig):
    """An encoder of sequences, which learns the next item from every place of a history.

    A step reads about `batch_events` events, of however many users, so that it predicts about as often whether
    histories are short or long. 0 stands for 1,500, and for fewer on small data, so that an epoch has enough steps.
    With four times the events, try twice the `learning_rate` (Malladi et al., 2022, arXiv:2205.10287).

    `id_dropout` is the share of the items that a step knows by their features alone, if they have any. So new items get
    vectors from their features.

    A `loss` other than the softmax compares the next item with `negatives` at any size of the catalogue. Negatives are
    drawn `negatives_by` popularity, uniformly, or from the next items elsewhere in the batch. The sampled softmax
    corrects for how often each is drawn. `margin` and `negatives_weight` belong to ccl, whose vectors have length one.

    Item embeddings start from a spectral embedding of the co-occurrence matrix, scaled by `spectral_scale`. 0 starts
    them at random; transformer and bsarec then take more epochs and end worse.
    """

    layers: TunedLayers = 1
    batch_events: Annotated[int, Meta(ge=0, le=1_000_000), Choices(0, 500, 1000, 3000, 6000)] = 0
    dropout: TunedDropout = 0.2
    id_dropout: Share = 0.1
    loss: Literal["softmax", "bpr", "ccl", "bce"] = "softmax"
    negatives_by: Literal["popularity", "uniform", "batch"] = "popularity"
    spectral_scale: SpectralScale = 1
    margin: Annotated[float, Meta(ge=-1, le=1)] = 0.5
    negatives_weight: Annotated[float, Meta(ge=0, le=1e6)] = 10


@dataclass(frozen=True, kw_only=True)
class MultiHeadConfig(SequenceConfig):
    """An encoder of sequences whose components are in `heads` groups."""

    heads: Layers = 1

    def __post_init__(self) -> None:
        if self.dimension % self.heads:
            raise RecipeError("heads: must divide dimension")


@dataclass(frozen=True, kw_only=True)
class AttentionConfig(MultiHeadConfig):
    """An encoder of self-attention."""

    attention_dropout: TunedDropout = 0
    spectral_scale: Annotated[SpectralScale, Range(0, 4)] = 1


@dataclass(frozen=True, kw_only=True)
class RankerConfig:
    """The second stage, by the `name` of a ranker. `history` is in events, `candidates` in items per user.

    It learns from at most `examples` events of its slice, evenly spaced in time, since each holds its candidates in
    memory. Each epoch draws at most 20,000 lists, likes first, up to half. Likes are not preferred where an objective
    learns values, or events that are likes in part. Each step sees `sampled` of an example's candidates, drawn again
    each time, the chosen item among them.

    With an `embedding` it also learns a vector of this width for each item and each user. `embedding_decay` is the
    weight decay of these. `unknown_users` is the share of users treated as unknown, which trains the default.

    With several `experts`, so many rankers of its name are mixed for each objective by a gate of the objective. With
    more experts than objectives, each objective has one expert of its own and shares the others.
    """

    name: Text = ""
    experts: Annotated[int, Meta(ge=1, le=64)] = 1
    candidates: Annotated[int, Meta(ge=1, le=100_000)] = 200
    sampled: Annotated[int, Meta(ge=2, le=100_000)] = 32
    examples: Annotated[int, Meta(ge=100, le=100_000_000)] = 100_000
    history: Count = 50
    hidden: Annotated[int, Meta(ge=1, le=65_536)] = 64
    embedding: Annotated[int, Meta(ge=0, le=1024)] = 0
    embedding_decay: Annotated[float, Meta(ge=0, le=1000)] = 0.05
    dropout: Share = 0.2
    user_dropout: Share = 0.3
    unknown_users: Share = 0.2
    epochs: Count = 6
    learning_rate: LearningRate = 0.001
    weight_decay: WeightDecay = 0.05
    batch_size: BatchSize = 64


@dataclass(frozen=True, kw_only=True)
class FieldRankerConfig(RankerConfig):
    """A ranker of fields: each group of columns becomes a vector of `field_width` numbers. Its MLPs have `layers`."""

    layers: Layers = 2
    field_width: Annotated[int, Meta(ge=1, le=1024)] = 16
