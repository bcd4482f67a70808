"""Pure: printing a file from the virtual SD card, and the statistics about it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from attrs import define

from txraker.simulator.console import Console
from txraker.simulator.errors import CommandError
from txraker.simulator.feature import Provider, Status
from txraker.simulator.files import GcodeFile, GcodeStore
from txraker.simulator.gcode import Command
from txraker.simulator.interpreter import CommandSpec, Job
from txraker.simulator.timeline import Timeline

_BLOCK: Final = 8192
_BLOCK_SECONDS: Final = 0.01
_ON_ERROR: Final = "TURN_OFF_HEATERS"


@define
class PrintStats:
    """The object ``print_stats``; ``extruded`` answers how much filament went through so far, in mm."""

    timeline: Timeline
    extruded: Callable[[], float]
    filename: str = ""
    state: str = "standby"
    message: str = ""
    total_layer: int | None = None
    current_layer: int | None = None
    _started: float | None = None
    _first_extrusion: float | None = None
    _paused: float = 0.0
    _paused_since: float | None = None
    _ended: float | None = None
    _last_e: float = 0.0
    _used: float = 0.0

    def reset(self, filename: str = "") -> None:
        """Start over, for a file or for none."""
        self.filename, self.state, self.message = filename, "standby", ""
        self.total_layer = self.current_layer = None
        self._started = self._first_extrusion = self._paused_since = self._ended = None
        self._paused = self._used = 0.0

    def start(self) -> None:
        """A print starts or goes on."""
        now = self.timeline.now
        if self._started is None:
            self._started = now
        elif self._paused_since is not None:
            self._paused += now - self._paused_since
        self._paused_since = None
        self._last_e = self.extruded()
        self.state = "printing"

    def pause(self) -> None:
        """The print pauses."""
        if self.state == "printing":
            self.update()
            self._paused_since = self.timeline.now
            self.state = "paused"

    def end(self, state: str, message: str = "") -> None:
        """The print is over: "complete", "cancelled" or "error"."""
        if self.state in ("printing", "paused"):
            self.update()
            self._ended = self.timeline.now
            self.state, self.message = state, message

    def status(self) -> Status:
        """The fields of ``print_stats``; durations are in seconds, filament in millimetres."""
        self.update()
        now = self._ended if self._ended is not None else self.timeline.now
        total = now - self._started if self._started is not None else 0.0
        return {
            "filename": self.filename,
            "total_duration": total,
            "print_duration": self._print_duration(now),
            "filament_used": self._used,
            "state": self.state,
            "message": self.message,
            "info": {"total_layer": self.total_layer, "current_layer": self.current_layer},
        }

    def _print_duration(self, now: float) -> float:
        if self._first_extrusion is None:
            return 0.0
        paused = self._paused
        if self._paused_since is not None:
            paused += now - self._paused_since
        return max(0.0, now - self._first_extrusion - paused)

    def update(self) -> None:
        """Count the filament that went through since the last look."""
        if self.state != "printing":
            return
        extruded = self.extruded()
        self._used += extruded - self._last_e
        self._last_e = extruded
        if self._used > 0.0 and self._first_extrusion is None:
            self._first_extrusion = self.timeline.now - self._paused


@define
class VirtualSdCard:
    """Feeds a file, line by line, to the interpreter whenever no other script waits.

    ``progress_reset`` is called when another file is loaded, so that what belongs to the old one can go;
    ``run_later`` queues a script.
    """

    store: GcodeStore
    timeline: Timeline
    console: Console
    stats: PrintStats
    progress_reset: Callable[[], None]
    run_later: Callable[[str], None]
    active: bool = False
    _file: GcodeFile | None = None
    _position: int = 0
    _next: int = 0
    _size: int = 0
    _block: bytes = b""
    _block_at: int = 0
    _resume_at: float = 0.0
    _in_line: bool = False

    @property
    def wake(self) -> float | None:
        """When the next line may run, None when there is no print."""
        return self._resume_at if self.active else None

    @property
    def loaded(self) -> bool:
        """Whether a file is loaded."""
        return self._file is not None

    def next_job(self) -> Job | None:
        """The next line to run, if it is time for one."""
        while self.active and self._resume_at <= self.timeline.now:
            line = self._read_line()
            if line is None:
                return None
            if line.strip() and not line.lstrip().startswith(";"):
                self._in_line = True
                return Job(line, self._line_done)
            self._position = min(self._next, self._size)
        return None

    def pause(self) -> None:
        """Stop after the current line."""
        self.active = False
        self.stats.pause()

    def resume(self) -> None:
        """Start the loaded file, or go on with it."""
        if self.active:
            raise CommandError("SD busy")
        if self._file is None:
            return
        self.active = True
        self._resume_at = self.timeline.now
        self.stats.start()

    def cancel(self) -> None:
        """Give the print up and unload the file."""
        self.active = False
        self._unload()
        self.stats.end("cancelled")

    def close(self) -> None:
        """Let go of the file, because the host exits."""
        self.active = False
        self._unload()

    def fail(self, message: str) -> None:
        """End the print with an error."""
        self.active = False
        self.stats.end("error", message)

    def objects(self) -> Mapping[str, Provider]:
        """``print_stats`` and ``virtual_sdcard``."""
        return {"print_stats": self.stats.status, "virtual_sdcard": self._status}

    def commands(self) -> list[CommandSpec]:
        """The commands of the SD card."""
        unsupported = ("M28", "M29", "M30")
        return [
            CommandSpec(
                "SET_PRINT_STATS_INFO",
                self._cmd_info,
                "Pass slicer info like layer act and total to klipper",
            ),
            CommandSpec("M20", self._cmd_list),
            CommandSpec("M21", lambda command: self.console.raw("SD card ok")),
            CommandSpec("M23", self._cmd_select),
            CommandSpec("M24", lambda command: self.resume()),
            CommandSpec("M25", lambda command: self.pause()),
            CommandSpec("M26", self._cmd_seek),
            CommandSpec("M27", self._cmd_report),
            *(CommandSpec(name, self._cmd_unsupported) for name in unsupported),
            CommandSpec(
                "SDCARD_RESET_FILE",
                self._cmd_reset,
                "Clears a loaded SD File. Stops the print if necessary",
            ),
            CommandSpec(
                "SDCARD_PRINT_FILE",
                self._cmd_print,
                "Loads a SD file and starts the print.  May include files in subdirectories.",
            ),
        ]

    @property
    def progress(self) -> float:
        """Share of the file that was read, 0 to 1."""
        return self._position / self._size if self._size else 0.0

    def _status(self) -> Status:
        return {
            "file_path": self._file.path if self._file else None,
            "progress": self.progress,
            "is_active": self.active,
            "file_position": self._position,
            "file_size": self._size,
        }

    def _read_line(self) -> str | None:
        """The line at the reading position; None at the end of a block or of the file."""
        assert self._file is not None
        start = self._position - self._block_at
        end = self._block.find(b"\n", start) if 0 <= start < len(self._block) else -1
        if end < 0:
            self._load_block()
            if not self._block:
                self._complete()
                return None
            end = self._block.find(b"\n")
            if end < 0:
                end = len(self._block)
            start = 0
            self._resume_at = self.timeline.now + _BLOCK_SECONDS
        self._next = self._block_at + end + 1
        return self._block[start:end].decode("utf-8", "replace").rstrip("\r")

    def _load_block(self) -> None:
        assert self._file is not None
        self._block_at = self._position
        self._block = self._file.read(self._position, _BLOCK)

    def _line_done(self, error: CommandError | None) -> None:
        self._in_line = False
        if error is not None:
            self.fail(str(error))
            self.run_later(_ON_ERROR)
        elif self._file is not None:
            self._position = min(self._next, self._size)
            self.stats.update()

    def _complete(self) -> None:
        assert self._file is not None
        self._position = self._size
        self._file.close()
        self._file = None
        self.active = False
        self.console.raw("Done printing file")
        self.stats.end("complete")

    def _unload(self) -> None:
        if self._file is not None:
            self._file.close()
        self._file = None
        self._position = self._next = self._size = self._block_at = 0
        self._block = b""

    def _load(self, name: str) -> None:
        if self.active:
            raise CommandError("SD busy")
        self._unload()
        self.progress_reset()
        self.stats.reset()
        opened = self.store.open(name)
        self.console.raw(f"File opened:{opened.name} Size:{opened.size}")
        self.console.raw("File selected")
        self._file, self._size = opened, opened.size
        self.stats.reset(opened.name)

    def _cmd_info(self, command: Command) -> None:
        total = command.maybe_number("TOTAL_LAYER")
        current = command.maybe_number("CURRENT_LAYER")
        stats = self.stats
        if total is not None:
            stats.total_layer = int(total) or None
            if not total:
                stats.current_layer = None
        if current is not None and stats.total_layer is not None:
            stats.current_layer = min(int(current), stats.total_layer)

    def _cmd_list(self, command: Command) -> None:
        self.console.raw("Begin file list")
        for name, size in self.store.listing():
            self.console.raw(f"{name} {size}")
        self.console.raw("End file list")

    def _cmd_select(self, command: Command) -> None:
        self._load(command.text)

    def _cmd_seek(self, command: Command) -> None:
        if self.active:
            raise CommandError("SD busy")
        self._position = min(command.integer("S", minimum=0), self._size)

    def _cmd_report(self, command: Command) -> None:
        if self._file is None:
            self.console.raw("Not SD printing.")
        else:
            self.console.raw(f"SD printing byte {self._position}/{self._size}")

    def _cmd_unsupported(self, command: Command) -> None:
        raise CommandError("SD write not supported")

    def _cmd_reset(self, command: Command) -> None:
        if self._in_line:
            raise CommandError("SDCARD_RESET_FILE cannot be run from the sdcard")
        self.active = False
        self._unload()
        self.stats.reset()
        self.progress_reset()

    def _cmd_print(self, command: Command) -> None:
        self._load(command.get("FILENAME"))
        self.resume()
