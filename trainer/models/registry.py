"""All encoders and rankers, by the names that recipes give them."""

from collections.abc import Mapping

from trainer.discovery import by_name, subclasses_in
from trainer.models import encoders, rankers
from trainer.models.encoders import Encoder, EncoderDataSpec
from trainer.models.rankers import Backbone, MixtureOfExperts, Ranker, RankerDataSpec, SharedBackbone
from trainer.recipe import EncoderConfig, RankerConfig

ENCODERS: Mapping[str, type[Encoder]] = by_name(
    subclasses_in(encoders, Encoder),  # type: ignore[type-abstract]
    lambda kind: kind.config.name,
)
BACKBONES: Mapping[str, type[Backbone]] = by_name(
    subclasses_in(rankers, Backbone),  # type: ignore[type-abstract]
    lambda kind: kind.config.name,
)


def build_encoder(config: EncoderConfig, spec: EncoderDataSpec) -> Encoder:
    """The encoder of a recipe's section, untrained."""
    return ENCODERS[config.name](config, spec)


def build_ranker(config: RankerConfig, spec: RankerDataSpec) -> Ranker:
    """The ranker of a recipe's section, untrained: one backbone, or a mixture of `experts`."""
    backbones = [BACKBONES[config.name](config, spec) for _ in range(config.experts)]
    return Ranker(
        MixtureOfExperts(backbones, spec) if len(backbones) > 1 else SharedBackbone(backbones[0], spec.objectives), spec
    )
