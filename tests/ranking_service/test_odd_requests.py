"""Ids as shops have them, and users and limits beyond the catalogue: from the Python client through both services."""

import unicodedata
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest

from ranking_service.recommender import Recommender
from ranking_service.servicer import RankingServicer
from shortlist import Recommender as Client
from shortlist.bundle import Bundle, BundleStore
from shortlist.ranking.v1.ranking_service_pb2_grpc import add_RankingServiceServicer_to_server
from shortlist.serving.served_bundles import ServedBundles
from tests.support.in_process import retrieval_client, retrieval_servicer
from tests.support.small_bundle import publish_small_bundle

_CAFE = "caf\u00e9 noir"
_IDS = [" lead", "0072", "50%,off", "72", "[red]x[/red]", "a/b/c", _CAFE, "new\nline", "\U0001f3a7 pods"]
_IDS += ['quote"d', "tab\there", "x" * 256]
_IDS.sort(key=str.encode)


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """The Python client of both services over a bundle with those ids, on real sockets."""
    root = tmp_path_factory.mktemp("odd")
    publish_small_bundle(root, ids=_IDS)
    with retrieval_client(retrieval_servicer(root)) as retrieval:
        store = BundleStore(root)
        served = ServedBundles(store, lambda directory: Recommender(Bundle.open(directory), retrieval))
        served.load()
        server = grpc.server(ThreadPoolExecutor(2))
        add_RankingServiceServicer_to_server(RankingServicer(served), server)
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        with Client(f"dns:///127.0.0.1:{port}", timeout=30) as recommender:
            yield recommender
        server.stop(None).wait()


@pytest.mark.parametrize("item", _IDS, ids=ascii)
def test_an_id_goes_in_and_comes_back_whole(client: Client, item: str) -> None:
    """Proves it for a history, an exclusion, a candidate and an answer."""
    everything = client.recommend(history=[item], limit=12, keep_seen=True)
    assert sorted((one.item_id for one in everything.items), key=str.encode) == _IDS
    assert (everything.unknown_items, {one.source for one in everything.items}) == (0, {"model"})
    without = client.recommend(history=["72"], exclude=[item], limit=12, keep_seen=True)
    assert {one.item_id for one in without.items} == {*_IDS} - {item}
    assert [one.item_id for one in client.rank(item_ids=[item], history=["72"]).items] == [item]


@pytest.mark.parametrize(
    "item", [unicodedata.normalize("NFD", _CAFE), _CAFE.upper(), "lead", " lead ", "072", "72.0", "a/b"], ids=ascii
)
def test_an_id_that_only_looks_alike_is_unknown(client: Client, item: str) -> None:
    """Proves that it is counted, and that the answer is marked as the fallback."""
    answer = client.recommend(history=[item], exclude=[item], limit=3)
    assert (answer.unknown_items, answer.found, answer.degraded) == (2, 3, None)
    assert {one.source for one in answer.items} == {"fallback"}


def test_who_has_everything_gets_an_empty_list(client: Client) -> None:
    """Proves that nothing left is an answer, with a count that says so."""
    answer = client.recommend(history=_IDS, limit=10)
    assert (answer.asked, answer.found, answer.items, answer.degraded) == (10, 0, (), None)


def test_a_limit_beyond_the_catalogue_is_an_answer(client: Client) -> None:
    """Proves that each item comes once, and the count says how many there are; for an unknown user as well."""
    for arguments, found in (({"user_id": "fan"}, 10), ({"user_id": "nobody"}, 12)):
        answer = client.recommend(limit=1000, **arguments)  # type: ignore[arg-type]
        assert (answer.asked, answer.found, answer.degraded) == (1000, found, None)
        assert len({one.item_id for one in answer.items}) == found
