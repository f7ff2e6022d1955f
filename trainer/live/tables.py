"""Interactions and impressions, each known from the moment on that the models of an answer could know it."""

from collections.abc import Iterator
from dataclasses import dataclass

import polars as pl

from trainer.errors import DataError
from trainer.live.answers import Answers

_TIME = pl.Datetime("ns", "UTC")
_UNNAMED = "event"


@dataclass(frozen=True, kw_only=True)
class Tables:
    """Interactions, impressions if there is a log, and sentences about rows that moved or were left out."""

    interactions: pl.DataFrame
    impressions: pl.DataFrame | None
    notes: tuple[str, ...]


def make_tables(events: pl.DataFrame, answers: Answers | None) -> Tables:
    """The tables of the events and the answers.

    The `timestamp` of an interaction is its time. Where a later answer did not know it yet, it is the moment after that
    answer. So the answer knew the history before each of its impressions. An outcome is never before its answer,
    whatever the caller's clock says.

    Raises:
        DataError: there are no interactions, or no event names an answer.
    """
    if events.filter(pl.col("item_id") != "").is_empty():
        raise DataError("the live service has no interactions")
    if answers is None:
        return Tables(interactions=_interactions(events.with_columns(known=pl.col("time"))), impressions=None, notes=())
    known = _known(events, answers.answers)
    impressions, notes = _impressions(events, answers)
    moved = known.filter((pl.col("known") != pl.col("time")) & (pl.col("item_id") != "")).height
    late = [f"{moved:,} interactions came after an answer that they were older than, and count from after it"]
    lacking = [f"{count:,} answers {reason}, and are no impressions" for reason, count in answers.left_out.items()]
    return Tables(
        interactions=_interactions(known), impressions=impressions, notes=(*(late if moved else ()), *lacking, *notes)
    )


def _interactions(events: pl.DataFrame) -> pl.DataFrame:
    found = events.filter(pl.col("item_id") != "").sort("known", "position")
    return found.select(
        "user_id",
        "item_id",
        "event",
        "value",
        timestamp=pl.col("known").cast(_TIME),
        happened=pl.col("time").cast(_TIME),
    )


def _known(events: pl.DataFrame, answers: pl.DataFrame) -> pl.DataFrame:
    """The events with `known`: the time from which on they may be in a history, in nanoseconds since 1970."""
    # The last answer that did not know an event. Positions of a store never fall.
    unknowing = (
        answers.filter(pl.col("live_position") > 0)
        .sort("live_position")
        .select("user_id", "live_position", last=pl.col("served").cum_max().over("user_id"))
    )
    own = answers.select("recommendation_id", "user_id", own="served").unique(["recommendation_id", "user_id"])
    return (
        events.sort("position")
        .join_asof(
            unknowing,
            left_on="position",
            right_on="live_position",
            by="user_id",
            strategy="backward",
            allow_exact_matches=False,
            check_sortedness=False,
        )
        .join(own, on=["recommendation_id", "user_id"], how="left", maintain_order="left")
        .with_columns(known=pl.max_horizontal("time", pl.col("last") + 1, pl.col("own") + 1))
    )


def _impressions(events: pl.DataFrame, answers: Answers) -> tuple[pl.DataFrame, list[str]]:
    named = events.filter(pl.col("recommendation_id") != "")
    shown, notes = _shown(named, answers)
    rows = shown.join(answers.answers, on="recommendation_id", maintain_order="left")
    found = named.filter(pl.col("item_id") != "").join(
        answers.answers.select("recommendation_id", "user_id"), on=["recommendation_id", "user_id"], how="semi"
    )
    if found.is_empty():
        raise DataError("no event has the recommendation_id of an answer of the log, so that no outcome is known")
    for column in _outcomes(found, taken=(*rows.columns, "timestamp", "position")):
        rows = rows.join(column, on=["recommendation_id", "item_id"], how="left", maintain_order="left")
    flags = [name for name, kind in rows.schema.items() if kind == pl.UInt8]
    return (
        rows.with_columns(pl.col(flags).fill_null(0), timestamp=pl.col("served").cast(_TIME))
        .rename({"place": "position"})
        .drop("served", "live_position")
        .sort("timestamp", "recommendation_id", "position"),
        notes,
    )


def _shown(named: pl.DataFrame, answers: Answers) -> tuple[pl.DataFrame, list[str]]:
    """The items that users saw, with their places: those of `shown` where the events have any, else whole lists."""
    said = (
        named.select("recommendation_id", "shown")
        .explode("shown")
        .drop_nulls("shown")
        .select("recommendation_id", pl.col("shown").struct.unnest())
        .group_by("recommendation_id", "item_id")
        .agg(seen=pl.col("position").min().cast(pl.Int64))
    )
    if said.is_empty():
        return answers.items, []
    seen = answers.items.join(said, on=["recommendation_id", "item_id"], maintain_order="left")
    unseen = answers.answers.height - seen["recommendation_id"].n_unique()
    note = f"{unseen:,} answers have no item that an event says was shown, and are no impressions"
    return seen.select("recommendation_id", "item_id", place="seen"), [note] if unseen else []


def _outcomes(found: pl.DataFrame, taken: tuple[str, ...]) -> Iterator[pl.DataFrame]:
    """For each kind of event a column of whether it happened, and one of its last value where it has values."""
    names = {*taken}
    for (event,), rows in found.sort("event", "time").group_by("event", maintain_order=True):
        name = str(event) or _UNNAMED
        if names & {name, f"{name}_value"}:
            raise DataError(f"the event {name!r} has the name of another column of the impressions")
        names |= {name, f"{name}_value"}
        keys = ["recommendation_id", "item_id"]
        yield rows.select(keys).unique(maintain_order=True).with_columns(pl.lit(1, dtype=pl.UInt8).alias(name))
        if rows["value"].count():
            values = rows.drop_nulls("value").unique(keys, keep="last", maintain_order=True)
            yield values.select(*keys, pl.col("value").alias(f"{name}_value"))
