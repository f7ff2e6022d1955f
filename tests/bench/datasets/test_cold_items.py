"""The descriptions of CiteULike's articles."""

import polars as pl

from bench.datasets.cold_items import described


def test_a_citation_links_both_articles() -> None:
    """Proves that links have both directions without repeats, and an item itself; missing tags add none."""
    tags = pl.DataFrame({"item_id": [1, 2, 3], "tags": ["a b", "c", None]})
    citations = pl.DataFrame({"item_id": [1, 2, 1], "cites": [2, 1, 3]})
    found = described(tags, citations)
    assert found["item_id"].to_list() == [1, 2, 3]
    assert found["linked"].to_list() == [["1", "2", "3"], ["1", "2"], ["1", "3"]]
    assert found["linked_tags"].to_list() == ["a b c", "a b c", "a b"]
