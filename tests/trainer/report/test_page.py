"""The report, as a browser shows it."""

import dataclasses
import json
import re
from html.parser import HTMLParser
from typing import Any

import pytest
import scipy.stats

from tests.trainer.report.conftest import Render
from trainer.baselines.linear import BASELINES
from trainer.report import Findings, Report, Run
from trainer.report.names import change_text
from trainer.report.sections import figures_section, groups_section, recall_section
from trainer.report.slices import USERS
from trainer.report.verdict import verdict

SECTIONS = ["verdict", "figures", "people", "recall", "ranking", "groups", "training", "map", "index", "recipe"]
# The measurements that a browser takes of the page.
_MEASURE = """<script>
const box = one => one.getBoundingClientRect();
document.body.dataset.measured = JSON.stringify({
  sections: [...document.querySelectorAll("header, section")].filter(one => box(one).height > 40).map(one => one.id),
  charts: [...document.querySelectorAll("svg")].filter(one => box(one).height > 100 && box(one).width > 200).length,
  lines: [...document.querySelectorAll("svg path")].filter(
    one => getComputedStyle(one).stroke !== "none" && box(one).width > 50).length,
  colours: [...new Set([...document.querySelectorAll("#recall svg path")].map(one => getComputedStyle(one).stroke))],
  paper: getComputedStyle(document.body).backgroundColor,
  verdict: box(document.getElementById("verdict")).bottom,
  wide: document.documentElement.scrollWidth - innerWidth,
  requests: performance.getEntriesByType("resource").map(one => one.name),
});
</script>"""


class Texts(HTMLParser):
    """The texts of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(page)

    def handle_data(self, data: str) -> None:
        """Keeps one."""
        self.found.append(data)


def measured(page: str, render: Render, *flags: str) -> dict[str, Any]:
    """The measurements of a page in a browser, whose console has to stay silent."""
    document, log = render(page.replace("</body>", f"{_MEASURE}</body>"), *flags)
    assert [line for line in log.splitlines() if "CONSOLE" in line] == []
    given = re.search(r'data-measured="([^"]*)"', document)
    assert given is not None
    read: dict[str, Any] = json.loads(given[1].replace("&quot;", '"'))
    return read


@pytest.mark.parametrize("width", [1280, 420])
def test_a_browser_shows_every_part(report: Report, render: Render, width: int) -> None:
    """Proves that every section and chart is laid out on a desk and on a phone, and the verdict on the first screen."""
    seen = measured(report.html(), render, f"--window-size={width},900")
    assert seen["sections"] == SECTIONS
    assert seen["charts"] == 8
    assert seen["lines"] > 40
    assert seen["verdict"] < 900
    assert seen["wide"] <= 0
    assert seen["requests"] == []


def test_the_colours_follow_the_readers_light(report: Report, render: Render) -> None:
    """Proves that the paper and the lines of the charts change together."""
    light = measured(report.html(), render)
    dark = measured(report.html(), render, "--blink-settings=preferredColorScheme=0")
    assert light["paper"] == "rgb(251, 251, 250)"
    assert dark["paper"] == "rgb(17, 19, 22)"
    assert len(set(light["colours"])) >= len(report.found.figures)
    assert set(light["colours"]) & set(dark["colours"]) <= {"none"}


def test_the_page_asks_for_nothing(report: Report) -> None:
    """Proves without a browser that no address, script or foreign style is in the page, whatever the data is called."""
    page = report.html()
    assert "<script" not in page
    assert re.findall(r"https?:|@import", page) == []
    assert {link[:1] for link in re.findall(r'(?:href|src)="([^"]*)"', page)} <= {"#", "d"}
    assert re.findall(r"#0102|#0a0b0c|#0d0e0f", page) == []
    assert not re.search(r"\bnan\b", " ".join(Texts(page).found))
    assert len(page) < 400_000


def test_the_figures_are_those_that_were_measured(report: Report, found: Findings) -> None:
    """Proves that the table has each model's figure, and that of the index and the recipe, to the last digit shown."""
    texts = Texts(report.html()).found
    for row in found.figures.values():
        for value, _ in row.values():
            assert f"{value:.4f}" in texts
    [chain, *_] = [one.chain for one in found.attributions]
    assert chain.gain is not None
    assert {f"{chain.retrieval:.4f}", f"{chain.two_stage:.4f}", f"{chain.gain:+.1%}"} <= set(texts)
    assert f"{found.attributions[0].objectives['like'].error:.4f}" in texts
    assert report.index is not None
    assert f"{report.index.trials[0].recall:.4f}" in texts
    assert "[encoder] learning_rate" in texts
    assert "0.01" in texts


def with_figures(found: Findings, name: str, *values: float) -> Findings:
    """The findings of as many seeds as there are values, which are one model's nDCG@10."""
    first = found.runs[0]
    return dataclasses.replace(found, runs=[with_figure(first, name, value) for value in values])


def with_figure(run: Run, name: str, value: float) -> Run:
    """The run with another nDCG@10 of a model, by as much on each question."""
    before = run.figures[name]["ndcg@10"]
    figures = {**run.figures, name: {**run.figures[name], "ndcg@10": value}}
    of_queries = {**run.of_queries, name: run.of_queries[name] + value - before}
    return dataclasses.replace(run, figures=figures, of_queries=of_queries)


def test_the_verdict_is_good_even_or_bad(found: Findings) -> None:
    """Proves that nothing is claimed within two standard deviations of the best baseline or within the interval over
    the questions, and that worse is said."""
    best = max(row["ndcg@10"][0] for name, row in found.figures.items() if name not in {"retrieval", "two_stage"})

    def said(*values: float) -> str:
        return verdict(with_figures(found, "two_stage", *values)).mood

    assert said(best + 0.2, best + 0.201) == "good"
    assert said(best - 0.2, best + 0.3) == "even"
    assert said(best + 0.001) == "even"
    assert said(best - 0.2) == "bad"


def test_the_verdict_has_the_paired_interval_by_hand(found: Findings) -> None:
    """Proves the mean and Student's interval of the differences to the strongest baseline, question by question."""
    said = verdict(found)
    assert said.strongest is not None
    of_queries = found.runs[0].of_queries
    differences = of_queries["two_stage"] - of_queries[said.strongest]
    interval = scipy.stats.t.interval(0.95, len(differences) - 1, differences.mean(), scipy.stats.sem(differences))
    assert said.difference is not None
    assert said.interval is not None
    assert (said.difference - said.interval, said.difference + said.interval) == pytest.approx(interval)
    assert f"{said.difference:+.4f} ± {said.interval:.4f}" in said.detail
    assert (
        max(row["ndcg@10"][0] for name, row in found.figures.items() if name in BASELINES)
        <= (found.figures[said.strongest]["ndcg@10"][0])
    )


def test_the_verdict_says_when_ranking_gains_nothing(found: Findings) -> None:
    """Proves that a headline about baselines does not hide a ranker that makes retrieval's lists worse."""
    alone = found.figures["retrieval"]["ndcg@10"][0]
    assert f" Retrieval alone has {alone:.4f}" in verdict(with_figures(found, "two_stage", alone - 0.01)).detail
    assert "Retrieval alone" not in verdict(with_figures(found, "two_stage", alone + 0.01)).detail


def test_a_baseline_that_did_not_run_is_named(found: Findings) -> None:
    """Proves that the headline does not hide a comparison that is missing."""
    reasons = {"ease": "it inverts a dense matrix of 50,000 items; the limit is 20,000"}
    said = verdict(dataclasses.replace(found, not_run=reasons))
    assert said.detail.endswith(" Did not run: EASE (it inverts a dense matrix of 50,000 items; the limit is 20,000).")
    assert said.plain()["not_run"] == reasons


@pytest.mark.parametrize(
    ("before", "after", "text"),
    [(0.1, 0.12, "+20.0%"), (0.1, 0.05, "-50.0%"), (0.0045, 0.1144, "+0.1099"), (0.0, 0.1, "+0.1000")],
)
def test_a_share_of_almost_nothing_is_a_difference(before: float, after: float, text: str) -> None:
    """Proves that no page says "+2442.7%"."""
    assert change_text(before, after) == text


def test_boosted_trees_are_a_baseline(found: Findings) -> None:
    """Proves that the verdict is on both stages, beside trees where these are best, which no row shows as ours."""
    assert list(found.figures)[-1] == "lightgbm"
    said = verdict(with_figures(found, "lightgbm", 0.99))
    assert said.mood == "bad"
    assert said.detail.startswith("nDCG@10 of both stages is ")
    assert "the strongest baseline, LightGBM in the ranker's place, has 0.9900" in said.detail
    ours = re.findall(r'<tr class="ours"><td[^>]*>([^<]*)', figures_section(found))
    assert ours == ["retrieval", "both stages"]


def test_of_retrieval_alone_it_is_the_one_that_is_judged(found: Findings) -> None:
    """Proves it of a protocol of one stage."""
    figures = {name: row for name, row in found.runs[0].figures.items() if name not in {"two_stage", "lightgbm"}}
    alone = dataclasses.replace(found, runs=[dataclasses.replace(found.runs[0], figures=figures)])
    assert verdict(alone).detail.startswith("nDCG@10 of retrieval is ")


def test_boosted_trees_are_drawn_of_every_seed(found: Findings) -> None:
    """Proves that a chart is the same whichever seed is first: trees depend on it, unlike the other baselines."""
    first = found.runs[0]
    other = dataclasses.replace(first, slices={**first.slices, "lightgbm": first.slices["popularity"]})
    drawn = [recall_section(dataclasses.replace(found, runs=runs)) for runs in ([first, other], [other, first])]
    assert drawn[0] == drawn[1]


def test_the_spread_of_the_groups_is_that_of_the_figures(found: Findings) -> None:
    """Proves that a spread is the same wherever it stands: of two seeds, the difference over the root of two."""
    first = found.runs[0]
    lower = dataclasses.replace(
        first.slices["two_stage"],
        by_group={name: values - 0.1 for name, values in first.slices["two_stage"].by_group.items()},
    )
    runs = [first, dataclasses.replace(first, slices={**first.slices, "two_stage": lower})]
    section = groups_section(dataclasses.replace(found, runs=runs))
    assert found.groups.kinds[USERS].sizes.any()
    assert set(re.findall("± ([0-9.]+)", section)) == {f"{0.1 / 2**0.5:.4f}"}
