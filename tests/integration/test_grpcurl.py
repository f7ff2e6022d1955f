"""A person with grpcurl can find their way: the real binary against the real services."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from testbed.services import Running

pytestmark = pytest.mark.integration

_GRPCURL = Path(sys.executable).parent / "grpcurl"


def _grpcurl(*arguments: str) -> str:
    # Without -max-time, as one would type it: the call then has no deadline, and the service has to give it one.
    command = [str(_GRPCURL), "-plaintext", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=20).stdout


def test_both_services_list_what_they_are(running: Running) -> None:
    """Reflection names the service, health and reflection."""
    assert "shortlist.retrieval.v1.RetrievalService" in _grpcurl(running.retrieval.address, "list")
    listed = _grpcurl(running.ranking.address, "list")
    assert {"shortlist.ranking.v1.RankingService", "grpc.health.v1.Health"} <= set(listed.split())


def test_both_services_describe_their_calls(running: Running) -> None:
    """The contract can be read without the protos at hand."""
    described = _grpcurl(running.retrieval.address, "describe", "shortlist.retrieval.v1.RetrievalService")
    assert "rpc Retrieve ( .shortlist.retrieval.v1.RetrieveRequest )" in described
    message = _grpcurl(running.ranking.address, "describe", "shortlist.ranking.v1.RecommendRequest")
    assert "int32 limit = 2;" in message


def test_both_services_answer_a_call_in_json(running: Running) -> None:
    """A request as one would type it."""
    request = json.dumps({"user": {"user_id": "u5"}, "limit": 3})
    recommended = json.loads(
        _grpcurl("-d", request, running.ranking.address, "shortlist.ranking.v1.RankingService/Recommend")
    )
    retrieved = json.loads(
        _grpcurl("-d", request, running.retrieval.address, "shortlist.retrieval.v1.RetrievalService/Retrieve")
    )
    assert [item["source"] for item in recommended["items"]] == ["SOURCE_MODEL"] * 3
    assert "degraded" not in recommended
    assert len(retrieved["candidates"]) == 3
    assert recommended["bundle_id"] == retrieved["bundle_id"]


def test_ranking_answers_similar_items_in_json(running: Running) -> None:
    """Proves it through both services, for a basket of an item that was just recommended and an unknown one."""
    call = f"{running.ranking.address}", "shortlist.ranking.v1.RankingService/Recommend"
    [item] = json.loads(_grpcurl("-d", json.dumps({"user": {"user_id": "u5"}, "limit": 1}), *call))["items"]
    basket = json.dumps({"item_ids": [item["item_id"], "gone"], "limit": 3})
    similar = json.loads(_grpcurl("-d", basket, call[0], "shortlist.ranking.v1.RankingService/Similar"))
    assert [one["source"] for one in similar["items"]] == ["SOURCE_MODEL"] * 3
    assert item["item_id"] not in {one["item_id"] for one in similar["items"]}
    assert (similar["unknown_item_count"], "degraded" in similar) == (1, False)


def test_both_services_say_that_they_are_healthy_and_what_they_serve(running: Running) -> None:
    """Health is SERVING for each service by name, and GetBundle describes the same bundle."""
    bundles = []
    for service, name in ((running.retrieval, "retrieval"), (running.ranking, "ranking")):
        full = f"shortlist.{name}.v1.{name.capitalize()}Service"
        health = _grpcurl("-d", json.dumps({"service": full}), service.address, "grpc.health.v1.Health/Check")
        assert json.loads(health) == {"status": "SERVING"}
        bundles.append(json.loads(_grpcurl(service.address, f"{full}/GetBundle"))["bundle"])
    assert bundles[0] == bundles[1]
    assert bundles[0]["objectives"] == ["like", "value"]
