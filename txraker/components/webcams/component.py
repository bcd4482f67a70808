"""``server.webcams.*``: the cameras that front-ends show.

Contract: "Webcam Management" of Moonraker's API.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Any
from uuid import uuid4

import msgspec
from attrs import define, field
from msgspec import Meta
from twisted.internet.defer import DeferredLock
from zope.interface import implementer

from txraker.api.caller import Caller, Role
from txraker.api.endpoint import DELETE, GET, POST, endpoint
from txraker.components.webcams.addresses import complete_url
from txraker.components.webcams.options import WebcamOptions
from txraker.components.webcams.rules import is_aspect_ratio, is_rotation, is_url
from txraker.components.webcams.store import WebcamStore
from txraker.errors import BadRequest, NotFound
from txraker.events import Events, Webcam, WebcamList, WebcamsChanged
from txraker.interfaces import IComponent

_CHECKS: dict[str, Callable[[Any], bool]] = {
    "stream_url": is_url,
    "snapshot_url": is_url,
    "rotation": is_rotation,
    "aspect_ratio": is_aspect_ratio,
}

_RATIO = WebcamOptions(stream_url="").aspect_ratio

Text = Annotated[str, Meta(max_length=256)]
Url = Annotated[str, Meta(max_length=4096)]
Uid = Annotated[Text | None, Meta(description="The camera's uid.")]
Name = Annotated[Text | None, Meta(description="The camera's name, which counts where there is no uid.")]


class OneWebcam(msgspec.Struct, frozen=True):
    """A camera."""

    webcam: Webcam


class WebcamTest(msgspec.Struct, frozen=True):
    """A camera's complete URLs, and whether the picture's is http or https and answers."""

    name: str
    snapshot_reachable: bool
    snapshot_url: str
    stream_url: str


@implementer(IComponent)
@define(eq=False, repr=False)
class Webcams:
    """Lets clients see, change and test cameras.

    ``reaches`` says whether a web server answers at a URL; ``own_address`` returns this machine's address.
    """

    _store: WebcamStore
    _events: Events
    _reaches: Callable[[str], Awaitable[bool]]
    _own_address: Callable[[], str]
    _one_at_a_time: DeferredLock = field(factory=DeferredLock, init=False)

    name = "webcam"

    def start(self) -> None:
        """There is nothing to begin."""

    def stop(self) -> None:
        """There is nothing to let go of."""

    @endpoint("server.webcams.list", GET, "/server/webcams/list")
    async def list_webcams(self, caller: Caller) -> WebcamList:
        """Return all cameras, those of the configuration first."""
        return WebcamList(await self._store.all())

    @endpoint("server.webcams.get_item", GET, "/server/webcams/item")
    async def get_item(self, caller: Caller, *, uid: Uid = None, name: Name = None) -> OneWebcam:
        """Return a camera."""
        return OneWebcam(await self._store.find(uid, name))

    @endpoint("server.webcams.post_item", POST, "/server/webcams/item", audit=("uid", "name"))
    async def post_item(
        self,
        caller: Caller,
        *,
        uid: Annotated[Text | None, Meta(description="The camera to change.")] = None,
        name: Annotated[Text | None, Meta(description="Its name, which no other camera has.")] = None,
        location: Annotated[Text | None, Meta(description="Where it is: `printer` if not given.")] = None,
        icon: Annotated[Text | None, Meta(description="An icon's name: `mdiWebcam` if not given.")] = None,
        enabled: Annotated[bool | None, Meta(description="Whether it can be used: true by default.")] = None,
        service: Annotated[
            Text | None, Meta(description="What kind of stream it has: `mjpegstreamer` if not given.")
        ] = None,
        target_fps: Annotated[int | None, Meta(description="Pictures a second: 15 by default.")] = None,
        target_fps_idle: Annotated[
            int | None, Meta(description="Pictures a second while the printer is idle: 5 by default.")
        ] = None,
        stream_url: Annotated[
            Url | None, Meta(description="The stream's URL, or its path on this machine.")
        ] = None,
        snapshot_url: Annotated[
            Url | None, Meta(description="The URL of a picture, or its path on this machine.")
        ] = None,
        flip_horizontal: Annotated[bool | None, Meta(description="Whether left and right change.")] = None,
        flip_vertical: Annotated[bool | None, Meta(description="Whether top and bottom change.")] = None,
        rotation: Annotated[int | None, Meta(description="0, 90, 180 or 270 degrees, clockwise.")] = None,
        aspect_ratio: Annotated[
            Text | None, Meta(description="Such as `16:9`: `4:3` by default, and if empty.")
        ] = None,
        extra_data: Annotated[
            dict[str, Any] | None, Meta(description="What a front-end wants to keep along.")
        ] = None,
    ) -> OneWebcam:
        """Add a camera, or change one: just what is given.

        Without a uid the camera of that name is changed, if there is one; a new one needs a name and a
        `stream_url`. Those of the configuration can't be changed.
        """
        given = {
            "name": name,
            "location": location,
            "icon": icon,
            "enabled": enabled,
            "service": service,
            "target_fps": target_fps,
            "target_fps_idle": target_fps_idle,
            "stream_url": stream_url,
            "snapshot_url": snapshot_url,
            "flip_horizontal": flip_horizontal,
            "flip_vertical": flip_vertical,
            "rotation": rotation,
            "aspect_ratio": _RATIO if aspect_ratio == "" else aspect_ratio,
            "extra_data": extra_data,
        }
        changes = {key: value for key, value in given.items() if value is not None}
        _check(changes)
        await self._one_at_a_time.acquire()
        try:
            return OneWebcam(await self._post(uid, changes))
        finally:
            self._one_at_a_time.release()

    @endpoint("server.webcams.delete_item", DELETE, "/server/webcams/item", audit=("uid", "name"))
    async def delete_item(self, caller: Caller, *, uid: Uid = None, name: Name = None) -> OneWebcam:
        """Delete a camera and return it. Those of the configuration can't be deleted."""
        await self._one_at_a_time.acquire()
        try:
            webcam = await self._store.find(uid, name)
            if webcam.source == "config":
                raise BadRequest(f"Cannot delete webcam '{webcam.name}' sourced from Moonraker configuration")
            await self._store.forget(webcam)
        finally:
            self._one_at_a_time.release()
        await self._tell()
        return OneWebcam(webcam)

    @endpoint("server.webcams.test", POST, "/server/webcams/test", role=Role.ADMIN, audit=("uid", "name"))
    async def test(self, caller: Caller, *, uid: Uid = None, name: Name = None) -> WebcamTest:
        """Return a camera's complete URLs, and whether its picture can be fetched from here.

        It is for administrators, as this machine asks at a URL that others may have chosen.
        """
        webcam = await self._store.find(uid, name)
        host = self._own_address()
        snapshot = complete_url(webcam.snapshot_url, host)
        is_web = snapshot.lower().startswith(("http://", "https://"))
        reachable = is_web and await self._reaches(snapshot)
        return WebcamTest(webcam.name, reachable, snapshot, complete_url(webcam.stream_url, host))

    async def _post(self, uid: str | None, changes: dict[str, Any]) -> Webcam:
        old = await self._to_change(uid, changes.get("name"))
        if old is None:
            webcam = _new(changes)
        elif old.source == "config":
            raise BadRequest(f"Cannot overwrite webcam '{old.name}' sourced from Moonraker configuration")
        else:
            await self._check_name(old, changes.get("name", old.name))
            webcam = msgspec.structs.replace(old, **changes)
        await self._store.save(webcam)
        await self._tell()
        return webcam

    async def _to_change(self, uid: str | None, name: str | None) -> Webcam | None:
        """Return the camera that is meant, None for a new one. Raises NotFound for a uid nobody has."""
        if uid is not None:
            return await self._store.find(uid, None)
        if name is None:
            raise BadRequest("Missing argument 'name'")
        try:
            return await self._store.find(None, name)
        except NotFound:
            return None

    async def _check_name(self, webcam: Webcam, name: str) -> None:
        if any(other.name == name and other.uid != webcam.uid for other in await self._store.all()):
            raise BadRequest(
                f"Cannot rename webcam from '{webcam.name}' to '{name}'.  "
                f"Webcam with requested name '{name}' already exists."
            )

    async def _tell(self) -> None:
        self._events.emit(WebcamsChanged(WebcamList(await self._store.all())))


def _check(changes: dict[str, Any]) -> None:
    for key, is_right in _CHECKS.items():
        if key in changes and not is_right(changes[key]):
            raise BadRequest(f"Invalid value for '{key}': {changes[key]}")


def _new(settings: dict[str, Any]) -> Webcam:
    if "stream_url" not in settings:
        raise BadRequest("Missing argument 'stream_url'")
    defaults = msgspec.structs.asdict(WebcamOptions(stream_url=""))
    every = {"extra_data": {}, **defaults, **settings}
    return Webcam(source="database", uid=str(uuid4()), **every)
