"""The alerts and the dashboard use existing metrics, and the alerts fire when they should."""

import json
import re
import shutil
import subprocess
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc
import pytest
import yaml

from shortlist.observability import metrics
from shortlist.serving.metrics_port import start_metrics

_MONITORING = Path(__file__).parents[2] / "deploy" / "monitoring"
_ALERTS, _TESTS, _DASHBOARD = (_MONITORING / name for name in ("alerts.yaml", "alerts_test.yaml", "dashboard.json"))
# The labels and metrics that Prometheus itself adds.
_SCRAPED = {"namespace", "job", "instance"}
_WORDS = {"by", "or", "unless", "offset", "and", "on", "ignoring"}
_LABEL_LISTS = re.compile(r"\b(?:by|on|ignoring)\s*\(([^)]*)\)")
_MATCHERS = re.compile(r"\{([^}]*)\}")
_RANGES = re.compile(r"\[[^]]*\]|\boffset \w+")
_PROMTOOL = shutil.which("promtool")
needs_promtool = pytest.mark.skipif(_PROMTOOL is None, reason="promtool is missing: apt-get install prometheus")


def rules() -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load(_ALERTS.read_text())["groups"] for rule in group["rules"]]


def panels() -> list[dict[str, Any]]:
    return [panel for panel in json.loads(_DASHBOARD.read_text())["panels"] if panel["type"] != "row"]


def expressions() -> Iterator[str]:
    dashboard = json.loads(_DASHBOARD.read_text())
    yield from (rule["expr"] for rule in rules())
    yield from (target["expr"] for panel in panels() for target in panel["targets"])
    yield from (annotation["expr"] for annotation in dashboard["annotations"]["list"])


def names_and_labels(expression: str) -> tuple[set[str], set[str]]:
    """The metrics and the labels of an expression."""
    without_strings = re.sub(r'"[^"]*"', '""', expression)
    lists = [found for pattern in (_LABEL_LISTS, _MATCHERS) for found in pattern.findall(without_strings)]
    labels = {label for found in lists for label in re.findall(r"[a-z_]+", found)}
    rest = without_strings
    for pattern in (_LABEL_LISTS, _MATCHERS, _RANGES):
        rest = pattern.sub(" ", rest)
    return set(re.findall(r"\b[a-zA-Z_:][\w:]*\b(?!\s*\()", rest)) - _WORDS, labels


def promtool(*arguments: str | Path, stdin: str = "") -> None:
    assert _PROMTOOL is not None
    done = subprocess.run([_PROMTOOL, *arguments], input=stdin, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_an_expression_is_parsed() -> None:
    """The parser finds every metric and label of an expression, and nothing else."""
    expression = (
        'sum by (job, le) (rate(a_total{code=~"x|y", where!="z"}[$__rate_interval])) / 2 * 8 unless b offset 1m > 0'
    )
    assert names_and_labels(expression) == ({"a_total", "b"}, {"job", "le", "code", "where"})


@pytest.mark.parametrize("expression", sorted(set(expressions())))
def test_every_metric_and_label_exists(expression: str) -> None:
    """A renamed metric cannot leave an alert that never fires or a panel that stays empty."""
    metrics.call_started("test.v1.Service", "Named")
    metrics.call_handled("test.v1.Service", "Named", "OK", 0.01)
    metrics.bundle_served(["a"], datetime.now(UTC))
    metrics.disk_watched("events", _MONITORING)
    families = list(metrics.REGISTRY.collect())
    names, labels = names_and_labels(expression)
    assert names
    assert names - {sample.name for family in families for sample in family.samples} - {"up"} == set()
    assert labels - {label for family in families for one in family.samples for label in one.labels} - _SCRAPED == set()


def test_every_status_code_exists() -> None:
    """A misspelt code would match no call."""
    found = {
        code
        for expression in expressions()
        for codes in re.findall(r'grpc_code(?:=~|!=|=)"([^"]*)"', expression)
        for code in codes.split("|")
    }
    assert found
    assert found <= {code.name for code in grpc.StatusCode}


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule["alert"])
def test_an_alert_has_a_severity_and_a_runbook(rule: dict[str, Any]) -> None:
    """A person on call needs no other page to begin."""
    assert rule["labels"]["severity"] in ("critical", "warning")
    assert {"summary", "description", "runbook"} == rule["annotations"].keys()
    assert " First " in rule["annotations"]["description"]


def test_every_alert_has_a_test_in_which_it_fires() -> None:
    """A new alert cannot go untested."""
    tests = yaml.safe_load(_TESTS.read_text())["tests"]
    expected = [
        sample["labels"] for test in tests for one in test["promql_expr_test"] for sample in one.get("exp_samples", [])
    ]
    tested = {name for labels in expected for name in re.findall(r'alertname="(\w+)"', labels)}
    assert tested == {rule["alert"] for rule in rules()}


def test_the_dashboard_works_in_any_grafana() -> None:
    """It asks for a data source instead of naming one, and its panels do not overlap."""
    for panel in panels():
        sources = [panel["datasource"], *(target["datasource"] for target in panel["targets"])]
        assert all(source == {"type": "prometheus", "uid": "${datasource}"} for source in sources)
    every = json.loads(_DASHBOARD.read_text())["panels"]
    cells = [
        (panel["gridPos"]["x"] + x, panel["gridPos"]["y"] + y)
        for panel in every
        for x in range(panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["h"])
    ]
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24
    assert len({panel["id"] for panel in every}) == len(every)


@needs_promtool
def test_the_alerts_are_valid() -> None:
    """Prometheus loads them, with their templates."""
    promtool("check", "rules", _ALERTS)


@needs_promtool
def test_the_alerts_fire_only_on_their_fault() -> None:
    """Each fires on planted series, after its time and not before; all are silent on healthy series."""
    promtool("test", "rules", _TESTS)


@needs_promtool
def test_the_dashboards_expressions_are_promql(tmp_path: Path) -> None:
    """promtool reads them as rules; otherwise they would be read only when a person opens the dashboard."""
    # Grafana replaces its variables.
    filled = [expression.replace("$__rate_interval", "1m") for expression in expressions()]
    rules = [{"record": f"expression:{number}", "expr": expression} for number, expression in enumerate(filled)]
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump({"groups": [{"name": "expressions", "rules": rules}]}))
    promtool("check", "rules", tmp_path / "rules.yaml")


@needs_promtool
def test_a_real_scrape_follows_prometheus_conventions() -> None:
    """promtool accepts names, units and help texts."""
    metrics.call_started("test.v1.Service", "Scraped")
    metrics.call_handled("test.v1.Service", "Scraped", "OK", 0.01)
    server = start_metrics("127.0.0.1:0")
    with urllib.request.urlopen(f"http://{server.address}/metrics", timeout=5) as response:
        scraped = response.read().decode()
    server.close()
    promtool("check", "metrics", stdin=scraped)
