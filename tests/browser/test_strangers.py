"""Pages of web sites that nobody has allowed, in the browser of somebody whose address is trusted.

The server is asked by its address, to which browsers tell where a request comes from, and by a name, to which
they don't as long as it isn't under TLS (a name isn't "potentially trustworthy", as the Secure Contexts
standard calls it, and neither is an address in a home's network).
"""

from __future__ import annotations

import pytest

from tests.browser.attacks import ARGUMENTS, DEPARTURES, GETS, POSTS
from tests.browser.chromium import EVIL, GOOD, PRINTER, Failed, Page, page_of
from tests.browser.conftest import Printer, Scene
from tests.browser.stage import PAGE
from tests.integration.people import HOME

NAMES = pytest.mark.parametrize("name", [HOME, PRINTER])

SECRETS = ("/server/info", "/access/api_key", "/access/users/list", "/access/oneshot_token", "/access/info")

CHANGED_BY_GET = ("/machine/peripherals/canbus", "/printer/gcode/script", "/printer/emergency_stop")

CHANGED_BY_POST = (
    "/access/login",
    "/access/user",
    "/access/api_key",
    "/printer/gcode/script",
    "/printer/emergency_stop",
    "/machine/services/restart",
    "/server/jsonrpc",
    "/server/restart",
)

OPEN = """
    const [url] = given;
    const socket = new WebSocket(url);
    return await new Promise((resolve) => {
        socket.onopen = () => resolve('open');
        socket.onclose = (event) => resolve(event.code);
    });
"""

READ = "const [url, options] = given; return await (await fetch(url, options)).text()"


@NAMES
@pytest.mark.parametrize("path", SECRETS)
@pytest.mark.parametrize("credentials", ["omit", "include"])
def test_reads_nothing(scene: Scene, name: str, path: str, credentials: str) -> None:
    """A stranger's page doesn't get to see an answer, whether the browser sends what it knows or not."""
    scene.road.forget()
    page = scene.evil()
    with pytest.raises(Failed, match="TypeError"):
        page.run(READ, scene.url(name, path), {"credentials": credentials})
    request = scene.road.request(path, "GET")
    assert request.headers["origin"] == f"http://{EVIL}:{scene.pages.port}"
    assert not [header for header in request.answer if header.startswith("access-control-")]


@NAMES
@pytest.mark.parametrize("header", ["X-Api-Key", "Authorization", "X-Access-Token"])
def test_shows_nothing(scene: Scene, name: str, header: str) -> None:
    """A stranger's page can't send a secret that it tries to guess: the browser isn't told that it may."""
    scene.road.forget()
    page = scene.evil()
    with pytest.raises(Failed, match="TypeError"):
        page.run(READ, scene.url(name, "/server/info"), {"headers": {header: "guessed"}})
    request = scene.road.request("/server/info", "OPTIONS")
    assert not [header for header in request.answer if header.startswith("access-control-")]


@NAMES
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_sends_no_json(scene: Scene, printer: Printer, name: str, method: str) -> None:
    """A stranger's page can't send JSON as such, nor delete: the browser isn't told that it may."""
    before = printer.state()
    page = scene.evil()
    options = {"method": method, "headers": {"Content-Type": "application/json"}, "body": "{}"}
    with pytest.raises(Failed, match="TypeError"):
        page.run(READ, scene.url(name, "/access/user"), options)
    assert "access-control-allow-origin" not in scene.road.request("/access/user", "OPTIONS").answer
    assert printer.state() == before


@NAMES
@pytest.mark.parametrize("kind", GETS)
def test_changes_nothing_by_get(scene: Scene, printer: Printer, name: str, kind: str) -> None:
    """However a stranger's page makes the browser GET something, the server refuses to change anything."""
    before = printer.state()
    page = scene.evil()
    for path in CHANGED_BY_GET:
        attack(scene, page, GETS[kind], scene.url(name, f"{path}?{ARGUMENTS}"))
    answers = {path: scene.road.request(path, "GET").status for path in CHANGED_BY_GET}
    assert answers == dict.fromkeys(CHANGED_BY_GET, 403)
    assert printer.state() == before


@NAMES
@pytest.mark.parametrize("kind", DEPARTURES)
def test_changes_nothing_by_leaving(scene: Scene, printer: Printer, name: str, kind: str) -> None:
    """Where a stranger's page sends its visitors to, the server refuses to change anything."""
    before = printer.state()
    answers = {}
    for path in CHANGED_BY_GET:
        attack(scene, scene.evil(), DEPARTURES[kind], scene.url(name, f"{path}?{ARGUMENTS}"))
        answers[path] = scene.road.request(path, "GET").status
    assert answers == dict.fromkeys(CHANGED_BY_GET, 403)
    assert printer.state() == before


@NAMES
@pytest.mark.parametrize("kind", POSTS)
def test_changes_nothing_by_post(scene: Scene, printer: Printer, name: str, kind: str) -> None:
    """However a stranger's page makes the browser POST something, the server refuses to change anything."""
    before = printer.state()
    page = scene.evil()
    for path in CHANGED_BY_POST:
        attack(scene, page, POSTS[kind], scene.url(name, f"{path}?{ARGUMENTS}"))
    answers = {path: scene.road.request(path, "POST").status for path in CHANGED_BY_POST}
    assert answers == dict.fromkeys(CHANGED_BY_POST, 403)
    assert printer.state() == before


@NAMES
@pytest.mark.parametrize("path", ["/websocket", "/klippysocket"])
def test_opens_no_websocket(scene: Scene, name: str, path: str) -> None:
    """A stranger's page gets no websocket."""
    scene.road.forget()
    assert scene.evil().run(OPEN, scene.url(name, path, "ws")) == 1006
    assert scene.road.request(path, "GET").status == 403


@NAMES
@pytest.mark.parametrize("path", ["/websocket", "/klippysocket"])
def test_opens_no_websocket_from_nowhere(scene: Scene, name: str, path: str) -> None:
    """A page without an origin gets no websocket."""
    scene.road.forget()
    page = scene.evil()
    sandboxed = GETS["sandboxed navigation"].replace("location = url", "new WebSocket(url)")
    page.run(f"const [url] = given; {sandboxed}", scene.url(name, path, "ws"))
    request = scene.road.request(path, "GET")
    assert (request.headers["origin"], request.status) == ("null", 403)


def test_another_port_of_an_allowed_name(scene: Scene) -> None:
    """A page of an allowed web site's name isn't allowed on another port."""
    scene.road.forget()
    page = scene.browser.go(page_of(GOOD, scene.road.port))
    with pytest.raises(Failed, match="TypeError"):
        page.run(READ, scene.url(HOME, "/server/info"), {})
    assert page.run(OPEN, scene.url(HOME, "/websocket", "ws")) == 1006
    assert scene.road.request("/websocket", "GET").status == 403


def attack(scene: Scene, page: Page, body: str, url: str) -> None:
    """Attack an address from a page."""
    page.run(f"const [url, page] = given; {body}", url, page_of(EVIL, scene.pages.port))


def test_the_attacks_are_real(scene: Scene, printer: Printer) -> None:
    """What the server refuses to a stranger's page, it does for its own."""
    before = printer.state()
    page = scene.browser.go(scene.url(PRINTER, PAGE))
    attack(scene, page, POSTS["form"], scene.url(PRINTER, "/printer/gcode/script"))
    assert scene.road.request("/printer/gcode/script", "POST").status == 200
    assert printer.state() != before
