"""Answers as something that they aren't: pages in a frame, scripts, pictures."""

from __future__ import annotations

import pytest

from tests.browser.chromium import GOOD, PRINTER, page_of
from tests.browser.conftest import Scene
from tests.browser.stage import TEXT
from tests.integration.people import HOME
from tests.integration.process import ask

NAMES = pytest.mark.parametrize("name", [HOME, PRINTER])

LOADED = """
    const [kind, attribute, url] = given;
    const element = document.createElement(kind);
    if (kind === 'link') element.rel = 'stylesheet';
    const told = new Promise((resolve) => {
        element.onload = () => resolve('loaded');
        element.onerror = () => resolve('refused');
    });
    element[attribute] = url;
    document.body.append(element);
    return await told;
"""


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/server/info", 200),
        ("GET", "/nosuch", 404),
        ("PUT", "/server/info", 405),
        ("OPTIONS", "/server/info", 204),
        ("POST", "/server/jsonrpc", 200),
        ("GET", "/websocket", 400),
        ("GET", "/klippysocket", 400),
    ],
)
def test_headers(scene: Scene, method: str, path: str, status: int) -> None:
    """Every answer says that it is no page, no frame, and of no other type than it says."""
    reply = ask(scene.server.port, path, method)
    assert reply.status == status
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert reply.headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
    assert reply.headers["referrer-policy"] == "no-referrer"


@NAMES
def test_frames(scene: Scene, name: str) -> None:
    """An answer isn't shown in a frame, not even to an allowed page; what anybody else serves is."""
    page = scene.good()
    assert page.run(LOADED, "iframe", "src", page_of(GOOD, scene.pages.port)) == "loaded"
    assert page.frame_text == TEXT
    page = scene.good()
    assert page.run(LOADED, "iframe", "src", scene.url(name, "/server/info")) == "loaded"
    assert "klippy" not in page.frame_text


@NAMES
@pytest.mark.parametrize(
    ("kind", "attribute"), [("script", "src"), ("link", "href"), ("img", "src"), ("object", "data")]
)
def test_other_kinds(scene: Scene, name: str, kind: str, attribute: str) -> None:
    """An answer is taken for no script, style sheet, picture or object."""
    page = scene.good()
    assert page.run(LOADED, kind, attribute, scene.url(name, "/server/info")) == "refused"


@NAMES
def test_scripts_in_answers(scene: Scene, name: str) -> None:
    """A script that somebody has put into an answer doesn't run when the answer is looked at."""
    path = "/%3Cscript%3Edocument.title='evil'%3C/script%3E"
    page = scene.browser.go(scene.url(name, path))
    assert page.driver.title != "evil"
    assert page.driver.execute_script("return document.scripts.length") == 0
