"""The interfaces between the rooms of txraker, each with its contract in prose."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from zope.interface import Attribute, Interface

if TYPE_CHECKING:
    import sqlite3

    import msgspec

    from txraker.api.caller import Who
    from txraker.api.jsonrpc import Response
    from txraker.events import StatusUpdate
    from txraker.klippy.subscriptions import Delivery, Wish
    from txraker.outgoing import Outgoing
    from txraker.system.services import PowerAction, UnitState

_T = TypeVar("_T")


class IKlippy(Interface):
    """The Klippy host process of one printer, connected or not."""

    state = Attribute(
        "``disconnected``, ``startup``, ``ready``, ``error`` or ``shutdown``: the state last announced."
    )
    connected = Attribute("Whether there is a connection to Klippy's socket now (bool).")
    objects = Attribute("The names of the printer objects Klippy has loaded; empty until it is ready.")
    host = Attribute("The KlippyHost connected now or last; None before it said what it is.")
    endpoints = Attribute("Klippy's API methods, or None until they are known on this connection.")

    def request(method: str, params: Mapping[str, object] | None = None) -> Awaitable[dict[str, Any]]:
        """Ask Klippy and return an awaitable of its result, a dict.

        Raises KlippyNotConnected at once when there is no connection, KlippyDisconnected when it ends
        before the answer, and KlippyError with Klippy's own message when Klippy answers with an error.
        """

    def register_remote_method(name: str, called: Callable[[dict[str, Any]], None]) -> None:
        """Let Klippy's macros call something, now and whenever Klippy comes back.

        ``called`` gets the arguments of the call. Raises BadRequest when the name is taken.
        """

    def forget_remote_method(name: str) -> None:
        """Ignore calls of a method from now on; Klippy has no way to take a name back."""

    def touched() -> None:
        """Note that something went to or from Klippy over another connection: a bridge."""


class IStatusFeed(Interface):
    """The state of printer objects, kept up to date by one subscription for everybody."""

    def subscribe(subscriber: IStatusSubscriber, wish: Wish) -> Awaitable[StatusUpdate]:
        """Replace what an IStatusSubscriber wishes to hear of and return an awaitable of a StatusUpdate.

        The answer holds all that was wished for as it is now; from then on the subscriber gets what
        changes of it. An empty wish ends the subscription. Raises what IKlippy.request raises.
        """

    def query(objects: Mapping[str, list[str] | None]) -> Awaitable[StatusUpdate]:
        """Return an awaitable of printer objects' fields as they are now.

        It is answered from what is known when that is as good as Klippy's answer, and else by Klippy.
        ``objects`` maps names to field names, or to None for all. Raises what IKlippy.request raises.
        """

    def unsubscribe(subscriber: IStatusSubscriber) -> None:
        """Forget a subscriber; nothing happens when it is unknown."""


class IStatusSubscriber(Interface):
    """Somebody who hears of changes of printer objects. Hashable by identity."""

    def status_changed(delivery: Delivery) -> None:
        """Hear of a change. ``delivery`` has the ``update`` (StatusUpdate) and is ``outgoing`` to clients.

        The update is shared with other subscribers and must not be changed.
        """


class IConnection(Interface):
    """A client on a persistent connection (websocket, unix socket)."""

    transport = Attribute("The Transport it is connected by.")
    address = Attribute("The client's IP address as text, or its identity on a unix socket.")
    is_open = Attribute("Whether the client is still there, so that it makes sense to do what it asked for.")
    connection_id = Attribute("A number below 2**53 that no other connection of this server has.")
    identity = Attribute("The ClientIdentity it has told us, or None.")
    who = Attribute("The Who that its requests are made by.")
    otherwise = Attribute("The Who that they would be made by if it had shown nothing.")

    def authorize(who: Who) -> None:
        """Let further requests be made by somebody else: a user who has logged in, or nobody any more."""

    def send(text: bytes) -> None:
        """Send one JSON-RPC text for this client alone. Nothing happens when the connection has ended."""

    def tell(outgoing: Outgoing) -> None:
        """Send a notification that others get, too. Nothing happens when the connection has ended."""

    def request(method: str, params: object) -> Awaitable[Any]:
        """Ask the client and return an awaitable of its result; ``params`` of None are left out.

        Raises ClientError with the client's own error, and Unavailable when the connection ends first.
        """

    def answered(response: Response) -> None:
        """Take the client's answer to a request of ours; nothing happens when there was none."""

    def close(code: int, reason: str) -> None:
        """End the connection in an orderly way, with a websocket close code where that is possible."""

    def cut() -> None:
        """End the connection at once."""


class IComponent(Interface):
    """A feature: an object whose endpoints are collected and that has a name in ``server.info``."""

    name = Attribute("The name clients know the component by.")

    def start() -> None:
        """Begin to work: called once, before the server listens."""

    def stop() -> Awaitable[None] | None:
        """Let go of everything; returns None, or an awaitable that ends when that is done."""


class ILogFile(Interface):
    """A log file that can be put aside for a fresh one."""

    def where() -> Path | None:
        """Return the path of the file, None while that isn't known."""

    def rollover() -> Awaitable[Path]:
        """Rename the file, never over another, and let its application go on in a new one.

        Returns an awaitable of the path of the renamed file. Raises ApiError with what the user must know,
        such as why the rename failed; the application goes on writing whatever happened.
        """


class ISystem(Interface):
    """The service manager of the machine, reachable or not. Units have full names: ``klipper.service``.

    Any call may raise SystemUnavailable when there is nobody to ask, NotSupported when the provider has no
    such thing, and NotPermitted when the machine's policy refuses.
    """

    provider = Attribute("What ``machine.system_info`` calls it: none, systemd_dbus or systemd_cli.")

    def start() -> None:
        """Begin: called once."""

    def stop() -> None:
        """Let go of everything; whoever waits is told."""

    def start_unit(unit: str) -> Awaitable[None]:
        """Start a unit and wait until that is done.

        Jobs of one unit are run one after the other. Raises NoSuchService and JobFailed.
        """

    def stop_unit(unit: str) -> Awaitable[None]:
        """Stop a unit, if it is running, and wait until that is done. Raises the same."""

    def restart_unit(unit: str) -> Awaitable[None]:
        """Stop and start a unit and wait until that is done. Raises the same."""

    def state(unit: str) -> Awaitable[UnitState | None]:
        """Return an awaitable of how a unit is doing, None when there is no such unit."""

    def installed(patterns: Iterable[str]) -> Awaitable[list[str]]:
        """Return an awaitable of the names of units, running or not, that match one of the shell patterns."""

    def unit_of_process(process_id: int) -> Awaitable[str | None]:
        """Return an awaitable of the service that a process belongs to, None when it belongs to none."""

    def watch(unit: str, changed: Callable[[UnitState], None]) -> Awaitable[None]:
        """Tell somebody how a unit is doing, now and whenever that changes, each state once.

        What happens while nobody can be asked is told when somebody can be again.
        """

    def power(action: PowerAction) -> Awaitable[None]:
        """Power off, halt or reboot the machine; returns when that has begun."""


class IDatabase(Interface):
    """A SQLite database of ours, worked on in transactions, one after the other, in the order of calls.

    It is called in the reactor's thread. StorageError, which is an Unavailable, says which file is to blame
    and why: it is damaged, newer than this version, in use by another server, not ours to write, or its disk
    is full.
    """

    def start() -> Awaitable[None]:
        """Open the database or make it, bring its schema to the newest version, and begin to work.

        Called once; work may be asked for at once. Returns an awaitable that ends when it is open. Raises
        StorageError, and so does then every call of ``run``. A file that can't be used is left as it is.
        """

    def run(work: Callable[[sqlite3.Connection], _T]) -> Awaitable[_T]:
        """Do ``work`` in a transaction and return an awaitable of its result.

        The transaction is committed when ``work`` returns, and what was answered outlasts the death of the
        process; it is rolled back when ``work`` raises, which reaches the caller. Foreign keys are enforced.
        ``work`` may be done in another thread, so it returns values, not cursors, and touches nothing else
        that isn't made for threads. It must not end the transaction, which ``executescript`` does, too. Who
        cancels is told nothing more; the work is done all the same.

        Raises Unavailable before ``start`` and after ``stop``, and StorageError when the file or its disk
        fails.
        """

    def stop() -> Awaitable[None]:
        """Do what was asked for before, and no more; then let go of the file.

        Returns an awaitable that ends when that is done. It may be called again, and without a start.
        """


class INamespaces(Interface):
    """What clients and components keep: JSON values in namespaces, by keys that may lead into them.

    ``key`` is a sequence of names; each leads one object further in. Raises Unavailable when the database
    can't be used.
    """

    def get(namespace: str, key: Sequence[str] = ()) -> Awaitable[Any]:
        """Return an awaitable of a value; without a key that of the whole namespace, an object.

        Raises KeyNotFound, a NotFound, when there is no such namespace, no such key, or it is null, and
        BadRequest when a namespace is too large to be read as a whole.
        """

    def get_raw(namespace: str, key: Sequence[str] = ()) -> Awaitable[msgspec.Raw]:
        """Return an awaitable of the same as JSON: what is only handed on isn't decoded, which takes memory.

        Raises what ``get`` raises.
        """

    def get_many(namespace: str, names: Collection[str]) -> Awaitable[dict[str, Any]]:
        """Return an awaitable of the values that are there of those names in a namespace."""

    def page(namespace: str, after: str, most: int) -> Awaitable[dict[str, Any]]:
        """Return an awaitable of the values of the next ``most`` names in a namespace, those after a name.

        They are in the order of their names, as Unicode has it; of an empty page nothing follows.
        """

    def put(namespace: str, key: Sequence[str], value: Any) -> Awaitable[None]:
        """Keep a value, and make the namespace and the objects on the way to it where they are missing."""

    def put_many(namespace: str, values: Mapping[str, Any]) -> Awaitable[None]:
        """Keep several values at once, each by its name in the namespace."""

    def rename(namespace: str, beginning: str, other: str) -> Awaitable[None]:
        """Let all names in a namespace that begin in one way begin in another.

        What was kept by a name that they get is forgotten.
        """

    def forget(namespace: str, beginning: str) -> Awaitable[None]:
        """Forget the values of all names in a namespace that begin so."""

    def delete(namespace: str, key: Sequence[str]) -> Awaitable[Any]:
        """Forget a value and return an awaitable of it; an empty namespace is forgotten, too.

        Raises KeyNotFound.
        """

    def names() -> Awaitable[list[str]]:
        """Return an awaitable of the names of all namespaces, in alphabetical order."""


class IFileGuard(Interface):
    """Knows which file the printer is using."""

    def in_use() -> Awaitable[str | None]:
        """Return an awaitable of the loaded file, as a path below ``gcodes``; None when there is none.

        Raises FileInUseUnknown, which is an Unavailable, when Klippy is connected and can't say.
        """
