"""HTTPS and secure websockets of a real process, met by Python's own ssl."""

from __future__ import annotations

import json
import os
import socket
import ssl
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from http.client import HTTPSConnection
from pathlib import Path
from typing import Any

import pytest
from attrs import define, field

from tests.certificates import TestPair, make_pair
from tests.integration.conftest import Connect
from tests.integration.process import PATIENCE, Twistd, ask, configure, free_port, trusting, twistd
from tests.transports.encrypted import records

PAIR, OTHER = make_pair(), make_pair()


def trust(*pairs: TestPair) -> ssl.SSLContext:
    """Return what a client is like that trusts certificates."""
    return ssl.create_default_context(cadata="".join(pair.certificate.decode() for pair in pairs))


TRUSTING = trust(PAIR, OTHER)


def with_tls(port: int, secure_port: int, more: str = "", server: str = "") -> str:
    """Return a configuration with a port for HTTPS."""
    return trusting(port, more).replace("[auth", f"ssl_port: {secure_port}\n{server}[auth", 1)


def securely(port: int, path: str, context: ssl.SSLContext = TRUSTING) -> Any:
    """Make one request over HTTPS, and return the decoded answer."""
    with closing(HTTPSConnection("localhost", port, timeout=PATIENCE, context=context)) as connection:
        connection.request("GET", path)
        return json.loads(connection.getresponse().read())


def served(port: int) -> bytes | None:
    """Return the certificate that a new client is shown, None if there is no handshake."""
    try:
        with (
            socket.create_connection(("127.0.0.1", port), PATIENCE) as tcp,
            TRUSTING.wrap_socket(tcp, server_hostname="localhost") as connection,
        ):
            return connection.getpeercert(binary_form=True)
    except (ConnectionError, ssl.SSLError):
        return None


@define(eq=False)
class Printer:
    """A printer with HTTPS: where it is."""

    folder: Path
    port: int = field(factory=free_port)
    secure_port: int = field(factory=free_port)

    @property
    def data(self) -> Path:
        """Its data path."""
        return self.folder / "data"

    @property
    def certs(self) -> Path:
        """Where its certificate is."""
        return self.data / "certs"

    def configure(self, more: str = "", server: str = "") -> None:
        """Write its configuration."""
        configure(self.data, with_tls(self.port, self.secure_port, more, server))

    def warnings(self) -> list[str]:
        """Return what it warns about."""
        found: list[str] = ask(self.port, "/server/info").json["result"]["warnings"]
        return found

    def restart(self) -> None:
        """Let it restart, over HTTPS."""
        connection = HTTPSConnection("localhost", self.secure_port, timeout=PATIENCE, context=TRUSTING)
        with closing(connection):
            connection.request("POST", "/server/restart")
            assert json.loads(connection.getresponse().read()) == {"result": "ok"}


@pytest.fixture
def printer(tmp_path: Path) -> Printer:
    """Make a printer with a certificate."""
    printer = Printer(tmp_path)
    printer.configure()
    PAIR.write(printer.certs)
    return printer


@contextmanager
def running(printer: Printer, *arguments: str) -> Iterator[Twistd]:
    """Run a printer for as long as the context lasts."""
    with twistd(printer.folder, "-d", str(printer.data), *arguments) as process:
        process.wait_for(printer.port, "ready" if "--simulate" in arguments else None)
        yield process
        assert "Traceback" not in process.log.read_text()


def until(holds: Callable[[], bool]) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@define(eq=False)
class Relay:
    """Passes one connection on to a port, and keeps what goes each way."""

    target: int
    listener: socket.socket = field(factory=lambda: socket.create_server(("127.0.0.1", 0)))
    to_server: bytearray = field(factory=bytearray)
    to_client: bytearray = field(factory=bytearray)
    finished: threading.Event = field(factory=threading.Event)

    def __attrs_post_init__(self) -> None:
        threading.Thread(target=self._run, daemon=True).start()

    @property
    def port(self) -> int:
        """Where to connect."""
        port: int = self.listener.getsockname()[1]
        return port

    def _run(self) -> None:
        with self.listener:
            client, _ = self.listener.accept()
        server = socket.create_connection(("127.0.0.1", self.target))
        back = threading.Thread(target=self._pass, args=(server, client, self.to_client), daemon=True)
        back.start()
        self._pass(client, server, self.to_server)
        back.join()
        self.finished.set()

    @staticmethod
    def _pass(source: socket.socket, target: socket.socket, seen: bytearray) -> None:
        with source:
            with suppress(OSError):
                while data := source.recv(65536):
                    seen += data
                    target.sendall(data)
            with suppress(OSError):
                target.shutdown(socket.SHUT_WR)


def test_beside_http(printer: Printer) -> None:
    """The same API is there over HTTP and HTTPS; on the port for HTTPS nothing is answered in the clear."""
    with running(printer):
        assert securely(printer.secure_port, "/server/info") == ask(printer.port, "/server/info").json
        assert printer.warnings() == []
        with socket.create_connection(("127.0.0.1", printer.secure_port), PATIENCE) as plain:
            plain.sendall(b"GET /server/info HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert b"HTTP" not in plain.makefile("rb").read()


def test_everything_on_the_wire_is_encrypted(printer: Printer, connect: Connect) -> None:
    """A secure websocket's handshake, answers and updates are TLS records in both directions, all of them."""
    with running(printer, "--simulate"):
        relay = Relay(printer.secure_port)
        client = connect(relay.port, context=TRUSTING)
        client.call("printer.objects.subscribe", objects={"toolhead": None, "webhooks": None})
        for _ in range(5):
            client.wait_for("notify_status_update")
        listed = client.call("printer.objects.list")
        assert "toolhead" in listed["result"]["objects"]
        client.close()
        relay.finished.wait(PATIENCE)
        for wire in (bytes(relay.to_client), bytes(relay.to_server)):
            assert len(records(wire)) > 5
            for word in (b"HTTP", b"jsonrpc", b"toolhead", b"Sec-WebSocket"):
                assert word not in wire


def test_bridge(printer: Printer, connect: Connect) -> None:
    """The bridge to Klippy works over TLS."""
    with running(printer, "--simulate"):
        client = connect(printer.secure_port, "/klippysocket", context=TRUSTING)
        client.send(json.dumps({"id": 1, "method": "info", "params": {}}))
        assert client.receive()["result"]["state"] == "ready"


def test_long_answer_to_a_slow_reader(printer: Printer, connect: Connect) -> None:
    """A long answer arrives whole at a client that takes its time."""
    with running(printer):
        client = connect(printer.secure_port, context=TRUSTING)
        text = "x" * 1_000_000
        client.call("server.connection.identify", client_name="a", version="1", type="other", url="")
        client.send(json.dumps({"jsonrpc": "2.0", "method": text, "id": 1}))
        client.send(json.dumps({"jsonrpc": "2.0", "method": "server.info", "id": 2}))
        time.sleep(1)
        answers: dict[Any, Any] = {}
        while set(answers) != {1, 2}:
            message = client.receive()
            answers[message.get("id")] = message
        assert "result" in answers[2]


def test_idle_clients_cost_nothing(printer: Printer, connect: Connect) -> None:
    """Secure websockets on which nothing goes on use no processor time."""

    def used(process: Twistd) -> float:
        fields = Path(f"/proc/{process.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    with running(printer) as process:
        clients = [connect(printer.secure_port, context=TRUSTING) for _ in range(10)]
        assert all("result" in client.call("server.info") for client in clients)
        time.sleep(0.5)
        before = used(process)
        time.sleep(2)
        assert used(process) - before < 0.4


def test_renewed(printer: Printer, connect: Connect) -> None:
    """A new certificate is shown to who connects next, without a restart; who is connected stays so."""
    with running(printer):
        client = connect(printer.secure_port, context=TRUSTING)
        assert served(printer.secure_port) == PAIR.der
        OTHER.write(printer.certs)
        assert served(printer.secure_port) == OTHER.der
        assert "result" in client.call("server.info")
        assert printer.warnings() == []


def test_broken_and_mended(printer: Printer) -> None:
    """A new certificate that can't be used is warned about, and the old one shown, until it can."""
    with running(printer):
        (printer.certs / "moonraker.cert").write_bytes(OTHER.certificate)
        assert served(printer.secure_port) == PAIR.der
        [warning] = printer.warnings()
        assert warning.startswith("HTTPS goes on with the certificate it has: the key ")
        (printer.certs / "moonraker.key").write_bytes(OTHER.key)
        assert served(printer.secure_port) == OTHER.der
        assert printer.warnings() == []


def test_broken_from_the_beginning(printer: Printer) -> None:
    """With a pair that can't be used there is HTTP and a warning; HTTPS comes with a pair that can."""
    (printer.certs / "moonraker.key").write_bytes(OTHER.key)
    with running(printer):
        assert served(printer.secure_port) is None
        [warning] = printer.warnings()
        assert warning.startswith("There is no HTTPS: the key ")
        PAIR.write(printer.certs)
        assert served(printer.secure_port) == PAIR.der
        assert printer.warnings() == []


def test_taken_port(printer: Printer) -> None:
    """With its port taken HTTPS is missing, which is warned about, and HTTP is there."""
    with socket.create_server(("127.0.0.1", printer.secure_port)), running(printer):
        [warning] = printer.warnings()
        assert warning.startswith("There is no HTTPS: ")


def test_without_http(printer: Printer, connect: Connect) -> None:
    """The plain port can be switched off, and by a restart on again."""
    printer.configure(server="enable_http: False\n")
    with twistd(printer.folder, "-d", str(printer.data)) as process:
        until(lambda: served(printer.secure_port) == PAIR.der)
        assert securely(printer.secure_port, "/server/info")["result"]["warnings"] == []
        assert "result" in connect(printer.secure_port, context=TRUSTING).call("server.info")
        with pytest.raises(ConnectionRefusedError):
            ask(printer.port, "/server/info")
        printer.configure()
        printer.restart()
        process.wait_for(printer.port)


def test_neither(printer: Printer) -> None:
    """Without HTTP and without a certificate the process ends with one clear sentence."""
    printer.configure(server="enable_http: False\n")
    (printer.certs / "moonraker.cert").unlink()
    with twistd(printer.folder, "-d", str(printer.data)) as process:
        assert process.process.wait(PATIENCE) != 0
        output = process.log.read_text()
    assert "there would be no HTTPS either: the certificate" in output
    assert "Traceback" not in output


def test_restart_that_would_end_it(printer: Printer) -> None:
    """A restart after which nothing would be served is refused with the reason, and nothing changes."""
    with running(printer):
        printer.configure(server="enable_http: False\n")
        (printer.certs / "moonraker.cert").unlink()
        reply = ask(printer.port, "/server/restart", "POST")
        assert reply.status == 400
        assert "there would be no HTTPS either" in reply.json["error"]["message"]
        assert served(printer.secure_port) == PAIR.der


def test_restart_leaves_no_gap(printer: Printer, connect: Connect) -> None:
    """While a server restarts every secure connection is accepted and answered; clients get their 1001."""
    with running(printer):
        client = connect(printer.secure_port, context=TRUSTING)
        for _ in range(3):
            printer.restart()
            for _ in range(40):
                assert "result" in securely(printer.secure_port, "/server/info")
        assert client.drain() == 1001


def test_restart_elsewhere(printer: Printer) -> None:
    """After a restart HTTPS is where the configuration says."""
    with running(printer):
        before, printer.secure_port = printer.secure_port, free_port()
        printer.configure()
        assert ask(printer.port, "/server/restart", "POST").json == {"result": "ok"}
        until(lambda: served(printer.secure_port) == PAIR.der)

        def is_closed() -> bool:
            try:
                return served(before) is None
            except ConnectionRefusedError:
                return True

        until(is_closed)


@pytest.mark.parametrize("arguments", [(), ("--simulate",)])
def test_the_end(printer: Printer, connect: Connect, arguments: tuple[str, ...]) -> None:
    """At the end secure websockets are closed with 1001; who answers nothing delays that by at most 2 s."""
    with running(printer, *arguments) as process:
        client = connect(printer.secure_port, context=TRUSTING)
        connect(printer.secure_port, context=TRUSTING)
        threading.Thread(target=process.terminate, daemon=True).start()
        assert client.drain() == 1001
        began = time.monotonic()
        process.process.wait(PATIENCE)
        assert time.monotonic() - began < 2


def test_refused_body(printer: Printer) -> None:
    """Who sends too much over HTTPS gets to read why that is refused."""
    with running(printer):
        connection = HTTPSConnection("localhost", printer.secure_port, timeout=PATIENCE, context=TRUSTING)
        with closing(connection):
            connection.request("POST", "/server/jsonrpc", b"x" * 6_000_000)
            assert connection.getresponse().status == 413


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has privileges to give up")
def test_privileged_port() -> None:
    """A port below 1024 is opened, and a key only root may read is read, before privileges are given up."""
    nobody = 65534
    with tempfile.TemporaryDirectory() as folder:
        printer = Printer(Path(folder), secure_port=_free_privileged_port())
        printer.configure()
        PAIR.write(printer.certs)
        for path in (printer.folder, *printer.folder.rglob("*")):
            os.chown(path, nobody, nobody)
        os.chown(printer.certs / "moonraker.key", 0, 0)
        options = [f"--uid={nobody}", f"--gid={nobody}"]
        with twistd(printer.folder, "-d", str(printer.data), options=options) as process:
            process.wait_for(printer.port)
            status = Path(f"/proc/{process.process.pid}/status").read_text()
            assert f"Uid:\t{nobody}\t{nobody}" in status
            assert served(printer.secure_port) == PAIR.der
            assert printer.warnings() == []


def _free_privileged_port() -> int:
    for port in range(1023, 700, -1):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError("every port is taken")
