"""Sections of other models, made from that of one."""

from collections.abc import Mapping
from typing import Any

from trainer.recipe import EncoderConfig, RankerConfig
from trainer.recipe.encoders import ENCODER_CONFIGS
from trainer.recipe.rankers import RANKER_CONFIGS
from trainer.recipe.sections import keys_of


def encoder_config(base: EncoderConfig, name: str = "", **keys: object) -> Any:  # noqa: ANN401 - by the name
    """The section of an encoder, by default the same, with the base's and the given keys that it reads."""
    return _config(ENCODER_CONFIGS, base, name, keys)


def ranker_config(base: RankerConfig, name: str = "", **keys: object) -> Any:  # noqa: ANN401 - by the name
    """The same of a ranker."""
    return _config(RANKER_CONFIGS, base, name, keys)


def _config(
    kinds: Mapping[str, type[Any]], base: EncoderConfig | RankerConfig, name: str, keys: Mapping[str, object]
) -> Any:  # noqa: ANN401
    kind = kinds[name or base.name]
    values = {**vars(base), **keys, "name": kind.name}
    return kind(**{key: value for key, value in values.items() if key in keys_of(kind)})
