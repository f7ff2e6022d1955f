"""The allow list and the kinds of names in a certificate."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from shortlist.security.settings import ClientSecurity, ServerSecurity

Issue = Callable[..., tuple[Path, Path]]
Serve = Callable[[ServerSecurity], str]
Call = Callable[..., str]

# The tags of RFC 5280, section 4.2.1.6.
_EMAIL, _DNS, _URI, _IP = 0x81, 0x82, 0x86, 0x87
_REFUSED = "PERMISSION_DENIED"


@pytest.fixture
def caller(authority: trustme.CA, ca: Path, tmp_path: Path) -> Callable[[list[tuple[int, bytes]]], ClientSecurity]:
    """Gives a caller whose certificate has these entries, byte for byte, as subject alternative names."""

    def caller(entries: list[tuple[int, bytes]]) -> ClientSecurity:
        names = _tlv(0x30, b"".join(_tlv(tag, value) for tag, value in entries))
        key = ec.generate_private_key(ec.SECP256R1())
        signer = serialization.load_pem_private_key(authority.private_key_pem.bytes(), password=None)
        assert isinstance(signer, ec.EllipticCurvePrivateKey)
        now = datetime.now(UTC)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([]))
            .issuer_name(x509.load_pem_x509_certificate(authority.cert_pem.bytes()).subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=1))
            .add_extension(x509.UnrecognizedExtension(x509.SubjectAlternativeName.oid, names), critical=False)
            .sign(signer, hashes.SHA256())
        )
        cert, key_path = tmp_path / "caller.crt", tmp_path / "caller.key"
        cert.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        key_path.write_bytes(key.private_bytes(*form))
        return ClientSecurity(ca=ca, cert=cert, key=key_path)

    return caller


@pytest.fixture
def answer(
    serve: Serve, call: Call, issue: Issue, ca: Path, tmp_path: Path, caller: Callable[..., ClientSecurity]
) -> Callable[[str, list[tuple[int, bytes]]], str]:
    """Calls a server whose list has one rule, with a certificate of these entries; ``called`` or the status code."""

    def answer(rule: str, entries: list[tuple[int, bytes]]) -> str:
        cert, key = issue("127.0.0.1", file="server")
        (tmp_path / "allow.toml").write_text(f'"{rule}" = ["shortlist.ranking.v1.RankingService/*"]')
        server = ServerSecurity(tls_cert=cert, tls_key=key, tls_client_ca=ca, allow=tmp_path / "allow.toml")
        return call(serve(server), caller(entries)).split(" ")[0]

    return answer


@pytest.mark.parametrize(
    ("rule", "entry"),
    [
        ("backend.shop.svc", (_DNS, b"backend.shop.svc")),
        ("*.shop.svc", (_DNS, b"*.shop.svc")),
        ("spiffe://shop/backend", (_URI, b"spiffe://shop/backend")),
        ("10.0.0.1", (_IP, bytes([10, 0, 0, 1]))),
        ("2001:db8::1", (_IP, bytes.fromhex("20010db8000000000000000000000001"))),
    ],
)
def test_a_rule_admits_entries_of_its_own_kind(answer: Callable[..., str], rule: str, entry: tuple[int, bytes]) -> None:
    """Proves that DNS names, URIs and IP addresses work, also beside an entry of another kind."""
    assert answer(rule, [(_EMAIL, b"someone@shop.svc"), entry]) == "called"


@pytest.mark.parametrize(
    ("rule", "entry"),
    [
        ("backend.shop.svc", (_URI, b"backend.shop.svc")),
        ("backend.shop.svc", (_EMAIL, b"backend.shop.svc")),
        ("spiffe://shop/backend", (_DNS, b"spiffe://shop/backend")),
        ("spiffe://shop/backend", (_EMAIL, b"spiffe://shop/backend")),
        ("10.0.0.1", (_DNS, b"10.0.0.1")),
        ("10.0.0.1", (_URI, b"10.0.0.1")),
        ("2001:db8::1", (_URI, b"2001:db8::1")),
    ],
)
def test_an_entry_of_another_kind_passes_for_no_name(
    answer: Callable[..., str], rule: str, entry: tuple[int, bytes]
) -> None:
    """Proves that an authority that checks only one kind of entry lends nobody a name of another kind."""
    assert answer(rule, [entry]) == _REFUSED


@pytest.mark.parametrize(
    ("rule", "entry"),
    [
        ("backend.shop.svc", (_DNS, b"backend.shop.svc\0.evil.test")),
        ("backend.shop.svc", (_DNS, b"backend.shop.svc\0")),
        ("backend.shop.svc", (_DNS, b"backend.shop.svc\n")),
        ("backend.shop.svc", (_DNS, b"\tbackend.shop.svc")),
        ("spiffe://shop/backend", (_URI, b"spiffe://shop/backend\0.evil.test")),
        ("spiffe://shop/backend", (_URI, b"spiffe://shop/backend ")),
        ("spiffe://shop/backend", (_URI, b"spiffe://shop/backend\x7f")),
    ],
)
def test_a_name_with_a_control_byte_names_nobody(
    answer: Callable[..., str], rule: str, entry: tuple[int, bytes]
) -> None:
    """Proves that the name is not cut at its NUL byte, nor trimmed."""
    assert answer(rule, [entry]) == _REFUSED


@pytest.mark.parametrize("entries", [[], [(_DNS, b"b\xe9.test")], [(0xA3, b"\x30\0")]])
def test_a_certificate_without_readable_names_names_nobody(
    answer: Callable[..., str], entries: list[tuple[int, bytes]]
) -> None:
    """Proves that a certificate that our parser refuses is an orderly refusal, not an error of the server."""
    assert answer("backend.shop.svc", [*entries, *([(_DNS, b"backend.shop.svc")] if entries else [])]) == _REFUSED


def _tlv(tag: int, value: bytes) -> bytes:
    assert len(value) < 128
    return bytes([tag, len(value)]) + value
