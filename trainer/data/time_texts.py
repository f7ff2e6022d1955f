"""Texts of times as nanoseconds since 1970: ISO 8601, years first with slashes, and RFC 2822.

Whole columns of the usual forms of ISO 8601 are read at once, in a tenth of the time that cell by cell takes.
"""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import polars as pl

SECOND = 10**9
"""In the unit of all times of a data set."""
END = int(datetime(2200, 1, 1, tzinfo=UTC).timestamp()) * SECOND
"""Times are before this one, and from 1970 on."""
_DAY = 86_400
_FRACTION = re.compile(r"^(.*(?:\d\d:\d\d:\d\d|T\d{6}))[.,](\d{1,9})\d*(.*)$")
_ZONE = re.compile(r"\s+(?:UTC|Z|([+-]\d\d:?\d\d))$")
_YEAR_FIRST = re.compile(r"^(\d{4})/(\d\d)/(\d\d)")
_RFC_2822 = re.compile(
    r"^(?:[A-Z][a-z]{2}, )?\d{1,2} [A-Z][a-z]{2} \d{4} \d\d:\d\d(?::\d\d)? (?:[+-]\d{4}|GMT|UTC?|Z)$"
)
# A part of the forms of ISO 8601. Python reads the same time from a text that matches, or refuses its day or hour.
_USUAL = (
    r"^(?P<day>[0-9]{4}-[0-9]{2}-[0-9]{2})"
    r"(?:[T ](?P<clock>[0-9]{2}:[0-9]{2}:[0-5][0-9])(?:[.,](?P<fraction>[0-9]+))?"
    r"(?:\s*(?:Z|(?P<sign>[+-])(?P<hours>[01][0-9]|2[0-3]):?(?P<minutes>[0-5][0-9]))|\s+UTC)?)?$"
)


def nanoseconds_of_texts(texts: pl.Series) -> pl.Series:
    """The time of each text ``[n]``, int64, without a zone in UTC.

    Null for one in no form that is read, and for one outside of 1970 to 2199.
    """
    usual = _of_usual_forms(texts)
    others = texts.filter(usual.is_null() & texts.is_not_null()).unique()
    read = [_of_form(text) for text in others]
    known = {text: time for text, time in zip(others, read, strict=True) if time is not None and 0 <= time < END}
    if not known:
        return usual
    return usual.fill_null(texts.replace_strict(known, default=None, return_dtype=pl.Int64))


def _of_usual_forms(texts: pl.Series) -> pl.Series:
    part = pl.col("parts").struct.field
    text = pl.concat_str(part("day"), pl.lit(" "), part("clock").fill_null("00:00:00"))
    seconds = text.str.to_datetime("%Y-%m-%d %H:%M:%S", time_unit="ms", strict=False).dt.epoch("s")
    # Any other number of nanoseconds may not fit into 64 bits.
    seconds = pl.when(seconds.is_between(-_DAY, END // SECOND + _DAY)).then(seconds)
    sign = pl.when(part("sign") == "-").then(-1).otherwise(1)
    zone = sign * (part("hours").cast(pl.Int64) * 3600 + part("minutes").cast(pl.Int64) * 60)
    fraction = part("fraction").str.pad_end(9, "0").str.head(9).cast(pl.Int64)
    time = (seconds - zone.fill_null(0)) * SECOND + fraction.fill_null(0)
    time = pl.when(time.is_between(0, END, closed="left")).then(time)
    return texts.str.extract_groups(_USUAL).alias("parts").to_frame().select(time.alias(texts.name)).to_series()


def _of_form(text: str) -> int | None:
    """Nanoseconds of a time in ISO 8601, with slashes or of RFC 2822; None for another."""
    if _RFC_2822.match(text):
        return _nanoseconds(parsedate_to_datetime, text)
    zoned = _ZONE.sub(lambda zone: zone[1] or "+00:00", _YEAR_FIRST.sub(r"\1-\2-\3", text))
    fraction = _FRACTION.match(zoned)
    if fraction is None:
        # Python also reads fractions of minutes, not as ISO 8601 means them.
        return None if "." in zoned or "," in zoned else _nanoseconds(datetime.fromisoformat, zoned)
    whole = _nanoseconds(datetime.fromisoformat, fraction[1] + fraction[3])
    return None if whole is None else whole + int(fraction[2].ljust(9, "0"))


def _nanoseconds(read: Callable[[str], datetime], text: str) -> int | None:
    try:
        time = read(text)
    except ValueError:
        return None
    return int((time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()) * SECOND
