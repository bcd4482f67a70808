"""``python -m txraker.simulator``: a virtual printer for front-end developers."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorCore
from twisted.internet.task import react
from twisted.logger import globalLogBeginner, textFileLogObserver

from txraker.reactor import Reactor
from txraker.simulator.options import LoadOptions, SimulatorOptions
from txraker.simulator.service import SimulatorService

_EPILOG = """\
Error states on demand, as gcode on the printer's console:
  SIMULATE_SHUTDOWN MSG="reason"   go to state shutdown, as after an emergency stop
  SIMULATE_MCU_LOSS                lose the micro-controller: shutdown, then stuck in startup
  SIMULATE_FILAMENT DETECTED=0     the filament runs out (1: it is back)
  CALL_REMOTE_METHOD NAME=x K=V    call a method a client registered, as a macro would

Load mode, for measurements: --load takes any of these as NAME=NUMBER
  objects=30        extra printer objects
  fields=8          fields of each
  sensors=0         extra temperature sensors
  changed=130       fields that change in each status update (the defaults make about 2.7 KB)
  rate=4            status updates a second; queries are answered every --tick-seconds all the same
  console_rate=0    console lines a second
  console_bytes=80  length of each of those lines
Over the socket, simulator/load changes all but the first three, and simulator/statistics answers what the
printer was asked, by method, and what it sent; {"reset": true} starts to count anew.
"""


def _arguments(arguments: Sequence[str]) -> argparse.Namespace:
    defaults = SimulatorOptions()
    parser = argparse.ArgumentParser(
        prog="python -m txraker.simulator",
        description="A virtual 3D printer that speaks Klippy's API on a unix socket.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--socket", type=Path, required=True, help="where to listen, e.g. /tmp/klippy_uds")
    parser.add_argument("--gcodes", type=Path, required=True, help="directory of the virtual SD card")
    parser.add_argument(
        "--startup-seconds",
        type=float,
        default=defaults.startup_seconds,
        help="time in state startup (default: %(default)s)",
    )
    parser.add_argument(
        "--restart-seconds",
        type=float,
        default=defaults.restart_seconds,
        help="time without a socket during a restart (default: %(default)s)",
    )
    parser.add_argument(
        "--tick-seconds",
        type=float,
        default=defaults.tick_seconds,
        help="period of status updates and of answers while subscribed (default: %(default)s)",
    )
    parser.add_argument(
        "--speed",
        type=float,
        default=defaults.speed,
        help="factor on motion and heating (default: %(default)s)",
    )
    parser.add_argument(
        "--fault",
        choices=["config-error", "no-mcu"],
        help="end in state error, or stay in startup",
    )
    parser.add_argument("--load", nargs="*", metavar="NAME=NUMBER", help="load mode, see below")
    chosen = parser.parse_args(arguments)
    if not chosen.gcodes.is_dir():
        parser.error(f"{chosen.gcodes} is not a directory")
    if chosen.speed <= 0 or chosen.tick_seconds <= 0:
        parser.error("--speed and --tick-seconds must be above zero")
    try:
        chosen.load = None if chosen.load is None else _load(chosen.load)
    except ValueError as error:
        parser.error(f"--load: {error}")
    return chosen


def _load(settings: Sequence[str]) -> LoadOptions:
    """Read ``name=number`` settings. Raises ValueError."""
    pairs = [setting.partition("=") for setting in settings]
    return msgspec.convert({name: value for name, _, value in pairs}, LoadOptions, strict=False)


def main(reactor: Reactor, arguments: Sequence[str]) -> Deferred[None]:
    """Run a virtual printer until a signal stops it."""
    chosen = _arguments(arguments)
    globalLogBeginner.beginLoggingTo([textFileLogObserver(sys.stderr)], redirectStandardIO=False)
    options = SimulatorOptions(
        startup_seconds=chosen.startup_seconds,
        restart_seconds=chosen.restart_seconds,
        tick_seconds=chosen.tick_seconds,
        speed=chosen.speed,
        fault=chosen.fault,
        load=chosen.load,
    )
    service = SimulatorService(reactor, chosen.socket, chosen.gcodes, options=options)
    service.startService()
    core = IReactorCore(reactor)
    core.addSystemEventTrigger("before", "shutdown", service.stopService)
    core.callWhenRunning(print, f"Virtual printer listening on {chosen.socket}", flush=True)
    return Deferred()


if __name__ == "__main__":
    react(main, [sys.argv[1:]])
