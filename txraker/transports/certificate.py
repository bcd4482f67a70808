"""Certificate and key for TLS: read from files that may change at any time."""

from __future__ import annotations

import os
import stat
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from attrs import define, field
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from OpenSSL import SSL
from twisted.internet.interfaces import IOpenSSLServerConnectionCreator, IReactorTime
from twisted.internet.ssl import AcceptableCiphers, CertificateOptions
from twisted.protocols.tls import TLSMemoryBIOProtocol
from zope.interface import implementer

from txraker.server_warnings import ServerWarnings

LARGEST_FILE = 1024 * 1024
"""Bytes of a file that may be a certificate or a key."""

UNUSABLE, NOT_VALID_NOW, EXPOSED_KEY = "tls pair", "tls validity", "tls key mode"
"""The keys of the warnings."""

# For TLS 1.2: every client of the last ten years has one of them; those of TLS 1.3 are all good.
_CIPHERS = AcceptableCiphers.fromOpenSSLCipherString("ECDHE+AESGCM:ECDHE+CHACHA20")


class UnusableCertificate(Exception):
    """Certificate and key can't be used; the words say which of them and why."""


class CertificateFiles(NamedTuple):
    """Where the certificate, with those that lead to its root, and its key are, both as PEM."""

    certificate: Path
    key: Path


class Pair(NamedTuple):
    """A certificate with its key, for connections to come. It is valid between two times (s since 1970)."""

    options: CertificateOptions
    valid_from: float
    valid_until: float


@implementer(IOpenSSLServerConnectionCreator)
@define(eq=False, repr=False)
class Credentials:
    """The pair for new connections, as it is in its files when they come.

    What can't be used doesn't replace what could; ``problem`` says why it can't, and a warning does.
    ``clock`` has the time of day.
    """

    _files: CertificateFiles
    _clock: IReactorTime
    _warnings: ServerWarnings
    problem: str = field(default="", init=False)
    _pair: Pair | None = field(default=None, init=False)
    _seen: list[object] | None = field(default=None, init=False)

    @property
    def is_usable(self) -> bool:
        """Whether there can be connections."""
        return self._pair is not None

    def refresh(self) -> None:
        """Take a pair that is new, and tell what is to be told of the one there is."""
        found: list[object] = [_stamp(path) for path in self._files]
        if found != self._seen:
            self._seen = found
            self._read()
            self._warn(EXPOSED_KEY, self._exposure())
        self._warn(NOT_VALID_NOW, self._invalidity())

    def serverConnectionForTLS(self, protocol: TLSMemoryBIOProtocol) -> SSL.Connection:
        """Return what encrypts a new connection; there must be a pair."""
        assert self._pair is not None
        return self._pair.options.serverConnectionForTLS(protocol)

    def _read(self) -> None:
        try:
            self._pair, self.problem = read_pair(self._files), ""
        except UnusableCertificate as error:
            self.problem = str(error)
        text = "HTTPS goes on with the certificate it has" if self._pair else "There is no HTTPS"
        self._warn(UNUSABLE, self.problem and f"{text}: {self.problem}")

    def _invalidity(self) -> str:
        if self._pair is None:
            return ""
        now = self._clock.seconds()
        if now >= self._pair.valid_until:
            text = f"has expired on {_day(self._pair.valid_until)}"
        elif now < self._pair.valid_from:
            text = f"is not valid before {_day(self._pair.valid_from)}"
        else:
            return ""
        return f"The HTTPS certificate {self._files.certificate} {text}. Clients will refuse it."

    def _exposure(self) -> str:
        try:
            status = self._files.key.stat()
        except OSError:
            return ""
        # The group of somebody else's file is the way in which we may read it.
        ours = status.st_uid == os.geteuid()
        if not status.st_mode & (stat.S_IRWXO | (stat.S_IRWXG if ours else 0)):
            return ""
        mode = f"{stat.S_IMODE(status.st_mode):04o}"
        return f"The HTTPS key {self._files.key} is open to other users: its mode is {mode}, not 0600."

    def _warn(self, key: str, text: str) -> None:
        if text:
            self._warnings.put(key, text)
        else:
            self._warnings.drop(key)


def read_pair(files: CertificateFiles) -> Pair:
    """Return what two files hold. Raises UnusableCertificate."""
    certificate, *chain = _certificates(files.certificate)
    key = _key(files.key)
    try:
        if key.public_key() != certificate.public_key():
            raise UnusableCertificate(
                f"the key {files.key} is not that of the first certificate in {files.certificate}"
            )
        options = CertificateOptions(
            privateKey=key,  # type: ignore[arg-type]  # pyOpenSSL deprecates the types that Twisted declares
            certificate=certificate,  # type: ignore[arg-type]  # as above
            extraCertChain=chain,  # type: ignore[arg-type]  # as above
            enableSessionTickets=True,
            acceptableCiphers=_CIPHERS,
        )
        options.getContext().set_options(SSL.OP_NO_RENEGOTIATION)
        valid = (certificate.not_valid_before_utc, certificate.not_valid_after_utc)
    except (SSL.Error, UnsupportedAlgorithm, ValueError) as error:
        raise UnusableCertificate(f"{files.certificate} can't be used: {_words(error)}") from None
    return Pair(options, *(moment.timestamp() for moment in valid))


def _certificates(path: Path) -> list[x509.Certificate]:
    text = _contents(path, "certificate")
    try:
        return x509.load_pem_x509_certificates(text)
    except ValueError:
        raise UnusableCertificate(f"there is no certificate, as PEM, in {path}") from None


def _key(path: Path) -> PrivateKeyTypes:
    text = _contents(path, "key")
    try:
        return load_pem_private_key(text, None)
    except TypeError:
        raise UnusableCertificate(f"the key {path} has a password, and nobody is there to enter it") from None
    except (ValueError, UnsupportedAlgorithm):
        raise UnusableCertificate(f"there is no key, as PEM, in {path}") from None


def _contents(path: Path, what: str) -> bytes:
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode) or status.st_size > LARGEST_FILE:
            raise UnusableCertificate(f"{path} is not a {what}")
        return path.read_bytes()
    except FileNotFoundError:
        raise UnusableCertificate(f"the {what} {path} doesn't exist") from None
    except OSError as error:
        raise UnusableCertificate(f"the {what} {path} can't be read: {error.strerror}") from None


def _stamp(path: Path) -> tuple[int, ...] | None:
    """Return what is different after any change to a file, None if it can't be told."""
    try:
        status = path.stat()
    except OSError:
        return None
    return (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


def _day(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).date().isoformat()


def _words(error: Exception) -> str:
    """Return the reasons in an error, which OpenSSL gives as a list of triples."""
    if isinstance(error, SSL.Error) and error.args:
        return ", ".join(entry[-1] for entry in error.args[0])
    return str(error)
