"""Names of callers: in their certificates, and in the allow list."""

import functools
import re
from collections.abc import Iterable
from ipaddress import ip_address

# Letters, digits and hyphens of RFC 1123; underscores and a star occur in practice.
_DNS = re.compile(r"[A-Za-z0-9_*-]+(\.[A-Za-z0-9_*-]+)*")
# RFC 3986: a scheme, an authority and the rest, in printable ASCII.
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[!-~]+")
# Callers that hold a certificate of the authority; each entry takes a few kB.
_CERTIFICATES = 1024


def is_name(text: str) -> bool:
    """Whether a caller can have this name: an IP address in its usual form, a DNS name or a URI with ``://``."""
    return _is_ip(text) or _is_dns(text) or _is_uri(text)


@functools.lru_cache(_CERTIFICATES)
def names_in(certificate: bytes) -> frozenset[str]:
    """The names in a PEM certificate's subject alternative names; none when they cannot be parsed.

    Each has the form of its own kind, so a URI entry such as ``backend.shop.svc`` is no name, and neither is a DNS
    entry ``10.0.0.1``. An entry with a NUL byte or another control byte has no such form. gRPC's own list would cut
    it at the NUL byte, and does not tell the kinds apart.
    """
    # Only services with an allow list spend the 60 ms and 4 MB.
    from cryptography import x509

    try:
        extensions = x509.load_pem_x509_certificate(certificate).extensions
        entries = extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (
        ValueError,
        x509.InvalidVersion,
        x509.DuplicateExtension,
        x509.ExtensionNotFound,
        x509.UnsupportedGeneralNameType,
    ):
        return frozenset()
    addresses: Iterable[str] = map(str, entries.get_values_for_type(x509.IPAddress))
    return frozenset(
        (
            *filter(_is_dns, entries.get_values_for_type(x509.DNSName)),
            *filter(_is_uri, entries.get_values_for_type(x509.UniformResourceIdentifier)),
            *filter(_is_ip, addresses),
        )
    )


def import_parser() -> None:
    """Imports the parser of certificates, so that no call waits for it."""
    import cryptography.x509  # noqa: F401


def _is_dns(text: str) -> bool:
    return _DNS.fullmatch(text) is not None and not _is_ip(text)


def _is_uri(text: str) -> bool:
    return _URI.fullmatch(text) is not None


def _is_ip(text: str) -> bool:
    try:
        return str(ip_address(text)) == text
    except ValueError:
        return False
