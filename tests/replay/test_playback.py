"""The replay itself: that it says what the recording says, and waits as it promises."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import UNIXClientEndpoint
from twisted.internet.protocol import Factory, Protocol

from tests.replay.clients import REACTOR, integration
from tests.replay.scenes import CONFIG_ERROR, HANDSHAKE, NO_MCU, PRINT, RECORDINGS, STOP, recorded
from txraker.testing.recording import Answered, Changed, Opened, Playback, Recording, replies_to, says
from txraker.testing.replay import EndOfRecording, ReplayedKlippy, RequestMissing

TINY = b"""
{"t":0.1,"dir":"note","msg":"connected"}
{"t":0.2,"dir":"tx","msg":{"id":1,"method":"info"}}
{"t":0.3,"dir":"rx","msg":{"id":1,"result":{"state":"ready","state_message":"yes"}}}
{"t":0.4,"dir":"tx","msg":{"id":2,"method":"objects/query","params":{"objects":{"fan":["speed","nosuch"]}}}}
{"t":0.5,"dir":"rx","msg":{"id":2,"result":{"eventtime":7.5,"status":{"fan":{"speed":0.5,"nosuch":null}}}}}
{"t":0.6,"dir":"tx","msg":{"id":3,"method":"gcode/script","params":{"script":"M1"}}}
{"t":0.7,"dir":"rx","msg":{"method":"x","params":{"response":"hello"}}}
{"t":0.8,"dir":"rx","msg":{"id":3,"error":{"error":"WebRequestError","message":"no"}}}
"""


def playback_of(name: str) -> Playback:
    """Return a playback of a recording at its beginning."""
    return Playback(Recording.read(RECORDINGS / f"{name}.jsonl"))


def play_to_end(playback: Playback) -> list[object]:
    """Play everything and return what happened."""
    happened: list[object] = []
    while playback.next_line is not None:
        happened.append(playback.step())
    return happened


@pytest.mark.parametrize("name", [HANDSHAKE, PRINT, STOP, CONFIG_ERROR, NO_MCU])
def test_every_recording_plays_to_its_end(name: str) -> None:
    """Each recording can be played, and opens the socket as often as the recorder was connected."""
    playback = playback_of(name)
    happened = play_to_end(playback)
    assert sum(isinstance(step, Opened) for step in happened) == playback.connection >= 1
    with pytest.raises(IndexError):
        playback.step()


def test_info_before_its_first_reply_is_that_reply() -> None:
    """A client that asks sooner than the recorder did is told what the recorder was told first."""
    playback = Playback(Recording.parse(TINY))
    assert playback.step() == Opened()
    assert playback.answer("info", {}) == {"result": {"state": "ready", "state_message": "yes"}}
    everything = playback.answer("objects/query", {"objects": {"webhooks": ["state"], "fan": None}})
    assert everything == {"result": {"eventtime": 7.5, "status": {"webhooks": {"state": "ready"}, "fan": {}}}}


def test_what_a_query_found_is_news_for_subscribers() -> None:
    """What the recorder had to ask for is an update here; nulls of unknown fields are none."""
    playback = Playback(Recording.parse(TINY))
    assert [step for step in play_to_end(playback) if isinstance(step, Changed)] == [
        Changed({"fan": {"speed": 0.5}}, 7.5)
    ]
    assert playback.status["fan"] == {"speed": 0.5}


def test_requests_are_matched_once_and_only_ahead() -> None:
    """A request stands for one recorded request with the same params that the cursor hasn't passed."""
    playback = Playback(Recording.parse(TINY))
    assert playback.claim("gcode/script", {"script": "M2"}) is None
    exchange = playback.claim("gcode/script", {"script": "M1"})
    assert exchange == recorded(playback.recording, "gcode/script")
    assert playback.claim("gcode/script", {"script": "M1"}) is None
    playback.drop_claims()
    assert playback.claim("gcode/script", {"script": "M1"}) == exchange
    assert play_to_end(playback)[-1] == Answered(exchange)
    playback.drop_claims()
    assert playback.claim("gcode/script", {"script": "M1"}) is None


def test_a_console_line_changes_the_state_before_the_tick() -> None:
    """After `// Klipper state: Shutdown` Klippy's info says so, though the update is still to come."""
    playback = playback_of(STOP)
    stop = says("Klipper state: Shutdown")
    while (line := playback.next_line) is not None and not stop(line):
        playback.step()
    before, _ = playback.answer("info", {}), playback.step()
    after = playback.answer("info", {})
    assert before is not None
    assert after is not None
    assert (before["result"]["state"], after["result"]["state"]) == ("ready", "shutdown")


def test_after_a_restart_klippy_is_starting() -> None:
    """A new connection begins with its own first reply to info; what isn't told again stays as it was."""
    playback = playback_of(STOP)
    while playback.connection < 2:
        playback.step()
    info = playback.answer("info", {})
    assert info is not None
    assert info["result"]["state"] == "startup"
    assert playback.status["webhooks"]["state"] == "startup"
    assert playback.status["heaters"]["available_heaters"] == ["heater_bed", "extruder"]


class RawClient(Protocol):
    """A client that speaks no JSON unless told to."""

    def __init__(self) -> None:
        self.answer: Deferred[dict[str, Any]] = Deferred()

    def dataReceived(self, data: bytes) -> None:
        """Take the answer."""
        self.answer.callback(msgspec.json.decode(data.rstrip(b"\x03")))


@integration
async def test_broken_json_is_ignored_and_unknown_methods_are_refused(tmp_path: Path) -> None:
    """As with Klippy, a frame that is no JSON object is passed over, and the next one is answered."""
    klippy = ReplayedKlippy(REACTOR, Recording.parse(TINY), tmp_path / "klippy.sock")
    await klippy.start()
    client = RawClient()
    await UNIXClientEndpoint(REACTOR, str(klippy.socket_path)).connect(Factory.forProtocol(lambda: client))
    assert client.transport is not None
    client.transport.write(b'{not json}\x03[]\x03{"id":4,"method":"no/such/method"}\x03')
    assert await client.answer == {
        "id": 4,
        "error": {
            "error": "WebRequestError",
            "message": "webhooks: No registered callback for path 'no/such/method'",
        },
    }
    await klippy.stop()
    assert not klippy.socket_path.exists()


@integration
async def test_a_replay_does_not_wait_for_ever(tmp_path: Path) -> None:
    """A request nobody sends, and a line that never comes, end the replay with what was missing."""
    klippy = ReplayedKlippy(REACTOR, Recording.parse(TINY), tmp_path / "klippy.sock", patience=0.05)
    await klippy.start()
    with pytest.raises(RequestMissing, match="gcode/script"):
        await klippy.play()
    with pytest.raises(RequestMissing, match="info"):
        await klippy.received("info")
    await klippy.skip(replies_to("gcode/script"))
    with pytest.raises(EndOfRecording):
        await klippy.advance()
    with pytest.raises(EndOfRecording):
        await klippy.skip(says("nothing"))
    await klippy.stop()
