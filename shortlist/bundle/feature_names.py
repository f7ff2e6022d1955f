"""The names of the features of a column, by its kind: in the manifest, in the item table's columns, in the report."""

from collections.abc import Iterable


def category_names(name: str, values: Iterable[str]) -> list[str]:
    """The names ``[F]`` of the features of a column of categories."""
    return [f"{name}={value}" for value in values]


def number_names(name: str, edges: int) -> list[str]:
    """The names of the features of a column of numbers with so many edges of bins, ``[2 + edges]``."""
    return [name, *(f"{name}[{position}]" for position in range(1 + edges))]


def text_names(name: str, directions: int) -> list[str]:
    """The names of the features of a column of texts, ``[directions]``."""
    return [f"{name}~{position}" for position in range(directions)]


def vector_names(name: str, length: int) -> list[str]:
    """The names of the features of a column of vectors, ``[length]``."""
    return [f"{name}.{position}" for position in range(length)]
