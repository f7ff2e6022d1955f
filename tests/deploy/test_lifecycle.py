"""The start, the replacement and the end of pods."""

import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from deploy.check.kustomize import DEPLOY, Manifest
from live_service.store.postgres_database import _MIGRATION_SECONDS
from shortlist.commands.bundles_transfer import EXIT_OLDER
from tests.support.manifests import (
    Workload,
    deployments,
    environment,
    megabytes,
    of_kind,
    selects,
    services,
    trainers,
    volume_at,
    with_bundles,
)
from trainer.__main__ import EXIT_BAD_INPUT, EXIT_NOT_PUBLISHED
from trainer.recipe import InteractionsConfig, Recipe

# A margin after the last call, to join threads and end the sidecar.
_MARGIN_SECONDS = 10
_SLOWEST_START_SECONDS = 120
_EXIT_USAGE = 2


def test_a_pod_has_enough_time_to_shut_down(
    manifests: list[Manifest], defaults_of: Callable[[str], dict[str, str]]
) -> None:
    """No draining pod is killed: the preStop hook, the delay, the drain and a margin fit into the grace period."""
    for workload in services(manifests):
        settings = defaults_of(workload.name) | environment(workload.service, manifests)
        before = workload.service["lifecycle"]["preStop"]["sleep"]["seconds"]
        delay, drain = (float(settings[f"SHORTLIST_DRAIN_{name}SECONDS"]) for name in ("DELAY_", ""))
        assert before > 0
        assert workload.pod["terminationGracePeriodSeconds"] >= before + delay + drain + _MARGIN_SECONDS


def test_every_service_loses_one_pod_at_a_time(manifests: list[Manifest]) -> None:
    """A budget covers each service's pods, and pods that are not ready do not block it."""
    budgets = of_kind(manifests, "PodDisruptionBudget")
    for workload in services(manifests):
        (budget,) = (one["spec"] for one in budgets if selects(one["spec"]["selector"], workload.labels))
        assert budget["maxUnavailable"] == 1
        assert budget["unhealthyPodEvictionPolicy"] == "AlwaysAllow"


def test_a_rollout_removes_a_pod_only_after_its_successor_serves(manifests: list[Manifest]) -> None:
    """Even a Deployment of one pod is never without one."""
    for workload in deployments(manifests):
        assert workload.manifest["spec"]["strategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}


def test_loading_a_large_bundle_is_no_failed_start(manifests: list[Manifest]) -> None:
    """The startup probe waits for minutes, so the others need not."""
    for workload in services(manifests):
        probe = workload.service["startupProbe"]
        assert probe["failureThreshold"] * probe["periodSeconds"] >= _SLOWEST_START_SECONDS


def test_production_has_at_least_two_pods_of_each(production: list[Manifest]) -> None:
    """The autoscaler alone decides: no Deployment has a number of replicas that an apply would reset."""
    floors = {
        one["spec"]["scaleTargetRef"]["name"]: one["spec"] for one in of_kind(production, "HorizontalPodAutoscaler")
    }
    for workload in with_bundles(production):
        assert "replicas" not in workload.manifest["spec"]
        assert floors[workload.name]["minReplicas"] >= 2
        assert floors[workload.name]["behavior"]["scaleDown"]["stabilizationWindowSeconds"] >= 300


def test_pods_spread_over_zones_and_nodes(manifests: list[Manifest]) -> None:
    """The constraints count only the pods of one service and one rollout."""
    for workload in deployments(manifests):
        constraints = workload.pod["topologySpreadConstraints"]
        keys = [one["topologyKey"] for one in constraints]
        assert keys == ["topology.kubernetes.io/zone", "kubernetes.io/hostname"]
        for constraint in constraints:
            assert selects(constraint["labelSelector"], workload.labels)
            assert constraint["matchLabelKeys"] == ["app.kubernetes.io/name", "pod-template-hash"]


def test_one_process_has_the_file_of_events(manifests: list[Manifest]) -> None:
    """The service writes to the claim, which outlives the pods; a further pod could only refuse to start."""
    for live in (one for one in services(manifests) if one.manifest["kind"] == "StatefulSet"):
        spec = live.manifest["spec"]
        assert spec["replicas"] == 1
        assert set(spec["persistentVolumeClaimRetentionPolicy"].values()) == {"Retain"}
        (claim,) = spec["volumeClaimTemplates"]
        folder = str(Path(environment(live.service, manifests)["SHORTLIST_STORE"]).parent)
        assert {"name": claim["metadata"]["name"], "mountPath": folder} in live.service["volumeMounts"]


def test_several_pods_share_one_database_of_events(with_database: list[Manifest]) -> None:
    """Two serve from the start, none keeps anything, and a start waits for a migration, which may take ten minutes."""
    (live,) = (one for one in deployments(with_database) if one.name == "live")
    assert live.manifest["spec"]["replicas"] == 2
    assert [volume["name"] for volume in live.pod["volumes"] if "persistentVolumeClaim" in volume] == []
    assert of_kind(with_database, "StatefulSet") == []
    probe = live.service["startupProbe"]
    assert probe["failureThreshold"] * probe["periodSeconds"] > _MIGRATION_SECONDS
    assert live.manifest["spec"]["progressDeadlineSeconds"] > _MIGRATION_SECONDS


def test_the_secret_has_what_the_databases_url_names(with_database: list[Manifest]) -> None:
    """The URL has no password. The files that libpq reads are in the mounted secret, which the README makes."""
    (live,) = (one for one in deployments(with_database) if one.name == "live")
    variables = environment(live.service, with_database)
    url = urlsplit(variables["SHORTLIST_STORE"])
    asked = {name: value for name, (value,) in parse_qs(url.query).items()}
    assert (url.scheme, url.password, asked["sslmode"]) == ("postgresql", None, "verify-full")
    files = [Path(variables["PGSERVICEFILE"]), Path(asked["sslrootcert"])]
    (folder,) = {str(path.parent) for path in files}
    secret = volume_at(live, live.service, folder)["secret"]
    assert secret["defaultMode"] == 0o440
    readme = (DEPLOY / "components" / "live-postgresql" / "README.md").read_text()
    assert f"secret generic {secret['secretName']} " + " ".join(f"--from-file={path.name}" for path in files) in readme
    assert f"[{asked['service']}]\npassword=" in readme


def test_bundles_arrive_where_the_service_looks(manifests: list[Manifest]) -> None:
    """One command fetches the first and all later bundles, into a directory that the service reads and cannot write."""
    for workload in with_bundles(manifests):
        first, later = workload.pod["initContainers"]
        assert later["command"] == [*first["command"], "--watch", "10"]
        assert "--or-older" in first["command"]
        assert "restartPolicy" not in first
        assert later["restartPolicy"] == "Always"
        directory = environment(workload.service, manifests)["SHORTLIST_BUNDLES"]
        volumes = [volume_at(workload, container, directory) for container in (first, later, workload.service)]
        assert volumes[0] == volumes[1] == volumes[2]
        assert "emptyDir" in volumes[0]
        assert {"name": volumes[0]["name"], "mountPath": directory, "readOnly": True} in workload.service[
            "volumeMounts"
        ]


def test_the_trainer_publishes_to_the_pods_source(manifests: list[Manifest]) -> None:
    """The job publishes the trainer's output, to the claim that pods copy from."""
    (trainer,) = trainers(manifests)
    fit, publish = trainer.pod["initContainers"][-1], trainer.service
    written = fit["command"][fit["command"].index("--out") + 1]
    assert volume_at(trainer, fit, written) == volume_at(trainer, publish, written)
    assert publish["command"][:6] == ["shortlist", "bundles", "pull", written, "--to", "$(BUNDLE_SOURCE)"]
    assert not {"--or-older", "--or-none"} & {*publish["command"]}
    claim = _source_claim(trainer, publish, manifests)
    for workload in with_bundles(manifests):
        for container in workload.pod["initContainers"]:
            assert container["command"][3] == "$(BUNDLE_SOURCE)"
            assert _source_claim(workload, container, manifests) == claim


def test_the_trainer_compares_with_the_served_bundle(manifests: list[Manifest]) -> None:
    """The served bundle arrives before the fit; a worse new bundle ends the job, which is not retried."""
    for trainer in (one for one in trainers(manifests) if one.manifest["kind"] == "CronJob"):
        served, *_, fit = trainer.pod["initContainers"]
        directory = fit["command"][fit["command"].index("--out") + 1]
        pulled = ["shortlist", "bundles", "pull", "$(BUNDLE_SOURCE)", "--to", directory, "--or-none"]
        assert served["command"] == pulled
        assert volume_at(trainer, served, directory) == volume_at(trainer, fit, directory)
        assert "--publish" in fit["command"]
        rules = trainer.manifest["spec"]["jobTemplate"]["spec"]["podFailurePolicy"]["rules"]
        final = [rule["onExitCodes"] for rule in rules if rule["action"] == "FailJob"]
        assert {one["containerName"]: one["values"] for one in final} == {
            "trainer": [EXIT_BAD_INPUT, EXIT_NOT_PUBLISHED],
            "publish": [_EXIT_USAGE, EXIT_OLDER],
        }
        assert {one["operator"] for one in final} == {"In"}


def test_the_trainer_learns_from_the_live_service(with_training: list[Manifest]) -> None:
    """Events and forgotten users are read before the fit, which has them and the claim in one folder."""
    (trainer,) = trainers(with_training)
    served, collect, forgotten, fit = trainer.pod["initContainers"]
    assert served["name"] == "served"
    arguments = fit["command"]
    tables, listed = (arguments[arguments.index(flag) + 1] for flag in ("--data", "--forgotten"))
    assert collect["command"] == ["python", "-m", "trainer", "collect", "--out", tables]
    assert forgotten["command"][:3] == ["shortlist", "events", "forgotten"]
    assert forgotten["command"][-2:] == ["--out", listed]
    assert str(Path(listed).parent) == tables
    volumes = [volume_at(trainer, container, tables) for container in (collect, forgotten, fit)]
    assert volumes[0] == volumes[1] == volumes[2]
    recipe = _toml((DEPLOY / "components" / "live-training" / "README.md").read_text())
    assert recipe.items is not None
    folder = str((Path(tables) / recipe.items.file).parent)
    assert volume_at(trainer, fit, folder)["persistentVolumeClaim"] == {"claimName": "interactions", "readOnly": True}
    assert recipe.interactions == InteractionsConfig(event="event", positive_events=("buy",))
    (ranking,) = (one for one in services(with_training) if one.name == "ranking")
    targets = {environment(one, with_training)["SHORTLIST_LIVE"] for one in (collect, forgotten, ranking.service)}
    assert len(targets) == 1


def test_the_trainer_reads_the_answers_that_ranking_writes(with_training: list[Manifest]) -> None:
    """Both have the same claim, the trainer read-only, and the log fits into it."""
    (ranking,) = (one for one in services(with_training) if one.name == "ranking")
    (trainer,) = trainers(with_training)
    (collect,) = (one for one in trainer.containers if one["name"] == "collect")
    variables = environment(ranking.service, with_training)
    claims = [
        volume_at(workload, container, environment(container, with_training)["SHORTLIST_SERVED_LOG"])
        for workload, container in ((ranking, ranking.service), (trainer, collect))
    ]
    (name,) = {one["persistentVolumeClaim"]["claimName"] for one in claims}
    assert claims[1]["persistentVolumeClaim"]["readOnly"]
    (claim,) = (one for one in of_kind(with_training, "PersistentVolumeClaim") if one["metadata"]["name"] == name)
    assert claim["spec"]["accessModes"] == ["ReadWriteMany"]
    megabytes_of_log = float(variables["SHORTLIST_SERVED_LOG_GIGABYTES"]) * 1000
    assert megabytes_of_log < megabytes(claim["spec"]["resources"]["requests"]["storage"])
    # See the component's comment: 14 bytes of memory for each of the log.
    assert megabytes_of_log * 14 < megabytes(collect["resources"]["limits"]["memory"])


def _toml(readme: str) -> Recipe:
    return Recipe.of(tomllib.loads(readme.partition("```toml\n")[2].partition("```")[0]))


def _source_claim(workload: Workload, container: Mapping[str, Any], manifests: list[Manifest]) -> str:
    source = environment(container, manifests)["BUNDLE_SOURCE"]
    return str(volume_at(workload, container, source)["persistentVolumeClaim"]["claimName"])
