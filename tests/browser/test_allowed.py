"""Pages of a web site that ``cors_domains`` allows: a front-end that is served from elsewhere."""

from __future__ import annotations

import json
from contextlib import closing
from typing import Any

import pytest

from tests.browser.chromium import GOOD, PRINTER, Failed, Page
from tests.browser.conftest import Printer, Scene
from tests.browser.test_strangers import READ
from tests.integration.people import HOME, bearer, identification

NAMES = pytest.mark.parametrize("name", [HOME, PRINTER])

PASSWORD = "correct horse battery staple"

ASK = """
    const [url, options] = given;
    const response = await fetch(url, options);
    return [response.status, await response.json()];
"""

CALL = """
    const [url, ...requests] = given;
    const socket = new WebSocket(url);
    const answers = [];
    return await new Promise((resolve) => {
        socket.onclose = () => resolve(answers);
        socket.onopen = () => socket.send(JSON.stringify(requests[0]));
        socket.onmessage = (event) => {
            const message = JSON.parse(event.data);
            if (message.id === undefined) return;
            answers.push(message);
            if (answers.length === requests.length) socket.close();
            else socket.send(JSON.stringify(requests[answers.length]));
        };
    });
"""


def ask(page: Page, url: str, **options: Any) -> Any:
    """Ask for something from a page, and return the result."""
    status, answer = page.run(ASK, url, options)
    assert status == 200, answer
    return answer["result"]


def as_json(method: str, arguments: object, **headers: str) -> dict[str, Any]:
    """Return the options of a request that has JSON for its body."""
    shown = {"Content-Type": "application/json", **headers}
    return {"method": method, "headers": shown, "body": json.dumps(arguments)}


def call(page: Page, url: str, *requests: tuple[str, dict[str, Any]]) -> list[Any]:
    """Make calls on a websocket from a page, one after the other, and return the answers."""
    texts = [
        {"jsonrpc": "2.0", "id": number, "method": method, "params": arguments}
        for number, (method, arguments) in enumerate(requests)
    ]
    answers: list[Any] = page.run(CALL, url, *texts)
    return answers


@NAMES
def test_reads(scene: Scene, name: str) -> None:
    """An allowed page reads answers, errors included."""
    page = scene.good()
    assert ask(page, scene.url(name, "/server/info"))["klippy_state"] == "ready"
    assert ask(page, scene.url(name, "/access/api_key")) == scene.server.admin("/access/api_key")
    status, answer = page.run(ASK, scene.url(name, "/nosuch"), {})
    assert (status, answer["error"]["code"]) == (404, 404)


@NAMES
def test_shows_secrets(scene: Scene, name: str) -> None:
    """An allowed page shows a key or a token by each of the headers, after the browser has asked."""
    page = scene.good()
    user = scene.server.add_user(f"shows-{name}", PASSWORD)
    key = scene.server.admin("/access/api_key")
    for headers in ({"X-Access-Token": user["token"]}, bearer(user["token"])):
        scene.road.forget()
        said = ask(page, scene.url(name, f"/access/user?{next(iter(headers))}"), headers=headers)
        assert said["username"] == user["username"]
        asked = scene.road.request("/access/user", "OPTIONS")
        assert asked.status == 204
        assert asked.answer["access-control-allow-origin"] == f"http://{GOOD}:{scene.pages.port}"
    assert ask(page, scene.url(name, "/access/api_key"), headers={"X-Api-Key": key}) == key
    status, answer = page.run(ASK, scene.url(name, "/server/info"), {"headers": {"X-Api-Key": "wrong"}})
    assert (status, answer["error"]["message"]) == (401, "Unauthorized")


@NAMES
def test_changes(scene: Scene, printer: Printer, name: str) -> None:
    """An allowed page sends JSON and deletes."""
    page, username = scene.good(), f"changes-{name}"
    user = {"username": username, "password": PASSWORD}
    before = printer.state()["access.users.list"]
    ask(page, scene.url(name, "/access/user"), **as_json("POST", user))
    assert username in {known["username"] for known in printer.state()["access.users.list"]["users"]}
    ask(page, scene.url(name, "/access/user"), **as_json("DELETE", {"username": username}))
    assert printer.state()["access.users.list"] == before
    script = as_json("POST", {"script": f"M117 by {name}"})
    assert ask(page, scene.url(name, "/printer/gcode/script"), **script) == "ok"
    shown = ask(page, scene.url(name, "/printer/objects/query?display_status"))
    assert shown["status"]["display_status"]["message"] == f"by {name}"


@NAMES
def test_sends_nothing_odd(scene: Scene, name: str) -> None:
    """An allowed page may send no header that isn't the API's."""
    page = scene.good()
    with pytest.raises(Failed, match="TypeError"):
        page.run(READ, scene.url(name, "/server/info"), {"headers": {"X-Odd": "1"}})


def test_calls(scene: Scene) -> None:
    """An allowed page opens the websocket, and is answered."""
    url = f"ws://{PRINTER}:{scene.server.port}/websocket"
    identify = ("server.connection.identify", identification())
    first, second = call(scene.good(), url, identify, ("printer.info", {}))
    assert first["result"]["connection_id"]
    assert second["result"]["state"] == "ready"


def test_bridge(scene: Scene) -> None:
    """An allowed page opens the bridge to Klippy."""
    page = scene.good()
    url = f"ws://{PRINTER}:{scene.server.port}/klippysocket"
    (answer,) = page.run(CALL, url, {"id": 1, "method": "info", "params": {}})
    assert answer["result"]["state"] == "ready"


def log_in(scene: Scene, page: Page, username: str) -> str:
    """Make a user who logs in from a page, and return the token."""
    user = {"username": username, "password": PASSWORD}
    with closing(scene.server.local()) as local:
        assert "result" in local.call("access.post_user", **user)
    token: str = ask(page, scene.url(PRINTER, "/access/login"), **as_json("POST", user))["token"]
    return token


def test_login(abroad: Scene) -> None:
    """Where the address isn't trusted, an allowed page logs in, and its token opens what was closed."""
    page, url = abroad.good(), abroad.url(PRINTER, "/access/users/list")
    status, answer = page.run(ASK, url, {})
    assert (status, answer["error"]["message"]) == (401, "Unauthorized")
    token = log_in(abroad, page, "by-header")
    users = ask(page, url, headers=bearer(token))["users"]
    assert "by-header" in {user["username"] for user in users}
    ask(page, abroad.url(PRINTER, "/access/logout"), **as_json("POST", {}, **bearer(token)))
    status, answer = page.run(ASK, url, {"headers": bearer(token)})
    assert (status, answer["error"]["message"]) == (401, "Unauthorized")


def test_identify(abroad: Scene) -> None:
    """Where the address isn't trusted, an allowed page's websocket is let in by the token of a login."""
    page, url = abroad.good(), f"ws://{PRINTER}:{abroad.server.port}/websocket"
    token = log_in(abroad, page, "by-websocket")
    shown = ("server.connection.identify", identification(access_token=token))
    refused, _, answered = call(page, url, ("server.info", {}), shown, ("server.info", {}))
    assert refused["error"]["message"] == "Unauthorized"
    assert "klippy_state" in answered["result"]


def test_oneshot(abroad: Scene) -> None:
    """Where the address isn't trusted, a oneshot token that an allowed page asks for is good once."""
    page, url = abroad.good(), f"ws://{PRINTER}:{abroad.server.port}/websocket"
    token = log_in(abroad, page, "by-oneshot")
    get = {"headers": bearer(token)}
    oneshot = ask(page, abroad.url(PRINTER, "/access/oneshot_token"), **get)
    assert ask(page, abroad.url(PRINTER, f"/access/users/list?token={oneshot}"))["users"]
    status, _ = page.run(ASK, abroad.url(PRINTER, f"/access/users/list?token={oneshot}"), {})
    assert status == 401
    oneshot = ask(page, abroad.url(PRINTER, "/access/oneshot_token"), **get)
    (answer,) = call(page, f"{url}?token={oneshot}", ("access.users.list", {}))
    assert answer["result"]["users"]
    (answer,) = call(page, f"{url}?token={oneshot}", ("access.users.list", {}))
    assert answer["error"]["message"] == "Unauthorized"


def test_strangers_learn_nothing_abroad(abroad: Scene) -> None:
    """Where the address isn't trusted, a stranger's page can't even show a token that it has."""
    page = abroad.good()
    token = log_in(abroad, page, "stolen")
    page = abroad.evil()
    for headers in ({}, bearer(token)):
        with pytest.raises(Failed, match="TypeError"):
            page.run(READ, abroad.url(PRINTER, "/access/users/list"), {"headers": headers})
