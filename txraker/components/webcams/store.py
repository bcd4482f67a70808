"""All cameras: those of the configuration, which nobody changes, and those of the database."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from uuid import NAMESPACE_OID, UUID, uuid4, uuid5

import msgspec
from attrs import define, field
from twisted.internet.defer import DeferredLock

from txraker.components.webcams.options import WebcamOptions
from txraker.components.webcams.stored import from_stored, to_stored
from txraker.errors import BadRequest, NotFound, Unavailable
from txraker.events import Webcam
from txraker.interfaces import INamespaces

NAMESPACE = "webcams"

_INSTANCE = ("moonraker", ("instance_id",))


@define(eq=False, repr=False)
class WebcamStore:
    """Knows the cameras. Those of the database are read anew each time, as front-ends write there, too.

    Each method raises Unavailable while the uids of configured cameras can't be known: they come of an id in
    the database, and would be others once that is read.
    """

    _configured: Mapping[str, WebcamOptions]
    _namespaces: INamespaces
    _instance: UUID | None = field(default=None, init=False)
    _made: UUID = field(factory=uuid4, init=False)
    _one_at_a_time: DeferredLock = field(factory=DeferredLock, init=False)

    async def all(self) -> list[Webcam]:
        """Return every camera, those of the configuration first; each name is there once.

        When the database can't be used any more there are just those of the configuration.
        """
        webcams = await self._of_configuration()
        try:
            stored = await self._namespaces.get(NAMESPACE)
        except (NotFound, Unavailable):
            return webcams
        names = {webcam.name for webcam in webcams}
        for uid in sorted(stored):
            webcam = from_stored(uid, stored[uid])
            if webcam is not None and webcam.name not in names:
                webcams.append(webcam)
                names.add(webcam.name)
        return webcams

    async def find(self, uid: str | None, name: str | None) -> Webcam:
        """Return a camera by its uid, or by its name where that is None. Raises NotFound, or BadRequest."""
        if uid is None and name is None:
            raise BadRequest("Missing argument 'uid'")
        for webcam in await self.all():
            if webcam.uid == uid if uid is not None else webcam.name == name:
                return webcam
        raise NotFound(f"Webcam with UID {uid} not found" if uid is not None else f"Webcam {name} not found")

    async def save(self, webcam: Webcam) -> None:
        """Keep a camera."""
        await self._namespaces.put(NAMESPACE, [webcam.uid], to_stored(webcam))

    async def forget(self, webcam: Webcam) -> None:
        """Keep a camera no longer."""
        await self._namespaces.delete(NAMESPACE, [webcam.uid])

    async def _of_configuration(self) -> list[Webcam]:
        if not self._configured:
            return []
        instance = await self._instance_id()
        return [_configured(name, options, instance) for name, options in self._configured.items()]

    async def _instance_id(self) -> UUID:
        """Return what tells this installation from others: Moonraker's id, if it was imported."""
        await self._one_at_a_time.acquire()
        try:
            if self._instance is None:
                self._instance = await self._read_instance_id()
            return self._instance or self._made
        finally:
            self._one_at_a_time.release()

    async def _read_instance_id(self) -> UUID | None:
        """Return the id that is kept; where there is none ours is, or None if the disk doesn't take it."""
        namespace, key = _INSTANCE
        try:
            return UUID(str(await self._namespaces.get(namespace, key)))
        except ValueError:
            return NAMESPACE_OID
        except NotFound:
            with suppress(Unavailable):
                await self._namespaces.put(namespace, key, self._made.hex)
                return self._made
        return None


def _configured(name: str, options: WebcamOptions, instance: UUID) -> Webcam:
    """Return a camera of the configuration; its uid is the one it has in Moonraker with that id."""
    uid = str(uuid5(instance, f"moonraker.webcam.{name}"))
    return Webcam(name=name, source="config", extra_data={}, uid=uid, **msgspec.structs.asdict(options))
