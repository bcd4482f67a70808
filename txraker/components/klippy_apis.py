"""``printer.*``: Klippy's own API, and the print controls made from it.

Contract: Moonraker's documentation of printer administration. What Klippy registers at run time becomes
an endpoint like any other; what streams or would change our own connection to Klippy does not.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from contextlib import suppress
from typing import Annotated, Any, TypedDict

from attrs import define, field
from msgspec import Meta
from zope.interface import implementer

from txraker.api.arguments import Conversion, Refused, RestOfQuery
from txraker.api.caller import Caller, Role, Transport
from txraker.api.dispatch import Dispatcher
from txraker.api.endpoint import GET, POST, Endpoint, endpoint
from txraker.errors import ApiError, BadRequest, KlippyDisconnected, KlippyNotConnected
from txraker.events import EndpointsLearned, Events, GcodeCommand, StatusUpdate
from txraker.interfaces import IComponent, IConnection, IKlippy, IStatusFeed, IStatusSubscriber
from txraker.klippy.freshness import READING_METHODS
from txraker.klippy.subscriptions import Wish

MOST_NAMES = 1000
"""Objects that may be asked for at once, and fields of one; printers have a few hundred objects."""

LONGEST_NAME = 256
"""Characters of the name of an object or of a field."""

_NEVER_ARGUMENTS = frozenset({"token", "connection_id", "access_token"})
_OURS_ALONE = frozenset({"list_endpoints", "register_remote_method", "gcode/subscribe_output"})
_LINE_ENDERS = frozenset({"Cc", "Zl", "Zp"})
"""Unicode categories of control characters, line and paragraph separators."""
_DUMP_THAT_DOES_NOT_STREAM = "bed_mesh/dump_mesh"


class PrinterInfo(TypedDict, total=False):
    """The Klippy host, as it describes itself."""

    state: str
    state_message: str
    hostname: str
    klipper_path: str
    python_path: str
    process_id: int
    user_id: int
    group_id: int
    log_file: str
    config_file: str
    software_version: str
    cpu_info: str


class ObjectList(TypedDict):
    """The names of the printer objects that are loaded."""

    objects: list[str]


class ObjectStatus(TypedDict):
    """Printer objects' fields at ``eventtime``, Klippy's monotonic clock (s)."""

    eventtime: float
    status: dict[str, dict[str, Any]]


def _requested_objects(value: object) -> dict[str, list[str] | None]:
    if not isinstance(value, dict):
        raise Refused("an object of printer object names")
    if len(value) > MOST_NAMES:
        raise Refused(f"an object of at most {MOST_NAMES} names")
    if any(len(name) > LONGEST_NAME for name in value):
        raise Refused(f"an object whose names are at most {LONGEST_NAME} long")
    return {str(name): _requested_fields(name, fields) for name, fields in value.items()}


def _requested_fields(name: str, fields: object) -> list[str] | None:
    if fields is None or fields == "":
        return None
    if isinstance(fields, str):
        fields = [part.strip() for part in fields.split(",") if part.strip()]
    if not isinstance(fields, list) or not all(isinstance(part, str) for part in fields):
        raise Refused(f"an object in which '{name}' is null, a list of field names or one name")
    if len(fields) > MOST_NAMES:
        raise Refused(f"an object in which '{name}' has at most {MOST_NAMES} field names")
    if any(len(part) > LONGEST_NAME for part in fields):
        raise Refused(f"an object in which the field names of '{name}' are at most {LONGEST_NAME} long")
    return fields


RequestedObjects = Annotated[
    dict[str, list[str] | None],
    Meta(description="Printer object names to lists of field names, or to null for every field."),
    Conversion(
        _requested_objects,
        {
            "type": "object",
            "additionalProperties": {"type": ["array", "null"], "items": {"type": "string"}},
        },
    ),
    RestOfQuery(_NEVER_ARGUMENTS),
]


@implementer(IComponent)
@define(eq=False, repr=False)
class KlippyApis:
    """Hands requests to Klippy. New endpoints of Klippy's are added to the dispatcher as they are learned."""

    _klippy: IKlippy
    _status: IStatusFeed
    _events: Events
    _dispatcher: Dispatcher
    _learned: dict[str, Endpoint] = field(factory=dict, init=False)

    name = "klippy_apis"

    def start(self) -> None:
        self._events.on(EndpointsLearned, self._offer)

    def stop(self) -> None:
        """Do nothing: Klippy's endpoints go with the dispatcher."""

    @endpoint("printer.info", GET | POST, "/printer/info", reads_only=True)
    async def info(self, caller: Caller) -> PrinterInfo:
        """Return Klippy's description of itself and of its state."""
        return await self._ask("info")  # type: ignore[return-value]  # Klippy's words, passed on

    @endpoint("printer.emergency_stop", GET | POST, "/printer/emergency_stop", reads_only=False, urgent=True)
    async def emergency_stop(self, caller: Caller) -> str:
        """Halt the printer at once and put Klippy in the shutdown state."""
        return await self._do("emergency_stop")

    @endpoint("printer.restart", POST, "/printer/restart")
    async def restart(self, caller: Caller) -> str:
        """Restart Klippy with its configuration read anew; micro-controllers are not reset."""
        return await self._end("gcode/restart", "RESTART")

    @endpoint("printer.firmware_restart", POST, "/printer/firmware_restart")
    async def firmware_restart(self, caller: Caller) -> str:
        """Restart Klippy and reset its micro-controllers."""
        return await self._end("gcode/firmware_restart", "FIRMWARE_RESTART")

    @endpoint("printer.objects.list", GET | POST, "/printer/objects/list", reads_only=True)
    async def objects_list(self, caller: Caller) -> ObjectList:
        """Return the names of all printer objects that can be queried."""
        return await self._ask("objects/list")  # type: ignore[return-value]  # Klippy's words, passed on

    @endpoint("printer.objects.query", GET | POST, "/printer/objects/query", reads_only=True)
    async def objects_query(self, caller: Caller, *, objects: RequestedObjects) -> ObjectStatus:
        """Return fields of printer objects as they are now.

        Over HTTP each query argument may name an object, its value the fields: `?toolhead=position&fan`.
        Unknown objects are empty, unknown fields null.
        """
        return _object_status(await self._status.query(objects))

    @endpoint("printer.objects.subscribe", reads_only=False, role=Role.VIEWER, audit=None)
    async def objects_subscribe(self, caller: Caller, *, objects: RequestedObjects) -> ObjectStatus:
        """Subscribe this connection to fields of printer objects, and return them as they are now.

        Changes come as `notify_status_update`. A new subscription replaces the connection's earlier one;
        an empty one ends it. All end when Klippy disconnects.
        """
        return _object_status(await self._status.subscribe(_subscriber(caller.connection), Wish.of(objects)))

    @endpoint("printer.query_endstops.status", GET | POST, "/printer/query_endstops/status", reads_only=True)
    async def query_endstops(self, caller: Caller) -> dict[str, str]:
        """Return `open` or `TRIGGERED` for each endstop."""
        return await self._ask("query_endstops/status")

    @endpoint(
        "printer.gcode.script", GET | POST, "/printer/gcode/script", reads_only=False, audit=("script",)
    )
    async def gcode_script(
        self,
        caller: Caller,
        *,
        script: Annotated[str, Meta(description="Gcode commands, one a line.")],
    ) -> str:
        """Run gcode and return `"ok"` when all of it has run, which may take as long as a heat-up."""
        return await self._run(script)

    @endpoint("printer.gcode.help", GET | POST, "/printer/gcode/help", reads_only=True)
    async def gcode_help(self, caller: Caller) -> dict[str, str]:
        """Return the description of every gcode command that has one."""
        return await self._ask("gcode/help")

    @endpoint("printer.print.start", POST, "/printer/print/start", audit=("filename",))
    async def print_start(
        self,
        caller: Caller,
        *,
        filename: Annotated[
            str, Meta(min_length=1, description="A gcode file, relative to the gcodes folder.")
        ],
    ) -> str:
        """Start to print a file."""
        return await self._run(f"SDCARD_PRINT_FILE FILENAME={_quoted(filename)}")

    @endpoint("printer.print.pause", POST, "/printer/print/pause")
    async def print_pause(self, caller: Caller) -> str:
        """Pause the print."""
        return await self._do("pause_resume/pause")

    @endpoint("printer.print.resume", POST, "/printer/print/resume")
    async def print_resume(self, caller: Caller) -> str:
        """Resume a paused print."""
        return await self._do("pause_resume/resume")

    @endpoint("printer.print.cancel", POST, "/printer/print/cancel")
    async def print_cancel(self, caller: Caller) -> str:
        """Cancel the print."""
        return await self._do("pause_resume/cancel")

    async def _ask(self, method: str, params: Mapping[str, object] | None = None) -> dict[str, Any]:
        return await self._klippy.request(method, params)

    async def _do(self, method: str, params: Mapping[str, object] | None = None) -> str:
        await self._klippy.request(method, params)
        return "ok"

    async def _run(self, script: str) -> str:
        running = self._klippy.request("gcode/script", {"script": script})
        self._events.emit(GcodeCommand(script))
        await running
        return "ok"

    async def _end(self, method: str, command: str) -> str:
        """Ask Klippy for something after which it closes the connection, answered or not."""
        ending = self._klippy.request(method)
        self._events.emit(GcodeCommand(command))
        with suppress(KlippyDisconnected):
            await ending
        return "ok"

    def _offer(self, event: EndpointsLearned) -> None:
        """Have an endpoint for each public method; one whose name is taken is left out."""
        for method in [method for method in self._learned if method not in event.methods]:
            self._dispatcher.remove([self._learned.pop(method)])
        for method in sorted(filter(_is_public, event.methods - self._learned.keys())):
            offered = self._passed_on(method)
            if not self._dispatcher.has(offered.name):
                self._dispatcher.add([offered])
                self._learned[method] = offered

    def _passed_on(self, method: str) -> Endpoint:
        async def pass_on(_caller: Caller, arguments: Mapping[str, object]) -> object:
            wanted = {name: value for name, value in arguments.items() if name not in _NEVER_ARGUMENTS}
            return await self._klippy.request(method, wanted) or "ok"

        return Endpoint(
            name="printer." + method.replace("/", "."),
            verbs=GET | POST,
            path=f"/printer/{method}",
            transports=Transport.ALL,
            role=Role.VIEWER if method in READING_METHODS else Role.OPERATOR,
            reads_only=False,
            signature=None,
            documentation=f"Klippy's `{method}`, with all arguments passed on.",
            handler=pass_on,
            audit=None if method in READING_METHODS else (),
        )


def unknown_path(klippy: IKlippy, path: str) -> ApiError | None:
    """Say what an unknown path means: below ``/printer/`` it may yet be known when Klippy is there."""
    if path.startswith("/printer/") and klippy.endpoints is None:
        return KlippyNotConnected()
    return None


def _is_public(method: str) -> bool:
    if method in _OURS_ALONE or method == "objects/subscribe":
        return False
    streams = method.rpartition("/")[2].startswith("dump_") and method != _DUMP_THAT_DOES_NOT_STREAM
    return not streams


def _quoted(filename: str) -> str:
    """Return a file name as one quoted gcode parameter; nothing in it can end the parameter or the line."""
    if any(unicodedata.category(character) in _LINE_ENDERS for character in filename):
        raise BadRequest("Invalid argument 'filename': must be without control characters")
    name = filename.removeprefix("/")
    if not name:
        raise BadRequest("Invalid argument 'filename': must name a file")
    escaped = re.sub(r'\\(?=[\\"]|$)', r"\\\\", name).replace('"', r"\"")
    return f'"{escaped}"'


def _object_status(update: StatusUpdate) -> ObjectStatus:
    return {"eventtime": update.eventtime, "status": update.status}


def _subscriber(connection: IConnection | None) -> IStatusSubscriber:
    if connection is None:
        raise BadRequest("Only a persistent connection can subscribe")
    return IStatusSubscriber(connection)
