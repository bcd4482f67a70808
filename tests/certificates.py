"""Certificates for tests, signed by themselves, with their keys."""

from __future__ import annotations

import datetime as dt
import ipaddress
from pathlib import Path

from attrs import frozen
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID

BEGINNING = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
END = dt.datetime(2036, 1, 1, tzinfo=dt.UTC)


@frozen
class TestPair:
    """A certificate and its key as PEM, and the certificate as it goes over the wire."""

    __test__ = False
    certificate: bytes
    key: bytes
    der: bytes

    def write(self, folder: Path, mode: int = 0o600) -> None:
        """Write them where they are looked for, the key with a mode."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "moonraker.cert").write_bytes(self.certificate)
        (folder / "moonraker.key").write_bytes(self.key)
        (folder / "moonraker.key").chmod(mode)


def make_pair(
    beginning: dt.datetime = BEGINNING,
    end: dt.datetime = END,
    password: bytes | None = None,
    *,
    is_rsa: bool = False,
) -> TestPair:
    """Make a certificate for this machine's loopback addresses and its key."""
    key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey = ec.generate_private_key(ec.SECP256R1())
    if is_rsa:
        key = rsa.generate_private_key(65537, 2048)
    serial_number = x509.random_serial_number()
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"printer {serial_number}")])
    names: list[x509.GeneralName] = [
        x509.DNSName("localhost"),
        x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
    ]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(serial_number)
        .not_valid_before(beginning)
        .not_valid_after(end)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, SHA256())
    )
    encryption = BestAvailableEncryption(password) if password else NoEncryption()
    return TestPair(
        certificate.public_bytes(Encoding.PEM),
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption),
        certificate.public_bytes(Encoding.DER),
    )
