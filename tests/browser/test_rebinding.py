"""A stranger's page whose name becomes our address while it is shown (DNS rebinding).

For the browser the server is then where the page came from, so it lets the page send and read everything.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.browser.chromium import EVIL, GOOD, PRINTER, Page, page_of
from tests.browser.conftest import Printer, Scene
from tests.browser.test_strangers import CHANGED_BY_GET, CHANGED_BY_POST, OPEN, SECRETS
from tests.integration.people import HOME, bearer

ASK = """
    const [url, options] = given;
    const response = await fetch(url, options);
    return [response.status, await response.text()];
"""


def ask(page: Page, path: str, **options: Any) -> tuple[int, str]:
    """Ask the server from a page of its own origin, as the browser sees it, for status and text."""
    status, text = page.run(ASK, path, options)
    return status, text


def rebound(scene: Scene, name: str = EVIL) -> Page:
    """Go to a page whose name and port are the server's from now on."""
    scene.road.forget()
    return scene.browser.go(page_of(name, scene.road.port))


@pytest.mark.parametrize("path", SECRETS)
def test_shows_nothing_to_visitors(scene: Scene, path: str) -> None:
    """Who comes to the server by a name that isn't its own is told that, and nothing else."""
    page = scene.browser.go(f"http://{EVIL}:{scene.server.port}{path}")
    assert f"'{EVIL}:{scene.server.port}' is no name of this server" in page.text


@pytest.mark.parametrize("path", SECRETS)
def test_reads_nothing(scene: Scene, path: str) -> None:
    """A page that has our address under its own name reads nothing."""
    status, text = ask(rebound(scene), path)
    assert status == 403
    assert scene.server.admin("/access/api_key") not in text


def test_changes_nothing(scene: Scene, printer: Printer) -> None:
    """A page that has our address under its own name changes nothing."""
    before = printer.state()
    page = rebound(scene)
    json = {"Content-Type": "application/json"}
    body = '{"script": "M117 evil", "username": "evil", "password": "evil-password"}'
    answers = {path: ask(page, path, method="POST", headers=json, body=body)[0] for path in CHANGED_BY_POST}
    assert answers == dict.fromkeys(CHANGED_BY_POST, 403)
    answers = {path: ask(page, f"{path}?script=M117")[0] for path in CHANGED_BY_GET}
    assert answers == dict.fromkeys(CHANGED_BY_GET, 403)
    assert ask(page, "/access/user?username=evil", method="DELETE")[0] == 403
    assert printer.state() == before


@pytest.mark.parametrize("path", ["/websocket", "/klippysocket"])
def test_opens_no_websocket(scene: Scene, path: str) -> None:
    """A page that has our address under its own name gets no websocket."""
    assert rebound(scene).run(OPEN, scene.url(EVIL, path, "ws")) == 1006
    assert scene.road.request(path, "GET").status == 403


def test_a_wrong_secret_is_no_help(scene: Scene) -> None:
    """A page that has our address under its own name gets no further by a secret that it made up."""
    page = rebound(scene)
    assert ask(page, "/access/api_key", headers=bearer("a.b.c"))[0] == 401
    assert ask(page, "/access/api_key", headers={"X-Api-Key": "0" * 32})[0] == 401
    assert ask(page, "/access/api_key?token=guessed")[0] == 403


def test_an_allowed_name_on_another_port(scene: Scene) -> None:
    """A page of an allowed web site that has our address on another port than is allowed reads nothing."""
    assert ask(rebound(scene, GOOD), "/server/info")[0] == 403


@pytest.mark.parametrize("name", [HOME, PRINTER, "localhost"])
def test_our_own_names(scene: Scene, name: str) -> None:
    """A page that the server's own address or name serves may do everything."""
    page = rebound(scene, name)
    assert ask(page, "/server/info")[0] == 200
    assert ask(page, "/printer/gcode/script?script=M117")[0] == 200
    assert ask(page, "/printer/gcode/script?script=M117", method="POST")[0] == 200
