"""What a configuration says without a server is what a server says of it."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from twisted.internet.testing import MemoryReactorClock
from twisted.logger import Logger, LogPublisher

from tests.tools import Faults
from txraker.assembly import Lasting, assemble
from txraker.authorization.audit import AuditLog
from txraker.config.documented import _PLAIN
from txraker.config.errors import ConfigError
from txraker.config.load import load
from txraker.install.survey import survey
from txraker.kept import Kept
from txraker.system.logfile import LogFile
from txraker.testing.threads import at_once


async def no_restart() -> None:
    """Do nothing."""


def warnings_of_server(data_path: Path) -> list[str]:
    """Return what a server warns of."""
    reactor = MemoryReactorClock()
    file = LogFile(data_path / "x.log", str, print)
    lasting = Lasting(
        Logger(observer=LogPublisher()),
        file,
        Kept(reactor, data_path, lambda _key, _text: None, Faults()),  # type: ignore[arg-type]  # it provides it
        AuditLog(file, time.monotonic),
        at_once,
    )
    server = assemble(
        reactor,  # type: ignore[arg-type]  # it provides what a Reactor is
        load(data_path, None),
        lasting,
        no_restart,
    )
    return server.warnings.texts()


def configured(folder: Path, text: str) -> Path:
    """Write a configuration and return the data path."""
    (folder / "config").mkdir()
    (folder / "config" / "moonraker.conf").write_text(text)
    return folder


def test_same_as_server(tmp_path: Path) -> None:
    """Every documented section, and some that nobody knows, have the same warnings as in a server."""
    own = ("file_manager", "machine")
    text = "".join(f"[{section}]\n" for section in _PLAIN if section not in own)
    text += "[file_manager]\nqueue_gcode_uploads: False\nwrong: 1\n[mine]\n[power x]\ntype: gpio\n"
    text += "[webcam a]\nstream_url: /a\n[webcam b]\nrotation: 7\n[machine]\nprovider: none\n"
    found = survey(configured(tmp_path, text))
    about_options = [
        text for text in warnings_of_server(tmp_path) if "camera" not in text and "webcam" not in text
    ]
    assert [text for text in found.warnings if "webcam" not in text] == about_options
    assert "webcam a" in found.used
    assert "mine" not in found.used


def test_dispensable(tmp_path: Path) -> None:
    """A section that only costs a feature is a warning with the reason."""
    found = survey(configured(tmp_path, "[data_store]\ntemperature_store_size: many\n[webcam x]\n"))
    assert any("temperature_store_size" in text for text in found.warnings)
    assert any("stream_url" in text for text in found.warnings)


@pytest.mark.parametrize("text", ["[server]\nport: 0\n", "[logs]\nmax_size: x\n", "nonsense"])
def test_indispensable(tmp_path: Path, text: str) -> None:
    """What the server refuses to start with is an error."""
    with pytest.raises(ConfigError):
        survey(configured(tmp_path, text))
