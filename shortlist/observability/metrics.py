"""The Prometheus metrics of the services. All durations are in seconds."""

import functools
import math
import shutil
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
)

from shortlist.degraded import Degraded

REGISTRY = CollectorRegistry()
ProcessCollector(registry=REGISTRY)
PlatformCollector(registry=REGISTRY)

_METHOD = ("grpc_service", "grpc_method")
_CALL_BUCKETS = (.001, .002, .003, .005, .0075, .01, .015, .02, .03, .05, .075, .1, .15, .2, .3, .5, 1, 2)  # fmt: skip
_STAGE_BUCKETS = (.00005, .0001, .0002, .0005, .001, .002, .003, .005, .0075, .01, .02, .05, .1)  # fmt: skip
_QUEUE_BUCKETS = (.0001, .0005, .001, .002, .005, .01, .02, .05, .1, .2, .5, 1)  # fmt: skip
_LOAD_BUCKETS = (.1, .2, .5, 1, 2, 5, 10, 20, 60, 120, 300)  # fmt: skip
_BATCH_BUCKETS = (1, 2, 3, 4, 6, 8, 12, 16)
_CANDIDATE_BUCKETS = (0, 1, 10, 50, 100, 200, 300, 500, 750, 1000)

_STARTED = Counter("grpc_server_started_total", "Calls received.", _METHOD, registry=REGISTRY)
_HANDLED = Counter(
    "grpc_server_handled_total", "Calls answered, by status code.", (*_METHOD, "grpc_code"), registry=REGISTRY
)
_HANDLING_SECONDS = Histogram(
    "grpc_server_handling_seconds",
    "Time from the start of a call's thread to its answer.",
    _METHOD,
    buckets=_CALL_BUCKETS,
    registry=REGISTRY,
)

QUEUE_LENGTH = Gauge("shortlist_queue_length", "Calls waiting for a thread.", registry=REGISTRY)
QUEUE_SECONDS = Histogram(
    "shortlist_queue_seconds", "Time that a call waited for its thread.", buckets=_QUEUE_BUCKETS, registry=REGISTRY
)
BATCH_SIZE = Histogram(
    "shortlist_batch_size", "Requests answered together in one batch.", buckets=_BATCH_BUCKETS, registry=REGISTRY
)
SEARCH_SECONDS = Histogram(
    "shortlist_search_seconds", "Time of one search of the index.", buckets=_STAGE_BUCKETS, registry=REGISTRY
)
CANDIDATES = Histogram(
    "shortlist_candidates", "Candidates found for a request.", buckets=_CANDIDATE_BUCKETS, registry=REGISTRY
)
CIRCUIT_OPEN = Gauge(
    "shortlist_retrieval_circuit_open",
    "1 while ranking does not call retrieval, because it failed.",
    registry=REGISTRY,
)

LIVE_CIRCUIT_OPEN = Gauge(
    "shortlist_live_circuit_open",
    "1 while this service does not call the live service, because it failed.",
    registry=REGISTRY,
)
LIVE_SECONDS = Histogram(
    "shortlist_live_seconds",
    "Time to get the live histories of a batch.",
    buckets=_STAGE_BUCKETS,
    registry=REGISTRY,
)


def _counters(name: str, documentation: str, label: str, values: Sequence[str]) -> Mapping[str, Counter]:
    """A counter with one label. Its children start at 0: Prometheus sees no increase in a series that begins at 1."""
    counter = Counter(name, documentation, (label,), registry=REGISTRY)
    return {value: counter.labels(value) for value in values}


SHED = _counters("shortlist_shed_total", "Calls refused because of overload.", "reason", ("queue_full",))
EXPIRED = _counters(
    "shortlist_expired_total", "Calls whose deadline passed while they waited for a batch.", "where", ("batch",)
)
CANCELLED = _counters(
    "shortlist_cancelled_total",
    "Calls cancelled before they were handled, or before their answer was read.",
    "where",
    ("message", "queue", "batch", "answer"),
)
DEGRADED = _counters(
    "shortlist_degraded_total",
    "Answers made without one of the two stages, by reason.",
    "reason",
    tuple(Degraded),
)
_INFERENCE_SECONDS = Histogram(
    "shortlist_inference_seconds", "Time of one run of a model.", ("model",), buckets=_STAGE_BUCKETS, registry=REGISTRY
)
INFERENCE_SECONDS = {model: _INFERENCE_SECONDS.labels(model) for model in ("user_encoder", "ranker")}

EVENTS = _counters(
    "shortlist_events_total",
    "Events received, by outcome.",
    "outcome",
    ("recorded", "duplicate", "conflict", "refused"),
)
ITEMS = _counters(
    "shortlist_items_total", "Items that were put, by outcome.", "outcome", ("stored", "unchanged", "refused")
)
LIVE_ITEMS = Gauge(
    "shortlist_live_items", "Items of the live catalogue that the served bundle does not have.", registry=REGISTRY
)
LIVE_ITEMS_REFUSED = _counters(
    "shortlist_live_items_refused_total",
    "Live items that no list can have, because the bundle cannot describe them or there are too many.",
    "reason",
    ("unreadable", "full"),
)
LIVE_ITEMS_LAGGING = Counter(
    "shortlist_live_items_lagging_total",
    "Candidates dropped because retrieval knew live items that ranking did not know yet.",
    registry=REGISTRY,
)
COMMIT_SECONDS = Histogram(
    "shortlist_event_commit_seconds",
    "Time to write the events, or the changes of items, of one commit to the disk.",
    buckets=_CALL_BUCKETS,
    registry=REGISTRY,
)
CATALOG_SILENCE_SECONDS = Gauge(
    "shortlist_catalog_silence_seconds",
    "Time since the live service last told of the catalogue; 0 in a process that does not follow it.",
    registry=REGISTRY,
)
HIDDEN_ITEMS = Gauge(
    "shortlist_hidden_items", "Items that may not be shown now, known to the bundle or not.", registry=REGISTRY
)
TRIMMED_EVENTS = Counter(
    "shortlist_events_trimmed_total", "Events deleted because they were too old or too many.", registry=REGISTRY
)

LATE_EVENTS = Counter(
    "shortlist_events_late_total",
    "Recorded events from before the time up to which the served bundle knows events: they wait for the next bundle.",
    registry=REGISTRY,
)
SERVED_ANSWERS = _counters(
    "shortlist_served_answers_total",
    "Answers for the log of served answers: written, or lost because too many waited or the disk refused them.",
    "outcome",
    ("written", "queue_full", "disk"),
)
_DISK_FREE = Gauge(
    "shortlist_disk_free_bytes", "Free bytes of the disk that holds a content.", ("content",), registry=REGISTRY
)
_DISK_SIZE = Gauge(
    "shortlist_disk_size_bytes", "Bytes of the disk that holds a content.", ("content",), registry=REGISTRY
)

_BUNDLE_INFO = Gauge("shortlist_bundle_info", "1 for each loaded bundle.", ("bundle_id", "role"), registry=REGISTRY)
_ROLES = ("current", "previous")
_BUNDLE_AGE = Gauge("shortlist_bundle_age_seconds", "Age of the served bundle.", registry=REGISTRY)
_BUNDLE_LOADS = _counters("shortlist_bundle_loads_total", "Attempts to load a bundle.", "result", ("loaded", "failed"))
_BUNDLE_LOAD_FAILURES = _counters(
    "shortlist_bundle_load_failures_total",
    "Bundles that could not be loaded, by reason.",
    "reason",
    ("missing", "damaged", "unreadable", "format", "signature", "timeout", "invalid"),
)
_BUNDLE_LOAD_SECONDS = Histogram(
    "shortlist_bundle_load_seconds",
    "Time to verify, load and warm up a bundle.",
    buckets=_LOAD_BUCKETS,
    registry=REGISTRY,
)


def call_started(service: str, method: str) -> None:
    """Counts a received call, such as of ``shortlist.ranking.v1.RankingService`` and ``Recommend``."""
    _started(service, method).inc()


def call_refused(service: str, method: str, code: str) -> None:
    """Counts a call that was refused at once, without timing it: it would make the other calls look faster."""
    _started(service, method).inc()
    _handled(service, method, code).inc()


def call_handled(service: str, method: str, code: str, seconds: float) -> None:
    """Counts and times an answered call; ``code`` is a status code such as ``OK``."""
    _handled(service, method, code).inc()
    _handling_seconds(service, method).observe(seconds)


def stream_ended(service: str, method: str, code: str) -> None:
    """Counts the end of a stream, without timing it."""
    _handled(service, method, code).inc()


def bundle_loaded(seconds: float) -> None:
    """Counts and times the load of a bundle."""
    _BUNDLE_LOADS["loaded"].inc()
    _BUNDLE_LOAD_SECONDS.observe(seconds)


def bundle_failed(kind: str) -> None:
    """Counts a bundle that could not be loaded; ``kind`` is the :class:`BundleError`'s."""
    _BUNDLE_LOADS["failed"].inc()
    _BUNDLE_LOAD_FAILURES[kind].inc()


def bundle_served(bundle_ids: Sequence[str], create_time: datetime) -> None:
    """Exposes the ids of the loaded bundles, current first, and the age of the current one."""
    served = list(zip(bundle_ids, _ROLES, strict=False))
    for labels in served:
        _BUNDLE_INFO.labels(*labels).set(1)
    for sample in [sample for family in _BUNDLE_INFO.collect() for sample in family.samples]:
        labels = (sample.labels["bundle_id"], sample.labels["role"])
        if labels not in served:
            _BUNDLE_INFO.remove(*labels)
    _BUNDLE_AGE.set_function(lambda: time.time() - create_time.timestamp())


def disk_watched(content: str, folder: Path) -> None:
    """Exposes the free bytes and the size of the disk of a folder, which holds ``content``, as of each scrape."""

    def read(name: str) -> float:
        try:
            return float(getattr(shutil.disk_usage(folder), name))
        except OSError:
            # One number that is missing must not take the others with it.
            return math.nan

    _DISK_FREE.labels(content).set_function(lambda: read("free"))
    _DISK_SIZE.labels(content).set_function(lambda: read("total"))


# Cached, since looking up a child by its labels takes longer than counting.
@functools.cache
def _started(service: str, method: str) -> Counter:
    return _STARTED.labels(service, method)


@functools.cache
def _handled(service: str, method: str, code: str) -> Counter:
    return _HANDLED.labels(service, method, code)


@functools.cache
def _handling_seconds(service: str, method: str) -> Histogram:
    return _HANDLING_SECONDS.labels(service, method)
