"""The outputs of the commands: checked before anything is read, and whole or absent afterwards."""

import io
import json
import math
import resource
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from rich.console import Console

from shortlist.bundle import BundleStore
from shortlist.bundle.manifest import Manifest
from trainer.__main__ import main
from trainer.analysis.evaluation_result import EvaluationResult
from trainer.data import Dataset
from trainer.errors import OutputError
from trainer.export.bundle import export_bundle
from trainer.files import write_text
from trainer.jobs.outputs import conclude_verdict, write_report
from trainer.models.pipeline import TrainedPipeline
from trainer.progress import ConsoleReporter

pytestmark = pytest.mark.usefixtures("determinism")
Limit = Callable[[int], AbstractContextManager[None]]
NOT_THERE = ["--recipe", "no.toml", "--data", "nowhere"]


@pytest.fixture
def full_disk() -> Limit:
    """From a size to a block in which no file of this process or its children grows beyond it."""

    @contextmanager
    def limit(size: int) -> Iterator[None]:
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)

    return limit


@pytest.mark.parametrize(
    ("command", "flag", "name", "told"),
    [
        ("fit", "--out", "file", "is a file; a folder is needed"),
        ("fit", "--out", "file/bundles", "cannot be written: "),
        ("fit", "--report", "folder", "is a folder; name a file"),
        ("fit", "--report", "file/report.json", "cannot be written: "),
        ("evaluate", "--report", "folder", "is a folder; name a file"),
        ("evaluate", "--report", "page.html", "end the name with .json"),
        ("evaluate", "--report", "beside.json", "is a folder; name a file"),
        ("export", "--out", "file", "is a file; a folder is needed"),
        ("tune", "--out", "folder", "is a folder; name a file"),
        ("tune", "--out", "/proc/tuned.toml", "cannot be written: /proc: "),
        ("tune", "--study", "folder", "is a folder; name a file"),
        ("tune", "--study", "file", "cannot be used as a study"),
        ("fit", "--out", "n" * 300, "cannot be written"),
        ("fit", "--report", "n" * 300, "cannot be written"),
        ("fit", "--sign-key", "missing.pem", "cannot be read: No such file"),
        ("fit", "--sign-key", "file", "is not a private key on the curve"),
        ("fit", "--sign-key", "public.pem", "is not a private key on the curve"),
        ("export", "--sign-key", "rsa.pem", "is not a private key on the curve"),
    ],
)
def test_an_output_that_cannot_be_used_is_refused_before_anything_is_read(
    command: str, flag: str, name: str, told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Proves that the flag and the path are named at once: neither the recipe nor the data of the command exists."""
    (tmp_path / "file").write_text("a letter")
    (tmp_path / "folder").mkdir()
    (tmp_path / "beside.html").mkdir()
    public = ec.generate_private_key(ec.SECP256R1()).public_key()
    (tmp_path / "public.pem").write_bytes(public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    secret = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    (tmp_path / "rsa.pem").write_bytes(secret.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    before = sorted(tmp_path.rglob("*"))
    needed = {"fit": ["--out", "out"], "export": ["--out", "out"], "tune": ["--out", "out", "--trials", "1"]}
    inputs = ["--bundle", "nowhere", "--data", "nowhere"] if command == "export" else NOT_THERE
    assert main([command, *inputs, *needed.get(command, []), flag, str(tmp_path / name)]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: {flag} {tmp_path / name}") or (name, flag) == ("beside.json", "--report")
    assert told in error
    assert error.count("\n") == 1
    assert sorted(tmp_path.rglob("*")) == before


def test_a_key_that_can_sign_is_accepted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Proves that the command goes on to its recipe."""
    secret = ec.generate_private_key(ec.SECP256R1())
    key = tmp_path / "key.pem"
    key.write_bytes(secret.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    assert main(["fit", *NOT_THERE, "--out", str(tmp_path / "new" / "bundles"), "--sign-key", str(key)]) == 2
    assert "no.toml" in capsys.readouterr().err


def test_a_full_disk_is_named_and_leaves_the_former_file(tmp_path: Path, full_disk: Limit) -> None:
    """Proves that a file is replaced whole or stays, and that nothing lies beside it."""
    path = tmp_path / "report.json"
    write_text(path, "before")
    with full_disk(100), pytest.raises(OutputError, match=r"report\.json: cannot be written: File too large"):
        write_text(path, "x" * 101)
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]


def test_a_link_stays_a_link_and_a_device_a_device(tmp_path: Path) -> None:
    """Proves that `--report /dev/stdout` still prints, and that a linked report is written where it lies."""
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_text("before")
    link.symlink_to(target)
    write_text(link, "after")
    write_text(Path("/dev/null"), "after")
    assert link.is_symlink()
    assert target.read_text() == "after"
    assert Path("/dev/null").is_char_device()


@pytest.mark.usefixtures("empty_graphs")
def test_a_disk_that_fills_up_during_an_export_leaves_the_former_bundle(
    exported: Path, final: TrainedPipeline, planted: Dataset, tmp_path: Path, full_disk: Limit
) -> None:
    """Proves that one line names the path, whichever kind of file is the first that does not fit."""
    root = tmp_path / "bundles"
    shutil.copytree(exported.parent, root)
    before = sorted(root.rglob("*"))
    for name in ("weights.npz", "item_features.npy", "items.parquet", "index.faiss", "manifest.json"):
        size = (exported / name).stat().st_size - 1
        with full_disk(size), pytest.raises(OutputError, match=f"^{root}.*: cannot be written: [^\\n]+$"):
            export_bundle(final, planted, {}, root)
        assert sorted(root.rglob("*")) == before
    assert BundleStore(root).current().name == exported.name


def test_a_full_disk_ends_with_one(
    exported: Path, planted_folder: Path, tmp_path: Path, full_disk: Limit, capsys: pytest.CaptureFixture[str]
) -> None:
    """Proves exit 1 and one line without a traceback, also for the temporary files of the reader."""
    with full_disk(1000):
        code = main(["export", "--bundle", str(exported), "--data", str(planted_folder), "--out", str(tmp_path / "b")])
    told = capsys.readouterr().err.splitlines()[-1]
    assert (code, told) == (1, f"error: {tempfile.gettempdir()}: File too large; TMPDIR names another folder")
    assert list(tmp_path.iterdir()) == []


def test_a_search_whose_trials_do_not_fit_says_so(
    planted_folder: Path, tmp_path: Path, full_disk: Limit, capsys: pytest.CaptureFixture[str]
) -> None:
    """Proves that the study is named when it cannot grow, and that it still opens afterwards."""
    inputs = ["--recipe", str(planted_folder / "recipe.toml"), "--data", str(planted_folder)]
    text = (planted_folder / "recipe.toml").read_text().replace("epochs = 16", "epochs = 1")
    (tmp_path / "quick.toml").write_text(text)
    inputs[1] = str(tmp_path / "quick.toml")
    out = tmp_path / "tuned.toml"
    command = ["tune", *inputs, "--trials", "1", "--out", str(out)]
    assert main(command) == 0
    study = out.with_suffix(".study.sqlite3")
    capsys.readouterr()
    command[command.index("1")] = "60"
    with full_disk(study.stat().st_size):
        assert main(command) == 1
    assert f"error: {study}: cannot be written: " in capsys.readouterr().err


def test_json_has_null_and_no_nan(tmp_path: Path, exported: Path) -> None:
    """Proves that strict readers accept a report and a manifest, and that a manifest's NaN reads back."""

    def refuse(constant: str) -> None:
        pytest.fail(f"{constant} is no JSON")

    report = tmp_path / "report.json"
    write_report(report, {"auc": math.nan, "runs": [{"auc": np.float64(0.5)}, {"auc": math.inf}]})
    assert json.loads(report.read_text(), parse_constant=refuse) == {
        "auc": None,
        "runs": [{"auc": 0.5}, {"auc": None}],
    }
    manifest = Manifest.read(exported)
    object.__setattr__(manifest, "metrics", {"two_stage/auc": math.nan, "two_stage/hr@10": 0.5})
    manifest.write(tmp_path)
    json.loads((tmp_path / "manifest.json").read_text(), parse_constant=refuse)
    assert math.isnan(Manifest.read(tmp_path).metrics["two_stage/auc"])
    assert Manifest.read(tmp_path).metrics["two_stage/hr@10"] == 0.5


@pytest.mark.parametrize(("popularity", "warned"), [(0.3, True), (0.1, False)])
def test_models_that_a_baseline_beats_are_a_warning(popularity: float, warned: bool) -> None:
    """Proves that a person at a terminal hears it as the reader of the page does."""
    figures = {name: {"ndcg@10": one} for name, one in (("popularity", popularity), ("two_stage", 0.2))}
    printed = io.StringIO()
    reporter = ConsoleReporter(Console(file=printed))
    found = EvaluationResult(runs=[figures], chosen_by="ndcg@10", tested=1)
    assert conclude_verdict(found, reporter).strongest == "popularity"
    worse = "Worse than the strongest baseline"
    assert [text.partition(":")[0] for text in reporter.warnings] == [worse] * warned
    reporter.finish()
    assert (printed.getvalue().splitlines()[-1] == worse) == warned
