"""The pieces that a page is made of; every text is escaped here, and nowhere else."""

from collections.abc import Iterable, Sequence
from html import escape


def text(value: object) -> str:
    """A value as it may stand in a page."""
    return escape(str(value))


def section(identifier: str, title: str, about: str, body: str) -> str:
    """A part of the page, with a line that says what it shows."""
    return f'<section id="{identifier}"><h2>{text(title)}</h2><p class="dim">{text(about)}</p>{body}</section>'


def table(head: Sequence[str], rows: Iterable[str]) -> str:
    """A table with these column names, as wide as it has to be."""
    names = "".join(f"<th>{text(name)}</th>" for name in head)
    return f'<div class="scroll"><table><thead><tr>{names}</tr></thead><tbody>{"".join(rows)}</tbody></table></div>'


def row(cells: Iterable[str], kind: str = "") -> str:
    """A line of a table, of cells that are HTML already."""
    return f'<tr class="{kind}">{"".join(cells)}</tr>' if kind else f"<tr>{''.join(cells)}</tr>"


def cell(value: object, kind: str = "") -> str:
    """A cell."""
    return f'<td class="{kind}">{text(value)}</td>' if kind else f"<td>{text(value)}</td>"


def facts(pairs: Iterable[tuple[str, object]]) -> str:
    """Short facts, side by side."""
    return f'<dl class="facts">{"".join(_fact(name, value) for name, value in pairs)}</dl>'


def chain(steps: Iterable[tuple[str, str, str]]) -> str:
    """Steps from left to right, each a name, what is to be seen at a glance, and a line about it."""
    items = (
        f'<li><b>{text(name)}</b><span class="large">{text(large)}</span><span class="dim">{text(about)}</span></li>'
        for name, large, about in steps
    )
    return f'<ol class="chain">{"".join(items)}</ol>'


def _fact(name: str, value: object) -> str:
    return f"<div><dt>{text(name)}</dt><dd>{text(value)}</dd></div>"


def key(labels: Iterable[tuple[str, int, str]]) -> str:
    """What the colours of a chart mean: label, colour of the page's style, and how it is drawn."""
    lines = (
        f'<li class="{kind}"><i style="border-color:{_colour(number)};{_filled(kind, number)}"></i>{text(label)}</li>'
        for label, number, kind in labels
    )
    return f'<ul class="key">{"".join(lines)}</ul>'


def figure(title: str, body: str) -> str:
    """A chart or a table under its title."""
    return f"<figure><h3>{text(title)}</h3>{body}</figure>"


def wide(svg: str) -> str:
    """A chart that a narrow screen scrolls rather than shrinks."""
    return f'<div class="wide">{svg}</div>'


def _colour(number: int) -> str:
    return f"var(--series-{number})"


def _filled(kind: str, number: int) -> str:
    return f"background:{_colour(number)}" if kind == "dot" else ""
