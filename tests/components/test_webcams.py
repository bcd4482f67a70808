"""Cameras: those of the configuration, those of the database, and what clients may do with them."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from uuid import UUID

import msgspec
import pytest
from attrs import define, field
from twisted.internet.defer import Deferred
from zope.interface.verify import verifyObject

from tests.components.bench import ComponentBench
from tests.tools import Logged, caller, result_of
from txraker.api.caller import Role, Who
from txraker.components.webcams.addresses import complete_url, outward_address
from txraker.components.webcams.component import Webcams
from txraker.components.webcams.options import WebcamOptions, configured_webcams
from txraker.components.webcams.store import WebcamStore
from txraker.config.configuration import Configuration
from txraker.config.load import load
from txraker.errors import BadRequest, Forbidden, NotFound, Unavailable
from txraker.events import WebcamsChanged
from txraker.interfaces import IComponent
from txraker.server_warnings import ServerWarnings
from txraker.testing.namespaces import MemoryNamespaces

INSTANCE = "217c777ad4ff42f0aaacb23acba9d678"

NEW = {
    "name": "nozzle",
    "enabled": True,
    "icon": "mdiWebcam",
    "aspect_ratio": "4:3",
    "target_fps": 15,
    "target_fps_idle": 5,
    "location": "printer",
    "service": "mjpegstreamer",
    "stream_url": "/webcam/?action=stream",
    "snapshot_url": "",
    "flip_horizontal": False,
    "flip_vertical": False,
    "rotation": 0,
    "source": "database",
    "extra_data": {},
}
"""A camera by default, without its uid, as a running Moonraker answers it."""


@define(eq=False)
class WebcamBench(ComponentBench):
    """Cameras on their bench: one, `door`, is from the configuration."""

    namespaces: MemoryNamespaces = field(factory=MemoryNamespaces)
    configured: dict[str, WebcamOptions] = field(factory=lambda: {"door": WebcamOptions(stream_url="/door")})
    told: list[list[str]] = field(factory=list)
    asked: list[str] = field(factory=list)
    answers: bool = True
    webcams: Webcams = field(init=False)

    def __attrs_post_init__(self) -> None:
        super().__attrs_post_init__()
        self.namespaces.rows.setdefault("moonraker", {"instance_id": f'"{INSTANCE}"'.encode()})
        self.events.on(
            WebcamsChanged, lambda event: self.told.append([w.name for w in event.changed.webcams])
        )
        store = WebcamStore(self.configured, self.namespaces)
        self.webcams = Webcams(store, self.events, self.reaches, lambda: "192.0.2.7")
        self.serve(self.webcams)

    async def reaches(self, url: str) -> bool:
        """Be the web."""
        self.asked.append(url)
        return self.answers

    def post(self, **arguments: object) -> dict[str, Any]:
        """Add or change a camera and return it."""
        posted: dict[str, Any] = self.call("server.webcams.post_item", **arguments)["webcam"]
        return posted

    def listed(self) -> list[dict[str, Any]]:
        """Return all cameras."""
        found: list[dict[str, Any]] = self.call("server.webcams.list")["webcams"]
        return found

    def names(self) -> list[str]:
        """Return the names of all cameras, in their order."""
        return [webcam["name"] for webcam in self.listed()]

    def keep(self, **stored: object) -> None:
        """Write into the namespace, as a front-end might."""
        for uid, value in stored.items():
            result_of(self.namespaces.put("webcams", [uid], value))


@define(eq=False)
class LateNamespaces(MemoryNamespaces):
    """Namespaces that take their time to tell what they read."""

    waiting: list[Deferred[None]] = field(factory=list)

    async def get(self, namespace: str, key: Sequence[str] = ()) -> Any:
        turn: Deferred[None] = Deferred()
        self.waiting.append(turn)
        try:
            return await super().get(namespace, key)
        finally:
            await turn


@define(eq=False)
class FullNamespaces(MemoryNamespaces):
    """Namespaces on a disk that is full, for the time being."""

    is_full: bool = True

    async def put(self, namespace: str, key: Sequence[str], value: Any) -> None:
        if self.is_full:
            raise Unavailable("disk full")
        await super().put(namespace, key, value)


@pytest.fixture
def bench() -> WebcamBench:
    """Make a printer with one camera, `door`, in its configuration."""
    return WebcamBench()


def test_provides(bench: WebcamBench) -> None:
    """The component provides what it says."""
    assert verifyObject(IComponent, bench.webcams)


def test_none() -> None:
    """A printer without cameras has an empty list, and nothing is written to its database."""
    bench = WebcamBench(configured={})
    assert bench.call("server.webcams.list") == {"webcams": []}
    assert list(bench.namespaces.rows) == ["moonraker"]


def test_add(bench: WebcamBench) -> None:
    """A new camera is as by default where nothing is said, gets a uid, and everybody is told."""
    added = bench.post(name="nozzle", stream_url="/webcam/?action=stream")
    assert UUID(added["uid"]).version == 4
    assert added == {**NEW, "uid": added["uid"]}
    assert next(iter(added)) == "name"
    assert bench.told == [["door", "nozzle"]]
    assert bench.call("server.webcams.get_item", uid=added["uid"]) == {"webcam": added}
    assert bench.call("server.webcams.get_item", name="nozzle") == {"webcam": added}


def test_kept_as_in_moonraker(bench: WebcamBench) -> None:
    """A camera is kept under its uid in the form of Moonraker's database, and found again after a restart."""
    added = bench.post(
        name="n", stream_url="/s", flip_vertical="true", target_fps="20", extra_data={"a": [1]}
    )
    assert result_of(bench.namespaces.get("webcams")) == {
        added["uid"]: {
            "name": "n",
            "service": "mjpegstreamer",
            "targetFps": 20,
            "urlStream": "/s",
            "urlSnapshot": "",
            "flipX": False,
            "flipY": True,
            "enabled": True,
            "targetFpsIdle": 5,
            "aspectRatio": "4:3",
            "icon": "mdiWebcam",
            "location": "printer",
            "rotation": 0,
            "extra_data": {"a": [1]},
        }
    }
    assert WebcamBench(namespaces=bench.namespaces).listed()[1] == added


def test_change(bench: WebcamBench) -> None:
    """A change changes what is given and nothing else, be the camera named by uid or by name."""
    added = bench.post(name="n", stream_url="/s", extra_data={"a": 1}, target_fps=7)
    changed = bench.post(uid=added["uid"], icon="mdiDoor", extra_data={"b": 2}, enabled=False, rotation=180)
    expected = {**added, "icon": "mdiDoor", "extra_data": {"b": 2}, "enabled": False, "rotation": 180}
    assert changed == expected
    assert bench.post(name="n", icon="x", location=None) == {**expected, "icon": "x"}
    assert len(bench.told) == 3


def test_empty_ratio(bench: WebcamBench) -> None:
    """An aspect ratio that is empty is that by default, in a new camera as in a change."""
    added = bench.post(name="n", stream_url="/s", aspect_ratio="")
    assert added["aspect_ratio"] == "4:3"
    assert bench.post(uid=added["uid"], aspect_ratio="16:9")["aspect_ratio"] == "16:9"
    assert bench.post(uid=added["uid"], aspect_ratio="")["aspect_ratio"] == "4:3"


def test_rename(bench: WebcamBench) -> None:
    """By its uid a camera gets another name and stays the same."""
    added = bench.post(name="n", stream_url="/s")
    assert bench.post(uid=added["uid"], name="m") == {**added, "name": "m"}
    assert bench.names() == ["door", "m"]
    assert bench.post(uid=added["uid"], name="m")["name"] == "m"


@pytest.mark.parametrize("taken", ["other", "door"])
def test_rename_to_a_name_that_is_taken(bench: WebcamBench, taken: str) -> None:
    """No two cameras have one name."""
    bench.post(name="other", stream_url="/o")
    uid = bench.post(name="n", stream_url="/s")["uid"]
    told = len(bench.told)
    with pytest.raises(BadRequest) as raised:
        bench.post(uid=uid, name=taken)
    assert str(raised.value) == (
        f"Cannot rename webcam from 'n' to '{taken}'.  Webcam with requested name '{taken}' already exists."
    )
    assert bench.names() == ["door", "n", "other"] or bench.names() == ["door", "other", "n"]
    assert len(bench.told) == told


@pytest.mark.parametrize(
    ("arguments", "missing"), [({"stream_url": "/s"}, "name"), ({"name": "n"}, "stream_url"), ({}, "name")]
)
def test_missing(bench: WebcamBench, arguments: dict[str, object], missing: str) -> None:
    """A new camera has a name and a stream."""
    with pytest.raises(BadRequest, match=f"Missing argument '{missing}'"):
        bench.post(**arguments)


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("rotation", 45),
        ("rotation", 360),
        ("rotation", -90),
        ("aspect_ratio", "4x3"),
        ("aspect_ratio", "4.5:3"),
        ("stream_url", "javascript:alert(1)"),
        ("snapshot_url", " JavaScript:alert(1)"),
        ("stream_url", "java\nscript:alert(1)"),
        ("stream_url", "data:text/html,x"),
    ],
)
def test_refused_values(bench: WebcamBench, setting: str, value: object) -> None:
    """What makes no sense, or would be run by a browser, is refused, in a change as in a new camera."""
    uid = bench.post(name="n", stream_url="/s")["uid"]
    before = bench.listed()
    for arguments in ({"uid": uid}, {"name": "new", "stream_url": "/s"}):
        with pytest.raises(BadRequest) as raised:
            bench.post(**{**arguments, setting: value})
        assert str(raised.value) == f"Invalid value for '{setting}': {value}"
    assert bench.listed() == before


@pytest.mark.parametrize("url", ["", "rtsp://cam/x", "webrtc://cam/x", "http://cam:8080/?a=b", "not a url"])
def test_urls_of_every_kind(bench: WebcamBench, url: str) -> None:
    """Cameras have URLs that only their services understand."""
    assert bench.post(name="n", stream_url=url)["stream_url"] == url


def test_bounds(bench: WebcamBench) -> None:
    """Texts are of limited length."""
    for arguments in ({"name": "n" * 257}, {"name": "n", "stream_url": "/" * 4097}, {"uid": "u" * 257}):
        with pytest.raises(BadRequest, match="at most"):
            bench.post(**{"stream_url": "/s", **arguments})


@pytest.mark.parametrize("extra", ["text", [1], 5])
def test_extra_data_is_an_object(bench: WebcamBench, extra: object) -> None:
    """What a front-end keeps along is an object."""
    with pytest.raises(BadRequest, match="extra_data"):
        bench.post(name="n", stream_url="/s", extra_data=extra)


def test_delete(bench: WebcamBench) -> None:
    """A deleted camera is returned, and everybody is told."""
    for key in ("uid", "name"):
        added = bench.post(name="n", stream_url="/s")
        assert bench.call("server.webcams.delete_item", **{key: added[key]}) == {"webcam": added}
        assert bench.told[-1] == ["door"]
    assert bench.names() == ["door"]


@pytest.mark.parametrize("method", ["get_item", "delete_item", "test"])
def test_not_found(bench: WebcamBench, method: str) -> None:
    """A camera that isn't there is not found, in Moonraker's words; the uid counts before the name."""
    for arguments, words in (
        ({"uid": "x"}, "Webcam with UID x not found"),
        ({"uid": "x", "name": "door"}, "Webcam with UID x not found"),
        ({"name": "x"}, "Webcam x not found"),
    ):
        with pytest.raises(NotFound) as raised:
            bench.call(f"server.webcams.{method}", **arguments)
        assert str(raised.value) == words
    with pytest.raises(BadRequest, match="Missing argument"):
        bench.call(f"server.webcams.{method}")
    with pytest.raises(NotFound, match="Webcam with UID x not found"):
        bench.post(uid="x", name="n", stream_url="/s")


def test_configured(bench: WebcamBench) -> None:
    """A camera of the configuration comes first, with the uid that it has in Moonraker."""
    bench.post(name="a", stream_url="/a")
    door = bench.listed()[0]
    assert (door["name"], door["source"], door["stream_url"]) == ("door", "config", "/door")
    cameras = {"confcam": WebcamOptions(stream_url="/s")}
    same = WebcamBench(namespaces=bench.namespaces, configured=cameras).listed()[0]
    assert same["uid"] == "4b579364-ef0a-5385-8ec7-dd342976b74b"


def test_configured_is_read_only(bench: WebcamBench) -> None:
    """A camera of the configuration can be neither changed nor deleted, by name or by uid."""
    uid = bench.listed()[0]["uid"]
    for arguments in ({"uid": uid}, {"name": "door", "stream_url": "/x"}):
        with pytest.raises(BadRequest) as raised:
            bench.post(**arguments)
        assert str(raised.value) == "Cannot overwrite webcam 'door' sourced from Moonraker configuration"
    with pytest.raises(BadRequest) as raised:
        bench.call("server.webcams.delete_item", uid=uid)
    assert str(raised.value) == "Cannot delete webcam 'door' sourced from Moonraker configuration"
    assert bench.told == []


def test_configuration_takes_precedence(bench: WebcamBench) -> None:
    """A camera of the database is hidden by one of the configuration of that name, and not lost."""
    bench.post(name="n", stream_url="/database")
    again = WebcamBench(
        namespaces=bench.namespaces, configured={"n": WebcamOptions(stream_url="/configuration")}
    )
    assert [webcam["stream_url"] for webcam in again.listed()] == ["/configuration"]
    assert bench.names() == ["door", "n"]


def test_instance_is_made_once() -> None:
    """Without an id of the installation one is made and kept, so that uids outlast restarts."""
    namespaces = MemoryNamespaces(rows={"moonraker": {}})
    first = WebcamBench(namespaces=namespaces).listed()[0]["uid"]
    assert WebcamBench(namespaces=namespaces).listed()[0]["uid"] == first
    assert WebcamBench(namespaces=MemoryNamespaces(rows={"moonraker": {}})).listed()[0]["uid"] != first


def test_instance_is_made_for_all() -> None:
    """Clients that ask at the same time, before there is an id of the installation, are told the same uid."""
    namespaces = LateNamespaces(rows={"moonraker": {}})
    bench = WebcamBench(namespaces=namespaces)
    lists = [bench.begin("server.webcams.list") for _ in range(4)]
    while namespaces.waiting:
        namespaces.waiting.pop(0).callback(None)
    uids = {msgspec.to_builtins(listed.result())["webcams"][0]["uid"] for listed in lists}
    assert len(uids) == 1
    assert WebcamBench(namespaces=MemoryNamespaces(rows=namespaces.rows)).listed()[0]["uid"] in uids


def test_instance_that_can_not_be_kept() -> None:
    """While the id of the installation can't be written uids stay the same, and it is once it can."""
    namespaces = FullNamespaces(rows={"moonraker": {}})
    bench = WebcamBench(namespaces=namespaces)
    uid = bench.listed()[0]["uid"]
    assert bench.listed()[0]["uid"] == uid
    namespaces.is_full = False
    assert bench.listed()[0]["uid"] == uid
    assert WebcamBench(namespaces=namespaces).listed()[0]["uid"] == uid


def test_strange_instance() -> None:
    """An id that is none is no reason to fail."""
    namespaces = MemoryNamespaces(rows={"moonraker": {"instance_id": b'"mine"'}})
    assert WebcamBench(namespaces=namespaces).names() == ["door"]


def test_what_others_wrote(bench: WebcamBench) -> None:
    """What front-ends wrote into the namespace is read as far as it makes sense."""
    bench.keep(
        short={"name": "short", "urlStream": "/s"},
        legacy={"name": "legacy", "urlStream": "/l", "flipX": True, "rotate": 90, "uid": "z", "foo": 1},
        typed={"name": "typed", "urlStream": 5, "rotation": "90", "targetFps": "25", "extra_data": None},
        wrong={"name": "wrong", "rotation": 7, "aspectRatio": "wide", "targetFps": "fast", "enabled": []},
        no_name={"urlStream": "/n"},
        text="text",
        zz_script={"name": "zz", "urlStream": "javascript:alert(1)", "urlSnapshot": " data:text/html,x"},
        zz_same={"name": "short", "urlStream": "/dup"},
        zz_conf={"name": "door", "urlStream": "/dup"},
    )
    door, legacy, short, typed, wrong, script = bench.listed()
    assert short == {**NEW, "name": "short", "stream_url": "/s", "uid": "short"}
    assert (legacy["uid"], legacy["rotation"], legacy["flip_horizontal"]) == ("legacy", 90, True)
    assert (typed["stream_url"], typed["rotation"], typed["target_fps"]) == ("", 90, 25)
    assert typed["extra_data"] == {}
    assert wrong == {**NEW, "name": "wrong", "stream_url": "", "uid": "wrong"}
    assert (script["stream_url"], script["snapshot_url"]) == ("", "")
    assert door["source"] == "config"


def test_without_a_database(bench: WebcamBench) -> None:
    """When the database can't be used any more there are the cameras of the configuration and no others."""
    bench.post(name="n", stream_url="/s")
    bench.namespaces.problem = Unavailable("disk full")
    assert bench.names() == ["door"]
    with pytest.raises(Unavailable, match="disk full"):
        bench.post(name="m", stream_url="/s")
    assert len(bench.told) == 1


def test_database_that_comes_late(bench: WebcamBench) -> None:
    """Before the database could be used no camera of the configuration is listed under a wrong uid."""
    bench.namespaces.problem = Unavailable("not open")
    with pytest.raises(Unavailable, match="not open"):
        bench.listed()
    bench.namespaces.problem = None
    assert bench.names() == ["door"]
    assert WebcamBench(configured={}, namespaces=MemoryNamespaces(problem=Unavailable("x"))).listed() == []


def test_one_at_a_time(bench: WebcamBench) -> None:
    """Two that add a camera of one name at the same time get one camera."""
    outcomes = [bench.begin("server.webcams.post_item", name="n", stream_url=f"/{n}") for n in range(2)]
    assert all(outcome.done for outcome in outcomes)
    assert bench.names() == ["door", "n"]


def test_test(bench: WebcamBench) -> None:
    """A test completes paths by this machine's address and asks for the picture."""
    bench.post(name="n", stream_url="/webcam/?action=stream", snapshot_url="http://cam:81/pic")
    expected = {
        "name": "n",
        "snapshot_reachable": True,
        "snapshot_url": "http://cam:81/pic",
        "stream_url": "http://192.0.2.7/webcam/?action=stream",
    }
    assert bench.call("server.webcams.test", name="n") == expected
    bench.answers = False
    assert bench.call("server.webcams.test", name="n") == {**expected, "snapshot_reachable": False}
    assert bench.asked == ["http://cam:81/pic"] * 2


@pytest.mark.parametrize("url", ["", "rtsp://cam/x", "webrtc://cam/x"])
def test_test_without_a_picture(bench: WebcamBench, url: str) -> None:
    """Where there is no picture over http nobody is asked, and none is reachable."""
    bench.post(name="n", stream_url="", snapshot_url=url)
    tested = bench.call("server.webcams.test", name="n")
    assert tested == {"name": "n", "snapshot_reachable": False, "snapshot_url": url, "stream_url": ""}
    assert bench.asked == []


def test_test_is_for_administrators(bench: WebcamBench) -> None:
    """Whoever may change cameras can't by that let this machine ask at any URL."""
    operator = caller(who=Who("op", Role.OPERATOR))
    bench.call("server.webcams.post_item", operator, name="n", stream_url="/s", snapshot_url="http://router/")
    with pytest.raises(Forbidden):
        bench.call("server.webcams.test", operator, name="n")
    with pytest.raises(Forbidden):
        bench.call("server.webcams.delete_item", caller(who=Who("v", Role.VIEWER)), name="n")
    assert bench.asked == []


@pytest.mark.parametrize(
    ("url", "complete"),
    [
        ("", ""),
        ("/webcam/?action=snapshot", "http://h/webcam/?action=snapshot"),
        ("webcam", "http://h/webcam"),
        ("?a=1", "http://h/?a=1"),
        ("/", "http://h/"),
        ("//router/x", "http://h/router/x"),
        ("http://", "http://h/http://"),
        ("cam:8080/x", "http://h/cam:8080/x"),
        ("https://cam/x", "https://cam/x"),
        ("HTTP://cam/x", "HTTP://cam/x"),
        ("rtsp://cam/x", "rtsp://cam/x"),
    ],
)
def test_complete_url(url: str, complete: str) -> None:
    """A path is meant on this machine, everything with scheme and host stays as it is."""
    assert complete_url(url, "h") == complete


@define(eq=False)
class Probe:
    """A socket of a machine with this address, or without any."""

    address: str | None
    sent: list[bytes] = field(factory=list)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, raised: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def connect(self, _address: tuple[str, int]) -> None:
        """Find the way out."""
        if self.address is None:
            raise OSError("Network is unreachable")

    def getsockname(self) -> tuple[str, int]:  # as a socket has it
        """Return the address on the way out."""
        assert self.address is not None
        return self.address, 0


@pytest.mark.parametrize(("address", "expected"), [("192.168.1.20", "192.168.1.20"), (None, "127.0.0.1")])
def test_outward_address(address: str | None, expected: str) -> None:
    """The address is the one on the way out, and the loopback address where there is no way."""

    def open_socket(_family: int, kind: int) -> Any:
        assert kind == socket.SOCK_DGRAM
        return Probe(address)

    assert outward_address(open_socket) == expected


CONFIGURATION = """
[server]
[webcam Front cam]
stream_url: /webcam/?action=stream
snapshot_url: http://cam.lan/snap
rotation: 270
aspect_ratio: 16:9
target_fps: 30
flip_horizontal: yes
[webcam empty]
stream_url:
[webcam turned]
stream_url: /x
rotation: 45
[webcam nothing]
icon: mdiDoor
[webcam bad]
stream_url: javascript:alert(1)
"""


def test_sections(tmp_path: Path) -> None:
    """Each section is a camera; one that can't be read is left out with a warning that says why."""
    (tmp_path / "moonraker.conf").write_text(CONFIGURATION)
    configuration: Configuration = load(tmp_path, tmp_path / "moonraker.conf")
    warnings = ServerWarnings(Logged().logger())
    found = configured_webcams(configuration, warnings)
    assert list(found) == ["Front cam", "empty"]
    assert found["Front cam"] == WebcamOptions(
        stream_url="/webcam/?action=stream",
        snapshot_url="http://cam.lan/snap",
        rotation=270,
        aspect_ratio="16:9",
        target_fps=30,
        flip_horizontal=True,
    )
    assert found["empty"] == WebcamOptions(stream_url="")
    assert configuration.report().config["webcam Front cam"]["rotation"] == 270
    texts = warnings.texts()
    for text, words in zip(texts, ["'turned'", "'nothing'", "'bad'"], strict=True):
        assert words in text
    assert "must be one of 0, 90, 180, 270" in texts[0]
    assert "stream_url" in texts[1]
    assert not any("webcam" in text for text in configuration.warnings())
