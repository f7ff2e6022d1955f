"""The log lines of a service on stderr, each test in a process of its own: logging is global to a process."""

import json
import logging
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
import trustme

from shortlist.observability.throttled import Throttled

# A server that logs its calls, and one call. Arguments: json or text; certificates of both ends and their authority.
CALL = """
import sys
from concurrent.futures import ThreadPoolExecutor
import grpc
from shortlist.observability.logs import configure_logs, log_call
from shortlist.ranking.v1 import ranking_service_pb2 as pb
from shortlist.retrieval.v1 import retrieval_service_pb2 as retrieval_pb

def handle(request, context):
    response = pb.RecommendResponse(bundle_id="b-1", degraded_reason=pb.DEGRADED_REASON_QUEUE_TIMEOUT)
    log_call("/test.v1.Echo/Say", "OK", 0.0123456789, request, response, context)
    log_call("/test.v1.Echo/Say", "INTERNAL", 0.5, pb.RecommendRequest(bundle_id="b-1"), None, context)
    rows, batch = retrieval_pb.RetrieveRowsRequest(bundle_id="b-2"), retrieval_pb.BatchRetrieveResponse()
    batch.responses.add(bundle_id="b-3")
    log_call("rows", "OK", 0.1, rows, retrieval_pb.RetrieveRowsResponse(), context)
    log_call("batch", "OK", 0.1, retrieval_pb.BatchRetrieveRequest(), batch, context)
    log_call("bundle", "OK", 0.1, pb.GetBundleRequest(), pb.GetBundleResponse(bundle={"bundle_id": "b-4"}), context)
    return b""

configure_logs(json=sys.argv[1] == "json")
server = grpc.server(ThreadPoolExecutor(1))
handlers = {"Say": grpc.unary_unary_rpc_method_handler(handle)}
server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("test.v1.Echo", handlers)])
if sys.argv[2:]:
    cert, key, ca = (open(path, "rb").read() for path in sys.argv[2:])
    port = server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([(key, cert)], ca, True))
    channel = grpc.secure_channel(f"127.0.0.1:{port}", grpc.ssl_channel_credentials(ca, key, cert))
else:
    port = server.add_insecure_port("127.0.0.1:0")
    channel = grpc.insecure_channel(f"127.0.0.1:{port}")
server.start()
with channel:
    channel.unary_unary("/test.v1.Echo/Say")(b"", timeout=5)
server.stop(None).wait()
"""
RECORDS = """
import logging, sys
from shortlist.observability.logs import configure_logs
configure_logs(json=sys.argv[1] == "json")
log = logging.getLogger("some.module")
log.debug("not told")
log.info("%d bundles\\nloaded", 2, extra={"bundle_id": "b-1"})
try:
    {}["gone"]
except KeyError:
    log.exception("failed")
"""


_IMPORT = "import sys; from shortlist.observability.logs import announce, configure_logs; "


def lines(script: str, *arguments: str | Path) -> list[str]:
    # Skips the lines of gRPC's core about closed connections.
    environment = {**os.environ, "GRPC_VERBOSITY": "NONE"}
    command = [sys.executable, "-c", script, *arguments]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    return done.stderr.splitlines()


def test_each_record_is_one_line_of_json() -> None:
    """A collector can parse every line, also those with line ends and tracebacks; times are UTC."""
    told, failed = (json.loads(line) for line in lines(RECORDS, "json"))
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", told.pop("time"))
    assert told == {
        "level": "INFO",
        "logger": "some.module",
        "message": "2 bundles\nloaded",
        "bundle_id": "b-1",
    }
    assert failed["level"] == "ERROR"
    assert failed["exc"].startswith("Traceback (most recent call last):\n")
    assert failed["exc"].endswith("KeyError: 'gone'")
    assert sorted(failed) == ["exc", "level", "logger", "message", "time"]


def test_a_text_record_is_readable() -> None:
    """The development profile logs plain text: time, level, logger and message."""
    told = lines(RECORDS, "text")
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} INFO some\.module: 2 bundles", told[0])
    assert told[-1] == "KeyError: 'gone'"


def test_a_call_is_one_line_with_its_outcome() -> None:
    """The line has method, code, seconds, bundle and degraded reason, and nothing of the request."""
    answered, failed, *_ = (json.loads(line) for line in lines(CALL, "json"))
    del answered["time"], failed["time"]
    expected = {
        "level": "INFO",
        "logger": "shortlist.calls",
        "message": "call",
        "method": "/test.v1.Echo/Say",
        "code": "OK",
        "seconds": 0.012346,
        "bundle_id": "b-1",
        "degraded_reason": "queue_timeout",
        "peer": "",
        "trace_id": "",
    }
    assert answered == expected
    assert failed == expected | {"code": "INTERNAL", "seconds": 0.5, "bundle_id": "", "degraded_reason": ""}


def test_the_line_of_every_method_names_its_bundle() -> None:
    """Some answers hold the id deeper. An answer in rows lacks it, but its request names the one possible bundle."""
    logged = [json.loads(line) for line in lines(CALL, "json")][2:]
    named = [(line["method"], line["bundle_id"]) for line in logged]
    assert named == [("rows", "b-2"), ("batch", "b-3"), ("bundle", "b-4")]


def test_an_announcement_has_the_form_of_the_log() -> None:
    """A collector reads both streams of a container, and can parse each line; a terminal shows plain text."""
    script = f"{_IMPORT}configure_logs(json=sys.argv[1] == 'json'); announce('serving')"
    written = {
        form: subprocess.run([sys.executable, "-c", script, form], check=True, capture_output=True, text=True)
        for form in ("json", "text")
    }
    assert written["text"].stdout == "serving\n"
    line = json.loads(written["json"].stdout)
    assert (line["level"], line["message"]) == ("INFO", "serving")
    assert {done.stderr for done in written.values()} == {""}


def test_the_line_of_a_call_names_the_callers_certificate(tmp_path: Path) -> None:
    """An auditor of a service with client certificates sees the caller of each call."""
    authority = trustme.CA()
    leaf = authority.issue_cert("127.0.0.1", "backend.test")
    paths = [tmp_path / name for name in ("cert", "key", "ca")]
    for blob, path in zip([leaf.cert_chain_pems[0], leaf.private_key_pem, authority.cert_pem], paths, strict=True):
        blob.write_to_path(path)
    assert set(json.loads(lines(CALL, "json", *paths)[0])["peer"].split(",")) == {"127.0.0.1", "backend.test"}


def test_text_logs_have_no_line_for_calls() -> None:
    """Calls do not flood a terminal in development."""
    assert lines(CALL, "text") == []


def test_each_message_has_one_line_a_second_with_a_count_of_the_rest(caplog: pytest.LogCaptureFixture) -> None:
    """A failure of every call does not fill the log, but its count is logged, and so are other failures."""
    often = Throttled(logging.getLogger("often"))
    for number in range(5):
        often.warning("call %d failed", number)
    often.error("something else")
    assert [record.getMessage() for record in caplog.records] == ["call 0 failed", "something else"]
    time.sleep(1.05)
    for number in (5, 6):
        often.warning("call %d failed", number)
    assert caplog.records[-1].getMessage() == "call 5 failed (and 4 more times since)"
    time.sleep(1.05)
    try:
        raise KeyError("gone")
    except KeyError:
        often.warning("call %d failed", 7, exc_info=True)
    assert caplog.records[-1].getMessage() == "call 7 failed (and 1 more times since)"
    assert "KeyError: 'gone'" in caplog.text
    assert caplog.records[-1].funcName == "test_each_message_has_one_line_a_second_with_a_count_of_the_rest"
