"""Encoders: history → user vector, item → vector. A new one is a file here, a line below and a recipe."""

from trainer.errors import RecipeError
from trainer.models.encoders.autoencoder import AutoencoderEncoder
from trainer.models.encoders.base import Encoder, EncoderDataSpec
from trainer.models.encoders.bsarec import BsarecEncoder
from trainer.models.encoders.content_ridge import ContentRidgeEncoder
from trainer.models.encoders.gfcf import GfcfEncoder
from trainer.models.encoders.gru import GruEncoder
from trainer.models.encoders.ials import IalsEncoder
from trainer.models.encoders.lightgcn import LightGCNEncoder
from trainer.models.encoders.none import NoEncoder
from trainer.models.encoders.sequence import SequenceEncoder
from trainer.models.encoders.transformer import TransformerEncoder
from trainer.models.encoders.two_tower import TwoTowerEncoder
from trainer.recipe import EncoderConfig

ENCODERS: dict[str, type[Encoder]] = {
    "autoencoder": AutoencoderEncoder,
    "bsarec": BsarecEncoder,
    "content_ridge": ContentRidgeEncoder,
    "gfcf": GfcfEncoder,
    "gru": GruEncoder,
    "ials": IalsEncoder,
    "lightgcn": LightGCNEncoder,
    "none": NoEncoder,
    "transformer": TransformerEncoder,
    "two_tower": TwoTowerEncoder,
}


def build_encoder(recipe: EncoderConfig, spec: EncoderDataSpec) -> Encoder:
    """The encoder that a recipe names.

    Raises:
        RecipeError: there is none of that name.
    """
    return encoder_class(recipe)(recipe, spec)


def encoder_class(recipe: EncoderConfig) -> type[Encoder]:
    """The class of the encoder that a recipe names.

    Raises:
        RecipeError: there is none of that name.
    """
    if recipe.name not in ENCODERS:
        raise RecipeError(f"[encoder] name: no encoder {recipe.name!r}; there are {', '.join(sorted(ENCODERS))}")
    return ENCODERS[recipe.name]


__all__ = ["ENCODERS", "Encoder", "EncoderDataSpec", "SequenceEncoder", "build_encoder", "encoder_class"]
