"""What happens, and who hears of it."""

from __future__ import annotations

import inspect

import msgspec
import pytest

from tests.tools import Faults
from txraker.events import (
    NOTIFICATIONS,
    Events,
    GcodeCommand,
    GcodeResponse,
    KlippyDisconnected,
    KlippyReady,
    KlippyShutdown,
    Notification,
    StatusUpdate,
)


@pytest.mark.parametrize(
    ("event", "name", "params"),
    [
        (KlippyReady(), "notify_klippy_ready", None),
        (KlippyShutdown(), "notify_klippy_shutdown", None),
        (KlippyDisconnected(), "notify_klippy_disconnected", None),
        (GcodeResponse("// a\n// b"), "notify_gcode_response", ["// a\n// b"]),
        (StatusUpdate({"a": {"x": None}}, 5.5), "notify_status_update", [{"a": {"x": None}}, 5.5]),
    ],
)
def test_on_the_wire(event: Notification, name: str, params: list[object] | None) -> None:
    """A notification has its documented name and params, none without payload, and never an id."""
    expected = {"jsonrpc": "2.0", "method": name} | ({} if params is None else {"params": params})
    assert msgspec.json.decode(event.encode()) == expected


def test_all_are_listed() -> None:
    """Every notification is listed once, named and documented."""
    assert set(NOTIFICATIONS) == set(Notification.__subclasses__())
    names = [kind.wire_name for kind in NOTIFICATIONS]
    assert len(set(names)) == len(names)
    assert all(name.startswith("notify_") for name in names)
    assert all(inspect.getdoc(kind) for kind in NOTIFICATIONS)


def test_listeners() -> None:
    """Listeners hear of the events they asked for, in the order in which they asked."""
    events = Events(Faults())
    heard: list[object] = []
    events.on(GcodeResponse, lambda event: heard.append(("first", event)))
    events.on(GcodeCommand, lambda event: heard.append(("other", event)))
    events.on(GcodeResponse, lambda event: heard.append(("second", event)))
    events.emit(GcodeResponse("x"))
    events.emit(KlippyReady())
    assert heard == [("first", GcodeResponse("x")), ("second", GcodeResponse("x"))]


def test_broken_listener() -> None:
    """A listener that raises is reported and keeps nobody from hearing."""
    faults = Faults()
    events = Events(faults)
    heard: list[object] = []

    def broken(_event: KlippyReady) -> None:
        raise RuntimeError("broken")

    events.on(KlippyReady, broken)
    events.on(KlippyReady, heard.append)
    events.emit(KlippyReady())
    assert heard == [KlippyReady()]
    assert [where for where, _ in faults.seen] == ["KlippyReady"]
