"""Next answers that know an event, from several workers and while bundles swap."""

import contextlib
import itertools
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import track

from bench.live.events import CALL_SECONDS, Figures
from shortlist import Event, EventClient, Recommender
from shortlist.bundle import Bundle
from shortlist.errors import ShortlistError
from testbed.services import Service, start_both
from testbed.versions import add_version, publish

_CALLERS, _WORKERS, _SWAP_SECONDS = 4, 4, 10.0


def next_answers(bundle: Path, folder: Path, count: int) -> Figures:
    """How many of the events are known to the very next answer, which leaves out the item of the event.

    The answers come from several workers, whose bundle changes every few seconds. An answer that says that the live
    history is missing, because the machine was too busy to give it in time, is counted apart.
    """
    items = Bundle.open(bundle).items
    popular, root = items.ids_of(items.popular[:10].astype(np.int64)), folder / "bundles"
    publish(root, add_version(root, bundle, 0))
    known, degraded, bundles, ended = 0, 0, set[str](), threading.Event()
    with contextlib.ExitStack() as stack:
        store = ["--store", str(folder / "next.sqlite")]
        live = stack.enter_context(Service.start("live_service", store, folder / "next_live.log"))
        workers = ["--live", live.address, "--workers", str(_WORKERS)]
        both = stack.enter_context(start_both(root, folder, ranking=workers))
        recorder = stack.enter_context(EventClient(f"dns:///{live.address}", timeout=CALL_SECONDS))
        client = stack.enter_context(Recommender(f"dns:///{both.ranking.address}", timeout=CALL_SECONDS))
        pool = stack.enter_context(ThreadPoolExecutor(_CALLERS + 1))
        swapping = pool.submit(_keep_swapping, root, bundle, ended)
        stack.callback(ended.set)

        def ask(number: int) -> tuple[bool, bool, str]:
            user, item = f"next-{number}", popular[number % len(popular)]
            position = _acknowledged(recorder, Event(event_id=user, user_id=user, item_id=item, time=datetime.now(UTC)))
            answer = client.recommend(user_id=user, limit=10, min_position=position)
            is_known = answer.live_position >= position and item not in {one.item_id for one in answer.items}
            return is_known, answer.degraded == "history_unavailable", answer.bundle_id

        answers = pool.map(ask, range(count))
        for is_known, is_degraded, bundle_id in track(
            answers, "next answers", total=count, console=Console(stderr=True)
        ):
            known += is_known
            degraded += is_degraded and not is_known
            bundles.add(bundle_id)
        ended.set()
        swapping.result()
    return {
        "next_answers": count,
        "next_answers_that_know": known,
        "next_answers_that_say_they_may_not": degraded,
        "next_answers_bundles": len(bundles),
    }


def _acknowledged(recorder: EventClient, event: Event) -> int:
    """Records an event as a careful caller does, again until it is acknowledged; the position."""
    while True:
        with contextlib.suppress(ShortlistError):
            return recorder.record_events([event]).position


def _keep_swapping(root: Path, bundle: Path, ended: threading.Event) -> None:
    for number in itertools.count(1):
        if ended.wait(_SWAP_SECONDS):
            return
        publish(root, add_version(root, bundle, number))
