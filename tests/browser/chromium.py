"""A Chromium without a window, for which some names are this machine."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from attrs import define

from tests.browser.stage import PAGE

if TYPE_CHECKING:
    from selenium.webdriver.remote.webdriver import WebDriver

EVIL, GOOD, PRINTER = "evil.example", "good.example", "printer.local"
"""Names whose address is 127.0.0.1: a stranger's page, an allowed page, and the server."""

PATIENCE = 10.0
"""Seconds that a page may take for what it is told to do."""

_PROGRAMS = ("chromium", "chromium-browser", "google-chrome")

# Chromium asks its user before a page of the internet gets to a local address, where it knows the difference.
# What is tested here is what is refused by the server, so nothing may be refused before.
_OWN_DEFENCES = (
    "LocalNetworkAccessChecks",
    "LocalNetworkAccessChecksWebSockets",
    "LocalNetworkAccessForNavigations",
    "BlockInsecurePrivateNetworkRequests",
    "PrivateNetworkAccessSendPreflights",
    "HttpsUpgrades",
    "HttpsFirstBalancedModeAutoEnable",
)

_SCRIPT = """
const done = arguments[arguments.length - 1];
const given = Array.prototype.slice.call(arguments, 0, -1);
(async (given) => { %s })(given).then(
    (value) => done({value: value === undefined ? null : value}),
    (error) => done({error: error.name}),
);
"""


class Failed(Exception):
    """A script in a page failed; its text is the name of the error."""


@define
class Page:
    """The page that the browser is on."""

    driver: WebDriver

    def go(self, url: str) -> Page:
        """Go to an address, as if it was typed in, and wait until the page is there."""
        self.driver.get(url)
        return self

    def run(self, body: str, *given: object) -> Any:
        """Run the body of an asynchronous function on the page, and return what it returns.

        Raises Failed when the script fails.
        """
        outcome = self.driver.execute_async_script(_SCRIPT % body, *given)
        if "error" in outcome:
            raise Failed(outcome["error"])
        return outcome["value"]

    @property
    def text(self) -> str:
        """What is to be read on the page."""
        return str(self.driver.execute_script("return document.documentElement.innerText"))

    @property
    def frame_text(self) -> str:
        """What is to be read in the page's first frame, whosever it is."""
        self.driver.switch_to.frame(0)
        try:
            return self.text
        finally:
            self.driver.switch_to.default_content()


def address(name: str, port: int, scheme: str = "http") -> str:
    """Return the origin of a name and a port."""
    return f"{scheme}://{name}:{port}"


def page_of(name: str, port: int) -> str:
    """Return the address of a stage's page."""
    return address(name, port) + PAGE


@contextmanager
def chromium(folder: Path) -> Iterator[Page]:
    """Run a browser whose files are in a folder as long as the context lasts; skip where there is none.

    With ``TXRAKER_TESTS_NEED_BROWSER`` in the environment, the test fails there.
    """
    reason = _missing()
    if reason and os.environ.get("TXRAKER_TESTS_NEED_BROWSER"):
        pytest.fail(reason)
    if reason:
        pytest.skip(reason)
    driver = _start(folder)
    try:
        yield Page(driver)
    finally:
        driver.quit()


def _missing() -> str:
    if _program() is None:
        return "the Debian package chromium is not installed"
    if shutil.which("chromedriver") is None:
        return "the Debian package chromium-driver is not installed"
    if find_spec("selenium") is None:
        return "selenium is not installed"
    return ""


def _program() -> str | None:
    return next(filter(None, map(shutil.which, _PROGRAMS)), None)


def _start(folder: Path) -> WebDriver:
    from selenium.webdriver import Chrome, ChromeOptions, ChromeService  # noqa: PLC0415  # may be missing

    options = ChromeOptions()
    options.binary_location = _program() or ""
    names = ", ".join(f"MAP {name} 127.0.0.1" for name in (EVIL, GOOD, PRINTER))
    for argument in (
        "--headless=new",
        "--no-sandbox",
        "--disable-dev-shm-usage",
        "--disable-gpu",
        "--no-proxy-server",
        f"--user-data-dir={folder / 'profile'}",
        f"--host-resolver-rules={names}, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
        f"--disable-features={','.join(_OWN_DEFENCES)}",
    ):
        options.add_argument(argument)
    service = ChromeService(shutil.which("chromedriver"), log_output=str(folder / "chromedriver.log"))
    driver = Chrome(options, service)
    driver.set_script_timeout(PATIENCE)
    driver.set_page_load_timeout(PATIENCE)
    return driver
