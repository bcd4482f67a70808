"""``server.extensions.*`` and ``connection.*``: agents that extend the server, and how they are reached.

Contract: Moonraker's documentation of extensions.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from attrs import define, field
from msgspec import Meta
from zope.interface import implementer

from txraker.api.arguments import Conversion, Refused
from txraker.api.caller import Caller
from txraker.api.endpoint import GET, POST, endpoint
from txraker.api.jsonrpc import encode_notification
from txraker.clients import ClientIdentity, Clients
from txraker.errors import BadRequest
from txraker.events import AgentConnected, AgentDisconnected, AgentEvent, AgentEventBody, Events
from txraker.interfaces import IComponent, IConnection, IKlippy

MOST_METHODS = 100
"""Remote methods that one agent may register."""

_RESERVED = ("connected", "disconnected")


class AgentInfo(msgspec.Struct, frozen=True):
    """What an agent has told of itself."""

    name: str
    version: str
    type: str
    url: str

    @classmethod
    def of(cls, identity: ClientIdentity) -> AgentInfo:
        """Return an identity in the words of this API."""
        return cls(identity.client_name, identity.version, identity.type, identity.url)


class Extensions(msgspec.Struct, frozen=True):
    """The agents that are connected."""

    agents: list[AgentInfo]


def _call_arguments(value: object) -> object:
    if isinstance(value, list | dict):
        return value
    raise Refused("a list or an object")


@implementer(IComponent)
@define(eq=False, repr=False)
class ExtensionEndpoints:
    """Lets clients find and call agents, and agents speak to everybody."""

    _clients: Clients
    _klippy: IKlippy
    _events: Events
    _methods: dict[IConnection, list[str]] = field(factory=dict, init=False)

    name = "extensions"

    def start(self) -> None:
        self._events.on(AgentConnected, self._agent_came)
        self._events.on(AgentDisconnected, self._agent_went)

    def stop(self) -> None:
        for methods in self._methods.values():
            for method in methods:
                self._klippy.forget_remote_method(method)

    @endpoint("server.extensions.list", GET, "/server/extensions/list")
    async def list_extensions(self, caller: Caller) -> Extensions:
        """Return the agents that are connected."""
        return Extensions([AgentInfo.of(identity) for identity in self._clients.agents()])

    @endpoint("server.extensions.request", POST, "/server/extensions/request", audit=("agent", "method"))
    async def request(
        self,
        caller: Caller,
        *,
        agent: Annotated[str, Meta(description="The name of a connected agent.")],
        method: Annotated[str, Meta(description="The agent's method to call.")],
        arguments: Annotated[
            Any,
            Meta(description="What to call it with: a list, an object, or null for nothing."),
            Conversion(_call_arguments, {"type": ["array", "object", "null"]}),
        ] = None,
    ) -> Any:
        """Call a method of an agent and return its result; its error is passed on as it is."""
        connection = self._clients.agent(agent)
        if connection is None:
            raise BadRequest(f"Agent '{agent}' is not connected")
        answer = connection.request(method, arguments)
        del arguments  # an agent may take its time, and they may be large
        return await answer

    @endpoint("connection.send_event", reads_only=False, audit=None)
    async def send_event(
        self,
        caller: Caller,
        *,
        event: Annotated[str, Meta(min_length=1, description="The event's name.")],
        data: Annotated[Any, Meta(description="Anything to send along.")] = msgspec.UNSET,
    ) -> str:
        """Tell every other client of an event. For agents only."""
        agent, identity = _agent(caller, "send events")
        if event in _RESERVED:
            raise BadRequest(f"Event '{event}' is reserved")
        self._tell_others(agent, AgentEventBody(identity.client_name, event, data))
        return "ok"

    @endpoint("connection.register_remote_method", reads_only=False, audit=("method_name",))
    async def register_remote_method(
        self,
        caller: Caller,
        *,
        method_name: Annotated[str, Meta(min_length=1, description="The name macros call it by.")],
    ) -> str:
        """Let Klippy's macros call this agent. For agents only; it lasts until the agent disconnects."""
        agent, _ = _agent(caller, "register methods")
        if len(self._methods.get(agent, ())) >= MOST_METHODS:
            raise BadRequest(f"An agent may register {MOST_METHODS} methods")

        def call(params: dict[str, Any]) -> None:
            agent.send(encode_notification(method_name, params or None))

        self._klippy.register_remote_method(method_name, call)
        self._methods.setdefault(agent, []).append(method_name)
        return "ok"

    def _agent_came(self, event: AgentConnected) -> None:
        identity = event.connection.identity
        info = AgentInfo.of(identity)
        self._tell_others(event.connection, AgentEventBody(identity.client_name, "connected", info))

    def _agent_went(self, event: AgentDisconnected) -> None:
        for method in self._methods.pop(event.connection, ()):
            self._klippy.forget_remote_method(method)
        identity = event.connection.identity
        self._tell_others(event.connection, AgentEventBody(identity.client_name, "disconnected"))

    def _tell_others(self, agent: IConnection, body: AgentEventBody) -> None:
        self._clients.broadcast(AgentEvent(body), except_for=agent)


def _agent(caller: Caller, what: str) -> tuple[IConnection, ClientIdentity]:
    connection = caller.connection
    identity = connection.identity if connection is not None else None
    if connection is None or identity is None or identity.type != "agent":
        raise BadRequest(f"Only connections of the 'agent' type can {what}")
    return connection, identity
