"""Metrics, logs and traces of the running services."""

import json
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from shortlist import Recommender
from shortlist.retrieval.v1.retrieval_service_pb2 import RetrieveRequest
from shortlist.retrieval.v1.retrieval_service_pb2_grpc import RetrievalServiceStub
from testbed.ports import free_port
from testbed.services import Running, start_both
from tests.integration.conftest import Trained
from tests.support.collector import Collector, listening

pytestmark = pytest.mark.integration
_SPANS = ("shortlist.ranking.v1.RankingService/Recommend", "shortlist.retrieval.v1.RetrievalService/RetrieveRows")


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    """A collector that takes the traces."""
    collector = Collector()
    server = listening(collector)
    yield collector
    server.stop(None).wait()


@pytest.fixture(scope="module")
def metrics() -> dict[str, str]:
    """Where each service answers Prometheus."""
    return {name: f"127.0.0.1:{free_port()}" for name in ("retrieval", "ranking")}


@pytest.fixture(scope="module")
def running(
    trained: Trained, collector: Collector, metrics: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Running]:
    """Both services as in production, after a few calls of each kind."""
    common = ["--profile", "production", "--trace-endpoint", collector.endpoint]
    retrieval, ranking = ([*common, "--metrics-listen", metrics[name]] for name in ("retrieval", "ranking"))
    logs = tmp_path_factory.mktemp("observed")
    with start_both(trained.bundles, logs, retrieval=retrieval, ranking=ranking) as both:
        with (
            Recommender(f"dns:///{both.ranking.address}", timeout=10) as recommender,
            grpc.insecure_channel(both.retrieval.address) as channel,
        ):
            for user in range(5):
                recommender.recommend(user_id=f"u{user}")
            RetrievalServiceStub(channel).Retrieve(RetrieveRequest(limit=3), timeout=10)
            with pytest.raises(grpc.RpcError):
                RetrievalServiceStub(channel).Retrieve(RetrieveRequest(), timeout=10)
        yield both


def _scraped(address: str) -> dict[str, float]:
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=5) as answer:
        lines = [line for line in answer.read().decode().splitlines() if not line.startswith("#")]
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines)}


def test_calls_stages_and_bundles_are_counted(running: Running, metrics: dict[str, str], trained: Trained) -> None:
    """Each kind of figure, in the service that it is of, after five lists and two calls of retrieval alone."""
    ranking, retrieval = _scraped(metrics["ranking"]), _scraped(metrics["retrieval"])
    recommend = 'grpc_service="shortlist.ranking.v1.RankingService",grpc_method="Recommend"'
    retrieve = 'grpc_service="shortlist.retrieval.v1.RetrievalService",grpc_method="Retrieve"'
    by_method = {
        name: ",".join(sorted(name[name.index("{") + 1 : -1].split(",")))
        for name in (*ranking, *retrieval)
        if "{" in name
    }

    def of(scraped: dict[str, float], metric: str, labels: str) -> float:
        wanted = ",".join(sorted(labels.split(",")))
        return next(
            value for name, value in scraped.items() if name.startswith(metric) and by_method.get(name) == wanted
        )

    assert of(ranking, "grpc_server_started_total", recommend) == 5
    assert of(ranking, "grpc_server_handled_total", f'{recommend},grpc_code="OK"') == 5
    assert of(ranking, "grpc_server_handling_seconds_count", recommend) == 5
    assert of(retrieval, "grpc_server_handled_total", f'{retrieve},grpc_code="INVALID_ARGUMENT"') == 1
    assert ranking['shortlist_inference_seconds_count{model="ranker"}'] >= 5
    assert retrieval['shortlist_inference_seconds_count{model="user_encoder"}'] >= 5
    assert retrieval["shortlist_search_seconds_count"] >= 5
    assert retrieval["shortlist_candidates_count"] >= 5
    assert ranking["shortlist_batch_size_count"] >= 5
    for scraped in (ranking, retrieval):
        assert of(scraped, "shortlist_bundle_info", f'bundle_id="{trained.bundle.name}",role="current"') == 1
        assert 0 < scraped["shortlist_bundle_age_seconds"] < 3600
        assert scraped['shortlist_bundle_loads_total{result="loaded"}'] == 1
        assert scraped["shortlist_queue_seconds_count"] > 0


def test_no_label_has_a_user_or_an_item(running: Running, metrics: dict[str, str]) -> None:
    """Nobody's doings are in the metrics, and their number does not grow with the users."""
    for address in metrics.values():
        labels = [name for name in _scraped(address) if "{" in name]
        assert [name for name in labels if '"u1"' in name or '"i1"' in name] == []
        assert len(labels) < 400


def test_one_trace_leads_through_both_services(running: Running, collector: Collector) -> None:
    """From the call that came in, by the stage, to the other service."""
    recommend, retrieve_rows = collector.take(*_SPANS)
    stage, _ = collector.take("retrieve", "rank")
    assert recommend.trace_id == stage.trace_id == retrieve_rows.trace_id
    assert stage.parent_span_id == recommend.span_id
    assert retrieve_rows.parent_span_id == stage.span_id


def test_each_call_is_a_line_of_json_without_the_user(running: Running, trained: Trained) -> None:
    """A log store can find a call, and learns nothing that it may not have."""
    lines = [json.loads(line) for line in _log(running.ranking.log_path)]
    calls = [line for line in lines if line["logger"] == "shortlist.calls"]
    assert len(calls) == 5
    for call in calls:
        assert call["method"] == "/shortlist.ranking.v1.RankingService/Recommend"
        assert (call["code"], call["bundle_id"]) == ("OK", trained.bundle.name)
        assert 0 < call["seconds"] < 10
        assert len(call["trace_id"]) == 32
        assert not {"u0", "u1", "u2", "u3", "u4"} & {str(value) for value in call.values()}


def _log(path: Path) -> list[str]:
    return [line for line in path.read_text().splitlines() if line]
