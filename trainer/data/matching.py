"""Whether two tables mean the same ids: none in common is refused, few in common and near misses are warned about."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import polars as pl

from trainer.data.bad_rows import SHOWN, SHOWN_WIDTH
from trainer.errors import DataError

_LEAST_SHARED = 0.5
"""Of the smaller side's ids. New items and users are normal, and so are those that nobody has had for long."""
_FORMS: Mapping[str, Callable[[pl.Series], pl.Series]] = {
    "leading zeros": lambda ids: ids.str.strip_chars_start("0"),
    "a trailing .0": lambda ids: ids.str.replace(r"\.0+$", ""),
    "spaces around them": lambda ids: ids.str.strip_chars(),
    "letter case": lambda ids: ids.str.to_lowercase(),
    "the Unicode form (NFC, NFD)": lambda ids: ids.str.normalize("NFC"),
}


@dataclass(frozen=True, kw_only=True, eq=False)
class Side:
    """The distinct ids of a table, and how messages name it."""

    name: str
    ids: pl.Series


def compare_ids(known: Side, table: Side, kind: str) -> Iterator[str]:
    """Warnings about the ids of a table beside the known ones; `kind` is "items" or "users".

    Ids are compared as text. Raises DataError when the two have no id in common.
    """
    here, there = (_without(*pair) for pair in ((table.ids, known.ids), (known.ids, table.ids)))
    shared, smaller = len(table.ids) - len(here), min(len(table.ids), len(known.ids))
    if not smaller:
        return
    near = _near_misses(here, there)
    counted = f"{shared:,} of its {len(table.ids):,} ids are among the {len(known.ids):,} {kind} of {known.name}"
    seen = f"only the first has {_examples(here)}" if len(here) else ""
    seen += f"{' and ' if seen else ''}only the second has {_examples(there)}" if len(there) else ""
    if not shared:
        raise DataError(
            f"{table.name}: none of its {len(table.ids):,} ids is among the {len(known.ids):,} {kind} of "
            f"{known.name}; {seen}{near}; write the ids alike in both"
        )
    if near or shared < _LEAST_SHARED * smaller:
        yield f"{table.name}: {counted}; {seen}{near}"


def _without(ids: pl.Series, others: pl.Series) -> pl.Series:
    return ids.filter(~ids.is_in(others.implode())).sort()


def _examples(ids: pl.Series) -> str:
    return ", ".join(f"{one!r:.{SHOWN_WIDTH}}" for one in ids.head(SHOWN))


def _near_misses(here: pl.Series, there: pl.Series) -> str:
    """The differences in form that make other ids of the same text, with one pair each."""
    found = [one for name, form in _FORMS.items() if (one := _pairs(here, there, name, form))]
    if not found and (one := _pairs(here, there, "several of " + ", ".join(_FORMS), _plain)):
        found = [one]
    return f"; {' and '.join(found)}" if found else ""


def _plain(ids: pl.Series) -> pl.Series:
    # Zeros stand after spaces, and a trailing .0 before them.
    for name in reversed(list(_FORMS)):
        ids = _FORMS[name](ids)
    return ids


def _pairs(here: pl.Series, there: pl.Series, name: str, form: Callable[[pl.Series], pl.Series]) -> str:
    sides = [pl.DataFrame({side: ids, "form": form(ids)}) for side, ids in (("here", here), ("there", there))]
    pairs = sides[0].join(sides[1], on="form", maintain_order="left")
    if pairs.is_empty():
        return ""
    one, other = pairs.select("here", "there").row(0)
    return f"{len(pairs):,} differ only in {name}, such as {one!r:.{SHOWN_WIDTH}} and {other!r:.{SHOWN_WIDTH}}"
