"""A call's context, encoded for the ranker."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from shortlist.bundle.ranker_columns import ContextColumn
from shortlist.inference.context import ContextEncoder, encode_contexts

_DEVICE = ContextColumn(name="device", kind="categorical", categories=("phone", "tv", ""), absent=(0.5, 0.25, 0.125))
_HOUR = ContextColumn(name="hour", kind="numeric", mean=12.0, std=6.0, absent=(0.0, 1.0))
_PAGE = ContextColumn(name="page", kind="categorical", categories=("home", "tv"))
_COLUMNS = (_DEVICE, _HOUR, _PAGE)
_TEXTS = st.sampled_from(["phone", "tv", "", "home", "watch"]) | st.none()
_NUMBERS = st.none() | st.floats(allow_nan=False, allow_infinity=False, width=32)


def test_a_text_becomes_its_category_and_a_number_its_deviation() -> None:
    """The layout keeps the order of the columns: one cell for each category, two for each number."""
    encoder = ContextEncoder(_COLUMNS)
    assert encoder.width == 7
    encoded = encoder.encode({"page": "tv", "hour": 15, "device": "phone"})
    assert encoded.tolist() == [1.0, 0.0, 0.0, 0.5, 1.0, 0.0, 1.0]


def test_an_absent_value_is_the_columns_mean_in_training() -> None:
    """It holds for one absent value and for all. Old bundles without means give zeros; unknown names change nothing."""
    encoder = ContextEncoder(_COLUMNS)
    assert encoder.encode({}).tolist() == [0.5, 0.25, 0.125, 0.0, 1.0, 0.0, 0.0]
    assert encoder.encode({"weather": "rain", "wind": 3.0}).tolist() == encoder.encode({}).tolist()
    assert encoder.encode({"page": "tv"}).tolist() == [0.5, 0.25, 0.125, 0.0, 1.0, 0.0, 1.0]
    assert encoder.encode({"device": "tv", "hour": 18.0}).tolist() == [0.0, 1.0, 0.0, 1.0, 1.0, 0.0, 0.0]


def test_an_unknown_category_is_not_absent() -> None:
    """A text outside the categories gives zeros, as rare texts did in training."""
    assert ContextEncoder(_COLUMNS).encode({"device": "watch"}).tolist() == [0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0]


def test_a_number_is_at_most_ten_deviations_from_the_mean() -> None:
    """The ranker can calculate with the largest number that a caller may send."""
    encoder = ContextEncoder(_COLUMNS)
    assert [encoder.encode({"hour": number})[3] for number in (3e38, -3e38)] == [10.0, -10.0]


def test_a_bundle_without_context_has_no_columns() -> None:
    """Nothing is encoded that was not learnt."""
    assert ContextEncoder(()).encode({"device": "tv"}).shape == (0,)
    assert encode_contexts((), {}, 3).shape == (3, 0)


@given(st.lists(st.tuples(_TEXTS, _NUMBERS, _TEXTS), min_size=1, max_size=9))
def test_a_table_is_encoded_like_its_calls(calls: list[tuple[str | None, float | None, str | None]]) -> None:
    """Trainer and services give the ranker the same bits, absent cells included."""
    encoder = ContextEncoder(_COLUMNS)
    table = dict(zip(("device", "hour", "page"), zip(*calls, strict=True), strict=True))
    each = [
        encoder.encode({name: value for name, value in zip(table, call, strict=True) if value is not None})
        for call in calls
    ]
    np.testing.assert_array_equal(encode_contexts(_COLUMNS, table, len(calls)), np.stack(each))
