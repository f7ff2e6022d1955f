"""The text of a file: its encoding and its lines, read or refused before a parser sees them."""

import codecs
from io import BytesIO

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


def one_row_a_line(name: str, text: bytes, quote: str | None) -> bytes:
    """The text without blank lines at its ends, its lines ended by a line feed.

    Raises DataError for a line whose quotation marks do not pair up: its row would go on on the next lines.
    """
    if b"\n" not in text:
        text = text.replace(b"\r", b"\n")
    if text.startswith((b"\n", b"\r\n")) or text.endswith((b"\n\n", b"\n\r\n")):
        text = text.strip(b"\r\n")
    mark = (quote or "").encode()
    if mark and mark in text:
        odd = next((number for number, line in enumerate(BytesIO(text), 1) if line.count(mark) % 2), None)
        if odd is not None:
            raise DataError(
                f"{name}, line {odd}: a quoted cell does not end on its line; write each row on one line, and a "
                "quotation mark inside a quoted cell twice, or save the table as TSV, which has no quoting"
            )
    return text


def refuse_short_rows(name: str, text: bytes, separator: str, quote: str | None) -> None:
    """Raises DataError for a line with fewer cells than the first one, which a parser would fill with nulls."""
    lines = pl.Series(text.decode().removesuffix("\n").split("\n"))
    if quote:
        lines = lines.str.replace_all(f"{quote}[^{quote}]*{quote}", "")
    separators = lines.str.count_matches(separator, literal=True)
    short = (separators < separators[0]).arg_true()
    if len(short):
        raise DataError(
            f"{name}, line {short[0] + 1}: has {separators[short[0]] + 1} cells where the first line has "
            f"{separators[0] + 1}, as {len(short):,} of {len(lines):,} lines have fewer; write every cell, empty or not"
        )


def _refuse_other_than_utf8(name: str, text: bytes) -> None:
    try:
        text.decode()
    except UnicodeDecodeError as error:
        line = text.count(b"\n", 0, error.start) + 1
        raise DataError(
            f"{name}, line {line}: is not UTF-8 and may be Latin-1 or Windows-1252; save it as UTF-8, as with "
            f"iconv -f WINDOWS-1252 -t UTF-8"
        ) from error
