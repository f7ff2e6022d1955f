"""The rights and secrets of pods."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from deploy.check.kustomize import DEPLOY, Manifest, build_overlay
from shortlist.live.v1 import catalog_service_pb2, event_service_pb2
from shortlist.ranking.v1 import ranking_service_pb2
from shortlist.retrieval.v1 import retrieval_service_pb2
from shortlist.security.rules import read_rules
from shortlist.security.settings import ClientSecurity, ServerSecurity
from tests.support.manifests import config, environment, of_kind, services, trainers, volume_at, workloads

_VOLUMES = {"name", "configMap", "emptyDir", "persistentVolumeClaim", "secret"}
_SECRET_NAMES = re.compile(r"PASSWORD|SECRET|TOKEN|KEY|CREDENTIAL")
_DESCRIPTORS = {
    "retrieval": (retrieval_service_pb2.DESCRIPTOR.services_by_name["RetrievalService"],),
    "live": (
        event_service_pb2.DESCRIPTOR.services_by_name["EventService"],
        catalog_service_pb2.DESCRIPTOR.services_by_name["CatalogService"],
    ),
    "ranking": (ranking_service_pb2.DESCRIPTOR.services_by_name["RankingService"],),
}


def test_the_namespace_enforces_the_restricted_standard(manifests: list[Manifest]) -> None:
    """The cluster itself refuses violations that these tests miss; the pinned version survives upgrades."""
    (namespace,) = of_kind(manifests, "Namespace")
    labels = namespace["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
    assert re.fullmatch(r"v1\.\d+", labels["pod-security.kubernetes.io/enforce-version"])
    outside = [
        one["metadata"]["name"] for one in manifests if one is not namespace and _namespace(one) != _name(namespace)
    ]
    assert outside == []


def test_every_pod_meets_the_restricted_standard(manifests: list[Manifest]) -> None:
    """Every container meets it, init containers included, and none can write to its own image."""
    for workload in workloads(manifests):
        pod = workload.pod["securityContext"]
        assert pod["runAsNonRoot"] is True
        assert pod["runAsUser"] > 0
        assert pod["seccompProfile"] == {"type": "RuntimeDefault"}
        assert {key for volume in workload.pod["volumes"] for key in volume} <= _VOLUMES
        assert {"hostNetwork", "hostPID", "hostIPC"}.isdisjoint(workload.pod)
        for container in workload.containers:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }


def test_no_pod_can_use_the_api_server(manifests: list[Manifest]) -> None:
    """Each pod has its own account, without a mounted token and without any grants."""
    accounts = {_name(one): one["automountServiceAccountToken"] for one in of_kind(manifests, "ServiceAccount")}
    used = [workload.pod["serviceAccountName"] for workload in workloads(manifests)]
    assert sorted(used) == sorted(accounts)
    assert set(accounts.values()) == {False}
    assert {workload.pod["automountServiceAccountToken"] for workload in workloads(manifests)} == {False}
    assert [one["kind"] for one in manifests if "Role" in one["kind"]] == []


def test_no_secret_is_in_a_manifest_or_a_variable(manifests: list[Manifest]) -> None:
    """Secrets come as files: a variable may name one, and never contains one."""
    assert of_kind(manifests, "Secret") == []
    for workload in workloads(manifests):
        for container in workload.containers:
            assert "secretRef" not in str(container.get("envFrom"))
            assert "secretKeyRef" not in str(container.get("env"))
            for name, value in environment(container, manifests).items():
                assert not _SECRET_NAMES.search(name) or Path(value).is_absolute(), name


def test_production_speaks_mutual_tls(production: list[Manifest]) -> None:
    """Mounted files give the servers all they need, and the callers all they show to the others."""
    for workload in services(production):
        paths = {
            name.removeprefix("SHORTLIST_").lower(): Path(value)
            for name, value in environment(workload.service, production).items()
            if name.startswith("SHORTLIST_") and value.startswith("/etc/shortlist/")
        }
        of_client = {name: path for name, path in paths.items() if name.startswith(("retrieval_", "live_"))}
        own = {name: path for name, path in paths.items() if name not in {*of_client, "bundle_public_key"}}
        of_server = ServerSecurity(**own)
        assert None not in (of_server.tls_cert, of_server.tls_client_ca, of_server.allow)
        for called in {"ranking": ("retrieval_", "live_"), "retrieval": ("live_",)}.get(workload.name, ()):
            shown = {name.removeprefix(called): path for name, path in of_client.items() if name.startswith(called)}
            client = ClientSecurity(**shown)
            assert None not in (client.ca, client.cert)
        mounted = {Path(mount["mountPath"]) for mount in workload.service["volumeMounts"] if mount.get("readOnly")}
        assert {path.parent for path in paths.values()} <= mounted


def test_the_trainer_shows_live_the_certificate_that_it_admits(with_training: list[Manifest]) -> None:
    """Each container that calls live has it, and no other one; the README names it as the allow list does."""
    (trainer,) = trainers(with_training)
    callers = [one for one in trainer.containers if "SHORTLIST_LIVE" in environment(one, with_training)]
    assert [one["name"] for one in callers] == ["collect", "forgotten"]
    for container in callers:
        variables = environment(container, with_training)
        paths = [Path(variables[f"SHORTLIST_LIVE_{name}"]) for name in ("CA", "CERT", "KEY")]
        (folder,) = {str(path.parent) for path in paths}
        assert volume_at(trainer, container, folder)["secret"]["secretName"] == "trainer-tls"
    mounted = [one["name"] for one in trainer.containers for mount in one["volumeMounts"] if mount["name"] == "tls"]
    assert mounted == ["collect", "forgotten"]
    readme = (DEPLOY / "components" / "mtls" / "README.md").read_text()
    assert "| `trainer-tls`, with [live-training](../live-training) alone | `trainer.shortlist.svc` |" in readme


def test_a_trainer_that_calls_nobody_has_no_certificate() -> None:
    """The job of the plain overlay would wait for a secret that nobody makes."""
    (trainer,) = trainers(build_overlay("prod"))
    assert "trainer-tls" not in str(trainer.pod)


@pytest.mark.parametrize("service", _DESCRIPTORS)
def test_an_allow_list_names_existing_methods(service: str, production: list[Manifest], tmp_path: Path) -> None:
    """Each service can read its list, which grants only methods of that service."""
    (workload,) = (one for one in services(production) if one.name == service)
    (volume,) = (volume for volume in workload.pod["volumes"] if volume["name"] == "allow")
    (text,) = config(production, volume["configMap"]["name"]).values()
    path = tmp_path / "allow.toml"
    path.write_text(text)
    known = {f"{one.full_name}/{method}" for one in _DESCRIPTORS[service] for method in ("*", *one.methods_by_name)}
    rules = read_rules(path)
    assert rules
    assert {method for methods in rules.values() for method in methods} <= known


def test_retrieval_admits_ranking(production: list[Manifest]) -> None:
    """The README's name for ranking's certificate is the one in retrieval's list."""
    component = DEPLOY / "components" / "mtls"
    assert list(read_rules(component / "retrieval-allow.toml")) == ["ranking.shortlist.svc"]
    assert "dnsNames: [ranking.shortlist.svc," in (component / "README.md").read_text()


def test_each_kind_of_call_of_the_live_service_is_a_right_of_its_own() -> None:
    """No certificate of the example has two of them, the services may only read, and every method is somebody's."""
    rules = dict(read_rules(DEPLOY / "components" / "mtls" / "live-allow.toml"))
    events, catalog = "shortlist.live.v1.EventService", "shortlist.live.v1.CatalogService"
    reading = {f"{events}/GetHistories", f"{events}/GetForgotten", f"{catalog}/WatchChanges"}
    assert rules.pop("ranking.shortlist.svc") == rules.pop("retrieval.shortlist.svc") == reading
    training = {f"{events}/ListEvents", f"{events}/GetForgotten"}
    assert rules.pop("trainer.shortlist.svc") == training
    hiding = {f"{catalog}/SetAvailability", f"{catalog}/ListItems"}
    putting = {f"{catalog}/UpsertItems", f"{catalog}/DeleteItems", f"{catalog}/ListItems"}
    single = [{f"{events}/{method}"} for method in ("ForgetUser", "RecordEvents")]
    assert sorted(rules.values(), key=sorted) == [putting, hiding, *single]
    methods = {f"{one.full_name}/{method}" for one in _DESCRIPTORS["live"] for method in one.methods_by_name}
    assert set().union(reading, training, *rules.values()) == methods


def test_production_is_the_production_profile(
    production: list[Manifest], defaults_of: Callable[[str], dict[str, str]]
) -> None:
    """Reflection is off there, although it is on by default."""
    for workload in services(production):
        assert defaults_of(workload.name)["SHORTLIST_PROFILE"] == "development"
        assert environment(workload.service, production)["SHORTLIST_PROFILE"] == "production"


def _name(manifest: Manifest) -> str:
    return str(manifest["metadata"]["name"])


def _namespace(manifest: Manifest) -> Any:  # noqa: ANN401
    return manifest["metadata"].get("namespace")
