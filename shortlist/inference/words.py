"""The words of a text: one reading for the trainer, which learns them, and for services, which look them up.

A word is a run of letters, marks, digits and connectors, as in the regular expressions of Unicode (UTS 18, annex C). So
it keeps the vowel signs of Indian scripts, which Python's own ``\\w`` does not.
"""

import re
import unicodedata

_SPACE = 0x20
_CATEGORIES = frozenset({"Nd", "Nl", "Pc"})
_JOINERS = range(0x200C, 0x200E)
# Letters in circles and squares: symbols by their category, alphabetic nevertheless.
_ENCLOSED = (range(0x24B6, 0x24EA), range(0x1F130, 0x1F14A), range(0x1F150, 0x1F16A), range(0x1F170, 0x1F18A))
# A longer table would let callers fill the memory with rare characters.
_KEPT = 0x3000
_ASCII_WORD = re.compile(r"\w+", re.ASCII)
# Han, kana, and the scripts of South-East Asia put no spaces between words: Thai, Lao, Tibetan, Myanmar, Khmer.
_UNSPACED = re.compile(
    "[\u0e01-\u0e3a\u0e40-\u0e5b\u0e81-\u0fd4\u0fd9\u0fda\u1000-\u109f\u1780-\u17f9\u19e0-\u19ff"
    "\u2e80-\u2fd5\u3005\u3007\u3021-\u3029\u3038-\u303b\u3041-\u3096\u309d-\u309f\u30a1-\u30fa\u30fc-\u30ff"
    "\u31f0-\u31ff\u32d0-\u32fe\u3300-\u3357\u3400-\u4dbf\u4e00-\u9fff\ua9e0-\ua9fe\uaa60-\uaa7f\uf900-\ufad9"
    "\uff66-\uff6f\uff71-\uff9d\U000116d0-\U000116e3\U00016fe2\U00016fe3\U00016ff0\U00016ff1"
    "\U0001aff0-\U0001b167\U0001f200\U00020000-\U000323af]"
)


class _Spaced(dict[int, int]):
    """Each character of a word as itself, any other one as a space."""

    def __missing__(self, code: int) -> int:
        found = code if _is_of_word(code) else _SPACE
        if code < _KEPT:
            self[code] = found
        return found


_SPACED = _Spaced()


def words_of(text: str) -> list[str]:
    """The words of a text in lower case, in their order.

    A text mostly of a script without spaces has the pairs of its neighbouring characters in place of words.
    """
    if text.isascii():
        return _ASCII_WORD.findall(text.lower())
    words = text.lower().translate(_SPACED).split()
    spaced = text.translate(_SPACED)
    letters = len(spaced) - spaced.count(" ")
    if 2 * len(_UNSPACED.findall(text)) > letters:
        return [pair for word in words for pair in _pairs_of_characters(word)]
    return words


def _is_of_word(code: int) -> bool:
    category = unicodedata.category(chr(code))
    return category[0] in "LM" or category in _CATEGORIES or code in _JOINERS or any(code in one for one in _ENCLOSED)


def _pairs_of_characters(word: str) -> list[str]:
    """A word's pairs of neighbouring characters; a word of one character is its own."""
    return [word[at : at + 2] for at in range(max(1, len(word) - 1))]
