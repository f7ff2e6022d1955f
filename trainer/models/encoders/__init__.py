"""Encoders: history → user vector, item → vector. A new one is a file here and a recipe."""

from trainer.models.encoders.base import Encoder, EncoderDataSpec
from trainer.models.encoders.sequence import SequenceEncoder

__all__ = ["Encoder", "EncoderDataSpec", "SequenceEncoder"]
