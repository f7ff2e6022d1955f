"""The linter refuses planted bad sentences, at their lines, and passes good ones."""

import subprocess
import sys
from pathlib import Path

import pytest

from prose.rules import check, read_rules

_LONG = "This sentence goes on " + "and on " * 12 + "to the end."


@pytest.mark.parametrize(
    ("sentence", "rule"),
    [
        ("What is hidden is left out.", "opening"),
        ("Of two equal items the first wins.", "opening"),
        ("Those of the test are left out.", "opening"),
        ("As the other one, but faster.", "opening"),
        ("Whoever asks gets an answer.", "opening"),
        ("The list leaves out what is hidden.", "word"),
        ("The model learns what the history foretells.", "word"),
        ("A reader is told of it.", "word"),
        (_LONG, "length"),
    ],
)
@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("page.md", "# Title\n\nA good one.\n{}\n"),
        ("module.py", '"""A good one."""\n\n\n# {}\n'),
        ("other.py", 'def one() -> None:\n    """A good one.\n\n    {}\n    """\n'),
        ("api.proto", 'syntax = "proto3";\n\n// A good one.\n// {}\n'),
        ("recipe.toml", "name = 1\n\n\n# {}\n"),
    ],
)
def test_a_bad_sentence_is_refused_at_its_line(tmp_path: Path, sentence: str, rule: str, name: str, form: str) -> None:
    """In each kind of file the sentence stands in line 4."""
    path = tmp_path / name
    path.write_text(form.format(sentence))
    assert (4, rule) in {(finding.line, finding.rule) for finding in check(path, read_rules())}


@pytest.mark.parametrize(
    "text",
    [
        "The list leaves out excluded items. It is sorted by score.",
        "What does the ranker learn?",
        "`what is hidden` and [a link](what-is-hidden.md) are not prose.",
        "```\nWhat is hidden in code.\n```",
        "| What is | in a table |",
        "- One item of a list " + "of many words " * 5 + "\n- and another " + "of many words " * 5,
    ],
)
def test_good_prose_and_code_pass(tmp_path: Path, text: str) -> None:
    """Code, tables, targets of links and questions are free, and an item of a list is a sentence of its own."""
    path = tmp_path / "page.md"
    path.write_text(text)
    assert check(path, read_rules()) == []


def test_help_texts_are_prose(tmp_path: Path) -> None:
    """Flags explain themselves in the same English."""
    path = tmp_path / "flags.py"
    path.write_text('parser.add_argument("--one", help="what is hidden")\n')
    assert [finding.rule for finding in check(path, read_rules())] == ["word"]


def test_a_line_is_counted_behind_a_link_that_is_broken_in_two(tmp_path: Path) -> None:
    """A link loses its target, not its line breaks."""
    path = tmp_path / "page.md"
    path.write_text("One [link\nof two](to/a/page.md) lines.\nWhat is hidden is left out.\n")
    assert {finding.line for finding in check(path, read_rules())} == {3}


def test_the_program_exits_with_1_on_a_finding(tmp_path: Path) -> None:
    """Its line names the file and the line."""
    path = tmp_path / "page.md"
    path.write_text("What is hidden is left out.\n")
    done = subprocess.run([sys.executable, "-m", "prose", str(path)], capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stdout.startswith(f"{path}:1: ")
