"""Pure: Klippy's API - endpoints by name, replies, errors, and what each connection asked to be told."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, TypeVar

import msgspec
from attrs import define, field

from txraker.simulator.errors import CommandError, RequestError
from txraker.simulator.feature import Status
from txraker.simulator.state import State
from txraker.simulator.status import Wanted

if TYPE_CHECKING:
    from txraker.simulator.host import Host

_T = TypeVar("_T")

_STEPPERS: Final = ("stepper_x", "stepper_y", "stepper_z", "extruder")
_TRAPQS: Final = ("toolhead", "extruder")


@define(eq=False)
class Connection:
    """One client: where its messages go, and the templates of what it asked to be told."""

    send: Callable[[Any], None]
    console_template: dict[str, Any] | None = None


@define
class Request:
    """One request and the way to answer it; without an id nobody waits for the answer."""

    connection: Connection
    id: Any
    params: dict[str, Any]

    def reply(self, result: dict[str, Any] | None = None) -> None:
        """Answer with a result."""
        if self.id is not None:
            self.connection.send({"id": self.id, "result": result or {}})

    def refuse(self, message: str) -> None:
        """Answer with an error."""
        if self.id is not None:
            self.connection.send({"id": self.id, "error": {"error": "WebRequestError", "message": message}})

    def text(self, name: str) -> str:
        """A required parameter that is a string."""
        return self._get(name, str)

    def mapping(self, name: str, default: dict[str, Any] | None = None) -> dict[str, Any]:
        """A parameter that is an object; without a default it is required."""
        return default if default is not None and name not in self.params else self._get(name, dict)

    def one_of(self, name: str, choices: tuple[str, ...]) -> str:
        """A parameter that is one of a few names."""
        value = self.text(name)
        if value not in choices:
            raise RequestError(f"The value '{value}' is not valid for {name}")
        return value

    def _get(self, name: str, kind: type[_T]) -> _T:
        if name not in self.params:
            raise RequestError(f"Missing Argument [{name}]")
        value = self.params[name]
        if not isinstance(value, kind):
            raise RequestError(f"Invalid Argument Type [{name}]")
        return value

    def wanted(self) -> Wanted:
        """The parameter ``objects`` of a query or a subscription."""
        objects = self.mapping("objects")
        for fields in objects.values():
            valid = isinstance(fields, list) and all(isinstance(name, str) for name in fields)
            if fields is not None and not valid:
                raise RequestError("Invalid argument")
        return objects


Handler = Callable[[Request], None]


@define(eq=False)
class Api:
    """The endpoints of a host."""

    host: Host
    _connections: list[Connection] = field(factory=list)
    _remote: dict[str, dict[Connection, dict[str, Any]]] = field(factory=dict)

    def connect(self, send: Callable[[Any], None]) -> Connection:
        """A client connects."""
        connection = Connection(send)
        self._connections.append(connection)
        return connection

    def disconnect(self, connection: Connection) -> None:
        """A client is gone; answers still under way to it are dropped."""
        connection.send = _drop
        self._connections.remove(connection)
        self.host.board.unsubscribe(connection)
        for listeners in self._remote.values():
            listeners.pop(connection, None)

    def receive(self, connection: Connection, frame: bytes) -> None:
        """Handle one frame; what is not a request is ignored, as Klippy does."""
        try:
            message = msgspec.json.decode(frame)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return
        if not isinstance(message, dict) or not isinstance(message.get("method"), str):
            return
        params = message.get("params", {})
        if not isinstance(params, dict):
            return
        method = message["method"]
        request = Request(connection, message.get("id"), params)
        try:
            own = self._own_endpoints().get(method)
            if own is None:
                self.host.hardware.statistics.requests[method] += 1
                own = self._find(method)
            own(request)
        except RequestError as error:
            request.refuse(str(error))

    def write_console(self, line: str) -> None:
        """Send a console line to every client that subscribed to the console."""
        for connection in list(self._connections):
            if connection.console_template is not None:
                connection.send({**connection.console_template, "params": {"response": line}})

    def call_remote(self, name: str, params: dict[str, Any]) -> None:
        """Call a method clients registered; CommandError when nobody did."""
        listeners = self._remote.get(name)
        if not listeners:
            raise CommandError(f"Remote Method '{name}' not registered")
        for connection, template in list(listeners.items()):
            connection.send({**template, "params": params})

    def _find(self, path: str) -> Handler:
        handler = self._endpoints().get(path)
        if handler is None:
            raise RequestError(f"webhooks: No registered callback for path '{path}'")
        return handler

    def _endpoints(self) -> dict[str, Handler]:
        endpoints: dict[str, Handler] = {
            "list_endpoints": lambda request: request.reply({"endpoints": list(self._endpoints())}),
            "info": self._info,
            "emergency_stop": self._emergency_stop,
            "register_remote_method": self._register_remote_method,
            "gcode/help": lambda request: request.reply(self.host.interpreter.help()),
            "gcode/script": lambda request: self._run(request, request.text("script")),
            "gcode/restart": lambda request: self._run(request, "RESTART"),
            "gcode/firmware_restart": lambda request: self._run(request, "FIRMWARE_RESTART"),
            "gcode/subscribe_output": self._subscribe_output,
            "objects/list": lambda request: request.reply({"objects": list(self.host.board.providers)}),
            "objects/query": self._query,
            "objects/subscribe": self._subscribe,
            "bed_mesh/dump_mesh": lambda request: request.reply(self.host.printer.mesh.dump()),
            "pause_resume/cancel": lambda request: self._run(request, "CANCEL_PRINT"),
            "pause_resume/pause": lambda request: self._run(request, "PAUSE"),
            "pause_resume/resume": lambda request: self._run(request, "RESUME"),
            "query_endstops/status": self._query_endstops,
            "motion_report/dump_stepper": self._dump_stepper,
        }
        if self.host.was_ready:
            endpoints["motion_report/dump_trapq"] = self._dump_trapq
        return endpoints

    def _own_endpoints(self) -> dict[str, Handler]:
        """What Klippy doesn't have: not listed, so that no server offers it to clients, and not counted."""
        return {"simulator/statistics": self._statistics, "simulator/load": self._load}

    def _statistics(self, request: Request) -> None:
        statistics = self.host.hardware.statistics
        request.reply(statistics.report())
        if request.params.get("reset"):
            statistics.reset()

    def _load(self, request: Request) -> None:
        self.host.change_load(request.params)
        request.reply()

    def _info(self, request: Request) -> None:
        request.mapping("client_info", {})
        host = self.host
        request.reply(
            {
                "state": host.state.value,
                "state_message": host.state_message,
                **msgspec.structs.asdict(host.info),
            }
        )

    def _emergency_stop(self, request: Request) -> None:
        self.host.fail("Shutdown due to webhooks request")
        request.reply()

    def _register_remote_method(self, request: Request) -> None:
        template = request.mapping("response_template")
        name = request.text("remote_method")
        self._remote.setdefault(name, {})[request.connection] = template
        request.reply()

    def _run(self, request: Request, script: str) -> None:
        def done(error: CommandError | None) -> None:
            if error is None:
                request.reply()
            else:
                request.refuse(str(error))

        self.host.interpreter.submit(script, done)

    def _subscribe_output(self, request: Request) -> None:
        request.connection.console_template = request.mapping("response_template", {})
        request.reply()

    def _query(self, request: Request) -> None:
        def answer(eventtime: float, status: dict[str, Status]) -> None:
            request.reply({"eventtime": eventtime, "status": status})

        self.host.board.query(self.host.now, request.wanted(), answer)

    def _subscribe(self, request: Request) -> None:
        connection = request.connection
        template = request.mapping("response_template", {})

        def answer(eventtime: float, status: dict[str, Status]) -> None:
            request.reply({"eventtime": eventtime, "status": status})

        def notify(eventtime: float, status: dict[str, Status]) -> None:
            connection.send({**template, "params": {"eventtime": eventtime, "status": status}})

        self.host.board.subscribe(self.host.now, connection, request.wanted(), answer, notify)

    def _query_endstops(self, request: Request) -> None:
        if self.host.state is not State.READY:
            raise RequestError(self.host.state_message)

        def done(error: CommandError | None) -> None:
            if error is None:
                request.reply(dict(self.host.printer.kinematics.endstops()))
            else:
                request.refuse(str(error))

        self.host.interpreter.submit_steps(self.host.printer.kinematics.query_endstops(), done)

    def _dump_stepper(self, request: Request) -> None:
        request.one_of("name", _STEPPERS)
        request.reply({"header": ["interval", "count", "add"]})

    def _dump_trapq(self, request: Request) -> None:
        request.one_of("name", _TRAPQS)
        request.reply(
            {
                "header": [
                    "time",
                    "duration",
                    "start_velocity",
                    "acceleration",
                    "start_position",
                    "direction",
                ]
            }
        )


def _drop(message: Any) -> None:
    """Where messages for clients that are gone go."""
