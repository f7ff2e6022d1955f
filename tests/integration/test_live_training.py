"""The job of the component live-training: its containers' commands, one after the other, with a real live service."""

# grpc's classes are generic for the type checker only.
from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import grpc
import polars as pl
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from deploy.check.kustomize import DEPLOY, build_overlay
from shortlist.bundle import BundleStore
from shortlist.bundle.manifest import Manifest
from shortlist.live.v1 import event_service_pb2 as pb
from shortlist.live.v1.event_service_pb2_grpc import EventServiceStub
from tests.integration.conftest import Trained
from tests.support.in_process import live_address
from tests.support.live import forget
from tests.support.manifests import trainers
from tests.support.shop import write_shop
from trainer.recipe import Recipe

pytestmark = pytest.mark.integration
_METRIC = "validation/two_stage/ndcg@10"
_COMPONENTS = DEPLOY / "components"


@dataclass(frozen=True, kw_only=True)
class Job:
    """The containers of the job, in the order of their runs, with folders in place of volumes."""

    folder: Path
    live: str

    def run(self, name: str) -> subprocess.CompletedProcess[str]:
        """Runs the command of a container."""
        (trainer,) = trainers(build_overlay("prod-training"))
        (container,) = (one for one in trainer.containers if one["name"] == name)
        program, *arguments = (self._here(argument) for argument in container["command"])
        command = [sys.executable if program == "python" else str(Path(sys.executable).with_name(program)), *arguments]
        environment = {**os.environ, "SHORTLIST_LIVE": self.live}
        return subprocess.run(command, capture_output=True, text=True, env=environment)

    def _here(self, argument: str) -> str:
        argument = argument.replace("$(BUNDLE_SOURCE)", "/store")
        return str(self.folder) + argument if argument.startswith("/") else argument


@pytest.fixture
def job(trained: Trained, tmp_path: Path) -> Iterator[Job]:
    """A live service with a shop's events, of which one user is forgotten; and the volumes that the job finds."""
    folder = tmp_path / "pod"
    for path in ("recipe", "tables/shop", "etc/shortlist/bundle-private-key"):
        (folder / path).mkdir(parents=True)
    shutil.copytree(trained.bundles, folder / "store")
    key = folder / "etc/shortlist/bundle-private-key/private.pem"
    (command,) = re.findall(
        r"^openssl genpkey .*$", (_COMPONENTS / "signed-bundles/README.md").read_text(), re.MULTILINE
    )
    subprocess.run(command.split(), check=True, cwd=key.parent, capture_output=True)
    models = write_shop(tmp_path).read_text().partition("[split]")
    readme = (_COMPONENTS / "live-training" / "README.md").read_text().partition("```toml\n")[2].partition("```")[0]
    (folder / "recipe" / "recipe.toml").write_text(f'{readme}categorical = ["brand"]\n{models[1]}{models[2]}')
    pl.read_csv(tmp_path / "items.csv").write_parquet(folder / "tables" / "shop" / "items.parquet")
    with live_address(tmp_path / "events.sqlite") as address, grpc.insecure_channel(address) as channel:
        live = EventServiceStub(channel)
        _record(live, pl.read_csv(tmp_path / "events.csv"))
        forget(live, "u007")
        yield Job(folder=folder, live=address)


def _record(live: EventServiceStub, events: pl.DataFrame) -> None:
    shift = int(time.time()) - 100 - int(events["timestamp"].max())  # type: ignore[arg-type]
    rows = [_event(number, row, shift) for number, row in enumerate(events.iter_rows(named=True))]
    for start in range(0, len(rows), 500):
        statuses = live.RecordEvents(pb.RecordEventsRequest(events=rows[start : start + 500])).statuses
        assert {status.outcome for status in statuses} == {pb.EVENT_OUTCOME_RECORDED}


def _event(number: int, row: Mapping[str, str], shift: int) -> pb.Event:
    at = Timestamp(seconds=int(row["timestamp"]) + shift)
    return pb.Event(event_id=str(number), user_id=row["user_id"], item_id=row["item_id"], event=row["event"], time=at)


def test_the_job_learns_from_live_events_and_compares_with_the_served_bundle(job: Job) -> None:
    """Proves that a bundle that is worse than the served one is not published, and which events it was trained from.

    The served bundle has a figure that no bundle can reach.
    """
    store = BundleStore(job.folder / "store")
    served = store.current()
    recipe = asdict(Recipe.read(job.folder / "recipe" / "recipe.toml"))
    replace(Manifest.read(served), metrics={_METRIC: 2.0}, recipe=recipe).write(served)
    for name in ("served", "collect", "forgotten"):
        done = job.run(name)
        assert done.returncode == 0, done.stderr
    fit = job.run("trainer")
    assert fit.returncode == 3, fit.stderr
    assert f"the 2.0000 of {served.name}" in " ".join(fit.stderr.split())
    written = BundleStore(job.folder / "bundles")
    assert written.current_id() == served.name
    (new,) = set(written.ids()) - {served.name}
    manifest = Manifest.read(job.folder / "bundles" / new)
    assert manifest.known_position is not None
    assert manifest.forgotten_position is not None
    assert 0 < manifest.known_position <= manifest.forgotten_position
    assert manifest.user_count == 149
