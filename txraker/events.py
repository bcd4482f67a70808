"""What happens: every notification a client can get, and the way parts of one server hear of events.

A notification is one frozen struct with its name on the wire; its fields, in order, are its params.
Contract: Moonraker's documentation of JSON-RPC notifications.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Literal, TypeVar

import msgspec
from attrs import Factory, define

from txraker.api.jsonrpc import encode_notification
from txraker.klippy.host import KlippyHost
from txraker.metadata.facts import Metadata
from txraker.system.host.usage import HostUsage, ThrottledState
from txraker.system.services import UnitState


class Notification(msgspec.Struct, frozen=True):
    """An event that clients on persistent connections are told about."""

    wire_name: ClassVar[str]

    def encode(self) -> bytes:
        """Return the JSON-RPC text of this notification; a notification without fields has no params."""
        params = msgspec.structs.astuple(self)
        return encode_notification(self.wire_name, params or None)


class KlippyReady(Notification, frozen=True):
    """Klippy can print: its state became ``ready``."""

    wire_name = "notify_klippy_ready"


class KlippyShutdown(Notification, frozen=True):
    """Klippy has stopped the printer: its state became ``shutdown``."""

    wire_name = "notify_klippy_shutdown"


class KlippyDisconnected(Notification, frozen=True):
    """The connection to Klippy has ended; every subscription to printer objects ended with it."""

    wire_name = "notify_klippy_disconnected"


class GcodeResponse(Notification, frozen=True):
    """Klippy wrote to its console. ``response`` is one message, which may span lines."""

    wire_name = "notify_gcode_response"

    response: str


FileAction = Literal[
    "create_file",
    "modify_file",
    "delete_file",
    "move_file",
    "create_dir",
    "delete_dir",
    "move_dir",
    "root_update",
]


class FileItem(msgspec.Struct, frozen=True):
    """A file or folder: ``modified`` is Unix time, ``size`` bytes; both are 0 for what is gone.

    ``path`` is relative to the root; ``permissions`` are ``rw``, ``r`` or, for what is gone, empty.
    """

    root: str
    path: str
    modified: float
    size: int
    permissions: str


class SourceItem(msgspec.Struct, frozen=True):
    """Where something was before it was moved."""

    root: str
    path: str


class FileChange(msgspec.Struct, frozen=True, omit_defaults=True):
    """What has happened to a file or folder; ``source_item`` is there for what was moved."""

    action: FileAction
    item: FileItem
    source_item: SourceItem | None = None


class FileListChanged(Notification, frozen=True):
    """Something has changed in a root, whoever did it."""

    wire_name = "notify_filelist_changed"

    change: FileChange


class MetadataUpdate(Notification, frozen=True):
    """What is known of a gcode file is new or has changed."""

    wire_name = "notify_metadata_update"

    metadata: Metadata


class StatusUpdate(Notification, frozen=True):
    """Fields of subscribed printer objects changed.

    ``status`` maps object names to their changed fields; ``eventtime`` is Klippy's monotonic clock (s).
    """

    wire_name = "notify_status_update"

    status: dict[str, dict[str, Any]]
    eventtime: float


class AgentEventBody(msgspec.Struct, frozen=True):
    """What an agent has to say. ``data`` is left out when there is none."""

    agent: str
    event: str
    data: Any = msgspec.UNSET


class AgentEvent(Notification, frozen=True):
    """An agent came, went, or sent an event of its own. The agent itself is not told."""

    wire_name = "notify_agent_event"

    event: AgentEventBody


class ProcStatUpdate(Notification, frozen=True):
    """A second has passed: what this process and its machine are using now."""

    wire_name = "notify_proc_stat_update"

    usage: HostUsage


class CpuThrottled(Notification, frozen=True):
    """What slows down a Raspberry Pi, or did since it was started, has changed."""

    wire_name = "notify_cpu_throttled"

    throttled_state: ThrottledState


class Username(msgspec.Struct, frozen=True):
    """Whom a notification is about."""

    username: str


class UserCreated(Notification, frozen=True):
    """There is a new user."""

    wire_name = "notify_user_created"

    user: Username


class UserDeleted(Notification, frozen=True):
    """A user was deleted."""

    wire_name = "notify_user_deleted"

    user: Username


class UserLoggedOut(Notification, frozen=True):
    """A user has logged out."""

    wire_name = "notify_user_logged_out"

    user: Username


class ServiceStateChanged(Notification, frozen=True):
    """Services that we may manage are doing otherwise than before, by their names."""

    wire_name = "notify_service_state_changed"

    services: dict[str, UnitState]


class Webcam(msgspec.Struct, frozen=True):
    """A camera: URLs are complete or paths on this machine, `rotation` is in degrees, clockwise.

    What is from the ``database`` can be changed by clients; what is from the ``config`` can't.
    """

    name: str
    enabled: bool
    icon: str
    aspect_ratio: str
    target_fps: int
    target_fps_idle: int
    location: str
    service: str
    stream_url: str
    snapshot_url: str
    flip_horizontal: bool
    flip_vertical: bool
    rotation: int
    source: Literal["config", "database"]
    extra_data: dict[str, Any]
    uid: str


class WebcamList(msgspec.Struct, frozen=True):
    """All cameras, those of the configuration first."""

    webcams: list[Webcam]


class WebcamsChanged(Notification, frozen=True):
    """A camera was added, changed or deleted."""

    wire_name = "notify_webcams_changed"

    changed: WebcamList


class Announcement(msgspec.Struct, frozen=True):
    """News for users. Times are Unix time; what its feed doesn't say is null.

    ``dismiss_wake`` is when a dismissed one comes back: null for never, and while it isn't dismissed.
    """

    entry_id: str
    url: str | None
    title: str | None
    description: str | None
    priority: str | None
    date: float
    dismissed: bool
    date_dismissed: float | None
    dismiss_wake: float | None
    source: str
    feed: str


class AnnouncementEntries(msgspec.Struct, frozen=True):
    """All announcements, the newest first."""

    entries: list[Announcement]


class AnnouncementId(msgspec.Struct, frozen=True):
    """Which announcement is meant."""

    entry_id: str


class AnnouncementUpdate(Notification, frozen=True):
    """Announcements have come or gone."""

    wire_name = "notify_announcement_update"

    announcements: AnnouncementEntries


class AnnouncementDismissed(Notification, frozen=True):
    """Somebody has dismissed an announcement."""

    wire_name = "notify_announcement_dismissed"

    announcement: AnnouncementId


class AnnouncementWake(Notification, frozen=True):
    """An announcement that was dismissed for a time is back."""

    wire_name = "notify_announcement_wake"

    announcement: AnnouncementId


NOTIFICATIONS: tuple[type[Notification], ...] = (
    KlippyReady,
    KlippyShutdown,
    KlippyDisconnected,
    GcodeResponse,
    StatusUpdate,
    FileListChanged,
    MetadataUpdate,
    AgentEvent,
    UserCreated,
    UserDeleted,
    UserLoggedOut,
    ServiceStateChanged,
    ProcStatUpdate,
    CpuThrottled,
    WebcamsChanged,
    AnnouncementUpdate,
    AnnouncementDismissed,
    AnnouncementWake,
)


class EndpointsLearned(msgspec.Struct, frozen=True):
    """Klippy told which methods its API has. Clients are not told; they simply find them."""

    methods: frozenset[str]


class KlippyIdentified(msgspec.Struct, frozen=True):
    """Klippy told what it is, on a new connection. Clients are not told."""

    host: KlippyHost


class GcodeCommand(msgspec.Struct, frozen=True):
    """A client asked to run gcode. ``script`` may span lines."""

    script: str


class AgentConnected(msgspec.Struct, frozen=True):
    """A connection (IConnection) has identified itself as an agent."""

    connection: Any


class AgentDisconnected(msgspec.Struct, frozen=True):
    """The connection (IConnection) of an agent has ended."""

    connection: Any


_Event = TypeVar("_Event")


@define(repr=False)
class Events:
    """Tells interested parts of one printer's server what happened, in the order of their interest.

    A listener that raises is reported to ``report_fault`` and does not keep the others from hearing.
    """

    _report_fault: Callable[[str, Exception], str]
    _listeners: dict[type, list[Callable[[Any], None]]] = Factory(dict)

    def on(self, event: type[_Event], listener: Callable[[_Event], None]) -> None:
        """Call a listener with every event of this type from now on."""
        self._listeners.setdefault(event, []).append(listener)

    def emit(self, event: object) -> None:
        """Tell everybody who is interested in events of this type."""
        for listener in self._listeners.get(type(event), ()):
            try:
                listener(event)
            except Exception as fault:
                self._report_fault(type(event).__name__, fault)
