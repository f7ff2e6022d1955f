"""Chooses the store of events by its address."""

from pathlib import Path

from live_service.store.catalog_store import LiveStore
from live_service.store.sqlite_store import SqliteStore
from shortlist.errors import StoreError

DATABASE_SCHEMES = ("postgresql", "postgres")


def open_store(address: str) -> LiveStore:
    """Opens a file of SQLite, or a database of PostgreSQL when the address is its URL.

    Raises:
        StoreError: the store cannot be used.
    """
    if address.partition("://")[0] not in DATABASE_SCHEMES or "://" not in address:
        return SqliteStore.open(Path(address))
    try:
        # Not at the top: installations that keep a file lack the driver.
        from live_service.store.postgres_store import PostgresStore
    except ImportError as error:
        raise StoreError(
            f"a PostgreSQL store needs more packages: pip install 'shortlist[postgresql]' ({error})"
        ) from error
    return PostgresStore.open(address)
