"""The service config of every client: round-robin balancing, and retries when no server was reached.

Clients do not watch the servers' health: behind a proxy they would see that of one server only, and retries do as much.
"""

import json

_KEEPALIVE = [("grpc.keepalive_time_ms", 30_000), ("grpc.keepalive_timeout_ms", 5_000)]


def channel_options(service: str, *, attempts: int, backoff_seconds: float) -> list[tuple[str, str | int]]:
    """The options of a channel to ``service``, whose methods change no state and may be called again.

    A call is tried again only when the server is unreachable or stops: up to ``attempts`` times, within the call's
    deadline. When most calls fail, none is tried again, so that retries do not flood a service that comes back.
    """
    config = {
        "loadBalancingConfig": [{"round_robin": {}}],
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
