"""The events of a live service, as a table."""

from collections.abc import Iterator

import grpc
import polars as pl

from shortlist.client.channels import Channels
from shortlist.client.service_config import channel_options
from shortlist.live.v1 import event_service_pb2 as pb
from shortlist.live.v1.event_service_pb2_grpc import EventServiceStub
from shortlist.security.settings import ClientSecurity
from trainer.errors import DataError

_PAGE = 1000
_TIMEOUT_SECONDS = 30.0
_CHUNK_PAGES = 100
_SHOWN = pl.List(pl.Struct({"item_id": pl.String, "position": pl.Int32}))
_TEXT, _NUMBER = pl.String(), pl.Int64()
_SCHEMA = pl.Schema(
    {
        "user_id": _TEXT,
        "item_id": _TEXT,
        "event": _TEXT,
        "value": pl.Float64(),
        "time": _NUMBER,
        "position": _NUMBER,
        "recommendation_id": _TEXT,
        "shown": _SHOWN,
    }
)


def read_events(target: str, security: ClientSecurity) -> tuple[pl.DataFrame, int]:
    """All events of a live service up to a position, without those that were taken back; and that position.

    Columns: `user_id`, `item_id`, `event`, `value`, `time` in nanoseconds since 1970, `position` of the store,
    `recommendation_id` and `shown`. `item_id` is empty in an event that only has the shown items.

    Raises:
        DataError: the service does not answer, or refuses.
    """
    chunks, rows, position = [pl.DataFrame(schema=_SCHEMA)], list[tuple[object, ...]](), 0
    for number, page in enumerate(_pages(target, security), start=1):
        position = position or page.position
        # Later ones are incomplete: users of earlier pages lack theirs.
        rows += [_row(listed) for listed in page.events if listed.position <= position]
        if number % _CHUNK_PAGES == 0:
            chunks.append(pl.DataFrame(rows, schema=_SCHEMA, orient="row"))
            rows.clear()
    return pl.concat([*chunks, pl.DataFrame(rows, schema=_SCHEMA, orient="row")]), position


def _pages(target: str, security: ClientSecurity) -> Iterator[pb.ListEventsResponse]:
    options = channel_options("shortlist.live.v1.EventService", attempts=5, backoff_seconds=0.2)
    channels = Channels(target, EventServiceStub, options, security)
    request = pb.ListEventsRequest(page_size=_PAGE)
    try:
        while True:
            with channels.stub() as stub:
                page = stub.ListEvents(request, timeout=_TIMEOUT_SECONDS, metadata=channels.metadata())
            yield page
            request.page_token = page.next_page_token
            if not page.next_page_token:
                return
    except grpc.RpcError as error:
        raise DataError(f"the live service at {target}: {error.code().name}: {error.details()}") from error
    finally:
        channels.close()


def _row(listed: pb.ListedEvent) -> tuple[object, ...]:
    event = listed.event
    return (
        event.user_id,
        event.item_id,
        event.event,
        event.value if event.HasField("value") else None,
        event.time.ToNanoseconds(),
        listed.position,
        event.recommendation_id,
        [{"item_id": shown.item_id, "position": shown.position} for shown in event.shown],
    )
