"""Forgotten users: nothing of them from before the forgetting is trained on, or comes into a bundle."""

from pathlib import Path

import polars as pl

from shortlist.errors import ShortlistError
from shortlist.forgotten_list import ForgottenList
from trainer.errors import DataError


def read_forgotten(path: Path | None) -> ForgottenList | None:
    """The list of forgotten users; None without a file. Raises DataError for one that is no such list."""
    try:
        return None if path is None else ForgottenList.read(path)
    except ShortlistError as error:
        raise DataError(str(error)) from error


def is_kept(forgotten: ForgottenList | None, users: pl.Series, times: pl.Series | None) -> pl.Series:
    """Which rows [n] are of users who were never forgotten, or are later than the forgetting.

    Without `times` [n], in nanoseconds since 1970, all rows of forgotten users go: nothing says that they are later.
    """
    found = {} if forgotten is None else forgotten.among(users.drop_nulls().unique())
    if not found:
        return pl.repeat(True, len(users), eager=True)
    until = {user_id: one.time for user_id, one in found.items()}
    forgotten_at = users.replace_strict(until, default=None, return_dtype=pl.Int64)
    is_later = forgotten_at.is_null() if times is None else forgotten_at.is_null() | (times > forgotten_at)
    return is_later.fill_null(False)
