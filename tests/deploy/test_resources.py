"""The requests and limits of pods."""

from collections.abc import Mapping
from typing import Any

from deploy.check.kustomize import Manifest
from tests.support.manifests import cores, empty_dirs, megabytes, trainers, with_bundles, workloads

# docs/scale.md: vectors, index, item-item tables of 100 neighbours, ids and ten features, in bytes an item.
_MILLION_ITEMS_MB = (256 + 265 + 2400 + 9 + 40) * 10**6 / 2**20


def test_every_container_has_requests_and_limits(manifests: list[Manifest]) -> None:
    """Each container has both for CPU, memory and disk, and its memory limit is reserved."""
    for workload in workloads(manifests):
        for container in workload.containers:
            requests, limits = container["resources"]["requests"], container["resources"]["limits"]
            assert set(requests) == set(limits) == {"cpu", "memory", "ephemeral-storage"}
            assert requests["memory"] == limits["memory"]
            assert cores(requests["cpu"]) <= cores(limits["cpu"])


def test_native_libraries_run_no_more_threads_than_the_limit_has_cores(manifests: list[Manifest]) -> None:
    """They must not count the node's cores: OMP_NUM_THREADS is the limit itself, or fits into it."""
    for container in _that_compute(manifests):
        (threads,) = (one for one in container["env"] if one["name"] == "OMP_NUM_THREADS")
        if "valueFrom" in threads:
            reference = threads["valueFrom"]["resourceFieldRef"]
            assert reference == {"containerName": container["name"], "resource": "limits.cpu"}
        else:
            assert int(threads["value"]) <= cores(container["resources"]["limits"]["cpu"])


def test_a_pods_volumes_fit_into_its_disk_limit(manifests: list[Manifest]) -> None:
    """No pod is evicted for filling its own volumes: each has a size limit, and the sum fits."""
    for workload in workloads(manifests):
        volumes = sum(megabytes(volume["sizeLimit"]) for volume in empty_dirs(workload))
        largest = max(megabytes(one["resources"]["limits"]["ephemeral-storage"]) for one in workload.containers)
        assert volumes < largest


def test_production_has_disk_for_bundles_of_a_million_items(production: list[Manifest]) -> None:
    """Proves that three fit into a pod, with the predecessor and the arriving one, and two into the trainer's."""
    for workload in (*with_bundles(production), *trainers(production)):
        (volume,) = (one for one in workload.pod["volumes"] if one["name"] == "bundles")
        bundles = 3 if workload.manifest["kind"] == "Deployment" else 2
        assert megabytes(volume["emptyDir"]["sizeLimit"]) >= bundles * _MILLION_ITEMS_MB


def _that_compute(manifests: list[Manifest]) -> list[Mapping[str, Any]]:
    every = (*with_bundles(manifests), *trainers(manifests))
    found = [one for workload in every for one in workload.containers if one["command"][1] == "-m"]
    assert {one["name"] for one in found} - {"collect"} == {"service", "trainer"}
    return found
