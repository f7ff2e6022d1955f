"""The score weights and the context of a call, through both services."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from shortlist import Recommendations, Recommender
from shortlist.bundle.manifest import FileDigest, Manifest
from shortlist.errors import InvalidRequest
from shortlist.ranking.v1 import ranking_service_pb2 as pb
from shortlist.ranking.v1.ranking_service_pb2_grpc import RankingServiceStub
from shortlist.type.v1.context_pb2 import ContextValue
from shortlist.type.v1.user_pb2 import User
from testbed.services import Running, start_both
from testbed.versions import add_version, edit_manifest, publish, replace_file
from tests.integration.conftest import Trained
from tests.support.waiting import until

pytestmark = pytest.mark.integration
_CONTEXT = [
    {"name": "device", "kind": "categorical", "categories": ["phone", "tv"]},
    {"name": "hour", "kind": "numeric", "mean": 12.0, "std": 6.0},
]


@pytest.fixture(scope="module")
def told(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Both services over the trained bundle with another ranker: on a tv, the worst is liked the most.

    The like is the retrieval score in log-odds, the value the place among the candidates, plus how late it is.
    """
    root = tmp_path_factory.mktemp("told") / "bundles"
    bundle_id = add_version(root, trained.bundle, 0)
    replace_file(root / bundle_id / "ranker.onnx", _ranker())
    files = Manifest.read(root / bundle_id).files
    digests = {name: vars(FileDigest.of(root / bundle_id / name)) for name in files}
    edit_manifest(root / bundle_id, context=_CONTEXT, files=digests)
    publish(root, bundle_id)
    with start_both(root, tmp_path_factory.mktemp("logs")) as both:
        yield both


def _ranker() -> bytes:
    tv, late = np.array([[0], [-2], [0], [0]], dtype=np.float32), np.array([[0], [0], [1], [0]], dtype=np.float32)
    weights = [
        numpy_helper.from_array(array, name)
        for name, array in (("tv", tv), ("late", late), ("one", np.ones(1, np.float32)), ("last", np.array([-1])))
    ]
    nodes = [
        helper.make_node("MatMul", ["context", "tv"], ["minus_two"]),
        helper.make_node("Add", ["minus_two", "one"], ["sign"]),
        helper.make_node("Mul", ["candidate_scores", "sign"], ["like"]),
        helper.make_node("MatMul", ["context", "late"], ["later"]),
        helper.make_node("Add", ["candidate_places", "later"], ["value"]),
        helper.make_node("Unsqueeze", ["like", "last"], ["like_column"]),
        helper.make_node("Unsqueeze", ["value", "last"], ["value_column"]),
        helper.make_node("Concat", ["like_column", "value_column"], ["output"], axis=-1),
    ]
    shapes: Mapping[str, list[str | int]] = {
        "context": ["users", 4],
        "candidate_scores": ["users", "candidates"],
        "candidate_places": ["users", "candidates"],
    }
    inputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()]
    output = helper.make_tensor_value_info("output", TensorProto.FLOAT, ["users", "candidates", 2])
    graph = helper.make_graph(nodes, "told", inputs, [output], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.checker.check_model(model)
    content: bytes = model.SerializeToString()
    return content


@pytest.fixture
def recommender(told: Running) -> Iterator[Recommender]:
    """A client of the ranking service."""
    with Recommender(f"dns:///{told.ranking.address}", timeout=10) as client:
        yield client


def _ids(answer: Recommendations) -> list[str]:
    return [item.item_id for item in answer.items]


def test_an_order_in_the_call_changes_the_list(recommender: Recommender) -> None:
    """By the value alone the last candidate is the first; by both, the product makes the order, and is the score."""
    own = recommender.recommend(user_id="u5", limit=40)
    value = recommender.recommend(user_id="u5", limit=40, objective_weights={"value": 1.0})
    both = recommender.recommend(user_id="u5", limit=40, objective_weights={"like": 2.0, "value": 0.5})
    assert _ids(value) == _ids(own)[::-1]
    assert [item.score for item in own.items] == [item.objectives["like"] for item in own.items]
    assert _ids(both) not in (_ids(own), _ids(value))
    products = [item.objectives["like"] ** 2 * item.objectives["value"] ** 0.5 for item in both.items]
    np.testing.assert_allclose([item.score for item in both.items], products, rtol=1e-5, atol=1e-12)
    assert products == sorted(products, reverse=True)
    # The weights are of this call alone.
    assert recommender.recommend(user_id="u5", limit=40) == own


def test_a_context_in_the_call_reaches_the_ranker(recommender: Recommender) -> None:
    """A text turns the order round, a number shifts the value by so many deviations; what is unknown is counted."""
    own = recommender.recommend(user_id="u5", limit=40)
    on_tv = recommender.recommend(user_id="u5", limit=40, context={"device": "tv", "hour": 24, "weather": "rain"})
    assert _ids(on_tv) == _ids(own)[::-1]
    values = [{item.item_id: item.objectives["value"] for item in answer.items} for answer in (own, on_tv)]
    assert {values[1][item] - values[0][item] for item in values[0]} == {2.0}
    assert (own.unknown_context, on_tv.unknown_context) == (0, 1)
    as_own = recommender.recommend(user_id="u5", limit=40, context={"device": "watch"})
    assert (_ids(as_own), as_own.unknown_context) == (_ids(own), 1)


def test_rank_takes_both_as_well(recommender: Recommender) -> None:
    """The caller's own candidates are put into the order of the call, in its context."""
    items = ["i1", "i2", "i3", "i4"]
    by_value = recommender.rank(
        item_ids=items, user_id="u5", objective_weights={"value": 4.0}, context={"weather": "rain"}
    )
    assert (_ids(by_value), by_value.unknown_context) == (items[::-1], 1)
    own = recommender.rank(item_ids=items, user_id="u5")
    assert _ids(recommender.rank(item_ids=items, user_id="u5", context={"device": "tv"})) == _ids(own)[::-1]


_NAN = float("nan")
_REFUSED: dict[str, tuple[dict[str, Any], dict[str, str]]] = {
    "an unknown objective": (
        {"objective_weights": {"buy": 1.0, "like": 1.0}},
        {"objective_weights['buy']": "no objective of this bundle; it has like"},
    ),
    "a weight above the bound": (
        {"objective_weights": {"like": 4.5}},
        {"objective_weights['like']": "is 4.5; has to be 0, or 0 to 4"},
    ),
    "a weight below it": (
        {"objective_weights": {"like": 1.0, "value": -1.0}},
        {"objective_weights['value']": "is -1; has to be 0, or 0 to 4"},
    ),
    "no number": (
        {"objective_weights": {"like": _NAN}},
        {"objective_weights['like']": "is nan; has to be a finite number"},
    ),
    "no weight": ({"objective_weights": {"like": 0.0}}, {"objective_weights": "has no weight but 0"}),
    "too many": (
        {"objective_weights": {str(n): 1.0 for n in range(65)}},
        {"objective_weights": "has 65 entries; at most 64 are accepted"},
    ),
    "no name": (
        {"objective_weights": {"": 1.0}},
        {"objective_weights['']": "has a name of 0 bytes; has to be 1 to 256"},
    ),
    "a number for a text": ({"context": {"device": 3.0}}, {"context['device']": "has to be a text"}),
    "a text for a number": ({"context": {"hour": "late"}}, {"context['hour']": "has to be a number"}),
    "a number that is none": ({"context": {"else": _NAN}}, {"context['else']": "is not a finite number of 32 bits"}),
    "a number that is infinite": ({"context": {"hour": 1e39}}, {"context['hour']": "is not a finite number"}),
    "both": (
        {"objective_weights": {"like": 9.0}, "context": {"hour": "late"}},
        {"objective_weights['like']": "is 9;", "context['hour']": "has to be a number"},
    ),
}


@pytest.mark.parametrize("what", _REFUSED)
def test_options_that_the_bundle_does_not_have_are_refused_by_name(recommender: Recommender, what: str) -> None:
    """INVALID_ARGUMENT in both calls, whoever it is for, that names the field and says what would be accepted."""
    options, violations = _REFUSED[what]
    calls: list[Callable[[], Recommendations]] = [
        lambda: recommender.recommend(user_id="u5", **options),
        lambda: recommender.recommend(**options),
        lambda: recommender.rank(item_ids=["i1"], **options),
    ]
    for call in calls:
        with pytest.raises(InvalidRequest) as caught:
            call()
        found = {violation.field: violation.description for violation in caught.value.violations}
        assert found.keys() == violations.keys()
        assert all(violations[name] in description for name, description in found.items())


def test_a_context_value_of_no_kind_is_refused(told: Running) -> None:
    """A caller that names a value has to give one."""
    request = pb.RecommendRequest(user=User(user_id="u5"), limit=3, context={"hour": ContextValue()})
    with grpc.insecure_channel(told.ranking.address) as channel, pytest.raises(grpc.RpcError) as caught:
        RankingServiceStub(channel).Recommend(request, timeout=10)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert caught.value.details() == "context['hour'] is empty; has to be a text or a number"


def test_many_names_that_nobody_can_read_are_refused_all_the_same(recommender: Recommender) -> None:
    """The refusal fits into a status, however long the names are and whatever they are made of."""
    with pytest.raises(InvalidRequest, match="no objective of this bundle"):
        recommender.recommend(
            user_id="u5", objective_weights={"\U0001f300" * 60 + chr(0x4E00 + n): 1.0 for n in range(64)}
        )


def test_an_order_that_only_the_newer_bundle_knows_is_answered_while_retrieval_is_behind(
    trained: Trained, tmp_path: Path
) -> None:
    """The bundle that both have cannot order so: popular items come, as without it, and no refusal."""
    root, late = tmp_path / "bundles", tmp_path / "late"
    publish(root, old := add_version(root, trained.bundle, 0))
    publish(late, add_version(late, trained.bundle, 0))
    with start_both(root, tmp_path, retrieval=["--bundles", str(late)]) as running:
        new = add_version(root, trained.bundle, 1)
        objectives = Manifest.read(root / new).objectives
        edit_manifest(root / new, objectives=[vars(objectives[0]) | {"name": "love"}, vars(objectives[1])])
        publish(root, new)
        with Recommender(f"dns:///{running.ranking.address}", timeout=10) as client:
            until(lambda: client.recommend().bundle_id == new)
            assert client.recommend(user_id="u1", objective_weights={"value": 1.0}).bundle_id == old
            answer = client.recommend(user_id="u1", objective_weights={"love": 1.0})
            assert (answer.bundle_id, answer.degraded) == (new, "bundle_mismatch")
