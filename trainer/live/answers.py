"""The answers of a log of served answers, as tables."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from shortlist.errors import ShortlistError
from shortlist.ranking.v1.served_answer_pb2 import ServedAnswer
from shortlist.served.segments import call_of, read_backwards
from trainer.errors import DataError

_ANSWERS = {
    "recommendation_id": pl.String,
    "user_id": pl.String,
    "served": pl.Int64,
    "live_position": pl.Int64,
    "bundle_id": pl.String,
}
_ITEMS = {"recommendation_id": pl.String, "item_id": pl.String, "place": pl.Int64}


@dataclass(frozen=True, kw_only=True)
class Answers:
    """The answers to known users, and the items of each.

    ``answers`` has `recommendation_id`, `user_id`, `served` (nanoseconds since 1970), `live_position`, `bundle_id` and
    the values of the context, null where a request has none. ``items`` has `recommendation_id`, `item_id` and `place`,
    from 0. ``left_out`` counts answers by the reason.
    """

    answers: pl.DataFrame
    items: pl.DataFrame
    context: tuple[str, ...]
    left_out: dict[str, int]


def read_answers(directory: Path) -> Answers:
    """The answers of a log that tell something about a user.

    Raises:
        DataError: a segment is damaged, or a name of the context has texts and numbers.
    """
    rows, items, context = list[tuple[object, ...]](), list[tuple[object, ...]](), list[dict[str, object]]()
    left_out = dict[str, int]()
    for answer in _all(directory):
        call = call_of(answer)
        user_id, response = call.request.user.user_id, call.response
        reason = _reason(user_id, response.degraded)
        if reason:
            left_out[reason] = left_out.get(reason, 0) + 1
            continue
        served, position = answer.time.ToNanoseconds(), response.live_position
        rows.append((response.recommendation_id, user_id, served, position, response.bundle_id))
        items += [(response.recommendation_id, item.item_id, place) for place, item in enumerate(response.items)]
        context.append({name: _value(value) for name, value in call.request.context.items()})
    names = sorted({name for one in context for name in one})
    answers = pl.DataFrame(rows, schema=_ANSWERS, orient="row").with_columns(_columns(names, context))
    return Answers(
        answers=answers,
        items=pl.DataFrame(items, schema=_ITEMS, orient="row"),
        context=tuple(names),
        left_out=left_out,
    )


def _all(directory: Path) -> Iterator[ServedAnswer]:
    try:
        for segment in read_backwards(directory):
            yield from segment
    except (ShortlistError, OSError) as error:
        raise DataError(f"the log of served answers: {error}") from error


def _reason(user_id: str, degraded: bool) -> str:
    if not user_id:
        return "have no user id"
    return "were degraded, so that the models did not choose their items" if degraded else ""


def _value(value: object) -> object:
    kind = value.WhichOneof("kind")  # type: ignore[attr-defined]
    return None if kind is None else getattr(value, kind)


def _columns(names: list[str], context: list[dict[str, object]]) -> list[pl.Series]:
    taken = {*_ANSWERS, *_ITEMS, "position", "timestamp"} & {*names}
    if taken:
        raise DataError(f"the context of the served answers: {', '.join(sorted(taken))} is the name of another column")
    columns = []
    for name in names:
        values = [one.get(name) for one in context]
        if len({type(value) for value in values if value is not None}) > 1:
            raise DataError(f"the context of the served answers: {name!r} has texts and numbers")
        columns.append(pl.Series(name, values))
    return columns
