"""Words beside the regular expressions of another library."""

import unicodedata

import polars as pl
import pytest

from shortlist.inference.words import words_of

_UNSPACED = r"^[\p{Han}\p{Hiragana}\p{Katakana}ー\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}\p{Tibetan}]$"


# All characters of most scripts, and of the others enough to meet each block.
_CHARACTERS = [chr(code) for code in (*range(0x3100), *range(0xA000, 0xAC00, 3), *range(0xF900, 0x10000, 5))]
_CHARACTERS += [chr(code) for code in (*range(0x3100, 0xA000, 61), *range(0x10000, 0x20000, 7), 0x20000, 0x323AF)]


def test_a_character_is_of_a_word_or_not_as_unicode_has_it() -> None:
    """Proves it beside another library for characters that Python knows, in lower case."""
    known = pl.Series([one for one in _CHARACTERS if unicodedata.category(one) != "Cn"])
    expected = known.str.to_lowercase().str.extract_all(r"\w+").to_list()
    assert len(known) > 12_000
    found = [words_of(one) for one in known]
    assert [*zip(known, found, strict=True)] == [*zip(known, expected, strict=True)]


def test_scripts_without_spaces_are_those_of_unicode() -> None:
    """Proves it of letters: three of one are two pairs of it, or one word."""
    letters = pl.Series([one for one in _CHARACTERS if words_of(one) == [one]])
    unspaced = letters.str.contains(_UNSPACED).to_list()
    assert sum(unspaced) > 500
    assert [len(words_of(one * 3)) == 2 for one in letters] == unspaced


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Star Wars: A_new-Hope!", ["star", "wars", "a_new", "hope"]),
        ("हिन्दी फ़िल्म", ["हिन्दी", "फ़िल्म"]),
        ("ΟΔΟΣ ΣΑΣ", ["οδος", "σας"]),
        ("İZMİR Straße", ["i̇zmi̇r", "straße"]),
        ("千と千尋の神隠し", ["千と", "と千", "千尋", "尋の", "の神", "神隠", "隠し"]),
        ("Film 雪", ["film", "雪"]),
        ("雪国", ["雪国"]),
        ("雪", ["雪"]),
        ("½ ☃ x²", ["x"]),
        ("", []),
        ("\0 \x1c\u3000", []),
    ],
)
def test_texts_have_their_words(text: str, words: list[str]) -> None:
    """Proves that marks belong to words, fractions and snowmen do not, and that unspaced scripts give pairs."""
    assert words_of(text) == words
