"""MovieLens 1M with a time for each rating."""

from pathlib import Path

import polars as pl
import pytest

from bench.datasets.movielens_1m import main, with_times
from trainer.data import load
from trainer.recipe import Recipe


def test_a_rating_without_a_time_gets_one_between_its_neighbours() -> None:
    """Proves it for a gap and for a rating without a place, and that other users' times do not count."""
    ratings = pl.DataFrame(
        [(1, 10, 4, 0, 100), (1, 11, 3, 1, None), (1, 12, 5, 2, 300), (1, 13, 2, -1, None), (2, 10, 4, 0, 150)],
        schema=["user_id", "movie_id", "rating", "order", "timestamp"],
        orient="row",
    )
    found = with_times(ratings)
    times = {(user, movie): time for user, movie, _, time in found.iter_rows()}
    assert times == {(1, 10): 100, (1, 11): 200, (1, 12): 300, (1, 13): 100, (2, 10): 150}
    assert found["timestamp"].is_sorted()


def test_a_users_ratings_keep_their_order() -> None:
    """Proves it for equal times, for ratings before the first known time, and for shuffled files."""
    times = [None, None, 50, None, 50, None, None, 51, 90]
    rows = [(user, place, 5 - place % 5, place, time) for user in (1, 2) for place, time in enumerate(times)]
    ratings = pl.DataFrame(rows, schema=["user_id", "movie_id", "rating", "order", "timestamp"], orient="row")
    found = with_times(ratings.sample(fraction=1, shuffle=True, seed=3))
    for user in (1, 2):
        own = found.filter(user_id=user)
        assert own["movie_id"].to_list() == list(range(len(times)))
        assert own["timestamp"].to_list() == [50, 50, 50, 50, 50, 50, 51, 51, 90]


def test_the_trainer_reads_the_tables_with_its_recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Proves it for the recipe of MovieLens, and that a film's year is the last one in its title."""
    given = tmp_path / "given"
    given.mkdir()
    rating = {"user_id": [1, 2], "movie_id": [7, 8], "rating": [4, 2], "order": [0, 0], "timestamp": [10, 20]}
    pl.DataFrame(rating).write_parquet(given / "ratings.parquet")
    titles = ["2001: A Space Odyssey (1968)", "No year"]
    movies = pl.DataFrame({"movie_id": [7, 8], "title": titles, "genres": ["Drama|Sci-Fi", "Drama"]})
    movies.write_parquet(given / "movies.parquet")
    users = pl.DataFrame({"user_id": [1, 2], "gender": ["F", "M"], "age": [25, 18], "occupation": [3, 4]})
    users.write_parquet(given / "users.parquet")
    monkeypatch.setattr("sys.argv", ["movielens_1m", "--data", str(given), "--out", str(tmp_path / "out")])
    main()
    assert pl.read_parquet(tmp_path / "out" / "items.parquet")["year"].to_list() == [1968.0, None]
    dataset = load(tmp_path / "out", Recipe.read(Path("trainer") / "recipes" / "movielens.toml"))
    assert ((dataset.times // 10**9).tolist(), dataset.likes.tolist()) == ([10, 20], [True, False])
