"""How every client of ours calls: balanced, and again when nobody was there.

Not by what the servers say of their health: behind a proxy that would be the word of one of them, and the retries do as
much.
"""

import json

_KEEPALIVE = [("grpc.keepalive_time_ms", 30_000), ("grpc.keepalive_timeout_ms", 5_000)]


def channel_options(service: str, *, attempts: int, backoff_seconds: float) -> list[tuple[str, str | int]]:
    """The options of a channel to ``service``, whose methods change nothing and may be called again.

    Only what a server says that is not there, or that goes away, is tried again, ``attempts`` times in all and within
    the call's deadline; when most calls fail, not even that, so that those who come back find a service that is not
    flooded.
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
                    # A server that is stopped cancels what has reached it but not its handlers.
                    "retryableStatusCodes": ["UNAVAILABLE", "CANCELLED"],
                },
            }
        ],
    }
    return [("grpc.service_config", json.dumps(config)), *_KEEPALIVE]
