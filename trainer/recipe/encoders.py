"""The sections of encoders. They lie apart from the models, so that a recipe is checked without PyTorch."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from msgspec import Meta

from trainer.recipe.models import (
    AttentionConfig,
    Choices,
    Dimension,
    EncoderConfig,
    IterativeConfig,
    MultiHeadConfig,
    Range,
    SequenceConfig,
    TunedDropout,
    TunedLayers,
    TunedRegularisation,
    WeightDecay,
    WholeHistoryConfig,
)


@dataclass(frozen=True, kw_only=True)
class AutoencoderConfig(WholeHistoryConfig):
    """[encoder] name = "autoencoder". Without `kl_weight`, that of the divergence, it only denoises."""

    name: str = "autoencoder"
    dropout: TunedDropout = 0.2
    kl_weight: Annotated[float, Meta(ge=0, le=100), Range(0, 0.5)] = 0.2


@dataclass(frozen=True, kw_only=True)
class BsarecConfig(AttentionConfig):
    """[encoder] name = "bsarec". A block mixes `low_pass` parts of a low-pass filter with the rest of attention."""

    name: str = "bsarec"
    low_pass: Annotated[float, Meta(ge=0, le=1), Range(0, 1)] = 0.7


@dataclass(frozen=True, kw_only=True)
class GfcfConfig(EncoderConfig):
    """[encoder] name = "gfcf"."""

    name: str = "gfcf"
    dimension: Annotated[Dimension, Choices(64, 128, 256, 512, 1024, 2048)] = 64


@dataclass(frozen=True, kw_only=True)
class GruConfig(SequenceConfig):
    """[encoder] name = "gru"."""

    name: str = "gru"


@dataclass(frozen=True, kw_only=True)
class IalsConfig(IterativeConfig):
    """[encoder] name = "ials". `unobserved_weight` is the weight of a pair without an interaction."""

    name: str = "ials"
    unobserved_weight: Annotated[float, Meta(ge=1e-6, le=1), Range(1e-3, 0.3, log=True)] = 0.03
    regularisation: TunedRegularisation = 0.003


@dataclass(frozen=True, kw_only=True)
class LightGCNConfig(WholeHistoryConfig):
    """[encoder] name = "lightgcn". `noise` perturbs the layers; `contrast` weighs the contrastive loss."""

    name: str = "lightgcn"
    layers: TunedLayers = 1
    weight_decay: WeightDecay = 0.01
    temperature: Annotated[float, Meta(ge=1e-3, le=100), Range(0.05, 0.5, log=True)] = 0.1
    noise: Annotated[float, Meta(ge=0, le=10), Range(0, 0.3)] = 0.0
    contrast: Annotated[float, Meta(ge=0, le=100), Range(0, 0.5)] = 0.2


@dataclass(frozen=True, kw_only=True)
class NoEncoderConfig(EncoderConfig):
    """[encoder] name = "none"."""

    name: str = "none"
    dimension: Dimension = 64


@dataclass(frozen=True, kw_only=True)
class TransformerConfig(AttentionConfig):
    """[encoder] name = "transformer", the default."""

    name: str = "transformer"


@dataclass(frozen=True, kw_only=True)
class TwoTowerConfig(MultiHeadConfig):
    """[encoder] name = "two_tower"."""

    name: str = "two_tower"


@dataclass(frozen=True, kw_only=True)
class ContentRidgeConfig(GfcfConfig):
    """[encoder] name = "content_ridge". `regularisation` is that of the weights of the item features."""

    name: str = "content_ridge"
    regularisation: TunedRegularisation = 0.003


ENCODER_CONFIGS: Mapping[str, type[EncoderConfig]] = {
    kind.name: kind
    for kind in (
        AutoencoderConfig,
        BsarecConfig,
        ContentRidgeConfig,
        GfcfConfig,
        GruConfig,
        IalsConfig,
        LightGCNConfig,
        NoEncoderConfig,
        TransformerConfig,
        TwoTowerConfig,
    )
}
"""The sections by the names of their models. A new model needs its section in this list."""
