"""The flags of metrics and traces."""

import argparse

import pytest

from shortlist.observability.settings import Observability, add_observability, read_observability, worker_listen


def parse(*argv: str) -> Observability:
    parser = argparse.ArgumentParser()
    add_observability(parser)
    return read_observability(parser, parser.parse_args(argv))


def test_metrics_and_traces_are_off_by_default() -> None:
    """A service without these flags opens no port and sends nothing."""
    assert parse() == Observability(metrics_listen="", trace_endpoint="")


def test_flags_and_environment_variables_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment can set both, as Kubernetes does."""
    monkeypatch.setenv("SHORTLIST_METRICS_LISTEN", "0.0.0.0:9464")
    found = parse("--trace-endpoint", "http://collector:4317")
    assert found == Observability(metrics_listen="0.0.0.0:9464", trace_endpoint="http://collector:4317")


@pytest.mark.parametrize(
    ("flag", "value"),
    [
        ("--metrics-listen", "9464"),
        ("--metrics-listen", "0.0.0.0:65536"),
        ("--trace-endpoint", "collector:4317"),
        ("--trace-endpoint", "grpc://collector:4317"),
        ("--trace-endpoint", "http://collector"),
        ("--trace-endpoint", "http://collector:port"),
        ("--trace-endpoint", "http://:4317"),
    ],
)
def test_a_bad_value_is_a_usage_error_that_names_the_flag(
    flag: str, value: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A service with an unusable trace endpoint does not start."""
    with pytest.raises(SystemExit) as exit_info:
        parse(flag, value)
    assert exit_info.value.code == 2
    complaint = capsys.readouterr().err
    assert flag in complaint
    assert value in complaint


def test_each_worker_has_its_own_port() -> None:
    """Prometheus must read each process separately, since each has its own counters."""
    assert [worker_listen("0.0.0.0:9464", number) for number in range(3)] == [
        "0.0.0.0:9464",
        "0.0.0.0:9465",
        "0.0.0.0:9466",
    ]
    assert worker_listen("[::]:9464", 1) == "[::]:9465"
    assert worker_listen("127.0.0.1:0", 1) == "127.0.0.1:0"


def test_ports_end_at_65535() -> None:
    """A worker without a port is an error before anything listens."""
    assert worker_listen("0.0.0.0:65534", 1) == "0.0.0.0:65535"
    with pytest.raises(ValueError, match="--metrics-listen"):
        worker_listen("0.0.0.0:65534", 2)
