"""The commands as they are run."""

import json
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from shortlist.bundle import Bundle, BundleStore
from shortlist.bundle.index_info import IndexInfo
from shortlist.bundle.manifest import FileDigest, Manifest
from trainer.__main__ import main
from trainer.data import Dataset
from trainer.evaluation.metrics import Figures
from trainer.models.pipeline import TrainedPipeline
from trainer.report import FIGURES, REPORT

pytestmark = pytest.mark.usefixtures("determinism")
Command = list[str]
DEADLINE_SECONDS = 300.0


@pytest.fixture
def quick(quick: Path) -> Path:
    """Trains again on everything, as recipes do that say nothing of it."""
    quick.write_text(quick.read_text().replace("refit = false", ""))
    return quick


@pytest.fixture
def fit(quick: Path, planted_folder: Path, tmp_path: Path) -> Command:
    """The arguments of a fit of the planted data into `bundles`."""
    inputs = ["--recipe", str(quick), "--data", str(planted_folder)]
    return ["fit", *inputs, "--out", str(tmp_path / "bundles")]


def test_a_missing_column_is_named_and_nothing_is_written(
    fit: Command, quick: Path, planted_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Proves that bad data ends with 2 and one line of error with the file and the column, and no traceback."""
    data = tmp_path / "data"
    shutil.copytree(planted_folder, data)
    table = data / "interactions.csv"
    table.write_text(table.read_text().replace("rating", "stars", 1))
    assert main(["fit", "--recipe", str(quick), "--data", str(data), "--out", str(tmp_path / "bundles")]) == 2
    reading, error = capsys.readouterr().err.splitlines()
    assert reading == f"reading {data}"
    assert error.startswith("error: interactions.csv: no column 'rating'")
    assert not (tmp_path / "bundles").exists()


@pytest.mark.parametrize(("arguments", "told"), [(["--help"], "evaluate"), (["fit", "--help"], "--recipe")])
def test_help_is_given(arguments: Command, told: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Proves that help goes to standard output and is no failure."""
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 0
    assert told in capsys.readouterr().out


def test_the_module_runs_as_a_command() -> None:
    """Proves that `python -m trainer` finds its commands."""
    command = [sys.executable, "-m", "trainer", "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert "python -m trainer" in done.stdout


def test_a_bad_recipe_ends_with_two(
    fit: Command, quick: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Proves that the message names the file, the section and the key."""
    quick.write_text(quick.read_text() + "colour = 1\n")
    assert main(fit) == 2
    assert "quick.toml, [ranker] colour: no such key" in capsys.readouterr().err
    assert not (tmp_path / "bundles").exists()


_QUICK = """
import sys
from trainer.__main__ import main
folder, heavy = sys.argv[1:]
bad, good, out = f"{folder}/bad.toml", f"{folder}/good.toml", ["--out", f"{folder}/out"]
trials = ["--trials", "1"]
for command in (
    ["fit", "--recipe", bad, "--data", folder, *out],
    ["fit", "--recipe", f"{folder}/none.toml", "--data", folder, *out],
    ["fit", "--recipe", good, "--data", f"{folder}/none", *out],
    ["evaluate", "--recipe", bad, "--data", folder],
    ["tune", "--recipe", bad, "--data", folder, *trials, *out],
    ["export", "--bundle", f"{folder}/none", "--data", folder, *out],
    ["collect", "--served-log", f"{folder}/none", *out],
):
    assert main(command) == 2
print([name for name in heavy.split() if name in sys.modules])
"""


def test_a_mistake_is_refused_before_heavy_libraries_are_loaded(tmp_path: Path) -> None:
    """Proves that a misspelt key of a model, a missing recipe and a missing folder need no wait for PyTorch."""
    (tmp_path / "bad.toml").write_text("[encoder]\nlayer = 2\n")
    (tmp_path / "good.toml").write_text("")
    heavy = "torch polars scipy sklearn onnx onnxscript lightgbm optuna matplotlib faiss onnxruntime"
    command = [sys.executable, "-c", _QUICK, str(tmp_path), heavy]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "[]\n"), done.stderr
    told = ["layer: no such key", "none.toml: cannot be read", "none: no such folder", *["layer: no such key"] * 2]
    told += ["none", "none is no directory"]
    assert [text in line for text, line in zip(told, done.stderr.splitlines(), strict=True)] == [True] * 7


@pytest.mark.usefixtures("empty_graphs")
def test_a_trainer_killed_while_it_writes_leaves_the_former_bundle(
    fit: Command, exported: Path, planted_folder: Path, tmp_path: Path
) -> None:
    """Proves that whenever the trainer dies, CURRENT names a whole bundle, and the next fit clears up after it."""
    out, report = tmp_path / "bundles", tmp_path / "report.json"
    shutil.copytree(exported.parent, out)
    # An export writes as a fit does, and need not train before.
    export = ["export", "--bundle", str(exported), "--data", str(planted_folder), "--out", str(out)]
    kill_when(lambda: any(out.glob(".staging-*/*")), export)
    assert any(out.glob(".staging-*"))
    assert Bundle.open(BundleStore(out).current()).bundle_id == exported.name
    assert main([*fit, "--publish", "--report", str(report)]) == 0
    assert not any(out.glob(".staging-*"))
    latest = Bundle.open(BundleStore(out).current())
    assert latest.bundle_id != exported.name
    figures = json.loads(report.read_text())
    assert {"popularity", "retrieval", "two_stage", "seconds"} <= figures.keys()
    assert latest.manifest.metrics["two_stage/ndcg@10"] == figures["two_stage"]["ndcg@10"]


@dataclass(frozen=True, kw_only=True)
class Written:
    """The arguments of one bundle that was to be written."""

    model: TrainedPipeline
    figures: Figures
    publish: bool
    forced: str
    warnings: tuple[str, ...]
    report: Mapping[str, str]


@pytest.fixture
def written(exported: Path, monkeypatch: pytest.MonkeyPatch) -> list[Written]:
    """Records the bundles instead of writing them, which takes long and is no business of the command."""
    found: list[Written] = []

    def spy(
        model: TrainedPipeline,
        dataset: Dataset,
        figures: Figures,
        root: Path,
        *,
        sign_key: Path | None,
        publish: bool,
        forced: str,
        warnings: tuple[str, ...],
        report: Callable[[IndexInfo], Mapping[str, str]],
    ) -> Path:
        assert sign_key is None
        texts = report(Manifest.read(exported).index)
        found.append(
            Written(model=model, figures=figures, publish=publish, forced=forced, warnings=warnings, report=texts)
        )
        return root / "new"

    monkeypatch.setattr("trainer.jobs.export.export_bundle", spy)
    return found


def with_manifest(bundle: Path, **changed: object) -> None:
    """Writes the bundle's manifest with other contents."""
    replace(Manifest.read(bundle), **changed).write(bundle)  # type: ignore[arg-type]


def test_export_writes_a_bundles_models_over_the_data_as_it_is_now(
    exported: Path, planted_folder: Path, tmp_path: Path, written: list[Written]
) -> None:
    """Proves that the weights and figures are the bundle's own, and that the tables are counted to the data's end."""
    bundle = Bundle.open(exported)
    assert main(["export", "--bundle", str(exported), "--data", str(planted_folder), "--out", str(tmp_path)]) == 0
    [one] = written
    assert one.figures == {"two_stage": {"ndcg@10": 0.5}}
    assert (one.publish, one.report) == (True, {})
    np.testing.assert_array_equal(one.model.encoded.vectors, bundle.items.vectors)
    np.testing.assert_array_equal(one.model.items.features, bundle.items.features)


def test_an_export_is_served_by_the_rule_of_a_fit(
    exported: Path, planted_folder: Path, tmp_path: Path, written: list[Written], capsys: pytest.CaptureFixture[str]
) -> None:
    """Proves that it has to be asked for, and that models that were worse in their validation are served by force."""
    name, root, old = "validation/two_stage/ndcg@10", tmp_path / "bundles", tmp_path / exported.name
    shutil.copytree(exported.parent, root)
    shutil.copytree(exported, old)
    with_manifest(old, metrics={name: 0.5}, forced="earlier", warnings=("of the training",))
    with_manifest(root / exported.name, metrics={name: 0.5})
    export = ["export", "--bundle", str(old), "--data", str(planted_folder), "--out", str(root)]
    assert [main(export), main([*export, "--publish"])] == [0, 0]
    with_manifest(root / exported.name, metrics={name: 0.9})
    assert main([*export, "--publish"]) == 3
    assert "`export --publish --force` publishes" in capsys.readouterr().err
    assert main([*export, "--publish", "--force"]) == 0
    assert [one.publish for one in written] == [False, True, False, True]
    assert {one.warnings for one in written} == {("of the training",)}
    assert [one.forced for one in written[:3]] == ["earlier"] * 3
    assert written[3].forced.startswith(f"{name} is 0.5000, 44.4% below the 0.9000")


def test_an_export_keeps_the_page_and_says_of_what_it_is(
    exported: Path, planted_folder: Path, tmp_path: Path, written: list[Written]
) -> None:
    """Proves that what was told of the models goes with them, under a line that names the bundle it was told of."""
    bundle = tmp_path / exported.name
    shutil.copytree(exported, bundle)
    (bundle / REPORT).write_text("<body>\n<main>\nfine\n</main></body>")
    (bundle / FIGURES).write_text('{"seconds": 1.5}')
    files = {**Manifest.read(bundle).files, **{name: FileDigest.of(bundle / name) for name in (REPORT, FIGURES)}}
    with_manifest(bundle, files=files)
    assert main(["export", "--bundle", str(bundle), "--data", str(planted_folder), "--out", str(tmp_path / "out")]) == 0
    [one] = written
    page, figures = one.report[REPORT], json.loads(one.report[FIGURES])
    assert re.search(rf"<main>\n<p>Exported again on .* from {exported.name}: .*</p>\nfine\n</main>", page)
    assert (figures["seconds"], figures["exported_from"]) == (1.5, exported.name)


def kill_when(reached: Callable[[], bool], arguments: Command) -> None:
    """Runs the trainer and kills it in the moment that something is so."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    with subprocess.Popen([sys.executable, "-m", "trainer", *arguments], stderr=subprocess.DEVNULL) as process:
        while not reached():
            assert process.poll() is None, "ended before it could be killed"
            assert time.monotonic() < deadline
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
