"""The interfaces between the rooms of txraker, each with its contract in prose."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zope.interface import Attribute, Interface

if TYPE_CHECKING:
    from txraker.events import StatusUpdate
    from txraker.klippy.subscriptions import Delivery, Wish


class IKlippy(Interface):
    """The Klippy host process of one printer, connected or not."""

    state = Attribute(
        "``disconnected``, ``startup``, ``ready``, ``error`` or ``shutdown``: the state last announced."
    )
    connected = Attribute("Whether there is a connection to Klippy's socket now (bool).")
    objects = Attribute("The names of the printer objects Klippy has loaded; empty until it is ready.")
    endpoints = Attribute("Klippy's API methods, or None until they are known on this connection.")

    def request(method: str, params: Mapping[str, object] | None = None) -> Awaitable[dict[str, Any]]:
        """Ask Klippy and return an awaitable of its result, a dict.

        Raises KlippyNotConnected at once when there is no connection, KlippyDisconnected when it ends
        before the answer, and KlippyError with Klippy's own message when Klippy answers with an error.
        """


class IStatusFeed(Interface):
    """The state of printer objects, kept up to date by one subscription for everybody."""

    def subscribe(subscriber: IStatusSubscriber, wish: Wish) -> Awaitable[StatusUpdate]:
        """Replace what an IStatusSubscriber wishes to hear of and return an awaitable of a StatusUpdate.

        The answer holds all that was wished for as it is now; from then on the subscriber gets what
        changes of it. An empty wish ends the subscription. Raises what IKlippy.request raises.
        """

    def unsubscribe(subscriber: IStatusSubscriber) -> None:
        """Forget a subscriber; nothing happens when it is unknown."""


class IStatusSubscriber(Interface):
    """Somebody who hears of changes of printer objects. Hashable by identity."""

    def status_changed(delivery: Delivery) -> None:
        """Hear of a change. ``delivery`` has the ``update`` (StatusUpdate) and its ``text`` for clients.

        The update is shared with other subscribers and must not be changed.
        """


class IConnection(Interface):
    """A client on a persistent connection (websocket, unix socket)."""

    connection_id = Attribute("A number below 2**53 that no other connection of this server has.")
    identity = Attribute("The ClientIdentity it has told us, or None.")

    def send(text: bytes) -> None:
        """Send one JSON-RPC text (bytes). Nothing happens when the connection has ended."""

    def close(code: int, reason: str) -> None:
        """End the connection in an orderly way, with a websocket close code where that is possible."""


class IComponent(Interface):
    """A feature: an object whose endpoints are collected and that has a name in ``server.info``."""

    name = Attribute("The name clients know the component by.")

    def start() -> None:
        """Begin to work: called once, before the server listens."""

    def stop() -> Awaitable[None] | None:
        """Let go of everything; returns None, or an awaitable that ends when that is done."""


class ILogFile(Interface):
    """A log file that can be put aside for a fresh one."""

    def rollover() -> Path:
        """Rename the file, never over another, and go on in a new one.

        Returns the path of the renamed file. Raises ApiError with what the user must know: file logging
        is disabled, or why the rename failed; the log is written to as before then.
        """
