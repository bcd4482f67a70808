"""The welcome page in a real browser, on a virtual printer."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from attrs import define

from tests.browser.chromium import Page
from tests.integration.people import HOME, Server, guarded_server, restarted
from tests.integration.process import PATIENCE
from txraker.transports.web.frontend_files import WELCOME

HOSTILE = "<img src=x onerror=document.title='hacked'><b>bold</b>"

PASSWORD = "correct horse battery staple"

_LISTEN = """
    window.heard = [];
    const Real = WebSocket;
    window.WebSocket = class extends Real {
        constructor(...given) {
            super(...given);
            this.addEventListener('message', ({data}) => window.heard.push(JSON.parse(data).method));
        }
    };
"""
"""What makes a page note the methods of the notifications that come, before its own scripts run."""

_HIDE = """
    Object.defineProperty(document, 'hidden', {value: given[0], configurable: true});
    document.dispatchEvent(new Event('visibilitychange'));
"""

_NOTE_STATES = """
    const state = document.getElementById('state');
    window.states = [];
    new MutationObserver(() => window.states.push(state.innerText)).observe(state, {childList: true});
"""
"""What makes a page note every state that it shows from now on."""

_OVERFLOWING = "return document.documentElement.scrollWidth - document.documentElement.clientWidth"


@define
class Visit:
    """The welcome page in the browser, and the server it is from."""

    page: Page
    server: Server

    def look(self, script: str, *given: object) -> Any:
        """Return what a script returns on the page."""
        return self.page.driver.execute_script(f"const given = [...arguments]; {script}", *given)

    def until(self, script: str, *given: object) -> Any:
        """Wait until a script returns something true on the page, and return it."""
        deadline = time.monotonic() + PATIENCE
        while not (seen := self.look(script, *given)):
            assert time.monotonic() < deadline, f"waited in vain for {script}\n{self.page.text}"
            time.sleep(0.05)
        return seen

    def text(self, name: str) -> str:
        """Return what is to be read in an element."""
        return str(self.look("return document.getElementById(given[0]).innerText", name))

    def wait_for(self, name: str, text: str) -> None:
        """Wait until an element says something."""
        self.until("return document.getElementById(given[0]).innerText.includes(given[1])", name, text)

    def click(self, name: str) -> None:
        """Click on an element, as a person would."""
        self.page.driver.find_element("id", name).click()

    def type(self, name: str, text: str) -> None:
        """Type into an element."""
        self.page.driver.find_element("id", name).send_keys(text)

    def run(self, script: str) -> None:
        """Run gcode, from elsewhere."""
        self.server.admin("/printer/gcode/script", "POST", {"script": script})

    def restart(self) -> None:
        """Restart the server, and wait until the page has noticed and is back."""
        self.look(_NOTE_STATES)
        restarted(self.server)
        self.until("return window.states.some((state) => state.includes('No connection'))")
        self.wait_for("state", "Ready")

    def picture(self) -> str:
        """Return the plot."""
        return str(self.look("return document.getElementById('plot').toDataURL()"))


def complaints(page: Page) -> list[str]:
    """Return what the page wrote to the browser's console since the last time."""
    driver: Any = page.driver
    return [entry["message"] for entry in driver.get_log("browser")]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Serve a virtual printer, with a configuration that isn't quite right."""
    folder = tmp_path_factory.mktemp("welcome")
    with guarded_server(folder, "--simulate", more=f"[{HOSTILE}]\na: 1\n") as server:
        server.process.wait_for(server.port, "ready")
        yield server


@pytest.fixture
def visit(browser: Page, served: Server) -> Iterator[Visit]:
    """Go to the page; at the end it must not have complained, nor asked for anything from elsewhere."""
    complaints(browser)
    visit = Visit(browser.go(f"http://{HOME}:{served.port}/"), served)
    visit.wait_for("state", "Ready")
    yield visit
    home = f"http://{HOME}:{served.port}/"
    asked = visit.look("return performance.getEntriesByType('resource').map(({name}) => name)")
    assert asked
    assert [url for url in asked if not url.startswith(home)] == []
    assert complaints(browser) == []


def test_state(visit: Visit) -> None:
    """The page shows whose printer it is, how it is, and that nothing is printed."""
    assert visit.text("host") == visit.server.admin("/printer/info")["hostname"]
    assert visit.text("state") == "Ready"
    assert "Nothing is being printed" in visit.text("message")
    assert visit.look("return document.getElementById('login').hidden")


def test_temperatures(visit: Visit) -> None:
    """The page shows each sensor with its temperature and target, and goes on to as they change."""
    visit.run("M140 S60")
    try:
        visit.wait_for("sensors", "60 °C")
        assert visit.text("sensors").count("heater bed") == 1
        assert len(visit.text("sensors").splitlines()) == len(
            visit.server.admin("/server/temperature_store?include_monitors=true")
        )
        before = visit.text("sensors")
        visit.until("return document.getElementById('sensors').innerText !== given[0]", before)
    finally:
        visit.run("M140 S0")
    visit.until("return document.getElementById('sensors').innerText.includes('off')")


def test_plot(visit: Visit) -> None:
    """The plot has lines in the sensors' colours, and moves on."""
    visit.run("M140 S40")
    try:
        visit.until(_COLOURS_DRAWN, ["heater bed", "host", "electronics"])
        before = visit.picture()
        visit.until("return document.getElementById('plot').toDataURL() !== given[0]", before)
    finally:
        visit.run("M140 S0")


_COLOURS_DRAWN = """
    const canvas = document.getElementById('plot');
    const {width, height} = canvas;
    const pen = new OffscreenCanvas(width, height).getContext('2d', {willReadFrequently: true});
    if (width) pen.drawImage(canvas, 0, 0);
    const {data} = pen.getImageData(0, 0, width || 1, height || 1);
    const seen = new Set();
    for (let at = 0; at < data.length; at += 4) seen.add(`rgb(${data.slice(at, at + 3).join(', ')})`);
    const rows = [...document.querySelectorAll('#sensors tr')].filter((row) => given[0].includes(
        row.cells[0].innerText));
    const colours = rows.map((row) => getComputedStyle(row.querySelector('.swatch')).backgroundColor);
    return colours.length === given[0].length && colours.every((colour) => seen.has(colour));
"""
"""Whether the colours of some sensors are on the canvas."""


def test_console(visit: Visit) -> None:
    """A command that is typed is run, and its answer is shown, as is what others' commands answer."""
    visit.type("command", "M115\n")
    visit.wait_for("lines", "FIRMWARE_NAME")
    visit.type("command", "NO_SUCH_COMMAND\n")
    visit.wait_for("lines", 'Unknown command:"NO_SUCH_COMMAND"')
    visit.run("M118 from elsewhere")
    visit.wait_for("lines", "echo: from elsewhere")
    visit.type("command", "\ue013")
    assert visit.look("return document.getElementById('command').value") == "NO_SUCH_COMMAND"


def test_console_remembers(visit: Visit) -> None:
    """The console shows what was there before the page."""
    visit.run("M118 long ago")
    visit.page.go(visit.page.driver.current_url)
    visit.wait_for("lines", "echo: long ago")


def test_failure(visit: Visit) -> None:
    """A command that Klipper refuses is told about once."""
    visit.type("command", "G1 X10\n")
    visit.wait_for("lines", "Must home axis first")
    time.sleep(0.3)
    assert visit.text("lines").count("Must home axis first") == 1


def test_print(visit: Visit) -> None:
    """The page shows which file is printed, and how far it is."""
    (visit.server.data / "gcodes" / "cube.gcode").write_text("G4 P50\n" * 1000)
    visit.server.admin("/printer/print/start", "POST", {"filename": "cube.gcode"})
    try:
        visit.wait_for("state", "Printing")
        visit.wait_for("file", "cube.gcode")
        visit.until("return document.getElementById('progress').value > 1")
        assert "Printing for" in visit.text("job")
    finally:
        visit.server.admin("/printer/print/cancel", "POST")
    visit.wait_for("state", "Print cancelled")
    visit.run("SDCARD_RESET_FILE")
    visit.wait_for("state", "Ready")


def test_emergency_stop(visit: Visit) -> None:
    """The printer is stopped when that is confirmed and not before, and can be started again."""
    visit.click("stop")
    visit.click("confirm-no")
    assert visit.server.admin("/printer/info")["state"] == "ready"
    visit.click("stop")
    visit.click("confirm-yes")
    visit.wait_for("state", "Klipper is shut down")
    assert visit.server.admin("/printer/info")["state"] == "shutdown"
    assert visit.look("return document.getElementById('stop').disabled")
    visit.click("firmware-restart")
    visit.wait_for("state", "Ready")
    visit.until("return !document.getElementById('stop').disabled")


def test_emergency_stop_by_keyboard(visit: Visit) -> None:
    """The question is answered by the keyboard as well: Escape means no, Enter yes."""
    visit.type("stop", "\n")
    assert visit.look("return document.activeElement.id") == "confirm-yes"
    visit.page.driver.switch_to.active_element.send_keys("\ue00c")
    assert not visit.look("return document.getElementById('confirm').open")
    visit.type("stop", "\n")
    visit.page.driver.switch_to.active_element.send_keys("\n")
    visit.wait_for("state", "Klipper is shut down")
    visit.click("firmware-restart")
    visit.wait_for("state", "Ready")


def test_hostile(visit: Visit) -> None:
    """Whatever comes from the printer is shown as the text it is."""
    gcodes = visit.server.data / "gcodes"
    name = HOSTILE.replace("/", "") + ".gcode"
    (gcodes / name).write_text("G4 P50\n" * 1000)
    visit.run(f"M118 {HOSTILE}")
    visit.run(f"M117 {HOSTILE}")
    visit.server.admin("/printer/print/start", "POST", {"filename": name})
    try:
        visit.wait_for("lines", f"echo: {HOSTILE}")
        visit.wait_for("file", name)
        visit.wait_for("message", HOSTILE)
        visit.wait_for("notices", HOSTILE)
        assert visit.look("return document.querySelectorAll('img, b').length") == 0
        assert visit.look("return document.title") != "hacked"
    finally:
        visit.server.admin("/printer/print/cancel", "POST")
        visit.run("SDCARD_RESET_FILE\nM117")
    visit.wait_for("state", "Ready")


def test_restart(visit: Visit) -> None:
    """The page outlasts a restart of the server: it comes back by itself, and is alive."""
    visit.look("window.isTheSame = true")
    visit.restart()
    visit.run("M118 after all")
    visit.wait_for("lines", "echo: after all")
    before = visit.picture()
    visit.until("return document.getElementById('plot').toDataURL() !== given[0]", before)
    assert visit.look("return window.isTheSame")


def test_hidden(visit: Visit) -> None:
    """A page that nobody looks at follows nothing; when somebody does, it shows what is then."""
    driver: Any = visit.page.driver
    script = driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": _LISTEN})
    try:
        visit.page.go(driver.current_url)
        visit.until("return window.heard.includes('notify_status_update')")
        visit.look(_HIDE, True)
        time.sleep(0.5)
        visit.look("window.heard.length = 0")
        visit.run("M118 unseen")
        time.sleep(1.5)
        assert "notify_status_update" not in visit.look("return window.heard")
        visit.look(_HIDE, False)
        visit.until("return window.heard.includes('notify_status_update')")
        visit.wait_for("lines", "echo: unseen")
        assert visit.text("lines").count("echo: unseen") == 1
    finally:
        driver.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", script)


@pytest.mark.parametrize("width", [320, 390, 768, 1280])
def test_widths(visit: Visit, width: int) -> None:
    """The page fits on a phone, a tablet and a desk, and what is touched is large enough to be."""
    driver: Any = visit.page.driver
    size = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 700}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    try:
        assert visit.look(_OVERFLOWING) == 0
        heights = visit.look(
            "return [...document.querySelectorAll('main button')].map((b) => b.offsetHeight)"
        )
        assert all(height == 0 or height >= 44 for height in heights)
    finally:
        driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_schemes(visit: Visit) -> None:
    """The page is dark for those who want that, and light for others."""
    driver: Any = visit.page.driver
    seen = {}
    for scheme in ("light", "dark"):
        wanted = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
        driver.execute_cdp_cmd("Emulation.setEmulatedMedia", wanted)
        colour = visit.look("return getComputedStyle(document.body).backgroundColor")
        seen[scheme] = sum(map(int, re.findall(r"\d+", colour)))
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
    assert seen["dark"] < 200
    assert seen["light"] > 600


def test_names(visit: Visit) -> None:
    """Everything that can be used has a name for those who don't see it."""
    driver: Any = visit.page.driver
    tree = driver.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
    used = [node for node in tree if node.get("role", {}).get("value") in _USED]
    assert len(used) > len(_USED)
    assert [node["role"] for node in used if not node.get("name", {}).get("value")] == []


_USED = {"button", "link", "textbox", "log", "img", "progressbar", "region"}


def _luminance(colour: str) -> float:
    digits = colour * 2 if len(colour) == 3 else colour
    parts = [int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _contrast(one: str, other: str) -> float:
    darker, lighter = sorted(map(_luminance, (one, other)))
    return (lighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize("scheme", [0, 1])
def test_contrast(scheme: int) -> None:
    """Text can be read on what is behind it (WCAG 2.2, AA), and lines can be told from it, light or dark."""
    blocks = re.findall(r":root \{(.*?)\}", (WELCOME / "style.css").read_text(), re.DOTALL)
    colours = dict(re.findall(r"--([\w-]+): #([0-9a-f]+)", blocks[scheme]))
    behind = [("text", "warning"), ("on-main", "main"), ("on-danger", "danger"), ("main", "card")]
    behind += [
        (text, under) for text in ("text", "soft", "good", "wait", "bad") for under in ("page", "card")
    ]
    assert {pair for pair in behind if _contrast(*(colours[name] for name in pair)) < 4.5} == set()
    lines = [f"c{number}" for number in range(8)]
    assert {name for name in lines if _contrast(colours[name], colours["card"]) < 3} == set()


@pytest.fixture
def stranger(browser: Page, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Visit]:
    """Go to the page of a server that trusts nobody in the browser's place, and knows one user."""
    folder = tmp_path_factory.mktemp("stranger")
    with guarded_server(folder, "--simulate", more="force_logins: True\n") as server:
        server.process.wait_for(server.port, "ready")
        with closing(server.local()) as local:
            about = {"username": "anna", "password": PASSWORD, "role": "admin"}
            assert "result" in local.call("access.post_user", **about)
        yield Visit(browser.go(f"http://{HOME}:{server.port}/"), server)
        complaints(browser)


def test_login(stranger: Visit) -> None:
    """Who isn't known logs in, stays so through a restart, and leaves nothing behind in the browser."""
    stranger.until("return !document.getElementById('login').hidden")
    assert stranger.look("return document.getElementById('main').hidden")
    stranger.type("username", "anna")
    stranger.type("password", "wrong\n")
    stranger.wait_for("login-problem", "Invalid Password")
    stranger.type("password", "\ue009a\ue000" + PASSWORD + "\n")
    stranger.wait_for("state", "Ready")
    stranger.wait_for("sensors", "extruder")
    stranger.restart()
    assert stranger.look("return localStorage.length + sessionStorage.length + document.cookie.length") == 0
    stranger.page.go(stranger.page.driver.current_url)
    stranger.until("return !document.getElementById('login').hidden")
