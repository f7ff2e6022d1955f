"""``python -m bench.peers.ray_server BUNDLE FOLDER SETTINGS``: Ray Serve on one machine, until its stdin ends.

Prints the address of its gRPC proxy. SETTINGS are the fields of ``RaySettings`` as JSON. Runs in Ray's environment.
"""

import argparse
import json
import sys

import ray
from ray import serve
from ray.serve.config import gRPCOptions
from ray.serve.schema import LoggingConfig

from bench.peers.ray_app import RankingDeployment, RetrievalDeployment
from bench.peers.settings import RaySettings
from testbed.ports import free_port

_SERVICER = "shortlist.ranking.v1.ranking_service_pb2_grpc.add_RankingServiceServicer_to_server"
_LOGGING = LoggingConfig(enable_access_log=False, log_level="ERROR")
# More than the machine has, so that no replica waits for Ray to grant it one.
_CPUS = 8
_STORE_BYTES = 2**28


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(prog="python -m bench.peers.ray_server", description=__doc__)
    parser.add_argument("bundle", help="the directory of a bundle")
    parser.add_argument("folder", help="an empty folder with a short path, for Ray's session")
    parser.add_argument("settings", type=json.loads, help="JSON")
    options = parser.parse_args()
    ray.init(
        num_cpus=_CPUS,
        include_dashboard=False,
        log_to_driver=False,
        object_store_memory=_STORE_BYTES,
        _temp_dir=options.folder,
    )
    port = free_port()
    serve.start(
        proxy_location="HeadOnly",
        http_options={"port": free_port()},
        grpc_options=gRPCOptions(port=port, grpc_servicer_functions=[_SERVICER]),
        logging_config=_LOGGING,
    )
    serve.run(_application(options.bundle, RaySettings(**options.settings)))
    print(f"127.0.0.1:{port}", flush=True)
    sys.stdin.read()
    # serve.shutdown() would wait half a minute for load balancers to drain.
    ray.shutdown()


def _application(directory: str, settings: RaySettings) -> serve.Application:
    options = {"max_ongoing_requests": settings.ongoing, "logging_config": _LOGGING}
    retrieval = RetrievalDeployment.options(num_replicas=settings.retrieval_replicas, **options)
    ranking = RankingDeployment.options(num_replicas=settings.ranking_replicas, **options)
    return ranking.bind(directory, retrieval.bind(directory), settings)


if __name__ == "__main__":
    main()
