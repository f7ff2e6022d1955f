"""MovieLens 1M with a time for each rating."""

import polars as pl

from bench.movielens_1m import with_times


def test_a_rating_without_a_time_gets_one_between_its_neighbours() -> None:
    """Proves it for a gap in a user's order, for what has no place in it, and that others' times do not count."""
    ratings = pl.DataFrame(
        [(1, 10, 4, 0, 100), (1, 11, 3, 1, None), (1, 12, 5, 2, 300), (1, 13, 2, -1, None), (2, 10, 4, 0, 150)],
        schema=["user_id", "movie_id", "rating", "order", "timestamp"],
        orient="row",
    )
    found = with_times(ratings)
    times = {(user, movie): time for user, movie, _, time in found.iter_rows()}
    assert times == {(1, 10): 100, (1, 11): 200, (1, 12): 300, (1, 13): 100, (2, 10): 150}
    assert found["timestamp"].is_sorted()
