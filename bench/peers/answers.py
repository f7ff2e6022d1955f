"""Compares the peers' answers with ours: the figures of a peer with other answers would mean nothing."""

from collections.abc import Mapping

import grpc

from bench.peers.measure import Server
from bench.peers.triton_wire import listed
from shortlist.ranking.v1.ranking_service_pb2 import RecommendResponse

_COMPARED = 50
_CALL_SECONDS = 30.0


def refuse_other_answers(servers: Mapping[str, Server]) -> int:
    """Compares the first lists of all servers; returns the number compared.

    Raises:
        SystemExit: a peer's list has other items than ours, or another order.
    """
    ours = _lists(servers["shortlist"])
    for name, server in servers.items():
        theirs = _lists(server)
        same = sum(one == other for one, other in zip(ours, theirs, strict=True))
        if same != len(ours):
            raise SystemExit(f"{len(ours) - same} of {len(ours)} lists of {name} differ from ours")
    return len(ours)


def _lists(server: Server) -> list[list[str]]:
    with grpc.insecure_channel(server.address) as channel:
        call: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(server.method)
        answers = [call(request, timeout=_CALL_SECONDS) for request in server.requests[:_COMPARED]]
    if server.method.startswith("/inference"):
        return [[item for item, _ in listed(answer)] for answer in answers]
    return [[item.item_id for item in RecommendResponse.FromString(answer).items] for answer in answers]
