"""A full server beside callers whose certificates may call nothing."""

# grpc's classes are generic for the type checker only.
from __future__ import annotations

from pathlib import Path

import grpc
import trustme

from shortlist.client.connections import OWN_CONNECTION
from shortlist.ranking.v1 import ranking_service_pb2 as pb
from shortlist.ranking.v1.ranking_service_pb2_grpc import RankingServiceStub
from shortlist.security.authorisation import AllowList
from shortlist.serving.admission import AdmissionPool
from shortlist.serving.gate import Gate
from shortlist.serving.interceptor import CallInterceptor
from tests.support.server_process import LONG, SERVICE, Run, free_port, metric
from tests.support.waiting import until


def test_a_caller_who_may_call_nothing_costs_no_place(run: Run, tmp_path: Path) -> None:
    """It learns so at once, with every thread busy and with a full queue too, and no honest call gives way to it."""
    authority = trustme.CA()
    allow = tmp_path / "allow.toml"
    allow.write_text(f'"backend.test" = ["{SERVICE}/Recommend"]')
    server = run(
        threads=1,
        queue=1,
        metrics_listen=(metrics := f"127.0.0.1:{free_port()}"),
        security={**_server_files(authority, tmp_path), "allow": str(allow)},
    )
    server.expect("serving")
    with _channel(server.target, authority, "backend.test") as known, _channel(server.target, authority, "x.test") as x:
        recommend, refused = RankingServiceStub(known).Recommend, RankingServiceStub(x).Recommend
        calls = [recommend.future(pb.RecommendRequest(limit=LONG), timeout=20)]
        server.expect("called")
        assert [_code(refused) for _ in range(5)] == ["PERMISSION_DENIED"] * 5
        calls.append(recommend.future(pb.RecommendRequest(limit=1), timeout=20))
        until(lambda: metric(metrics, "shortlist_queue_length") == 1)
        assert [_code(refused) for _ in range(5)] == ["PERMISSION_DENIED"] * 5
        assert not calls[0].done()
        assert [call.result().bundle_id for call in calls] == ["b", "b"]
    denied = 'grpc_server_handled_total{grpc_code="PERMISSION_DENIED"'
    assert metric(metrics, denied) == 10
    assert "a certificate of ['x.test'] may not call" in server.log()


def test_without_further_threads_callers_are_told_apart_and_answered(run: Run, tmp_path: Path) -> None:
    """At the system's limit on threads, the ones that are there take the calls, and the server lives."""
    authority = trustme.CA()
    allow = tmp_path / "allow.toml"
    allow.write_text(f'"backend.test" = ["{SERVICE}/Recommend"]')
    server = run("threadless", threads=4, security={**_server_files(authority, tmp_path), "allow": str(allow)})
    server.expect("serving")
    with _channel(server.target, authority, "backend.test") as known, _channel(server.target, authority, "x.test") as x:
        recommend, refused = RankingServiceStub(known).Recommend, RankingServiceStub(x).Recommend
        calls = [recommend.future(pb.RecommendRequest(limit=5), timeout=20) for _ in range(6)]
        assert _code(refused) == "PERMISSION_DENIED"
        assert [call.result().bundle_id for call in calls] == ["b"] * 6
    assert server.stop() == 0
    assert "cannot start a thread for a call" in server.log()


class _Broken(AllowList):
    """An allow list that cannot be asked."""

    def __init__(self) -> None:
        pass

    def permits(self, certificate: bytes, method: str) -> bool:
        raise KeyError(method)


def test_an_allow_list_that_fails_lets_nobody_in_and_the_server_lives() -> None:
    """An error in gRPC's serving thread would end it, and with it the server."""
    pool = AdmissionPool(1, 1)
    server = grpc.server(pool, interceptors=[CallInterceptor(gate=Gate(_Broken(), pool))])
    handler: grpc.RpcMethodHandler[bytes, bytes] = grpc.unary_unary_rpc_method_handler(lambda request, context: b"")
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, {"Recommend": handler}),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    with grpc.insecure_channel(f"127.0.0.1:{port}", options=[OWN_CONNECTION]) as channel:
        assert [_code(RankingServiceStub(channel).Recommend) for _ in range(2)] == ["PERMISSION_DENIED"] * 2
    server.stop(None).wait()


def _code(refused: grpc.UnaryUnaryMultiCallable[pb.RecommendRequest, pb.RecommendResponse]) -> str:
    error = refused.future(pb.RecommendRequest(), timeout=1).exception()
    assert isinstance(error, grpc.RpcError)
    return error.code().name


def _server_files(authority: trustme.CA, folder: Path) -> dict[str, str]:
    leaf = authority.issue_cert("127.0.0.1")
    cert, key, ca = folder / "server.crt", folder / "server.key", folder / "ca.pem"
    leaf.cert_chain_pems[0].write_to_path(cert)
    leaf.private_key_pem.write_to_path(key)
    authority.cert_pem.write_to_path(ca)
    return {"tls_cert": str(cert), "tls_key": str(key), "tls_client_ca": str(ca)}


def _channel(target: str, authority: trustme.CA, name: str) -> grpc.Channel:
    """A connected channel of a caller with a certificate for one name."""
    leaf = authority.issue_cert(name)
    chain, key = leaf.cert_chain_pems[0].bytes(), leaf.private_key_pem.bytes()
    credentials = grpc.ssl_channel_credentials(authority.cert_pem.bytes(), key, chain)
    channel = grpc.secure_channel(target, credentials, options=[OWN_CONNECTION])
    grpc.channel_ready_future(channel).result(10)
    return channel
