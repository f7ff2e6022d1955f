"""Encoders: history → user vector, item → vector. A new one is a file here, a line below and a recipe."""

from trainer.encoders.autoencoder import AutoencoderEncoder
from trainer.encoders.base import Encoder, EncoderSizes, SequenceEncoder
from trainer.encoders.ials import IalsEncoder
from trainer.encoders.lightgcn import LightGCNEncoder
from trainer.encoders.low_pass import LowPassEncoder
from trainer.encoders.transformer import TransformerEncoder
from trainer.errors import RecipeError
from trainer.recipe import Encoder as EncoderRecipe

ENCODERS: dict[str, type[Encoder]] = {
    "autoencoder": AutoencoderEncoder,
    "ials": IalsEncoder,
    "lightgcn": LightGCNEncoder,
    "low_pass": LowPassEncoder,
    "transformer": TransformerEncoder,
}


def build_encoder(recipe: EncoderRecipe, sizes: EncoderSizes) -> Encoder:
    """The encoder that a recipe names.

    Raises:
        RecipeError: there is none of that name.
    """
    return encoder_class(recipe)(recipe, sizes)


def encoder_class(recipe: EncoderRecipe) -> type[Encoder]:
    """The class of the encoder that a recipe names.

    Raises:
        RecipeError: there is none of that name.
    """
    if recipe.name not in ENCODERS:
        raise RecipeError(f"[encoder] name: no encoder {recipe.name!r}; there are {', '.join(sorted(ENCODERS))}")
    return ENCODERS[recipe.name]


__all__ = ["ENCODERS", "Encoder", "EncoderSizes", "SequenceEncoder", "build_encoder", "encoder_class"]
