"""A front-end that is served by ourselves, in a real browser."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.browser.chromium import Page
from tests.integration.people import HOME, Server, guarded_server
from tests.integration.process import ask

INDEX = """<!doctype html>
<title>A front-end</title>
<link rel="icon" href="data:,">
<style>body { color: rgb(1, 2, 3) }</style>
<script type="module" src="/assets/index-DiwrgT4a.js"></script>
"""

SCRIPT = """
const worker = new Worker(URL.createObjectURL(new Blob(['postMessage(1)'])));
const socket = new WebSocket(`ws://${location.host}/websocket`);
Promise.all([
    new Promise((resolve) => { worker.onmessage = resolve; }),
    new Promise((resolve) => { socket.onopen = resolve; }),
    WebAssembly.compileStreaming(fetch('/assets/empty.wasm')),
    fetch('/server/info').then((response) => response.json()),
    fetch('/server/nosuch').then((response) => response.json()),
]).then(([, , , info, missing]) => { window.seen = [info.result.klippy_state, missing.error.code]; });
"""
"""What front-ends are made of: styles in the page, workers from blobs, WebAssembly, the API."""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Serve a front-end and a virtual printer."""
    folder = tmp_path_factory.mktemp("frontend")
    write_front_end(folder / "dist")
    option = f"frontend_path: {folder / 'dist'}\n"
    with guarded_server(folder, "--simulate", server=option) as server:
        server.process.wait_for(server.port, "ready")
        yield server


def write_front_end(folder: Path) -> None:
    """Write a small front-end."""
    assets = folder / "assets"
    assets.mkdir(parents=True)
    (folder / "index.html").write_text(INDEX)
    (assets / "index-DiwrgT4a.js").write_text(SCRIPT)
    (assets / "empty.wasm").write_bytes(b"\0asm\1\0\0\0")


@pytest.mark.parametrize("path", ["/", "/dashboard", "/files/gcodes/"])
def test_front_end(browser: Page, served: Server, path: str) -> None:
    """A front-end works at each of its views: scripts, styles, workers and the API, errors in JSON."""
    driver: Any = browser.driver
    driver.get_log("browser")
    browser.go(f"http://{HOME}:{served.port}{path}")
    seen = browser.run(
        "while (!window.seen) await new Promise((go) => setTimeout(go, 20)); return window.seen"
    )
    assert seen == ["ready", 404]
    assert browser.run("return getComputedStyle(document.body).color") == "rgb(1, 2, 3)"
    complaints = [entry["message"] for entry in driver.get_log("browser")]
    assert [text for text in complaints if "/server/nosuch" not in text] == []


def test_api_is_the_api(served: Server) -> None:
    """Beside a front-end the API is where it was, and says in JSON what it doesn't know, even to people."""
    page = {"Accept": "text/html"}
    assert ask(served.port, "/server/info", headers=page).json["result"]["warnings"] == []
    for path in ("/server/nosuch", "/printer/nosuch", "/access/nosuch", "/machine/nosuch"):
        assert ask(served.port, path, headers=page).json["error"]["code"] == 404
    assert ask(served.port, "/nosuch", "POST").status == 404
    assert ask(served.port, "/dashboard", headers=page).body == INDEX.encode()
