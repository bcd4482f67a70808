"""The certificate for TLS: what is taken from its files, and what is warned about."""

from __future__ import annotations

import datetime as dt
import os
from pathlib import Path

import pytest
from attrs import define, field
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock

from tests.certificates import BEGINNING, END, make_pair
from tests.tools import Logged
from tests.transports.encrypted import MemoryTcp, TlsClient
from txraker.server_warnings import ServerWarnings
from txraker.transports.certificate import (
    LARGEST_FILE,
    CertificateFiles,
    Credentials,
    UnusableCertificate,
    read_pair,
)
from txraker.transports.tls import TlsFactory

FIRST, SECOND = make_pair(), make_pair()


@define(eq=False)
class Bench:
    """Credentials from files in a folder, in the year 2026."""

    folder: Path
    clock: Clock = field(factory=Clock)
    logged: Logged = field(factory=Logged)
    warnings: ServerWarnings = field(init=False)
    credentials: Credentials = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.clock.advance(BEGINNING.timestamp() + 86_400)
        self.warnings = ServerWarnings(self.logged.logger())
        self.credentials = Credentials(self.files, self.clock, self.warnings)

    @property
    def files(self) -> CertificateFiles:
        """Where the files are."""
        return CertificateFiles(self.folder / "moonraker.cert", self.folder / "moonraker.key")

    def look(self) -> list[str]:
        """Look at the files, and return what is warned about."""
        self.credentials.refresh()
        return self.warnings.texts()

    def served(self) -> bytes | None:
        """Return the certificate that a new client gets."""
        protocol = TlsFactory(self.credentials, Factory.forProtocol(Protocol), self.clock).buildProtocol(None)
        if protocol is None:
            return None
        client = TlsClient(MemoryTcp(protocol, self.clock))
        client.shake_hands()
        return client.tls.getpeercert(binary_form=True)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """Make credentials for a good pair."""
    FIRST.write(tmp_path)
    return Bench(tmp_path)


def test_good_pair(bench: Bench) -> None:
    """A good pair is served, and there is nothing to warn about."""
    assert bench.look() == []
    assert bench.served() == FIRST.der


def test_rsa(tmp_path: Path) -> None:
    """An RSA key will do."""
    pair = make_pair(is_rsa=True)
    pair.write(tmp_path)
    assert Bench(tmp_path).served() == pair.der


def test_one_file_with_both(bench: Bench) -> None:
    """Certificate and key may be in one file."""
    both = bench.folder / "both.pem"
    both.write_bytes(FIRST.key + FIRST.certificate)
    assert read_pair(CertificateFiles(both, both)).valid_until == END.timestamp()


def test_chain(bench: Bench) -> None:
    """What follows the certificate in its file is sent along; the first one is ours."""
    bench.files.certificate.write_bytes(FIRST.certificate + SECOND.certificate)
    assert bench.look() == []
    assert bench.served() == FIRST.der
    bench.files.certificate.write_bytes(SECOND.certificate + FIRST.certificate)
    assert "is not that of the first certificate" in bench.look()[0]


def test_new_pair(bench: Bench) -> None:
    """A pair that replaces another is served to who connects next."""
    assert bench.served() == FIRST.der
    SECOND.write(bench.folder)
    assert bench.served() == SECOND.der
    assert bench.warnings.texts() == []


def test_new_pair_behind_links(tmp_path: Path) -> None:
    """Links that lead to another pair are followed, as certbot and the like change them."""
    FIRST.write(tmp_path / "first")
    SECOND.write(tmp_path / "second")
    (tmp_path / "live").mkdir()
    bench = Bench(tmp_path / "live")
    for folder, pair in (("first", FIRST), ("second", SECOND)):
        for path in bench.files:
            path.unlink(missing_ok=True)
            path.symlink_to(tmp_path / folder / path.name)
        assert bench.served() == pair.der


def test_half_renewed(bench: Bench) -> None:
    """Between the new certificate and its key the old pair is served, with a warning for as long."""
    bench.look()
    bench.files.certificate.write_bytes(SECOND.certificate)
    [warning] = bench.look()
    assert warning.startswith("HTTPS goes on with the certificate it has: the key ")
    assert bench.served() == FIRST.der
    bench.files.key.write_bytes(SECOND.key)
    assert bench.look() == []
    assert bench.served() == SECOND.der


def test_removed(bench: Bench) -> None:
    """When the files go the pair is still served, with a warning until they are there again."""
    bench.look()
    for path in bench.files:
        path.unlink()
    assert [text.split(": ")[1] for text in bench.look()] == [
        f"the certificate {bench.files.certificate} doesn't exist"
    ]
    assert bench.served() == FIRST.der
    FIRST.write(bench.folder)
    assert bench.look() == []


def test_without_a_pair(tmp_path: Path) -> None:
    """Without a pair a connection is closed at once, and served when there is one."""
    bench = Bench(tmp_path)
    assert bench.look() == [f"There is no HTTPS: the certificate {bench.files.certificate} doesn't exist"]
    assert bench.served() is None
    FIRST.write(tmp_path)
    assert bench.served() == FIRST.der
    assert bench.warnings.texts() == []


def test_read_when_changed(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files that haven't changed aren't read again."""
    bench.look()
    reads: list[Path] = []

    def read(path: Path) -> bytes:
        reads.append(path)
        return FIRST.key

    monkeypatch.setattr(Path, "read_bytes", read)
    bench.look()
    bench.look()
    assert reads == []
    bench.files.key.touch()
    bench.look()
    assert reads != []


@pytest.mark.parametrize(
    ("certificate", "key", "words"),
    [
        (None, FIRST.key, "the certificate {}.cert doesn't exist"),
        (FIRST.certificate, None, "the key {}.key doesn't exist"),
        (b"", FIRST.key, "there is no certificate, as PEM, in {}.cert"),
        (FIRST.certificate[:300], FIRST.key, "there is no certificate, as PEM, in {}.cert"),
        (b"\xff\x00" * 100, FIRST.key, "there is no certificate, as PEM, in {}.cert"),
        (FIRST.key, FIRST.key, "there is no certificate, as PEM, in {}.cert"),
        (FIRST.certificate, b"", "there is no key, as PEM, in {}.key"),
        (FIRST.certificate, FIRST.key[:100], "there is no key, as PEM, in {}.key"),
        (FIRST.certificate, FIRST.certificate, "there is no key, as PEM, in {}.key"),
        (FIRST.certificate, SECOND.key, "the key {}.key is not that of the first certificate in {}.cert"),
        (FIRST.certificate, b"x" * (LARGEST_FILE + 1), "{}.key is not a key"),
    ],
)
def test_broken(tmp_path: Path, certificate: bytes | None, key: bytes | None, words: str) -> None:
    """What is wrong with a pair is said, naming the file."""
    bench = Bench(tmp_path)
    for path, text in zip(bench.files, (certificate, key), strict=True):
        if text is not None:
            path.write_bytes(text)
    with pytest.raises(UnusableCertificate) as raised:
        read_pair(bench.files)
    assert str(raised.value) == words.replace("{}", str(tmp_path / "moonraker"))


def test_key_with_a_password(bench: Bench) -> None:
    """A key that is protected by a password can't be used, and it is said why."""
    make_pair(password=b"hush").write(bench.folder)
    with pytest.raises(UnusableCertificate, match="has a password"):
        read_pair(bench.files)


def test_no_files(bench: Bench) -> None:
    """Folders and pipes aren't read."""
    bench.files.key.unlink()
    os.mkfifo(bench.files.key)
    with pytest.raises(UnusableCertificate, match="is not a key"):
        read_pair(bench.files)
    with pytest.raises(UnusableCertificate, match="is not a certificate"):
        read_pair(CertificateFiles(bench.folder, bench.files.key))


def test_unreadable(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that may not be read is named, with the reason."""

    def refuse(path: Path) -> bytes:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(UnusableCertificate) as raised:
        read_pair(bench.files)
    assert str(raised.value) == f"the certificate {bench.files.certificate} can't be read: Permission denied"


def test_expired(bench: Bench) -> None:
    """An expired certificate is served still, and warned about from that day on until there is a new one."""
    make_pair(end=BEGINNING + dt.timedelta(days=3)).write(bench.folder)
    assert bench.look() == []
    bench.clock.advance(2 * 86_400)
    assert bench.look() == [
        f"The HTTPS certificate {bench.files.certificate} has expired on 2026-01-04. Clients will refuse it."
    ]
    assert bench.served() is not None
    FIRST.write(bench.folder)
    assert bench.look() == []


def test_not_valid_yet(bench: Bench) -> None:
    """A certificate of the future is warned about until its day, or until the clock is set."""
    make_pair(beginning=BEGINNING + dt.timedelta(days=3)).write(bench.folder)
    [warning] = bench.look()
    assert "is not valid before 2026-01-04" in warning
    bench.clock.advance(3 * 86_400)
    assert bench.look() == []


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o620, 0o601])
def test_open_key(bench: Bench, mode: int) -> None:
    """A key of ours that others may read or write is warned about until that is mended."""
    bench.look()
    bench.files.key.chmod(mode)
    assert bench.look() == [
        f"The HTTPS key {bench.files.key} is open to other users: its mode is {mode:04o}, not 0600."
    ]
    bench.files.key.chmod(0o400)
    assert bench.look() == []


def test_key_of_a_group(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key of somebody else's that we may read by our group is as it should be; for everybody it is not."""
    monkeypatch.setattr(os, "geteuid", lambda: 54321)
    bench.files.key.chmod(0o640)
    assert bench.look() == []
    bench.files.key.chmod(0o644)
    assert len(bench.look()) == 1


def test_said_once(bench: Bench) -> None:
    """However often somebody connects, what is wrong is logged once."""
    bench.files.key.chmod(0o644)
    for _ in range(3):
        bench.look()
    assert len(bench.logged.lines) == 1
