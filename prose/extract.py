"""Finds the prose of a file: paragraphs of Markdown, comments, docstrings and help texts, without their code."""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

_INLINE = (
    (re.compile(r"``[^`]+``|`[^`]+`"), "CODE"),  # A word in its place, so that the sentence keeps its length.
    (re.compile(r"!?\[([^\]]*)\](\([^)]*\)|\[[^\]]*\])"), r"\1"),
    (re.compile(r"<!--.*?-->|https?://\S+|\*\*"), ""),
)
_FENCED = re.compile(r"^ *```.*?^ *```$", re.MULTILINE | re.DOTALL)
_ITEM = re.compile(r" *(?:[-*+] |\d+\. |#+ )| *[\w*]+:(?: |$)")
_TABLE = re.compile(r" *(?:\||={3}|[\w`\"]+(?: [\w`\"]+)? {2,}\S)")
_NOT_PROSE = re.compile(r">>>| {4,}\S|python -m |#?!|# *(?:type|noqa|mypy|ruff|codespell)\b.*[:=]")
_FLAG_TEXTS = ("help", "description", "epilog")


@dataclass(frozen=True, kw_only=True)
class Passage:
    """Text of consecutive lines, of which the first has this number in the file, from 1."""

    first: int
    text: str


def paragraphs(path: Path) -> Iterator[Passage]:
    """The paragraphs of a .md, .py, .proto or .toml file, with the word CODE in place of inline code."""
    text = path.read_text(encoding="utf-8")
    match path.suffix:
        case ".md":
            passages = iter([Passage(first=1, text=_FENCED.sub(lambda found: "\n" * found.group().count("\n"), text))])
        case ".py":
            passages = _python(text)
        case ".proto":
            passages = _comments(text, "//")
        case _:
            passages = _comments(text, "#")
    for passage in passages:
        yield from _split(passage)


def _split(passage: Passage) -> Iterator[Passage]:
    """Splits at blank lines and at list items, and leaves out tables and indented code."""
    first, lines = passage.first, list[str]()
    for number, line in enumerate([*passage.text.splitlines(), ""], passage.first):
        is_prose = bool(line.strip()) and not _TABLE.match(line) and (bool(lines) or not _NOT_PROSE.match(line))
        if lines and (not is_prose or _ITEM.match(line)):
            yield Passage(first=first, text=_without_code("\n".join(lines)))
            lines = []
        if is_prose:
            first = first if lines else number
            lines.append(line.strip().lstrip("#>-*+ ") if not lines else line.strip())


def _without_code(text: str) -> str:
    for pattern, replacement in _INLINE:
        text = pattern.sub(partial(_replaced, replacement), text)
    return text


def _replaced(replacement: str, found: re.Match[str]) -> str:
    """Keeps the line breaks that the replacement lost."""
    text = found.expand(replacement)
    return text + "\n" * (found.group().count("\n") - text.count("\n"))


def _python(text: str) -> Iterator[Passage]:
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    comments = {token.start[0]: token.string for token in tokens if token.type == tokenize.COMMENT}
    yield from _comments("\n".join(comments.get(line, "") for line in range(1, text.count("\n") + 2)), "#")
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            docstring = ast.get_docstring(node)
            if docstring:
                yield Passage(first=node.body[0].lineno, text=docstring)
        elif isinstance(node, ast.keyword) and node.arg in _FLAG_TEXTS and isinstance(node.value, ast.Constant):
            yield Passage(first=node.value.lineno, text=str(node.value.value))


def _comments(text: str, mark: str) -> Iterator[Passage]:
    lines = (line.strip() for line in text.splitlines())
    comments = [line.removeprefix(mark).removeprefix(" ") if line.startswith(mark) else "" for line in lines]
    yield Passage(first=1, text="\n".join(comments))
