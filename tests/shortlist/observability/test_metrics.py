"""The metrics, as Prometheus reads them over HTTP."""

import time
from datetime import UTC, datetime, timedelta

from prometheus_client.parser import text_string_to_metric_families

from shortlist.observability import metrics
from shortlist.ranking.v1.ranking_service_pb2 import DegradedReason
from shortlist.serving.metrics_port import MetricsServer
from tests.support.metrics_server import read
from tests.support.metrics_server import server as server

SERVICE = "test.v1.Service"
Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]
DOCUMENTED = {
    "grpc_server_started_total": "counter",
    "grpc_server_handled_total": "counter",
    "grpc_server_handling_seconds": "histogram",
    "shortlist_queue_length": "gauge",
    "shortlist_queue_seconds": "histogram",
    "shortlist_batch_size": "histogram",
    "shortlist_search_seconds": "histogram",
    "shortlist_inference_seconds": "histogram",
    "shortlist_candidates": "histogram",
    "shortlist_shed_total": "counter",
    "shortlist_expired_total": "counter",
    "shortlist_cancelled_total": "counter",
    "shortlist_degraded_total": "counter",
    "shortlist_bundle_info": "gauge",
    "shortlist_bundle_age_seconds": "gauge",
    "shortlist_bundle_loads_total": "counter",
    "shortlist_bundle_load_failures_total": "counter",
    "shortlist_bundle_load_seconds": "histogram",
    "shortlist_retrieval_circuit_open": "gauge",
    "shortlist_live_circuit_open": "gauge",
    "shortlist_live_seconds": "histogram",
    "shortlist_events_total": "counter",
    "shortlist_items_total": "counter",
    "shortlist_live_items": "gauge",
    "shortlist_live_items_refused_total": "counter",
    "shortlist_live_items_lagging_total": "counter",
    "shortlist_event_commit_seconds": "histogram",
    "shortlist_events_trimmed_total": "counter",
    "shortlist_events_late_total": "counter",
    "shortlist_catalog_silence_seconds": "gauge",
    "shortlist_hidden_items": "gauge",
    "shortlist_served_answers_total": "counter",
    "shortlist_disk_free_bytes": "gauge",
    "shortlist_disk_size_bytes": "gauge",
    "process_cpu_seconds_total": "counter",
    "python_info": "gauge",
}


def samples(server: MetricsServer) -> Samples:
    families = text_string_to_metric_families(read(server))
    return {(one.name, frozenset(one.labels.items())): one.value for family in families for one in family.samples}


def key(name: str, **labels: str) -> tuple[str, frozenset[tuple[str, str]]]:
    return name, frozenset(labels.items())


def test_every_documented_name_is_there_from_the_start(server: MetricsServer) -> None:
    """Dashboards and alerts find each metric before the first call, and no metric is added or dropped unnoticed."""
    lines = [line.split() for line in read(server).splitlines() if line.startswith("# TYPE ")]
    found = {name: kind for _, _, name, kind in lines}
    assert DOCUMENTED.items() <= found.items()
    others = [name for name in found if name not in DOCUMENTED and not name.startswith("process_")]
    assert others == []


def test_a_counter_starts_at_zero(server: MetricsServer) -> None:
    """Prometheus sees no increase in a counter that first appears as 1."""
    found = samples(server)
    for name, label, values in [
        ("shed", "reason", ["queue_full"]),
        ("expired", "where", ["batch"]),
        ("cancelled", "where", ["queue", "batch"]),
        ("bundle_loads", "result", ["loaded", "failed"]),
        (
            "bundle_load_failures",
            "reason",
            ["missing", "damaged", "unreadable", "format", "signature", "timeout", "invalid"],
        ),
    ]:
        assert all(key(f"shortlist_{name}_total", **{label: value}) in found for value in values)
    for model in ("user_encoder", "ranker"):
        assert key("shortlist_inference_seconds_count", model=model) in found


def test_every_reason_to_degrade_is_counted() -> None:
    """A reason that is added to the API cannot be forgotten in the metrics."""
    reasons = {name.removeprefix("DEGRADED_REASON_").lower() for name in DegradedReason.keys()}  # noqa: SIM118
    assert set(metrics.DEGRADED) == reasons - {"unspecified"}


def test_a_call_is_counted_and_timed(server: MetricsServer) -> None:
    """Calls count by service, method and code. A call in progress counts as started, not as handled."""
    metrics.call_started(SERVICE, "PointInTimeFeatures")
    metrics.call_started(SERVICE, "PointInTimeFeatures")
    metrics.call_handled(SERVICE, "PointInTimeFeatures", "INTERNAL", 0.0149)
    found, labels = samples(server), {"grpc_service": SERVICE, "grpc_method": "PointInTimeFeatures"}
    assert found[key("grpc_server_started_total", **labels)] == 2
    assert found[key("grpc_server_handled_total", grpc_code="INTERNAL", **labels)] == 1
    assert found[key("grpc_server_handling_seconds_sum", **labels)] == 0.0149
    assert found[key("grpc_server_handling_seconds_bucket", le="0.01", **labels)] == 0
    assert found[key("grpc_server_handling_seconds_bucket", le="0.015", **labels)] == 1


def test_only_loaded_bundles_are_exposed(server: MetricsServer) -> None:
    """After a swap the current bundle and its predecessor remain, and the age is the current one's."""
    made = datetime.now(UTC) - timedelta(seconds=100)
    metrics.bundle_served(["a"], made - timedelta(days=1))
    metrics.bundle_served(["b", "a"], made - timedelta(hours=1))
    metrics.bundle_served(["c", "b"], made)
    found = samples(server)
    assert {one for one in found if one[0] == "shortlist_bundle_info"} == {
        key("shortlist_bundle_info", bundle_id="c", role="current"),
        key("shortlist_bundle_info", bundle_id="b", role="previous"),
    }
    first = found[key("shortlist_bundle_age_seconds")]
    assert 100 <= first < 110
    time.sleep(0.05)
    assert samples(server)[key("shortlist_bundle_age_seconds")] > first


def test_a_refused_bundle_is_counted_by_its_reason(server: MetricsServer) -> None:
    """A failure counts as an attempt, but its duration is not recorded among those of loaded bundles."""
    before = samples(server)
    metrics.bundle_failed("damaged")
    metrics.bundle_loaded(0.3)
    after = samples(server)
    grown = {one[0]: after[one] - before[one] for one in after if "bundle_load" in one[0] and after[one] > before[one]}
    assert grown["shortlist_bundle_load_failures_total"] == 1
    assert grown["shortlist_bundle_load_seconds_count"] == 1
    for result in ("loaded", "failed"):
        attempts = key("shortlist_bundle_loads_total", result=result)
        assert after[attempts] - before[attempts] == 1
