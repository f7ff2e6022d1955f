"""A bare server of gRPC for Python that answers calls for histories at once, until its stdin ends.

``python -m bench.live.bare_server`` prints its address as JSON.
"""

# grpc's classes are generic for the type checker only.
from __future__ import annotations

import argparse
import json
import sys
from concurrent.futures import ThreadPoolExecutor

import grpc

from shortlist.live.v1 import event_service_pb2 as pb


def main() -> None:
    """See the module."""
    argparse.ArgumentParser(prog="python -m bench.live.bare_server", description=__doc__).parse_args()
    handler = grpc.unary_unary_rpc_method_handler(
        _histories,
        request_deserializer=pb.GetHistoriesRequest.FromString,
        response_serializer=pb.GetHistoriesResponse.SerializeToString,
    )
    service = pb.DESCRIPTOR.services_by_name["EventService"].full_name
    server = grpc.server(ThreadPoolExecutor(8))
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(service, {"GetHistories": handler})])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(json.dumps(f"127.0.0.1:{port}"), flush=True)
    sys.stdin.read()
    server.stop(None)


def _histories(request: pb.GetHistoriesRequest, context: grpc.ServicerContext) -> pb.GetHistoriesResponse:
    return pb.GetHistoriesResponse(position=1, histories=[pb.RecordedHistory() for _ in request.user_ids])


if __name__ == "__main__":
    main()
