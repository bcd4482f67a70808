"""Pure: one printer, put together from its parts, during one life of its host software."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from attrs import define, field

from txraker.simulator.activity import IdleTimeout
from txraker.simulator.bed_mesh import BedMesh
from txraker.simulator.computer import Computer
from txraker.simulator.config import ConfigFile, SavedConfig
from txraker.simulator.console import Console
from txraker.simulator.errors import CommandError
from txraker.simulator.exclude_object import ExcludeObject
from txraker.simulator.feature import Feature
from txraker.simulator.files import GcodeStore
from txraker.simulator.gcode_move import GcodeMove
from txraker.simulator.heating import Heating
from txraker.simulator.interpreter import Interpreter, Job
from txraker.simulator.kinematics import Kinematics
from txraker.simulator.macros import Macros, RemoteCall
from txraker.simulator.manual_probe import ManualProbe
from txraker.simulator.motion import Toolhead
from txraker.simulator.outputs import Display, FilamentSensor, Outputs
from txraker.simulator.pause_resume import PauseResume
from txraker.simulator.sdcard import PrintStats, VirtualSdCard
from txraker.simulator.thermal import Plant
from txraker.simulator.timeline import Timeline


@define
class Printer:
    """The parts of a printer and how they know each other.

    ``refusal`` answers None while the printer is ready, otherwise why commands fail.
    """

    timeline: Timeline
    plant: Plant
    saved: SavedConfig
    store: GcodeStore
    config: ConfigFile
    console: Console
    refusal: Callable[[], str | None]
    remote_call: RemoteCall
    interpreter: Interpreter = field(init=False)
    toolhead: Toolhead = field(init=False)
    heating: Heating = field(init=False)
    kinematics: Kinematics = field(init=False)
    mesh: BedMesh = field(init=False)
    sdcard: VirtualSdCard = field(init=False)
    filament: FilamentSensor = field(init=False)
    _outputs: Outputs = field(init=False)
    _idle: IdleTimeout = field(init=False)
    features: list[Feature] = field(init=False)

    def __attrs_post_init__(self) -> None:
        timeline, console = self.timeline, self.console
        self.interpreter = Interpreter(timeline, console, self.refusal, self._next_line)
        self.toolhead = toolhead = Toolhead(timeline)
        self.heating = Heating(
            self.plant, timeline, console, toolhead.touch, lambda stepper: toolhead.enabled[stepper]
        )
        exclude = ExcludeObject(console)
        move = GcodeMove(toolhead, console, lambda: self.heating.can_extrude, exclude.excluding)
        self.kinematics = Kinematics(toolhead, move, console, self.heating.extruder_status)
        self.mesh = BedMesh(toolhead, self.kinematics, move, console, self.saved)
        stats = PrintStats(timeline, lambda: toolhead.position[3])
        self.sdcard = VirtualSdCard(self.store, timeline, console, stats, exclude.reset, self.run_later)
        self.filament = FilamentSensor(console, self._runout)
        self._outputs = Outputs(console)
        self._idle = IdleTimeout(timeline, console, self._busy, lambda: toolhead.print_time, self._go_idle)
        self.features = [
            self.config,
            Computer(timeline),
            self.heating,
            self.kinematics,
            move,
            self.mesh,
            self._outputs,
            PauseResume(self.sdcard, move, console),
            self.filament,
            self.sdcard,
            Display(timeline, lambda: self.sdcard.progress),
            exclude,
            self._idle,
            ManualProbe(self.interpreter, self.kinematics, move, toolhead, console),
            Macros(self.interpreter, console, self.saved, self.remote_call),
        ]
        for feature in self.features:
            self.interpreter.register(feature.commands())

    @property
    def wake(self) -> float | None:
        """The printer time at which something is due, None when nothing is."""
        if self.interpreter.busy:
            return self.interpreter.wake
        return self.sdcard.wake

    def advance(self, printer_time: float) -> None:
        """Move on to a printer time and do what is due there."""
        self.timeline.advance_to(printer_time)
        self.heating.advance()
        self.interpreter.run()
        self._idle.update()

    def run_later(self, script: str) -> None:
        """Queue a script of the printer's own."""
        self.interpreter.submit(script, _nobody_waits)

    def shut_down(self, message: str) -> None:
        """Stop everything: power off, motion ended, the running script failing with ``message``."""
        self.heating.shut_down()
        self._outputs.shut_down()
        self.toolhead.stop()
        if self.sdcard.active:
            self.sdcard.fail(message.strip().split("\n")[0])
        self.interpreter.abort(CommandError(message))

    def objects(self) -> dict[str, Any]:
        """Every printer object's provider, by name."""
        return {name: provide for feature in self.features for name, provide in feature.objects().items()}

    def _next_line(self) -> Job | None:
        return self.sdcard.next_job() if self.refusal() is None else None

    def _busy(self) -> bool:
        return self.interpreter.busy or self.sdcard.active

    def _runout(self) -> None:
        if self.sdcard.active:
            self.console.info("Filament Sensor runout: filament runout detected")
            self.run_later("PAUSE")

    def _go_idle(self) -> None:
        self.run_later("TURN_OFF_HEATERS\nM84")


def _nobody_waits(error: CommandError | None) -> None:
    """Take the outcome of a script nobody asked for; its errors are on the console."""
