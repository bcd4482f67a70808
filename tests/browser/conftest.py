"""What the tests in a browser share: the browser, strangers' pages, and a server with a virtual printer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from attrs import define

from tests.browser.chromium import EVIL, GOOD, Page, address, chromium, page_of
from tests.browser.stage import Stage, stage
from tests.integration.people import Server, guarded_server, serving
from tests.integration.process import configure, free_port
from tests.integration.unixclient import UnixClient

ALLOWED = "cors_domains:\n    http://{good}:{port}\n"


@define
class Scene:
    """A browser, pages, and a printer's server, which the browser gets to by the port of ``road``.

    ``pages`` serves pages of the names EVIL and GOOD. The server allows the latter, and nobody else.
    """

    browser: Page
    pages: Stage
    road: Stage
    server: Server

    def url(self, name: str, path: str = "", scheme: str = "http") -> str:
        """Return the address of a path on the server, by one of this machine's names."""
        return address(name, self.road.port, scheme) + path

    def evil(self) -> Page:
        """Go to a stranger's page."""
        return self.browser.go(page_of(EVIL, self.pages.port))

    def good(self) -> Page:
        """Go to a page that is allowed."""
        return self.browser.go(page_of(GOOD, self.pages.port))


@define
class Printer:
    """The state of a server and its printer, as seen by somebody who was there before the browser."""

    server: Server
    witness: UnixClient

    def state(self) -> dict[str, Any]:
        """Return everything that a web page might want to change.

        Raises Closed if the server has been restarted since the witness came.
        """
        names = ("access.get_api_key", "access.users.list", "printer.info", "server.gcode_store")
        return {name: self._ask(name) for name in names}

    def _ask(self, name: str) -> Any:
        answer = self.witness.call(name)
        assert "result" in answer, answer
        return answer["result"]

    def recover(self) -> None:
        """Start the printer again if somebody has stopped it, and wait until it is ready."""
        state = self.witness.call("printer.info").get("result", {"state": "startup"})["state"]
        if state == "shutdown":
            self.server.admin("/printer/firmware_restart", "POST")
        if state != "ready":
            self.witness.wait_for("notify_klippy_ready")


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """Run a browser."""
    with chromium(tmp_path_factory.mktemp("browser")) as page:
        yield page


@pytest.fixture(scope="session")
def pages() -> Iterator[Stage]:
    """Serve pages of other names."""
    with stage() as served:
        yield served


@pytest.fixture(scope="session")
def scene(browser: Page, pages: Stage, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """Serve a virtual printer to HOME, where the browser is, and to one web site."""
    more = ALLOWED.format(good=GOOD, port=pages.port)
    with (
        guarded_server(tmp_path_factory.mktemp("server"), "--simulate", more=more) as server,
        stage(server.port) as road,
    ):
        server.process.wait_for(server.port, "ready")
        yield Scene(browser, pages, road, server)


@pytest.fixture(scope="session")
def abroad(browser: Page, pages: Stage, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """Serve one web site's users; the browser's address is none that is trusted."""
    folder, port = tmp_path_factory.mktemp("abroad"), free_port()
    configure(
        folder / "data",
        f"[machine]\nprovider: none\n[server]\nhost: 127.0.0.1\nport: {port}\n"
        "[authorization]\ntrusted_clients:\n    127.0.0.9\n" + ALLOWED.format(good=GOOD, port=pages.port),
    )
    with serving(folder, folder / "data", port) as server, stage(port) as road:
        yield Scene(browser, pages, road, server)


@pytest.fixture
def printer(scene: Scene) -> Iterator[Printer]:
    """Look at the printer; it is ready before each test, and again after it."""
    with closing(scene.server.local()) as witness:
        seen = Printer(scene.server, witness)
        scene.road.forget()
        yield seen
        seen.recover()
