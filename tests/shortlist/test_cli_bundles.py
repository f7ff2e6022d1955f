"""``shortlist bundles``, as operators and pods run it."""

import hashlib
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from shortlist.bundle.operations import Unproven
from shortlist.bundle.signature import SIGNATURE, sign
from shortlist.bundle.store import BundleStore
from shortlist.cli import main
from shortlist.commands import bundles_check
from shortlist.errors import BundleError
from shortlist.forgotten_list import Forgetting, ForgottenList
from shortlist.user_hash import user_hash
from testbed.versions import edit_manifest
from tests.shortlist.bundle.fake import NEWER, NEWEST, OLDER, OLDEST, damage, names, publish
from tests.support.keys import write_keys
from tests.support.small_bundle import endless_encoder, publish_small_bundle

_WAIT_SECONDS = 20.0


@pytest.fixture
def bundles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three bundles, in the directory that SHORTLIST_BUNDLES names."""
    publish(tmp_path / "bundles", OLDEST, OLDER, NEWER)
    monkeypatch.setenv("SHORTLIST_BUNDLES", str(tmp_path / "bundles"))
    return tmp_path / "bundles"


def run(*arguments: str) -> int:
    return main(["bundles", *arguments])


def test_the_list_shows_every_bundle_and_the_served_one(bundles: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The table has time (UTC), counts, index, metrics, size and marks, newest first, and cuts nothing."""
    run("pin", OLDER)
    (bundles / OLDEST / "manifest.json").write_text("[bold]{")
    capsys.readouterr()
    assert run("list") == 0
    columns = "bundle made (UTC) items users index recall hr@10 ndcg@10 recall@200 size signed by"
    header, _, newer, older, oldest, problem = [line for line in capsys.readouterr().out.splitlines() if line.strip()]
    assert header.split() == columns.split()
    row = [NEWER, "2026-01-03", "00:00", "5", "1", "Flat", "1.000", "0.250", "0.125", "nan"]
    assert newer.split()[: len(row)] == row
    assert newer.split()[-2:] == ["kB", "nobody"]
    assert older.rstrip().endswith("current, pinned")
    assert oldest.rstrip().endswith("unreadable")
    assert problem.startswith(f"{OLDEST}: manifest.json cannot be read")


def test_the_list_as_json_is_for_programs(bundles: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """--json prints strict JSON with the same facts; NaN becomes null."""
    (bundles / OLDER / "manifest.json").unlink()
    assert run("list", "--json") == 0
    newer, older, oldest = json.loads(capsys.readouterr().out)
    assert (newer["id"], newer["current"], newer["pinned"], newer["problem"]) == (NEWER, True, False, None)
    assert (newer["items"], newer["users"], newer["create_time"]) == (5, 1, "2026-01-03T01:00:00+01:00")
    assert newer["index"] == {"spec": "Flat", "parameters": "", "recall": 1.0, "recall_at": 4}
    assert newer["metrics"] == {"two_stage/hr@10": 0.25, "two_stage/ndcg@10": 0.125, "two_stage/recall@200": None}
    assert newer["bytes"] == sum(path.stat().st_size for path in (bundles / NEWER).iterdir())
    assert "is missing" in older["problem"]
    assert not oldest["current"]


def test_a_pin_holds_until_unpin(bundles: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each command prints the current bundle and the next step."""
    assert run("pin", OLDEST) == 0
    assert f"{OLDEST} is current and pinned; `shortlist bundles unpin`" in capsys.readouterr().out
    publish(bundles, NEWEST)
    assert BundleStore(bundles).current_id() == OLDEST
    assert run("unpin") == 0
    assert f"{OLDEST} is no longer pinned; {OLDEST} stays current" in capsys.readouterr().out
    assert run("unpin") == 0
    assert "nothing was pinned" in capsys.readouterr().out


def test_a_rollback_prints_both_bundles(bundles: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The output names both bundles and the skipped one; a rollback without an older bundle fails."""
    damage(bundles / OLDER / "index.faiss")
    assert run("rollback") == 0
    told = capsys.readouterr()
    assert f"rolled back from {NEWER} to {OLDEST}" in told.out
    assert "index.faiss: sha256 differs" in told.err
    assert BundleStore(bundles).current_id() == OLDEST
    assert run("rollback") == 1
    assert f"no usable bundle older than {OLDEST}" in capsys.readouterr().err


def test_verify_names_the_bad_file_and_continues(bundles: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One bad bundle fails the command, the others are verified too, and ids select bundles."""
    assert run("verify") == 0
    assert capsys.readouterr().out.count("is whole: 21 files") == 3
    damage(bundles / OLDER / "user_encoder.onnx")
    assert run("verify") == 1
    told = capsys.readouterr()
    assert f"{OLDER}/user_encoder.onnx: sha256 differs" in told.err
    assert told.out.count("is whole") == 2
    assert run("verify", NEWER, OLDEST) == 0
    assert run("verify", NEWER, "20250101T000000-0000") == 1
    assert "`shortlist bundles list` shows the existing ones" in capsys.readouterr().err


def test_signatures_are_shown_and_a_key_proves_them(
    bundles: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An operator sees which bundles are signed, and by which key: the sha256 of its public half."""
    (private, public), (_, another) = write_keys(tmp_path, "ours"), write_keys(tmp_path, "theirs")
    sign(bundles / NEWER, private)
    (bundles / OLDEST / SIGNATURE).write_text("{}")
    fingerprint = hashlib.sha256(public.read_bytes()).hexdigest()
    run("list", "--json")
    assert [one["signed_by"] for one in json.loads(capsys.readouterr().out)] == [fingerprint, None, ""]
    run("list")
    newer, older, oldest = [line for line in capsys.readouterr().out.splitlines() if line.strip()][2:]
    assert (fingerprint[:12] in newer, "nobody" in older, "unknown" in oldest) == (True, True, True)
    assert run("verify", NEWER, OLDER) == 0
    shown = capsys.readouterr().out
    assert f"signed by key {fingerprint}, which --bundle-public-key would prove" in shown
    assert "not signed" in shown
    assert run("verify", NEWER, "--bundle-public-key", str(public)) == 0
    assert f"{public} proves the signature" in capsys.readouterr().out
    for bundle_id, key, reason in ((OLDER, public, "accepts only signed"), (NEWER, another, "does not match")):
        assert run("verify", bundle_id, "--bundle-public-key", str(key)) == 1
        assert reason in capsys.readouterr().err


def test_a_dry_run_lists_the_garbage(bundles: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """--dry-run removes nothing, and the real run prints the same with the freed bytes."""
    publish(bundles, NEWEST)
    assert run("gc", "--keep", "1", "--dry-run") == 0
    planned = capsys.readouterr().out
    assert f"{OLDEST} would be removed" in planned
    assert len(BundleStore(bundles).ids()) == 4
    assert run("gc", "--keep", "1") == 0
    assert capsys.readouterr().out == planned.replace("would be ", "")
    assert names(bundles) == [NEWER, NEWEST, "CURRENT"]
    assert run("gc") == 0
    assert capsys.readouterr().out == "0 bytes freed\n"


def test_bundles_that_hold_forgotten_users_are_named_and_removed_when_asked(
    bundles: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Proves that the served one stays, and one whose manifest says that it was trained without them."""
    publish(bundles, NEWEST)
    listed = ForgottenList(position=9, hash_key=b"k", users={user_hash(b"k", "u"): Forgetting(position=7, time=1)})
    listed.write(tmp_path / "forgotten.json")
    edit_manifest(bundles / OLDER, forgotten_position=7)
    edit_manifest(bundles / OLDEST, known_position=6)
    gc = ["gc", "--keep", "4", "--forgotten", str(tmp_path / "forgotten.json")]
    assert run(*gc) == 0
    named = "".join(f"{bundle_id} holds 1 forgotten users\n" for bundle_id in (NEWEST, NEWER, OLDEST))
    assert capsys.readouterr().out == f"0 bytes freed\n{named}"
    assert run(*gc, "--remove-forgotten") == 0
    printed = capsys.readouterr().out
    assert f"{NEWEST} holds 1 forgotten users; it stays, because it is served" in printed
    assert f"{OLDEST} holds 1 forgotten users; removed" in printed
    assert BundleStore(bundles).ids() == [NEWEST, OLDER]
    ForgottenList(position=9, hash_key=b"other", users=listed.users).write(tmp_path / "forgotten.json")
    assert run(*gc) == 0
    assert "no bundle holds forgotten users" in capsys.readouterr().out
    assert run("gc", "--remove-forgotten") == 1
    assert "--remove-forgotten needs --forgotten" in capsys.readouterr().err
    (bundles / OLDER / "user_ids.npy").write_bytes(b"")
    assert run(*gc) == 0
    assert f"{OLDER} may hold forgotten users: " in capsys.readouterr().out


@pytest.fixture
def servable(bundles: Path) -> Path:
    """The same directory, whose current bundle the services can serve."""
    shutil.rmtree(bundles / NEWER)
    publish_small_bundle(bundles, NEWER)
    return bundles


def test_a_bundle_is_pulled_and_pushed(servable: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Both directions work between directories, --to replaces --bundles, and the output names the bundle."""
    to, back = tmp_path / "to", tmp_path / "back"
    assert run("pull", str(servable), "--to", str(to)) == 0
    assert f"{NEWER} is current: " in capsys.readouterr().out
    assert run("push", str(back), "--bundles", str(to)) == 0
    assert f"{NEWER} is current at {back}: " in capsys.readouterr().out
    assert run("push", str(back)) == 0
    assert "it was there, and is verified" in capsys.readouterr().out
    assert names(back) == [NEWER, "CURRENT"]


def test_a_source_without_a_bundle_may_be_accepted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """--or-none lets a first training begin, and forgives nothing else: a damaged pointer is an error."""
    source, to = tmp_path / "source", tmp_path / "to"
    source.mkdir()
    pull = ("pull", str(source), "--to", str(to), "--or-none")
    assert run(*pull) == 0
    assert capsys.readouterr().out.startswith(f"nothing to copy: {source} has no CURRENT")
    (source / "CURRENT").write_text("../elsewhere\n")
    assert run(*pull) == 1
    assert "is not a bundle id" in capsys.readouterr().err


def test_a_bundle_that_the_services_cannot_serve_is_not_pulled(
    servable: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The models of the fake bundles are random bytes: the pull says so, and keeps or finds a usable bundle."""
    to = tmp_path / "to"
    publish(servable, NEWEST)
    assert run("pull", str(servable), "--to", str(to)) == 4
    told = capsys.readouterr()
    assert f"{NEWER} is current: " in told.out
    reason = "retrieval_service refuses it: user_encoder.onnx: ONNX Runtime cannot load it"
    assert f"shortlist: {servable}/{NEWEST}: {reason}" in told.err
    assert run("pull", str(servable), "--to", str(to), "--or-older") == 0
    assert run("pull", str(servable), "--to", str(to), "--or-none") == 0
    assert capsys.readouterr().err.count(f"not taken, so {NEWER} is current") == 2
    assert names(to) == [NEWER, "CURRENT"]
    shutil.rmtree(servable / NEWER)
    assert run("pull", str(servable), "--to", str(tmp_path / "fresh")) == 1
    assert names(tmp_path / "fresh") == []


def test_a_bundle_that_hangs_a_service_is_given_up_after_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The check runs in a process of its own, which is killed when its time is up."""
    monkeypatch.setattr(bundles_check, "_SECONDS", 2.0)
    directory = publish_small_bundle(tmp_path, encoder=endless_encoder())
    with pytest.raises(Unproven, match="retrieval_service did not load it within 2 s"):
        bundles_check.served_by_services(directory)


@pytest.mark.parametrize(
    ("end", "proves", "reason"),
    [
        ("print('it is bad'); sys.exit(3)", True, "odd_service refuses it: it is bad"),
        ("os.kill(os.getpid(), 9)", False, "odd_service died of the check, by signal 9"),
        ("sys.exit('no library')", False, "odd_service ended the check with code 1: no library"),
    ],
)
def test_only_the_verdict_of_a_service_is_a_refusal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: str, proves: bool, reason: str
) -> None:
    """A service that was killed, or did not start, says nothing about the bundle."""
    (tmp_path / "odd_service.py").write_text(f"import os, sys\n{end}\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(bundles_check, "_SERVICES", ("odd_service",))
    with pytest.raises(BundleError, match=reason) as error:
        bundles_check.served_by_services(tmp_path / NEWER)
    assert isinstance(error.value, Unproven) is not proves


def test_a_check_without_a_verdict_is_not_forgiven(
    servable: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """--or-none would let a training publish without a comparison; nothing is left of the copy."""
    monkeypatch.setattr(bundles_check, "_SECONDS", 0.01)
    assert run("pull", str(servable), "--to", str(tmp_path / "to"), "--or-none") == 1
    reason = "retrieval_service did not load it within 0.01 s; attempt 1 of 3"
    assert f"shortlist: {servable}/{NEWER}: {reason}" in capsys.readouterr().err
    assert names(tmp_path / "to") == []


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["list"], "has no bundles; see --bundles"),
        (["verify"], "has no bundles; see --bundles"),
        (["rollback"], "has the trainer written a bundle here?"),
        (["gc"], "has the trainer written a bundle here?"),
        (["pin", NEWER], "`shortlist bundles list` shows the existing ones"),
        (["unpin"], "No such file or directory"),
        (["push", "elsewhere"], "has the trainer written a bundle here?"),
        (["pull", "nowhere"], "nowhere has no CURRENT: is it a directory of bundles"),
        (["pull", "nonsense://bucket"], "nonsense"),
    ],
)
def test_a_failure_ends_with_advice(
    tmp_path: Path, arguments: list[str], reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without a directory each command ends with 1 and one line on stderr, and creates nothing."""
    assert run(*arguments, "--bundles", str(tmp_path / "none")) == 1
    complaint = capsys.readouterr().err
    assert reason in complaint
    assert complaint.startswith("shortlist: ")
    assert complaint.count("\n") == 1
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["pin"],
        ["gc", "--keep", "0"],
        ["gc", "--keep", "x"],
        ["pull"],
        ["pull", "x", "--watch", "0"],
        ["lsit"],
        ["pull", "x", "--bundle-public-key", "missing.pem"],
    ],
)
def test_a_wrong_usage_ends_with_2(arguments: list[str]) -> None:
    """A script can tell a typing error from a failure."""
    with pytest.raises(SystemExit) as exit_info:
        run(*arguments)
    assert exit_info.value.code == 2


@pytest.mark.parametrize("command", ["list", "pin", "unpin", "rollback", "verify", "gc", "pull", "push"])
def test_each_command_explains_itself(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """--help works, and names the environment variable of --bundles."""
    with pytest.raises(SystemExit) as exit_info:
        run(command, "--help")
    assert exit_info.value.code == 0
    assert "SHORTLIST_BUNDLES" in capsys.readouterr().out


class Watching:
    """``shortlist bundles pull --watch``, in a process of its own."""

    def __init__(self, source: Path, to: Path) -> None:
        code = "import sys; from shortlist.cli import main; sys.exit(main())"
        arguments = ["bundles", "pull", str(source), "--to", str(to), "--watch", "0.05"]
        self.to = to
        self.process = subprocess.Popen(
            [sys.executable, "-c", code, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def tells_of(self, bundle_id: str) -> None:
        assert self.process.stdout is not None
        assert select.select([self.process.stdout], [], [], _WAIT_SECONDS)[0]
        assert self.process.stdout.readline().startswith(f"{bundle_id} is current: ")
        assert BundleStore(self.to).current_id() == bundle_id

    def ends_on(self, number: int) -> tuple[int, str, str]:
        self.process.send_signal(number)
        out, err = self.process.communicate(timeout=5)
        return self.process.returncode, out, err


@pytest.fixture
def watching(servable: Path, tmp_path: Path) -> Iterator[Watching]:
    """A watch over the bundles that has copied the first one."""
    watching = Watching(servable, tmp_path / "to")
    watching.tells_of(NEWER)
    yield watching
    watching.process.kill()
    watching.process.communicate()


def test_a_watch_survives_the_failures_of_its_source(bundles: Path, watching: Watching) -> None:
    """It reports a torn and a missing source, continues, copies the next bundle, and ends on SIGTERM."""
    (bundles / "CURRENT").write_text(f"{NEWEST}\n")
    time.sleep(0.5)
    bundles.rename(bundles.with_name("gone"))
    time.sleep(0.5)
    assert BundleStore(watching.to).current_id() == NEWER
    bundles.with_name("gone").rename(bundles)
    publish_small_bundle(bundles, NEWEST)
    watching.tells_of(NEWEST)
    started = time.monotonic()
    exit_code, out, err = watching.ends_on(signal.SIGTERM)
    assert time.monotonic() - started < 2
    assert (exit_code, out) == (0, "")
    assert "manifest.json does not exist; next try in 0.05 s" in err
    assert "has no CURRENT" in err
    pauses = [float(line.split()[-2]) for line in err.splitlines()]
    assert pauses == sorted(pauses)
    assert pauses[-1] >= 0.4
    assert len(err.splitlines()) < 8
    assert names(watching.to) == [NEWER, NEWEST, "CURRENT"]


@pytest.mark.usefixtures("interruptible")
def test_ctrl_c_ends_a_watch_with_130(watching: Watching) -> None:
    """An impatient user gets no traceback."""
    exit_code, _, err = watching.ends_on(signal.SIGINT)
    assert (exit_code, err) == (130, "")


def test_sigterm_ends_a_copy_at_once_and_leaves_nothing(bundles: Path, tmp_path: Path) -> None:
    """The signal comes in the middle of a sparse file of 8 GiB."""
    publish(bundles, NEWEST, size=2**20)
    os.truncate(bundles / NEWEST / "index.faiss", 2**33)
    manifest = json.loads((bundles / NEWEST / "manifest.json").read_text())
    manifest["files"]["index.faiss"]["size"] = 2**33
    (bundles / NEWEST / "manifest.json").write_text(json.dumps(manifest))
    watching = Watching(bundles, tmp_path / "to")
    until = time.monotonic() + _WAIT_SECONDS
    while not list((tmp_path / "to").glob(".staging-*/*/index.faiss")):
        assert time.monotonic() < until
        time.sleep(0.01)
    exit_code, out, _ = watching.ends_on(signal.SIGTERM)
    assert (exit_code, out) == (0, "")
    assert names(tmp_path / "to") == []
