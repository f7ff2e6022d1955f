"""Reads facts from Kubernetes manifests."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from deploy.check.kustomize import Manifest

SERVICES = ("retrieval", "ranking", "live")
_WITH_BUNDLES = ("retrieval", "ranking")
_TEMPLATES = {
    "Deployment": ("spec", "template"),
    "StatefulSet": ("spec", "template"),
    "Job": ("spec", "template"),
    "CronJob": ("spec", "jobTemplate", "spec", "template"),
}


@dataclass(frozen=True, kw_only=True)
class Workload:
    """A resource that starts pods: its manifest, and the pods' labels and spec."""

    manifest: Manifest
    labels: Mapping[str, str]
    pod: Mapping[str, Any]

    @property
    def name(self) -> str:
        """The resource's name."""
        return str(self.manifest["metadata"]["name"])

    @property
    def containers(self) -> Sequence[Mapping[str, Any]]:
        """All containers, init containers first."""
        return [*self.pod.get("initContainers", []), *self.pod["containers"]]

    @property
    def service(self) -> Mapping[str, Any]:
        """The only container that is neither an init container nor a sidecar."""
        (only,) = self.pod["containers"]
        return dict(only)


def of_kind(manifests: Sequence[Manifest], kind: str) -> list[Manifest]:
    """The resources of one kind."""
    return [manifest for manifest in manifests if manifest["kind"] == kind]


def workloads(manifests: Sequence[Manifest]) -> list[Workload]:
    """Deployments, StatefulSets, Jobs and CronJobs."""
    return [_workload(manifest) for manifest in manifests if manifest["kind"] in _TEMPLATES]


def services(manifests: Sequence[Manifest]) -> list[Workload]:
    """The services."""
    return [workload for workload in workloads(manifests) if workload.name in SERVICES]


def deployments(manifests: Sequence[Manifest]) -> list[Workload]:
    """The services whose pods keep nothing, so that there may be several."""
    return [workload for workload in services(manifests) if workload.manifest["kind"] == "Deployment"]


def with_bundles(manifests: Sequence[Manifest]) -> list[Workload]:
    """The services that serve bundles."""
    return [workload for workload in services(manifests) if workload.name in _WITH_BUNDLES]


def trainers(manifests: Sequence[Manifest]) -> list[Workload]:
    """The Jobs and CronJobs."""
    return [workload for workload in workloads(manifests) if workload.name not in SERVICES]


def environment(container: Mapping[str, Any], manifests: Sequence[Manifest]) -> dict[str, str]:
    """A container's variables, with config maps resolved; leaves out variables from other sources."""
    variables: dict[str, str] = {}
    for source in container.get("envFrom", []):
        if "configMapRef" in source:
            variables |= config(manifests, source["configMapRef"]["name"])
    return variables | {one["name"]: one["value"] for one in container.get("env", []) if "value" in one}


def config(manifests: Sequence[Manifest], name: str) -> dict[str, str]:
    """The data of the config map that pods know by this name.

    Raises:
        ValueError: there is no such config map, or several.
    """
    (found,) = (one["data"] for one in of_kind(manifests, "ConfigMap") if one["metadata"]["name"] == name)
    return dict(found)


def listened_ports(workload: Workload, manifests: Sequence[Manifest]) -> dict[str, int]:
    """The ports that a service's settings make it listen on: ``grpc``, ``health`` and ``metrics``."""
    variables = environment(workload.service, manifests)
    listens = {"grpc": "", "health": "HEALTH_", "metrics": "METRICS_"}
    found = {name: variables.get(f"SHORTLIST_{prefix}LISTEN") for name, prefix in listens.items()}
    return {name: int(listen.rpartition(":")[2]) for name, listen in found.items() if listen}


def selects(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """Whether a label selector matches a pod with these labels; an empty selector matches all.

    Raises:
        ValueError: the selector has an operator other than In.
    """
    for expression in selector.get("matchExpressions", []):
        if expression["operator"] != "In":
            raise ValueError(f"operator {expression['operator']}")
        if labels.get(expression["key"]) not in expression["values"]:
            return False
    return all(labels.get(key) == value for key, value in selector.get("matchLabels", {}).items())


def megabytes(quantity: str) -> float:
    """A quantity such as 512Mi or 4Gi, in MiB."""
    return float(quantity[:-2]) * {"Mi": 1, "Gi": 1024}[quantity[-2:]]


def cores(quantity: str) -> float:
    """A quantity such as 500m or 2, in cores."""
    return float(quantity[:-1]) / 1000 if quantity.endswith("m") else float(quantity)


def volume_at(workload: Workload, container: Mapping[str, Any], path: str) -> dict[str, Any]:
    """The pod's volume that a container mounts at a path.

    Raises:
        ValueError: there is no such volume.
    """
    (name,) = (mount["name"] for mount in container["volumeMounts"] if mount["mountPath"] == path)
    (volume,) = (volume for volume in workload.pod["volumes"] if volume["name"] == name)
    return dict(volume)


def empty_dirs(workload: Workload) -> Iterator[Mapping[str, Any]]:
    """The pod's volumes on the node's disk."""
    return (volume["emptyDir"] for volume in workload.pod.get("volumes", []) if "emptyDir" in volume)


def _workload(manifest: Manifest) -> Workload:
    template: Any = manifest
    for key in _TEMPLATES[manifest["kind"]]:
        template = template[key]
    return Workload(manifest=manifest, labels=template["metadata"]["labels"], pod=template["spec"])
