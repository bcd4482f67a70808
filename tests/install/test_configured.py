"""A configuration as a server would read it."""

from __future__ import annotations

import ast
from pathlib import Path

import txraker
from txraker.install.configured import SECTIONS, configured


def write(data_path: Path, text: str) -> None:
    """Write a configuration."""
    (data_path / "config").mkdir()
    (data_path / "config" / "moonraker.conf").write_text(text)


def test_sections_are_those_of_the_server() -> None:
    """Every section that the server reads by name is read here."""
    named = set()
    for path in Path(txraker.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr == "read"
            ):
                named |= {each.value for each in node.args[:1] if isinstance(each, ast.Constant)}
    assert {name for name in named if isinstance(name, str)} == {*SECTIONS, "secrets"}


def test_good(tmp_path: Path) -> None:
    """A configuration of which everything is supported has no warnings."""
    write(
        tmp_path,
        "[server]\nport: 8000\n[machine]\nprovider: none\n[webcam a]\nstream_url: /webcam\n[file_manager]\n",
    )
    found = configured(tmp_path)
    assert (found.fatal, found.warnings) == (None, ())
    assert found.path == tmp_path / "config" / "moonraker.conf"
    assert (found.server.port, found.machine.provider) == (8000, "none")


def test_nothing(tmp_path: Path) -> None:
    """Without a configuration the defaults hold, which keep to this machine."""
    found = configured(tmp_path)
    assert (found.path, found.fatal, found.warnings) == (None, None, ())
    assert found.server.host == "127.0.0.1"


def test_warnings(tmp_path: Path) -> None:
    """What has no effect is told: unknown and unsupported options and sections, and entries that can't be."""
    write(
        tmp_path,
        "[server]\ntypo: 1\n[update_manager]\n[nonsense]\n[data_store]\ngcode_store_size: no\n"
        "[authorization]\ntrusted_clients: 1.2.3.4.5\n",
    )
    found = configured(tmp_path)
    assert found.fatal is None
    text = "\n".join(found.warnings)
    for word in ("'typo'", "[update_manager]", "[nonsense]", "gcode_store_size", "1.2.3.4.5"):
        assert word in text


def test_fatal(tmp_path: Path) -> None:
    """What keeps the server from starting is told as that, and the defaults stand in."""
    write(tmp_path, "[server]\nport: none\n[logs]\nmax_size: 0\n")
    found = configured(tmp_path)
    assert found.fatal is not None
    assert "port" in found.fatal
    assert "max_size" in found.fatal
    assert found.server.port == 7125


def test_unreadable(tmp_path: Path) -> None:
    """A file that breaks the rules of the dialect is named with the line."""
    write(tmp_path, "[server\n")
    found = configured(tmp_path)
    assert found.path == tmp_path / "config" / "moonraker.conf"
    assert found.fatal is not None
    assert "line 1" in found.fatal
