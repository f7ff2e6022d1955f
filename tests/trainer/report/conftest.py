"""A report of the planted data, and the browser that it is looked at with."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from shortlist.bundle.manifest import Manifest
from trainer.analysis.measurement import baseline_lists, lists_of_test, measure_two_stage
from trainer.baselines.trees.two_stage import fit_trees
from trainer.data import Dataset
from trainer.data.split import Split
from trainer.models.pipeline import TrainedPipeline
from trainer.progress import Reporter
from trainer.protocols.next_like import next_like_task
from trainer.report import Findings, Groups, ItemMap, People, Report, Run
from trainer.training.log import TrainingLog

Render = Callable[..., tuple[str, str]]
_FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--hide-scrollbars")
# Nothing outside can be reached, so that whoever asks for it is heard on the console.
_ALONE = "--host-resolver-rules=MAP * ~NOTFOUND"


@pytest.fixture(scope="session")
def found(
    fitted: TrainedPipeline, fitted_log: TrainingLog, planted: Dataset, split: Split, reporter: Reporter
) -> Findings:
    """The lists of both stages, the baselines and boosted trees for the planted data's test, as if for two seeds.

    The trees are last, as in an evaluation.
    """
    task = next_like_task(planted, split)
    groups = Groups.of(task)
    lists, attribution = measure_two_stage(fitted, fitted_log, task, reporter)
    trees = {"lightgbm": lists_of_test(fit_trees(fitted, planted, split, 0, reporter).scores, task)}
    lists = baseline_lists(task) | lists | trees
    run = Run.of(lists, task, groups)
    return Findings(
        runs=[run, run],
        groups=groups,
        chosen_by=task.chosen_by,
        logs={"seed 0": fitted_log},
        attributions=[attribution, attribution],
        people=People.of(lists, task),
    )


@pytest.fixture(scope="session")
def report(found: Findings, fitted: TrainedPipeline, planted: Dataset, exported: Path) -> Report:
    """The report of it; whoever named the data has tried to break the page."""
    return Report(
        title="planted on <script>alert(1)</script>",
        facts={"users": "120", "seconds": "3"},
        found=found,
        items=ItemMap.of(fitted.encoded.vectors, planted.item_features),
        recipe=fitted.recipe,
        index=Manifest.read(exported).index,
    )


@pytest.fixture
def render(tmp_path: Path) -> Render:
    """From a page, and flags, to the document that a browser makes of it, and what it logs."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("Chromium is missing: apt-get install chromium")

    def run(page: str, *flags: str) -> tuple[str, str]:
        path = tmp_path / "page.html"
        path.write_text(page, encoding="utf-8")
        profile = f"--user-data-dir={tmp_path / 'profile'}"
        command = [browser, *_FLAGS, _ALONE, profile, *flags, "--dump-dom", path.as_uri()]
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
        return done.stdout, done.stderr

    return run
