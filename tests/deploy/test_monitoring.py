"""The scraped ports, and the copies of deploy/monitoring."""

import re

from deploy.check import generated, operator_resources
from deploy.check.kustomize import ROOT, Manifest
from tests.support.manifests import of_kind, selects

_JOBS = re.compile(r'\bjob=~?"([^"]*)"')
_EXPLAINED = re.compile(r"^\| `(Shortlist\w+)` \|", re.MULTILINE)


def test_rules_and_dashboard_are_those_of_deploy_monitoring() -> None:
    """The component repeats the plain files, which promtool tests, without a difference."""
    assert generated.stale() == []


def test_every_service_is_scraped_on_one_of_its_ports(production: list[Manifest]) -> None:
    """The monitor selects all Services by their labels, and the port by its name."""
    (monitor,) = of_kind(production, "ServiceMonitor")
    services = of_kind(production, "Service")
    assert len(services) == 3
    for service in services:
        assert selects(monitor["spec"]["selector"], service["metadata"]["labels"])
        ports = {port["name"] for port in service["spec"]["ports"]}
        assert {endpoint["port"] for endpoint in monitor["spec"]["endpoints"]} <= ports


def test_the_alerts_name_existing_jobs(production: list[Manifest]) -> None:
    """Each job in an alert is a Service, after which the operator names the jobs."""
    (rule,) = of_kind(production, "PrometheusRule")
    expressions = [one["expr"] for group in rule["spec"]["groups"] for one in group["rules"]]
    asked = {name for text in expressions for names in _JOBS.findall(text) for name in names.split("|")}
    assert asked == {service["metadata"]["name"] for service in of_kind(production, "Service")}


def test_the_docs_explain_every_alert(production: list[Manifest]) -> None:
    """docs/production.md has a row for each alert, and no other row."""
    (rule,) = of_kind(production, "PrometheusRule")
    alerts = {one["alert"] for group in rule["spec"]["groups"] for one in group["rules"]}
    assert set(_EXPLAINED.findall((ROOT / "docs" / "production.md").read_text())) == alerts


def test_a_wrong_field_of_the_operators_resources_is_refused(production: list[Manifest]) -> None:
    """The check finds fields that the API server would drop; no tool here has the schemas."""
    (monitor,) = of_kind(production, "ServiceMonitor")
    assert operator_resources.complaints(monitor) == []
    (endpoint,) = monitor["spec"]["endpoints"]
    wrong = {**monitor, "spec": {**monitor["spec"], "endpoints": [{**endpoint, "intervall": "15s", "interval": "15"}]}}
    assert len(operator_resources.complaints(wrong)) == 2
