"""The ports of a server: which there are, when they are opened, and how they go to a successor."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from attrs import define, field
from twisted.internet.error import CannotListenError
from twisted.internet.protocol import ServerFactory
from twisted.internet.task import Clock

from tests.certificates import BEGINNING, make_pair
from tests.tools import Logged, result_of
from txraker.config.configuration import Configuration
from txraker.config.errors import ConfigError
from txraker.config.options import ServerOptions
from txraker.server_warnings import ServerWarnings
from txraker.transports.listen import Entrance, entrance, find_credentials
from txraker.transports.tls import TlsFactory

PAIR = make_pair()


@define(eq=False)
class FakePort:
    """A port that is listened on."""

    where: tuple[str, int]
    factory: Any
    open_ports: dict[tuple[str, int], FakePort]

    def stopListening(self) -> None:  # noqa: N802
        """Listen no more."""
        del self.open_ports[self.where]
        self.factory.doStop()


@define(eq=False)
class Network(Clock):
    """A reactor with ports; some are ``taken`` by others, and one number is one port whatever the host."""

    taken: set[int] = field(factory=set)
    open_ports: dict[tuple[str, int], FakePort] = field(factory=dict)
    opened: list[tuple[str, int]] = field(factory=list)

    def __attrs_post_init__(self) -> None:
        super().__init__()
        self.advance(BEGINNING.timestamp() + 86_400)

    def listenTCP(self, port: int, factory: Any, backlog: int, interface: str) -> FakePort:  # noqa: N802
        """Listen."""
        if port in self.taken or any(port == number for _, number in self.open_ports):
            raise CannotListenError(interface, port, OSError(98, "Address already in use"))
        factory.doStart()
        opened = FakePort((interface, port), factory, self.open_ports)
        self.open_ports[opened.where] = opened
        self.opened.append(opened.where)
        return opened

    def behind(self, port: int) -> Any:
        """Return what answers at a port."""
        [found] = [each.factory for (_, number), each in self.open_ports.items() if number == port]
        return found


@define(eq=False)
class Bench:
    """A network, and servers on it."""

    folder: Path
    network: Network = field(factory=Network)
    warnings: ServerWarnings = field(factory=lambda: ServerWarnings(Logged().logger()))

    def server(self, site: Any = None, **options: Any) -> Entrance:
        """Make a server's entrance."""
        chosen = ServerOptions(**options)
        configuration = Configuration(data_path=self.folder, path=self.folder / "txraker.conf")
        credentials = find_credentials(chosen, configuration, self.network, self.warnings)
        site = site or ServerFactory()
        return entrance(self.network, chosen, credentials, site, self.warnings, Logged().logger())  # type: ignore[arg-type]  # what it uses of a reactor

    def ports(self) -> list[tuple[str, int]]:
        """Return where is listened."""
        return sorted(self.network.open_ports)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """Make a network and a folder without certificates."""
    return Bench(tmp_path)


@pytest.fixture
def secure(bench: Bench) -> Bench:
    """Make a network and a folder with a certificate."""
    PAIR.write(bench.folder / "certs")
    return bench


def test_plain(bench: Bench) -> None:
    """Without a certificate there is the plain port alone, and nothing to warn about."""
    site = ServerFactory()
    bench.server(site).listen()
    assert bench.ports() == [("0.0.0.0", 7125)]
    assert bench.network.behind(7125) is site
    assert bench.warnings.texts() == []


def test_secure(secure: Bench) -> None:
    """With a certificate in its folder the same site is there under TLS, too."""
    site = ServerFactory()
    secure.server(site, host="192.0.2.1").listen()
    assert secure.ports() == [("192.0.2.1", 7125), ("192.0.2.1", 7130)]
    assert secure.network.behind(7125) is site
    encrypted = secure.network.behind(7130)
    assert isinstance(encrypted, TlsFactory)
    assert encrypted.wrappedFactory is site
    assert secure.warnings.texts() == []


def test_secure_alone(secure: Bench) -> None:
    """The plain port can be switched off; then TLS may have its number."""
    secure.server(enable_http=False, ssl_port=7125).listen()
    assert secure.ports() == [("0.0.0.0", 7125)]
    assert isinstance(secure.network.behind(7125), TlsFactory)


@pytest.mark.parametrize("relative", [True, False])
def test_paths(bench: Bench, relative: bool) -> None:
    """Certificate and key are where it is said, in the data path if that is no absolute path."""
    PAIR.write(bench.folder / "elsewhere")
    folder = Path("elsewhere") if relative else bench.folder / "elsewhere"
    bench.server(
        ssl_certificate_path=str(folder / "moonraker.cert"), ssl_key_path=str(folder / "moonraker.key")
    ).listen()
    assert len(bench.ports()) == 2
    assert bench.warnings.texts() == []


def test_home(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A path may begin in one's home; the other file is where it is by default."""
    monkeypatch.setenv("HOME", str(bench.folder / "home"))
    PAIR.write(bench.folder / "home")
    PAIR.write(bench.folder / "certs")
    (bench.folder / "certs" / "moonraker.cert").unlink()
    bench.server(ssl_certificate_path="~/moonraker.cert")
    assert bench.warnings.texts() == []


@pytest.mark.parametrize("missing", ["moonraker.cert", "moonraker.key"])
def test_half_a_pair(secure: Bench, missing: str) -> None:
    """With one of the two files missing there is a warning, and the plain port works."""
    (secure.folder / "certs" / missing).unlink()
    secure.server().listen()
    [warning] = secure.warnings.texts()
    assert warning.startswith("There is no HTTPS: ")
    assert missing in warning
    assert ("0.0.0.0", 7125) in secure.ports()


def test_dangling_link(bench: Bench) -> None:
    """A link to a certificate that isn't there is warned about: somebody wants HTTPS."""
    (bench.folder / "certs").mkdir()
    (bench.folder / "certs" / "moonraker.cert").symlink_to("nowhere")
    bench.server()
    assert len(bench.warnings.texts()) == 1


def test_neither(bench: Bench) -> None:
    """Without the plain port and without a usable certificate there is no server, and it is said why."""
    with pytest.raises(ConfigError) as raised:
        bench.server(enable_http=False)
    assert str(raised.value) == (
        f"{bench.folder}/txraker.conf: option 'enable_http' in section [server] is 'False': it can't be, "
        f"because there would be no HTTPS either: the certificate {bench.folder}/certs/moonraker.cert "
        "doesn't exist"
    )


def test_same_port(secure: Bench) -> None:
    """The two ports must differ, if there are two."""
    with pytest.raises(ConfigError, match=r"'ssl_port' .* must differ from 'port'"):
        secure.server(port=7125, ssl_port=7125)


def test_same_port_without_tls(bench: Bench) -> None:
    """Where there is no certificate the port for TLS doesn't matter."""
    bench.server(port=7130).listen()
    assert bench.ports() == [("0.0.0.0", 7130)]


def test_port_of_tls_is_taken(secure: Bench) -> None:
    """That the port for TLS is taken is a warning where there is a plain one."""
    secure.network.taken = {7130}
    secure.server().listen()
    assert secure.ports() == [("0.0.0.0", 7125)]
    [warning] = secure.warnings.texts()
    assert warning.startswith("There is no HTTPS: ")
    assert "7130" in warning


@pytest.mark.parametrize(("taken", "enable_http"), [(7125, True), (7130, False)])
def test_needed_port_is_taken(secure: Bench, taken: int, enable_http: bool) -> None:
    """That the plain port is taken, or the only one, is an error."""
    secure.network.taken = {taken}
    with pytest.raises(CannotListenError):
        secure.server(enable_http=enable_http).listen()


@pytest.mark.parametrize(
    ("options", "privileged"), [({"port": 80}, True), ({"ssl_port": 443}, True), ({}, False)]
)
def test_privileged(secure: Bench, options: dict[str, int], privileged: bool) -> None:
    """A server needs root's privileges for either port below 1024."""
    assert secure.server(**options).is_privileged == privileged


def test_listening_twice(secure: Bench) -> None:
    """What listens already listens on."""
    server = secure.server()
    server.listen()
    server.listen()
    assert len(secure.network.opened) == 2


def test_closing(secure: Bench) -> None:
    """A closed server listens nowhere, and nothing goes on."""
    server = secure.server()
    server.listen()
    result_of(server.close())
    assert secure.ports() == []
    assert secure.network.getDelayedCalls() == []


def test_taking_over(secure: Bench) -> None:
    """A successor gets the same ports without their being closed, and what answered there before stops."""
    old, new = secure.server(), secure.server()
    old.listen()
    before = [secure.network.behind(port) for port in (7125, 7130)]
    result_of(new.listen_beside(old))
    new.take_over(old)
    new.listen()
    assert len(secure.network.opened) == 2
    after = [secure.network.behind(port) for port in (7125, 7130)]
    assert not set(before) & set(after)
    assert [factory.numPorts for factory in before] == [0, 0]
    assert [factory.numPorts for factory in after] == [2, 1], "the site is behind both"
    result_of(old.close())
    assert len(secure.ports()) == 2
    result_of(new.close())
    assert secure.network.getDelayedCalls() == []


def test_new_port(secure: Bench) -> None:
    """A port that is new is opened beside the old ones, which go with their server."""
    old, new = secure.server(), secure.server(ssl_port=8443)
    old.listen()
    result_of(new.listen_beside(old))
    assert [port for _, port in secure.ports()] == [7125, 7130, 8443]
    new.take_over(old)
    result_of(old.close())
    assert [port for _, port in secure.ports()] == [7125, 8443]


def test_missing_libraries(secure: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the libraries for it there is no HTTPS, and what to do about it is said."""
    monkeypatch.setitem(sys.modules, "txraker.transports.certificate", None)
    secure.server().listen()
    assert secure.ports() == [("0.0.0.0", 7125)]
    assert [text.endswith("install txraker[tls]") for text in secure.warnings.texts()] == [True]
    with pytest.raises(ConfigError, match=r"install txraker\[tls\]"):
        secure.server(enable_http=False)


def test_from_plain_to_secure(secure: Bench) -> None:
    """The plain port may become the one for TLS."""
    old, new = secure.server(), secure.server(enable_http=False, ssl_port=7125)
    old.listen()
    result_of(new.listen_beside(old))
    new.take_over(old)
    result_of(old.close())
    assert secure.ports() == [("0.0.0.0", 7125)]
    assert isinstance(secure.network.behind(7125), TlsFactory)


def test_new_host(secure: Bench) -> None:
    """On another host the old ports are closed before the new ones are opened."""
    old, new = secure.server(), secure.server(host="192.0.2.1")
    old.listen()
    result_of(new.listen_beside(old))
    new.take_over(old)
    result_of(old.close())
    assert secure.ports() == [("192.0.2.1", 7125), ("192.0.2.1", 7130)]


@pytest.mark.parametrize("options", [{"port": 80}, {"host": "192.0.2.1", "port": 80}])
def test_new_port_is_taken(secure: Bench, options: dict[str, Any]) -> None:
    """A successor whose port is taken leaves everything as it was."""
    old, new = secure.server(), secure.server(**options)
    old.listen()
    before = [secure.network.behind(port) for port in (7125, 7130)]
    secure.network.taken = {80}
    with pytest.raises(CannotListenError):
        result_of(new.listen_beside(old))
    assert secure.ports() == [("0.0.0.0", 7125), ("0.0.0.0", 7130)]
    assert [secure.network.behind(port) for port in (7125, 7130)] == before
