"""An empty unary call on a plain thread-pool server. Its CPU time is the unit of a request's overhead.

``python -m bench.harness.empty THREADS`` prints its address and serves until its stdin ends.
"""

from __future__ import annotations

import argparse
import sys
from concurrent.futures import ThreadPoolExecutor

import grpc

METHOD = "/bench.Empty/Call"


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(prog="python -m bench.harness.empty", description=__doc__)
    parser.add_argument("threads", type=int, help="size of the thread pool")
    options = parser.parse_args()
    handler: grpc.RpcMethodHandler[bytes, bytes] = grpc.unary_unary_rpc_method_handler(lambda request, context: b"")
    server = grpc.server(ThreadPoolExecutor(options.threads), options=[("grpc.so_reuseport", 0)])
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("bench.Empty", {"Call": handler})])
    print(f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}", flush=True)
    server.start()
    sys.stdin.read()
    server.stop(None)


if __name__ == "__main__":
    main()
