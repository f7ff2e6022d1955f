"""Releases beside each other: the statements of docs/upgrades.md that no other test proves."""

# grpc's classes are generic for the type checker only.
from __future__ import annotations

import dataclasses
import json
import re
import time
from collections.abc import Callable
from pathlib import Path

import grpc
import numpy as np
import pytest
from google.protobuf.message import Message

from ranking_service.queries import RecommendQuery
from ranking_service.recommender import Recommender
from retrieval_service.retriever import Retriever
from shortlist.bundle import FORMAT_VERSION, Bundle, BundleStore, Manifest
from shortlist.client.messages import read_recommendations
from shortlist.errors import BundleError
from shortlist.inference.users import UserQuery
from shortlist.ranking.v1 import ranking_service_pb2 as ranking_pb
from shortlist.retrieval.v1 import retrieval_service_pb2 as pb
from shortlist.retrieval.v1.retrieval_service_pb2_grpc import RetrievalServiceStub
from shortlist.serving.served_bundles import ServedBundles
from testbed.versions import add_version, edit_manifest, publish
from tests.support.in_process import RowsServicer, retrieval_address, retrieval_client, retrieval_servicer
from tests.support.small_bundle import BUNDLE_ID, publish_small_bundle

_ROOT = Path(__file__).parents[1]
_PAGE = _ROOT / "docs" / "upgrades.md"
# Field 1000, a text, which no message has.
_LATER_FIELD = bytes([0xC2, 0x3E, 5]) + b"later"
_SECONDS = 10.0
# This release reads its own format and the one before.
_OTHER_FORMATS = (FORMAT_VERSION - 2, FORMAT_VERSION + 1)


def _add_later_fields(message: Message) -> None:
    """Adds a field of a later release to a message and to all messages within."""
    for field, value in message.ListFields():
        if field.message_type is not None:
            for one in value if field.is_repeated else [value]:
                _add_later_fields(one)
    message.MergeFromString(_LATER_FIELD)


def _served(root: Path) -> ServedBundles[Retriever]:
    return ServedBundles(BundleStore(root), lambda directory: Retriever(Bundle.open(directory)))


@pytest.fixture
def other_format(tmp_path: Path) -> Callable[[int], ServedBundles[Retriever]]:
    """From a format version to what serves a directory in which such a bundle has become current."""

    def make(version: int) -> ServedBundles[Retriever]:
        publish_small_bundle(tmp_path)
        served = _served(tmp_path)
        served.load()
        bundle_id = add_version(tmp_path, tmp_path / BUNDLE_ID, 2)
        edit_manifest(tmp_path / bundle_id, format_version=version)
        publish(tmp_path, bundle_id)
        return served

    return make


@pytest.mark.parametrize("version", _OTHER_FORMATS)
def test_a_bundle_of_another_format_leaves_the_served_one(
    other_format: Callable[[int], ServedBundles[Retriever]], version: int
) -> None:
    """Proves that a trainer of another release takes nothing from running services, and that they say why."""
    served = other_format(version)
    served.follow()
    assert served.get().bundle.bundle_id == BUNDLE_ID
    assert served.failure is not None
    assert (
        f"format version {version}; this release reads versions {FORMAT_VERSION - 1} and {FORMAT_VERSION}"
        in served.failure.reason
    )


@pytest.mark.parametrize("version", _OTHER_FORMATS)
def test_a_start_beside_a_bundle_of_another_format_takes_the_newest_of_its_own(
    tmp_path: Path, other_format: Callable[[int], ServedBundles[Retriever]], version: int
) -> None:
    """Proves that a restart, also after a rollback of the services, needs nobody to move the pointer."""
    other_format(version)
    started = _served(tmp_path)
    started.load()
    assert started.get().bundle.bundle_id == BUNDLE_ID


@pytest.mark.parametrize("version", _OTHER_FORMATS)
def test_nothing_starts_with_bundles_of_another_format_alone(tmp_path: Path, version: int) -> None:
    """Proves that the error has the label of the metric."""
    publish_small_bundle(tmp_path)
    edit_manifest(tmp_path / BUNDLE_ID, format_version=version)
    with pytest.raises(BundleError, match="this release reads version") as caught:
        _served(tmp_path).load()
    assert caught.value.kind == "format"


def test_a_manifest_without_the_newer_fields_is_read(tmp_path: Path) -> None:
    """Proves that every field with a default may be missing, as it is in a bundle of the release before."""
    path = publish_small_bundle(tmp_path) / "manifest.json"
    raw = json.loads(path.read_text())
    newer = [one.name for one in dataclasses.fields(Manifest) if one.default is not dataclasses.MISSING]
    assert {"context", "forced", "warnings"} <= {*newer}
    path.write_text(json.dumps({name: value for name, value in raw.items() if name not in newer}))
    assert Manifest.read(path.parent).context == ()


def test_retrieval_ignores_fields_of_a_later_ranking(small_bundles: Path) -> None:
    """Proves over the wire that a retrieval one release behind answers as if the fields were not there."""
    request = pb.RetrieveRowsRequest(bundle_id=BUNDLE_ID)
    history = {"history_rows": np.array([0, 3], "<u4"), "history_values": np.full(2, np.nan, "<f4")}
    packed = {name: array.tobytes() for name, array in history.items()}
    request.queries.add(**packed, history_events=bytes(2), limit=3)
    later = pb.RetrieveRowsRequest.FromString(request.SerializeToString())
    _add_later_fields(later)
    assert later.SerializeToString().count(b"later") == 2
    with retrieval_address(retrieval_servicer(small_bundles)) as address, grpc.insecure_channel(address) as channel:
        stub = RetrievalServiceStub(channel)
        plain, answer = (stub.RetrieveRows(one, timeout=_SECONDS) for one in (request, later))
    assert answer.candidates[0].rows
    assert answer == plain


class Later(RowsServicer):
    """Retrieval one release ahead: its answers have fields that ranking does not know."""

    def __init__(self, bundles: Path) -> None:
        self._servicer = retrieval_servicer(bundles)

    def RetrieveRows(self, request: pb.RetrieveRowsRequest, context: grpc.ServicerContext) -> pb.RetrieveRowsResponse:  # noqa: N802
        response = self._servicer.RetrieveRows(request, context)
        _add_later_fields(response)
        return response


def test_ranking_ignores_fields_of_a_later_retrieval(small_bundles: Path, small_bundle: Bundle) -> None:
    """Proves over the wire that a ranking one release behind gives the same list, not a degraded one."""
    answers = []
    for servicer in (retrieval_servicer(small_bundles), Later(small_bundles)):
        query = RecommendQuery(user=UserQuery(user_id="fan"), limit=3, deadline=time.monotonic() + _SECONDS)
        with retrieval_client(servicer) as client:
            answers.append(Recommender(small_bundle, client).recommend(query))
    plain, answer = answers
    assert (plain.degraded, answer.degraded) == (None, None)
    assert [*answer.ranked.items.rows] == [*plain.ranked.items.rows]


def test_the_client_reads_numbers_of_a_later_ranking() -> None:
    """Proves that a caller one release behind gets its list, with a reason and a source that it has no name for."""
    message = ranking_pb.RecommendResponse(degraded=True)
    message.items.add(item_id="7")
    # Serialised as a later release would: a reason and a source with the number 99.
    message.MergeFromString(bytes([7 << 3, 99]))
    message.items[0].MergeFromString(bytes([5 << 3, 99]))
    _add_later_fields(message)
    answer = read_recommendations(ranking_pb.RecommendResponse.FromString(message.SerializeToString()))
    assert (answer.degraded, [item.source for item in answer.items]) == ("unknown", ["fallback"])


def test_the_page_names_tests_that_exist() -> None:
    """Proves that each statement of the table has its test."""
    named = re.findall(r"`(tests/[\w/]+\.py)`,? `(test_\w+)`", _PAGE.read_text())
    assert len(named) >= 12
    assert [name for path, name in named if f"def {name}(" not in (_ROOT / path).read_text()] == []
    assert {name for path, name in named if path == "tests/test_upgrades.py"} | {
        test_the_page_names_tests_that_exist.__name__
    } == {*re.findall(r"^def (test_\w+)", Path(__file__).read_text(), re.MULTILINE)}
