"""The log of served answers: requests leave them here, and one thread writes them."""

import contextlib
import io
import logging
import math
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from google.protobuf.proto import serialize_length_prefixed

from shortlist.live_histories.stage import Live
from shortlist.observability import metrics
from shortlist.observability.throttled import Throttled
from shortlist.ranking.v1 import ranking_service_pb2 as pb
from shortlist.ranking.v1.served_answer_pb2 import ServedAnswer, ServedRank, ServedRecommend
from shortlist.served.segment_writer import Bounds, SegmentWriter

# A warning for each answer would flood the log.
_THROTTLED = Throttled(logging.getLogger(__name__))
# Items and interactions that may wait, a few tens of megabytes.
_MOST_WAITING = 200_000
_PAUSE_SECONDS = 0.1
_WRITTEN_TOGETHER = 64
# A disk that hangs must not keep a stopping process alive.
_CLOSE_SECONDS = 5.0


class _Served(NamedTuple):
    """``time`` is in nanoseconds since 1970; ``live`` is the live history that the answer knows."""

    time: int
    request: pb.RecommendRequest | pb.RankRequest
    response: pb.RecommendResponse | pb.RankResponse
    live: Live


class ServedLog:
    """Takes answers without waiting, and writes them to segments in ``directory``. Thread-safe.

    Answers that come faster than the disk takes them are lost, as are those that it refuses. Both are counted, and
    neither harms the answer itself.
    """

    def __init__(self, directory: Path, bounds: Bounds, most_waiting: int = _MOST_WAITING) -> None:
        self._writer, self._most_waiting = SegmentWriter(directory, bounds), most_waiting
        self._lock = threading.Lock()
        self._waiting: list[_Served] = []
        self._size = 0

    def put(
        self,
        request: pb.RecommendRequest | pb.RankRequest,
        response: pb.RecommendResponse | pb.RankResponse,
        live: Live,
    ) -> None:
        """Takes an answer, or loses it when too much waits; never blocks and never raises."""
        served = _Served(time.time_ns(), request, response, live)
        size = 1 + len(response.items) + len(live.recorded.item_ids) + len(request.user.history)
        with self._lock:
            fits = self._size + size <= self._most_waiting
            if fits:
                self._waiting.append(served)
                self._size += size
        if not fits:
            metrics.SERVED_ANSWERS["queue_full"].inc()
            _THROTTLED.warning("answers come faster than their log is written, so some are not in it")

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """Writes while the block runs, and all that is left at its end."""
        ended = threading.Event()
        thread = threading.Thread(target=self._keep_writing, args=(ended,), name="served log", daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join(_CLOSE_SECONDS)
            if thread.is_alive():
                _THROTTLED.warning("the disk does not take the last served answers, so they are not in their log")

    def _keep_writing(self, ended: threading.Event) -> None:
        while not ended.wait(_PAUSE_SECONDS):
            self._write_waiting()
        self._write_waiting()
        with _refusals():
            self._writer.finish()

    def _write_waiting(self) -> None:
        with self._lock:
            taken, self._waiting, self._size = self._waiting, [], 0
        for first in range(0, len(taken), _WRITTEN_TOGETHER):
            some = taken[first : first + _WRITTEN_TOGETHER]
            with _refusals(len(some)):
                self._writer.append(_content(some))
                metrics.SERVED_ANSWERS["written"].inc(len(some))
            self._tick()
        self._tick()

    def _tick(self) -> None:
        with _refusals():
            self._writer.tick()


@contextlib.contextmanager
def _refusals(answers: int = 0) -> Iterator[None]:
    """Counts so many answers as lost when the disk refuses them."""
    try:
        yield
    except OSError as error:
        metrics.SERVED_ANSWERS["disk"].inc(answers)
        _THROTTLED.error("the log of served answers cannot be written, so some answers are not in it: %s", error)


def _content(answers: Sequence[_Served]) -> bytes:
    content = io.BytesIO()
    for served in answers:
        serialize_length_prefixed(_message(served), content)
    return content.getvalue()


def _message(served: _Served) -> ServedAnswer:
    message = ServedAnswer()
    message.time.FromNanoseconds(served.time)
    call: ServedRank | ServedRecommend = message.recommend
    if isinstance(served.request, pb.RankRequest):
        call = message.rank
    call.request.MergeFrom(served.request)  # type: ignore[arg-type]  # of the same kind
    call.response.MergeFrom(served.response)  # type: ignore[arg-type]
    # So the request makes the answer again, whichever bundle is current and whatever is recorded by then.
    call.request.bundle_id = served.response.bundle_id
    known, recorded = call.request.live_history, served.live.recorded
    known.SetInParent()
    known.position, known.is_forgotten = served.live.position, served.live.is_forgotten
    for item_id, event, value in zip(recorded.item_ids, recorded.events, recorded.values, strict=True):
        item = known.items.add(item_id=item_id, event=event)
        if not math.isnan(value):
            item.value = value
    return message
