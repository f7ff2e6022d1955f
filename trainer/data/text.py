"""The text of a file: its encoding and its lines, read or refused before a parser sees them."""

import codecs
from collections.abc import Mapping

import polars as pl

from trainer.errors import DataError

_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def utf8(name: str, text: bytes) -> bytes:
    """A file's text as UTF-8 without a byte-order mark, from UTF-8, or from UTF-16 with such a mark.

    Raises DataError for another encoding.
    """
    if text.startswith(_UTF16):
        try:
            return text.decode("utf-16").encode()
        except UnicodeError as error:
            raise DataError(f"{name}: begins as UTF-16 and cannot be read as such: {error}") from error
    if b"\0" in text[:2]:
        raise DataError(f"{name}: is UTF-16 or UTF-32 without a byte-order mark; save it as UTF-8")
    if not text.isascii():
        _refuse_other_than_utf8(name, text)
    return text.removeprefix(codecs.BOM_UTF8)


def plain_lines(text: bytes) -> bytes:
    """The text without blank lines at its ends, its lines ended by a line feed."""
    if b"\n" not in text:
        text = text.replace(b"\r", b"\n")
    if text.startswith((b"\n", b"\r\n")) or text.endswith((b"\n\n", b"\n\r\n")):
        text = text.strip(b"\r\n")
    return text


def refuse_bad_lines(name: str, text: bytes, separator: str, quote: str | None) -> None:
    """Raises DataError for a line that is no row.

    Its quotation marks may not pair up, so that its row would go on on the next line. Or it has fewer cells than the
    first line, which a parser would fill with nulls, or more.
    """
    lines = _lines(text)
    _refuse_odd(name, _odd(lines, quote))
    separators = _separators(lines, separator, quote)
    for bad, fewer, so in (
        (separators < separators[0], "fewer", "write every cell, empty or not"),
        (separators > separators[0], "more", f"no cell may hold {separator!r}{', unless in quotes' if quote else ''}"),
    ):
        rows = bad.arg_true()
        if len(rows):
            raise DataError(
                f"{name}, line {rows[0] + 1}: has {separators[rows[0]] + 1} cells where the first line has "
                f"{separators[0] + 1}, as {len(rows):,} of {len(lines):,} lines have {fewer}; {so}"
            )


def without_bad_lines(
    name: str, text: bytes, separator: str, quote: str | None
) -> tuple[bytes, Mapping[str, pl.Series]]:
    """The text with empty cells in each line that is no row, and by the reason whether each line is one.

    Raises DataError where the first line is not a row.
    """
    lines = _lines(text)
    odd = _odd(lines, quote)
    _refuse_odd(name, odd.head(1))
    separators = _separators(lines, separator, quote)
    of_first = int(separators[0])
    reasons = {
        "a quoted cell that does not end on its line": odd,
        "too few cells": ~odd & (separators < of_first),
        "too many cells": ~odd & (separators > of_first),
    }
    bad = odd | (separators != of_first)
    if bad.any():
        plain = pl.select(pl.when(bad).then(pl.lit(separator * of_first)).otherwise(lines)).to_series()
        text = "\n".join(plain).encode() + b"\n"
    return text, reasons


def _lines(text: bytes) -> pl.Series:
    return pl.Series("lines", text.decode().removesuffix("\n").split("\n"))


def _odd(lines: pl.Series, quote: str | None) -> pl.Series:
    """Whether the quotation marks of each line do not pair up."""
    return lines.str.count_matches(quote, literal=True) % 2 == 1 if quote else pl.repeat(False, len(lines), eager=True)


def _refuse_odd(name: str, odd: pl.Series) -> None:
    if odd.any():
        raise DataError(
            f"{name}, line {odd.arg_true()[0] + 1}: a quoted cell does not end on its line; write each row on one "
            "line, and a quotation mark inside a quoted cell twice, or save the table as TSV, which has no quoting"
        )


def _separators(lines: pl.Series, separator: str, quote: str | None) -> pl.Series:
    """How many separators each line has outside of quoted cells."""
    if quote:
        lines = lines.str.replace_all(f"{quote}[^{quote}]*{quote}", "")
    return lines.str.count_matches(separator, literal=True)


def _refuse_other_than_utf8(name: str, text: bytes) -> None:
    try:
        text.decode()
    except UnicodeDecodeError as error:
        line = text.count(b"\n", 0, error.start) + 1
        raise DataError(
            f"{name}, line {line}: is not UTF-8 and may be Latin-1 or Windows-1252; save it as UTF-8, as with "
            f"iconv -f WINDOWS-1252 -t UTF-8"
        ) from error
