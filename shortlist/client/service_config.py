"""The service config of every client: round-robin balancing, and retries when no server was reached.

Clients do not watch the servers' health: behind a proxy they would see that of one server only, and retries do as much.
"""

import ipaddress
import json
from typing import Any

_KEEPALIVE = [("grpc.keepalive_time_ms", 30_000), ("grpc.keepalive_timeout_ms", 5_000)]


_ROUND_ROBIN: list[dict[str, Any]] = [{"round_robin": {}}]
# gRPC's outlier detection (gRFC A50). A channel judges its addresses by the calls of half a second, and ejects at most
# half of them, never an only one. An ejected one is tried again after 2 seconds, and each time after 2 more, up to 10.
_EJECTING: list[dict[str, Any]] = [
    {
        "outlier_detection_experimental": {
            "interval": "0.5s",
            "baseEjectionTime": "2s",
            "maxEjectionTime": "10s",
            "maxEjectionPercent": 50,
            "failurePercentageEjection": {
                "threshold": 80,
                "enforcementPercentage": 100,
                "minimumHosts": 2,
                "requestVolume": 1,
            },
            "childPolicy": _ROUND_ROBIN,
        }
    },
    # For a release of gRPC without the policy, which is experimental.
    *_ROUND_ROBIN,
]


def balancing_of(target: str) -> list[dict[str, Any]]:
    """How to spread calls over a gRPC target's addresses: with ejection unless it is one numeric address.

    Ejection costs a call 3 to 8 %, and an only address cannot be ejected.
    """
    host = target.removeprefix("dns:///").removeprefix("ipv4:").removeprefix("ipv6:").rpartition(":")[0]
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return _EJECTING
    return _ROUND_ROBIN


def channel_options(
    service: str, *, attempts: int, backoff_seconds: float, balancing: list[dict[str, Any]] = _ROUND_ROBIN
) -> list[tuple[str, str | int]]:
    """The options of a channel to ``service``, whose methods change no state and may be called again.

    A call is tried again only when the server is unreachable or stops: up to ``attempts`` times, within the call's
    deadline. When most calls fail, none is tried again, so that retries do not flood a service that comes back.
    ``balancing`` is by turns, or :func:`balancing_of` the target.
    """
    config = {
        "loadBalancingConfig": balancing,
        "retryThrottling": {"maxTokens": 100, "tokenRatio": 0.1},
        "methodConfig": [
            {
                "name": [{"service": service}],
                "retryPolicy": {
                    "maxAttempts": attempts,
                    "initialBackoff": f"{backoff_seconds}s",
                    "maxBackoff": f"{backoff_seconds * 10}s",
                    "backoffMultiplier": 2,
                    # A stopped server cancels calls that have reached it but no handler.
                    "retryableStatusCodes": ["UNAVAILABLE", "CANCELLED"],
                },
            }
        ],
    }
    return [("grpc.service_config", json.dumps(config)), *_KEEPALIVE]
