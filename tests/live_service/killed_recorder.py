"""``python killed_recorder.py FILE``: records event after event until it is killed, and prints each recorded number."""

import itertools
import sys
import time
from pathlib import Path

from live_service.events import Event
from live_service.store.sqlite_store import SqliteStore

if __name__ == "__main__":
    store = SqliteStore.open(Path(sys.argv[1]))
    for number in itertools.count():
        user_id = f"user-{number % 7}"
        event = Event(event_id=f"{number}", user_id=user_id, item_id="a", event="view", value=None, time=number)
        store.record([event])
        print(number, flush=True)
        # Litestream waits for a moment without a writer.
        time.sleep(0.005)
