"""The text of a file: its encoding and its lines, read or refused before a parser sees them."""

import codecs
import re
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

    Its quotation marks may not pair up, so that its row would go on on the next line, or may not enclose whole cells.
    Or it has fewer cells than the first line, which a parser would fill with nulls, or more.
    """
    lines = _lines(text)
    _refuse_bad_quotes(name, lines, separator, quote)
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
    """The text with as many cells in each line as in the first, and by the reason whether each line is no row.

    A line that is none keeps its cells up to the first unreadable one, and so mostly its id; the others are empty.
    Raises DataError where the first line is not a row.
    """
    lines = _lines(text)
    _refuse_bad_quotes(name, lines.head(1), separator, quote)
    odd = _odd(lines, quote)
    beside = ~odd & _beside_quotes(lines, separator, quote)
    separators = _separators(lines, separator, quote)
    of_first = int(separators[0])
    quoted = odd | beside
    reasons = {
        "a quoted cell that does not end on its line": odd,
        "text beside a quoted cell": beside,
        "too few cells": ~quoted & (separators < of_first),
        "too many cells": ~quoted & (separators > of_first),
    }
    bad = (quoted | (separators != of_first)).arg_true()
    if len(bad):
        cell = _cell_pattern(separator, quote)
        kept = lines.to_list()
        for place in bad:
            kept[place] = _readable(kept[place], cell, separator, of_first)
        text = "\n".join(kept).encode() + b"\n"
    return text, reasons


def _readable(line: str, cell: re.Pattern[str], separator: str, separators: int) -> str:
    """The first cells of a line that can be read, and empty ones up to so many separators."""
    cells, place, line = list[str](), 0, line.removesuffix("\r")
    while len(cells) <= separators and (found := cell.match(line, place)):
        cells.append(found[1])
        place = found.end()
        if not found[2]:
            break
    return separator.join(cells + [""] * (separators + 1 - len(cells)))


def _cell_pattern(separator: str, quote: str | None) -> re.Pattern[str]:
    """A whole cell, quoted or without quotation marks, and the separator behind it, if there is one."""
    plain = f"[^{separator}{quote or ''}]*"
    return re.compile(f"((?:{_quoted(quote)}|{plain}))({separator}|$)" if quote else f"({plain})({separator}|$)")


def _lines(text: bytes) -> pl.Series:
    return pl.Series("lines", text.decode().removesuffix("\n").split("\n"))


def _odd(lines: pl.Series, quote: str | None) -> pl.Series:
    """Whether the quotation marks of each line do not pair up."""
    return lines.str.count_matches(quote, literal=True) % 2 == 1 if quote else pl.repeat(False, len(lines), eager=True)


def _beside_quotes(lines: pl.Series, separator: str, quote: str | None) -> pl.Series:
    """Whether a quoted cell of each line has text before the next separator, as in ``"a"b``."""
    if not quote or not (quoted := lines.str.contains(quote, literal=True)).any():
        return pl.repeat(False, len(lines), dtype=pl.Boolean, eager=True)
    cell = f"(?:{_quoted(quote)}|[^{separator}{quote}][^{separator}]*|)"
    return quoted & ~lines.str.contains(f"^{cell}(?:{separator}{cell})*\\r?$")


def _refuse_bad_quotes(name: str, lines: pl.Series, separator: str, quote: str | None) -> None:
    for bad, why in (
        (_odd(lines, quote), "a quoted cell does not end on its line; write each row on one line, and write"),
        (_beside_quotes(lines, separator, quote), "has text beside a quoted cell; quote whole cells, and write"),
    ):
        if bad.any():
            raise DataError(
                f"{name}, line {bad.arg_true()[0] + 1}: {why} a quotation mark inside a quoted cell twice, or save the "
                "table as TSV, which has no quoting"
            )


def _separators(lines: pl.Series, separator: str, quote: str | None) -> pl.Series:
    """How many separators each line has outside of quoted cells."""
    if quote:
        lines = lines.str.replace_all(f"(^|{separator}){_quoted(quote)}", "${1}")
    return lines.str.count_matches(separator, literal=True)


def _quoted(quote: str | None) -> str:
    """The pattern of a quoted cell, in which two quotation marks are one (RFC 4180)."""
    return f"{quote}(?:[^{quote}]|{quote}{quote})*{quote}"


def _refuse_other_than_utf8(name: str, text: bytes) -> None:
    try:
        text.decode()
    except UnicodeDecodeError as error:
        line = text.count(b"\n", 0, error.start) + 1
        raise DataError(
            f"{name}, line {line}: is not UTF-8 and may be Latin-1 or Windows-1252; save it as UTF-8, as with "
            f"iconv -f WINDOWS-1252 -t UTF-8"
        ) from error
