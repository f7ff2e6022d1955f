"""Checks prose against ``rules.toml``."""

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from prose.extract import Passage, paragraphs

_SENTENCE_END = re.compile(r"(?<!e\.g\.)(?<!i\.e\.)(?<! al\.)(?<=[.!?])[\"')\]]*\s+(?=[\"'(\[]*\w)")


@dataclass(frozen=True, kw_only=True)
class Rules:
    """The vocabulary and the limits."""

    # A regular expression and the advice that goes with it.
    words: tuple[tuple[re.Pattern[str], str], ...]
    openings: re.Pattern[str]
    longest: int


@dataclass(frozen=True, kw_only=True)
class Finding:
    """A sentence that breaks a rule."""

    path: Path
    line: int
    # Which rule: "word", "opening" or "length".
    rule: str
    message: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.message}"


def read_rules() -> Rules:
    """The rules of ``rules.toml``."""
    text = tomllib.loads(Path(__file__).with_name("rules.toml").read_text(encoding="utf-8"))
    return Rules(
        words=tuple((re.compile(rf"\b(?:{word})\b", re.IGNORECASE), advice) for word, advice in text["words"].items()),
        openings=re.compile(rf"(?:{'|'.join(text['openings'])})\b"),
        longest=text["longest_sentence"],
    )


def check(path: Path, rules: Rules) -> list[Finding]:
    """The findings of a file, in the order of its lines."""
    found = [one for paragraph in paragraphs(path) for one in _of_paragraph(path, paragraph, rules)]
    return sorted(found, key=lambda finding: finding.line)


def _of_paragraph(path: Path, paragraph: Passage, rules: Rules) -> Iterator[Finding]:
    for line, sentence in _sentences(paragraph):
        opening = rules.openings.match(sentence)
        if opening and not sentence.endswith("?"):
            yield Finding(path=path, line=line, rule="opening", message=f"a sentence opens with “{opening.group()}”")
        length = sum(any(letter.isalnum() for letter in word) for word in sentence.split())
        if length > rules.longest:
            message = f"a sentence of {length} words, more than {rules.longest}: “{sentence[:60]}…”"
            yield Finding(path=path, line=line, rule="length", message=message)
        if sentence.endswith("?"):
            continue
        for pattern, advice in rules.words:
            for match in pattern.finditer(sentence):
                yield Finding(path=path, line=line, rule="word", message=f"“{match.group()}”: {advice}")


def _sentences(paragraph: Passage) -> Iterator[tuple[int, str]]:
    """The sentences, each on one line, and the line in which it begins."""
    start = 0
    for end in [*(match.end() for match in _SENTENCE_END.finditer(paragraph.text)), len(paragraph.text)]:
        yield paragraph.first + paragraph.text.count("\n", 0, start), " ".join(paragraph.text[start:end].split())
        start = end
