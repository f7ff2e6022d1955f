"""A page of documentation with a block that a command writes."""


def split_at(page: str, first: str, last: str) -> tuple[str, str, str]:
    """The page before, between and after two markers, which stay with the outer parts.

    Raises:
        ValueError: the page lacks the markers.
    """
    before, begin, rest = page.partition(first)
    between, end, after = rest.partition(last)
    if not begin or not end:
        raise ValueError(f"there is no {first} … {last}")
    return before + begin, between, end + after
