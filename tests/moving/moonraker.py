"""A real Moonraker as a service, with a data path that it has really used. It is run, and nothing else."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path
from typing import Any

from attrs import define

from tests.integration.process import Reply, ask
from tests.moving.machine import USER, Machine

PASSWORDS = {"anna": "one secret phrase", "bert": "pâß wörd ☺"}
SETTINGS: dict[str, dict[str, Any]] = {
    "mainsail": {
        "initVersion": "2.14.0",
        "general": {"printername": "Voron ☺", "language": "de"},
        "presets": {"presets": {"5e4c": {"name": "PLA", "values": {"extruder": {"value": 210}}}}},
        "uiSettings": {"boolBigThumbnail": True, "navigationStyle": "iconsAndText", "logo": "#D41216"},
        "gui.widths": [1, 2.5, None],
    },
    "fluidd": {
        "uiSettings": {"general": {"instanceName": "Voron", "axis": {"x": {"inverted": False}}}},
        "layout": {"layouts": {"dashboard": {"container1": [{"id": "camera-card", "enabled": True}]}}},
        "console": {"autoScroll": False, "consoleFilters": []},
    },
    "KlipperScreen": {"counter": 12, "ratio": 0.5, "is_dark": False, "word": "x", "nothing": {}},
}
"""What front-ends keep, by namespace and first name."""

CAMERA = {
    "name": "nozzle",
    "location": "printer",
    "service": "mjpegstreamer",
    "stream_url": "/webcam/?action=stream",
    "snapshot_url": "/webcam/?action=snapshot",
    "target_fps": 12,
    "rotation": 90,
}
GCODE = "; a small print\nM109 S180\nG28\nG1 X20 Y20 F6000\nG1 X10 Y10 E2 F3000\n"

SLICED = Path(__file__).parents[1] / "data" / "gcode" / "prusaslicer-2.9.2-klipper.gcode"
"""A file with thumbnails."""

_PATIENCE = 60.0
_SERVICE = """\
# systemd service file for moonraker
[Unit]
Description=API Server for Klipper SV1
Requires=network-online.target
After=network-online.target

[Install]
WantedBy=multi-user.target

[Service]
Type=simple
User={user}
RemainAfterExit=yes
WorkingDirectory={home}
EnvironmentFile={data}/systemd/moonraker.env
ExecStart={python} $MOONRAKER_ARGS
Restart=always
RestartSec=10
"""
_ENVIRONMENT = 'MOONRAKER_DATA_PATH="{data}"\nMOONRAKER_ARGS="-m moonraker"\n'
_NOTES = """\
[Service]
StandardOutput=append:{home}/output
StandardError=append:{home}/output
ExecStartPre=/bin/sh -c 'cd {data} && {listing} > {home}/at-start'
ExecStopPost=/bin/sh -c 'cd {data} && {listing} > {home}/at-stop'
"""
_LISTING = "find . -path ./logs -prune -o -type f -exec sha256sum {} + | sort -k 2"
_KLIPPER = """\
[Unit]
Description=Klipper
[Service]
User={user}
WorkingDirectory={home}
ExecStart={python} -m txraker.simulator --socket {data}/comms/klippy.sock --gcodes {data}/gcodes --speed 10
"""
_CONFIGURATION = """\
[server]
host: 0.0.0.0
port: {port}
klippy_uds_address: {data}/comms/klippy.sock

[authorization]
trusted_clients:
    {trusted}
cors_domains:
    *.local

[octoprint_compat]

[history]

[webcam front]
location: printer
service: mjpegstreamer
stream_url: /webcam2/?action=stream
snapshot_url: /webcam2/?action=snapshot

[include more/*.conf]
"""
_INCLUDED = """\
[file_manager]
queue_gcode_uploads: False

[job_queue]
load_on_startup: False
"""


@define(eq=False)
class Moonraker:
    """A Moonraker on a machine: where it answers, and what was in its data path when it came and went.

    ``python`` runs it, ``api_key`` is its key. Its users have ``PASSWORDS``.
    """

    machine: Machine
    port: int
    python: Path
    api_key: str = ""

    @property
    def data(self) -> Path:
        """Its data path."""
        return self.machine.home / "printer_data"

    def install(self, trusted: str = "127.0.0.0/8") -> None:
        """Write its configuration and its service, which nobody starts, and those of a virtual printer."""
        write, home = self.machine.write, self.machine.home
        names = {"user": USER, "home": home, "data": self.data, "python": self.python}
        write(self.data / "systemd" / "moonraker.env", _ENVIRONMENT.format(**names))
        write(self.data / "config" / "more" / "jobs.conf", _INCLUDED)
        for folder in ("comms", "gcodes", "logs"):
            self.machine.type(f"mkdir -p {self.data / folder}")
        self.trust(trusted)
        notes = self.machine.units / "moonraker.service.d"
        notes.mkdir()
        (notes / "notes.conf").write_text(_NOTES.format(**names, listing=_LISTING))
        klipper = _KLIPPER.format(**{**names, "python": sys.executable})
        self.machine.testbed.write_unit("klipper.service", klipper)
        self.machine.testbed.write_unit("moonraker.service", _SERVICE.format(**names))

    def trust(self, clients: str) -> None:
        """Write which clients are trusted; it takes notice at its next start."""
        text = _CONFIGURATION.format(port=self.port, data=self.data, trusted=clients)
        self.machine.write(self.data / "config" / "moonraker.conf", text)

    def wait(self, klippy_state: str = "ready") -> dict[str, Any]:
        """Wait until the server, whichever it is, answers the key, and has Klippy in a state."""
        deadline = time.monotonic() + _PATIENCE
        info: Any = None
        while time.monotonic() < deadline:
            try:
                info = self.ask("/server/info").json
            except (OSError, HTTPException):
                info = None
            if info and info.get("result", {}).get("klippy_state") == klippy_state:
                return dict(info["result"])
            time.sleep(0.1)
        raise AssertionError(f"waited in vain: {info}\n{self.log()}")

    def log(self) -> str:
        """Return the end of what it says."""
        try:
            return (self.machine.home / "output").read_text(errors="replace")[-5000:]
        except OSError as problem:
            return str(problem)

    def ask(self, path: str, method: str = "GET", arguments: object = None, **headers: str) -> Reply:
        """Ask whichever server is there, with the key unless headers say otherwise."""
        said = {"Content-Type": "application/json", **(headers or self._identity())}
        body = None if arguments is None else json.dumps(arguments)
        return ask(self.port, path, method, body, said)

    def result(self, path: str, method: str = "GET", arguments: object = None) -> Any:
        """Return the result of a question that must succeed."""
        reply = self.ask(path, method, arguments)
        assert reply.status == 200, (path, reply)
        return reply.json["result"]

    def listing(self, moment: str) -> dict[str, str]:
        """Return hashes of its files by path, but for logs, at its last ``start`` or ``stop``."""
        lines = (self.machine.home / f"at-{moment}").read_text().splitlines()
        return {path: digest for digest, path in (line.split(None, 1) for line in lines)}

    def _identity(self) -> dict[str, str]:
        return {"X-Api-Key": self.api_key} if self.api_key else {}

    def use(self) -> None:
        """Use it as people do: settings, users, cameras, prints."""
        self.machine.type("sudo systemctl start klipper && sudo systemctl enable --now moonraker")
        self.wait()
        self.api_key = self.result("/access/api_key")
        for namespace, values in SETTINGS.items():
            for key, value in values.items():
                item = {"namespace": namespace, "key": [key], "value": value}
                self.result("/server/database/item", "POST", item)
        for username, password in PASSWORDS.items():
            self.result("/access/user", "POST", {"username": username, "password": password})
        self.result("/server/webcams/item", "POST", CAMERA)
        self.machine.write(self.data / "gcodes" / SLICED.name, SLICED.read_text())
        self.until(lambda: bool(self.thumbnails()))
        self.until(lambda: "extruder" in self.result("/server/temperature_store"))
        for name in ("one.gcode", "two ☺.gcode"):
            self.print(name)

    def thumbnails(self) -> list[dict[str, Any]]:
        """Return what is known by now of the pictures of a file."""
        reply = self.ask(f"/server/files/metadata?filename={SLICED.name}")
        found: list[dict[str, Any]] = reply.json.get("result", {}).get("thumbnails", [])
        return found

    def print(self, name: str) -> None:
        """Let a file be printed to its end."""
        before = len(self._jobs())
        self.machine.write(self.data / "gcodes" / name, GCODE)
        start = {"filename": name}
        self.until(lambda: self.ask("/printer/print/start", "POST", start).status == 200)
        self.until(lambda: [job["status"] for job in self._jobs()[before:]] == ["completed"])

    @contextmanager
    def printing(self, name: str) -> Iterator[None]:
        """Let a file be printed that takes long, as long as the context lasts."""
        self.machine.write(self.data / "gcodes" / name, "G4 P1000\n" * 3600)
        start = {"filename": name}
        self.until(lambda: self.ask("/printer/print/start", "POST", start).status == 200)
        try:
            yield
        finally:
            self.result("/printer/print/cancel", "POST", {})

    def until(self, holds: Callable[[], bool]) -> None:
        """Wait until something holds."""
        deadline = time.monotonic() + _PATIENCE
        while not holds():
            assert time.monotonic() < deadline, self.log()
            time.sleep(0.2)

    def _jobs(self) -> list[dict[str, Any]]:
        jobs: list[dict[str, Any]] = self.result("/server/history/list?order=asc")["jobs"]
        return jobs
