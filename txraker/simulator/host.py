"""Pure: one life of the host software, from start-up to the restart that ends it.

The shell hands in connections, frames and the time; messages go out through each connection's ``send``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec
from attrs import define, field

from txraker.simulator.api import Api, Connection
from txraker.simulator.computer import HostInfo
from txraker.simulator.config import ConfigFile, SavedConfig
from txraker.simulator.console import Console
from txraker.simulator.errors import CommandError, RequestError
from txraker.simulator.files import GcodeStore
from txraker.simulator.gcode import Command
from txraker.simulator.interpreter import CommandSpec, Interpreter, Steps
from txraker.simulator.load import Load
from txraker.simulator.options import Fault, LoadOptions, SimulatorOptions
from txraker.simulator.printer import Printer
from txraker.simulator.state import (
    CONFIG_ERROR,
    MCU_LOST,
    READY_MESSAGE,
    STARTUP_MESSAGE,
    State,
    error_message,
    shutdown_message,
)
from txraker.simulator.statistics import Statistics
from txraker.simulator.status import StatusBoard
from txraker.simulator.thermal import Plant
from txraker.simulator.timeline import Timeline

_MOTORS_OFF_SECONDS: Final = 0.8
_GOODBYE_SECONDS: Final = 0.03


@define
class Hardware:
    """What outlives a restart of the host: plant, saved configuration, what is broken, time and counts."""

    timeline: Timeline
    fault: Fault | None = None
    plant: Plant = field(factory=Plant)
    saved: SavedConfig = field(factory=SavedConfig)
    statistics: Statistics = field(factory=Statistics)


@define(eq=False)
class Host:
    """The host software.

    ``started`` is the real time at which this life begins and ``epoch`` what event times start from;
    ``on_exit`` is called when the host restarts: the shell then closes every connection.
    """

    options: SimulatorOptions
    hardware: Hardware
    gcodes: Path
    info: HostInfo
    started: float
    epoch: float
    on_exit: Callable[[], None]
    state: State = State.STARTUP
    state_message: str = STARTUP_MESSAGE
    was_ready: bool = False
    now: float = field(init=False)
    console: Console = field(init=False)
    printer: Printer = field(init=False)
    board: StatusBoard = field(init=False)
    api: Api = field(init=False)
    load: Load | None = None
    _settles_at: float | None = field(init=False)
    _exit_at: float | None = None
    _restarting: bool = False

    def __attrs_post_init__(self) -> None:
        hardware = self.hardware
        self.now = self.started
        self._settles_at = self.started + self.options.startup_seconds
        hardware.saved.discard()
        hardware.plant.power_off()
        self.board = StatusBoard(
            self.options.tick_seconds, self._update_period(self.options.load), self._step, self._told
        )
        self.api = Api(self)
        self.console = Console(self.api.write_console)
        self.printer = Printer(
            hardware.timeline,
            hardware.plant,
            hardware.saved,
            GcodeStore(self.gcodes),
            ConfigFile.load(hardware.saved, self.gcodes, Path(self.info.config_file).parent),
            self.console,
            lambda: None if self.state is State.READY else self.state_message,
            self.api.call_remote,
        )
        self.interpreter.register(self._commands())
        self.board.providers = {
            "gcode": lambda: {"commands": self.interpreter.table()},
            "webhooks": lambda: {"state": self.state.value, "state_message": self.state_message},
            **self.printer.objects(),
        }
        if self.options.load is not None:
            self.load = Load(self.options.load, self.console.raw)
            self.board.providers.update(self.load.objects())
            self.board.providers["heaters"] = self.load.announced(self.board.providers["heaters"])

    @property
    def interpreter(self) -> Interpreter:
        """Where scripts run."""
        return self.printer.interpreter

    @property
    def eventtime(self) -> float:
        """The present as an event time, in seconds."""
        return round(self.epoch + self.now, 9)

    @property
    def next_wake(self) -> float | None:
        """The real time at which :meth:`advance` is due, None when nothing is."""
        burst = self.load.next_burst if self.load is not None else None
        candidates = (self._settles_at, self._exit_at, self.board.next_tick, burst)
        wakes = [wake for wake in candidates if wake is not None]
        work = self.printer.wake
        if work is not None:
            wakes.append(self.hardware.timeline.real_time(work))
        return min(wakes, default=None)

    def connect(self, send: Callable[[Any], None]) -> Connection:
        """A client connects; messages for it go to ``send``."""
        return self.api.connect(send)

    def disconnect(self, connection: Connection) -> None:
        """A client is gone."""
        self.api.disconnect(connection)

    def receive(self, connection: Connection, frame: bytes, now: float) -> None:
        """Handle one frame (without its terminator) from a client."""
        self.advance(now)
        self.api.receive(connection, frame)
        self.advance(now)

    def advance(self, now: float) -> None:
        """Do everything that is due until a real time, in order."""
        wake = self.next_wake
        while wake is not None and wake <= now:
            self.hardware.statistics.late(now - wake)
            self._advance_to(wake)
            wake = self.next_wake
        self._advance_to(now)

    def fail(self, reason: str) -> None:
        """Go to state shutdown, for any reason in one line; the shell's clock need not move for it."""
        if self.state is State.SHUTDOWN:
            return
        self.state, self.state_message = State.SHUTDOWN, shutdown_message(reason)
        self._settles_at = None
        self.console.info("Klipper state: Shutdown")
        self.printer.shut_down(self.state_message)

    def disconnect_mcu(self) -> None:
        """Lose the micro-controller: shutdown now, and no way out of ``startup`` until it is back."""
        self.hardware.fault = "no-mcu"
        self.fail(MCU_LOST)

    def reconnect_mcu(self) -> None:
        """Find the micro-controller again: a host in start-up gets ready, one in shutdown needs a restart."""
        self.hardware.fault = None
        if self.state is State.STARTUP:
            self._settles_at = self.now

    def change_load(self, changes: Mapping[str, Any]) -> None:
        """Put other values of LoadOptions in force, by name; RequestError when they can't be."""
        if self.load is None:
            raise RequestError("The simulator is not in load mode")
        if changes.keys() & {"objects", "fields", "sensors"}:
            raise RequestError("Objects, their fields and sensors can't change while the simulator runs")
        try:
            now = {**msgspec.structs.asdict(self.load.options), **changes}
            options = msgspec.convert(now, LoadOptions)
        except msgspec.ValidationError as error:
            raise RequestError(str(error)) from None
        self.load.start(self.now, options)
        self.board.change_rate(self.now, self._update_period(options))

    def exit_soon(self) -> None:
        """Say goodbye on the console shortly, and then exit."""
        if not self._restarting:
            self._restarting = True
            self._exit_at = self.now + _GOODBYE_SECONDS

    def close(self) -> None:
        """Let go of what is open; this life is over."""
        self.printer.sdcard.close()

    def restart_steps(self) -> Steps:
        """Steps that bring the printer to rest and then restart the host."""
        if self.state is State.READY:
            self.printer.heating.turn_off()
            yield from self.printer.toolhead.wait()
            yield self.hardware.timeline.now + _MOTORS_OFF_SECONDS
        self.exit_soon()

    def _advance_to(self, now: float) -> None:
        self.now = max(self.now, now)
        if self._settles_at is not None and self._settles_at <= self.now:
            self._settle()
        self.printer.advance(self._printer_time())
        if self.board.next_tick is not None and self.board.next_tick <= self.now:
            self.board.tick(self.now, self.eventtime)
        if self.load is not None and self.load.next_burst is not None and self.load.next_burst <= self.now:
            self.hardware.statistics.console_lines += self.load.flood(self.now)
        if self._exit_at is not None and self._exit_at <= self.now:
            self._exit_at = None
            self.console.info("Klipper state: Disconnect")
            self.close()
            self.on_exit()

    def _printer_time(self) -> float:
        """The present as printer time; exactly the time of work that is due, in spite of rounding."""
        timeline, work = self.hardware.timeline, self.printer.wake
        present = timeline.printer_time(self.now)
        if work is not None and timeline.real_time(work) <= self.now:
            return max(present, work)
        return present

    def _settle(self) -> None:
        """Start-up is over: ready, in error, or still waiting for the micro-controller."""
        self._settles_at = None
        if self.hardware.fault == "config-error":
            self.state, self.state_message = State.ERROR, error_message(CONFIG_ERROR)
        elif self.hardware.fault is None:
            self.state, self.state_message = State.READY, READY_MESSAGE
            self.was_ready = True
            self.console.info("Klipper state: Ready")
            if self.load is not None:
                self.load.start(self.now, self.load.options)

    def _update_period(self, load: LoadOptions | None) -> float:
        return 1 / load.rate if load is not None and load.rate else self.options.tick_seconds

    def _step(self) -> None:
        if self.load is not None:
            self.load.step()

    def _told(self) -> None:
        self.hardware.statistics.updates += 1

    def _commands(self) -> list[CommandSpec]:
        def base(
            name: str, handler: Callable[[Command], Steps | None], text: str | None = None
        ) -> CommandSpec:
            return CommandSpec(name, handler, text, always=True)

        def simulated(name: str, handler: Callable[[Command], Steps | None], text: str) -> CommandSpec:
            return CommandSpec(name, handler, f"Simulator: {text}")

        return [
            base("M110", lambda command: None),
            base("M112", lambda command: self.fail("Shutdown due to M112 command")),
            base("M115", self._cmd_m115),
            base("RESTART", self._cmd_restart, "Reload config file and restart host software"),
            base("FIRMWARE_RESTART", self._cmd_restart, "Restart firmware, host, and reload config"),
            base("ECHO", lambda command: self.console.info(command.line)),
            base("STATUS", self._cmd_status, "Report the printer status"),
            base("HELP", self._cmd_help, "Report the list of available extended G-Code commands"),
            CommandSpec("SAVE_CONFIG", self._cmd_save_config, "Overwrite config file and restart"),
            simulated("SIMULATE_SHUTDOWN", self._cmd_simulate_shutdown, "MSG=x ends in state shutdown"),
            simulated("SIMULATE_MCU_LOSS", self._cmd_mcu_loss, "loses the micro-controller"),
        ]

    def _cmd_m115(self, command: Command) -> None:
        self.console.raw(f"FIRMWARE_VERSION:{self.info.software_version} FIRMWARE_NAME:Klipper")

    def _cmd_restart(self, command: Command) -> Steps:
        return self.restart_steps()

    def _cmd_save_config(self, command: Command) -> Steps:
        self.hardware.saved.commit()
        return self.restart_steps()

    def _cmd_status(self, command: Command) -> None:
        if self.state is not State.READY:
            word = "Shutdown" if self.state is State.SHUTDOWN else "Not ready"
            raise CommandError(f"{self.state_message}Klipper state: {word}")
        self.console.info("Klipper state: Ready")

    def _cmd_help(self, command: Command) -> None:
        lines = ["Available extended commands:"]
        lines += [f"{name:<10}: {text}" for name, text in sorted(self.interpreter.help().items())]
        self.console.info("\n".join(lines))

    def _cmd_simulate_shutdown(self, command: Command) -> None:
        self.fail(command.get("MSG", "Simulated shutdown"))

    def _cmd_mcu_loss(self, command: Command) -> None:
        self.disconnect_mcu()
