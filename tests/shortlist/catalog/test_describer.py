"""New items whose numbers no model can bear are refused, so that they harm no list."""

from pathlib import Path

import pytest

from shortlist.bundle import Bundle
from shortlist.bundle.item_columns import ItemColumns, NumericColumn, Scale
from shortlist.catalog.describer import Describer
from shortlist.errors import InvalidRequest
from shortlist.live.v1 import catalog_service_pb2 as pb
from tests.support.small_bundle import BUNDLE_ID, add_new_items, item_encoder, publish_small_bundle

_YEAR = NumericColumn(name="year", scale=Scale(mean=2000.0, deviation=10.0), edges=(2000.0,))


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A bundle whose items' vectors have numbers of at most 12, and whose features are zeros."""
    return publish_small_bundle(tmp_path)


def _of_vector(*values: float) -> bytes:
    return pb.ItemContent(vector=pb.ItemVector(bundle_id=BUNDLE_ID, values=values)).SerializeToString()


def _of_year(year: float) -> bytes:
    return pb.ItemContent(columns={"year": pb.Cell(number=year)}).SerializeToString()


def test_a_vector_may_be_long_but_not_endless(directory: Path) -> None:
    """Proves both, by the numbers of the bundle's own vectors."""
    add_new_items(directory)
    describe = Describer(Bundle.open(directory))
    assert describe(_of_vector(0, -900, 0, 0)).vector.tolist() == [0, -900, 0, 0]
    for number in (1e5, -1e30):
        with pytest.raises(InvalidRequest, match=r"content gives the models the number 1e\+\d\d"):
            describe(_of_vector(0, number, 0, 0))


def test_a_column_may_be_far_from_the_training_but_not_endlessly(directory: Path) -> None:
    """Proves it for an encoder that bounds its vectors, so that only the ranker would read the number."""
    add_new_items(directory, item_encoder(then="Tanh"), ItemColumns(numeric=(_YEAR,)))
    describe = Describer(Bundle.open(directory))
    assert describe(_of_year(9999)).features.tolist() == pytest.approx([-0.5, 799.9, 0, 1])
    for year in (1.7e12, -1e30):
        with pytest.raises(InvalidRequest, match=r"content\.columns gives the models the number"):
            describe(_of_year(year))
