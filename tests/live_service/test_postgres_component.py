"""The settings of the component live-postgresql, with a real database."""

from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from live_service.events import Event, Outcome
from live_service.store.postgres_store import PostgresStore
from shortlist.errors import StoreError, Unavailable
from testbed.postgres import PostgresServer
from tests.support.waiting import until

_SETTINGS = Path(__file__).parents[2] / "deploy" / "components" / "live-postgresql" / "database.env"
_HOST = "@database.example.com/shortlist?"
_VIEW = Event(event_id="1", user_id="ann", item_id="lamp", event="view", value=None, time=10**9)
_END_CONNECTIONS = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'live_service'
"""


def settings() -> dict[str, str]:
    """The variables of the component."""
    lines = [line for line in _SETTINGS.read_text().splitlines() if not line.startswith("#")]
    return dict(line.split("=", 1) for line in lines)


@pytest.fixture
def url(postgres: PostgresServer, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The component's URL with the host of the test's own, and its file of the password, as a secret is mounted."""
    given = settings()
    assert given["SHORTLIST_STORE"].count(_HOST) == 1
    file = tmp_path / Path(given["PGSERVICEFILE"]).name
    file.write_text(f"[live]\npassword={postgres.password}\n")
    file.chmod(0o440)
    monkeypatch.setenv("PGSERVICEFILE", str(file))
    assert database == postgres.url
    return given["SHORTLIST_STORE"].replace(_HOST, f"@/postgres?host={postgres.data.parent}&")


def test_the_password_comes_from_the_mounted_file(url: str) -> None:
    """Proves it for a file that the pod's group can read, from which libpq takes no ``passfile``."""
    store = PostgresStore.open(url)
    assert store.record([_VIEW]).outcomes == [Outcome.RECORDED]
    store.close()


def test_a_wrong_password_is_in_no_message(url: str, tmp_path: Path) -> None:
    """Proves that the file is where the password comes from, and stays."""
    file = tmp_path / "pg_service.conf"
    file.chmod(0o600)
    file.write_text("[live]\npassword=open-sesame\n")
    with pytest.raises(StoreError, match="authentication failed") as raised:
        PostgresStore.open(url)
    assert "sesame" not in str(raised.value)


def test_a_changed_password_needs_no_restart(url: str, postgres: PostgresServer, tmp_path: Path) -> None:
    """Proves it for a service whose connections the database ends after the change."""
    store, file = PostgresStore.open(url), tmp_path / "pg_service.conf"
    file.chmod(0o600)
    with psycopg.connect(postgres.url, autocommit=True) as administrator:
        try:
            administrator.execute("ALTER ROLE live PASSWORD 'another'")
            file.write_text("[live]\npassword=another\n")
            administrator.execute(_END_CONNECTIONS)
            until(lambda: _records(store))
        finally:
            administrator.execute(sql.SQL("ALTER ROLE live PASSWORD {}").format(postgres.password))
            store.close()


def _records(store: PostgresStore) -> bool:
    try:
        return store.record([_VIEW]).outcomes == [Outcome.RECORDED]
    except Unavailable:
        return False
