"""What is there made into steps, or into reasons why there can be none."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from attrs import frozen

from txraker.install.commands import RUN_WITHIN
from txraker.install.configured import Configured
from txraker.install.installation import Installation
from txraker.install.migration.live import UNKNOWN
from txraker.install.migration.service import Service
from txraker.install.migration.situation import OWN_CONFIGURATION, Situation
from txraker.install.system_files import Standing
from txraker.storage.database import path_in
from txraker.system.listener import Listener

START_WITHIN: Final = 150.0
"""Seconds in which systemd starts or stops a service, or says that it can't: 90 unless configured."""

IMPORT_WITHIN: Final = 600.0
_MIB: Final = 1024 * 1024


@frozen
class Command:
    """Words that are run, as root if need be, for so many seconds at most."""

    words: Sequence[str]
    as_root: bool = False
    seconds: float = RUN_WITHIN


@frozen
class Step:
    """Something that is done by a command, and undone by others.

    These may be run whether or not the command came to its end, unless ``is_whole``: then a command that
    failed has done nothing.
    """

    says: str
    command: Command
    undo: Sequence[Command] = ()
    is_whole: bool = False


def refusals(situation: Situation) -> list[str]:
    """Return why nothing can be done, each with what mends it; nothing when it can."""
    own, listener = situation.own, situation.listener
    if listener is not None and listener.unit == own.unit:
        back = way_back(own, situation.moonraker)
        text = f"{own.unit} serves {situation.data_path} already. To migrate once more, go back to Moonraker"
        return [f"{text} before: {back}"]
    return [
        *_about_services(situation),
        *_about_live_server(situation),
        *_about_data(situation),
    ]


def steps(situation: Situation, now: str) -> list[Step]:
    """Return what is done, in this order; ``now`` is a time that can be part of a file's name.

    Moonraker starts with the machine until ours is about to: after a power failure the printer has a server.
    """
    installation = situation.installation
    return [
        *_stop(situation.moonraker),
        *_keep_earlier(situation.earlier, now),
        _import(installation, situation.data_path),
        *_write_files(situation),
        *_disable(situation.moonraker),
        _start_own(situation.own),
    ]


def way_back(own: Service, moonraker: Service) -> str:
    """Return the command that goes back, for a shell; it needs nothing of ours, not even our service."""
    ours, theirs = shlex.quote(own.name), shlex.quote(moonraker.name)
    return f"sudo systemctl disable --now {ours}; sudo systemctl enable --now {theirs}"


def _about_services(situation: Situation) -> Iterator[str]:
    moonraker, own, user = situation.moonraker, situation.own, situation.installation.user
    if moonraker.is_masked:
        yield f"{moonraker.unit} is masked: sudo systemctl unmask {shlex.quote(moonraker.unit)}"
    elif moonraker.user == "root":
        yield (
            f"{moonraker.unit} runs as root, which txraker doesn't: let Moonraker run as {user} first, by "
            f"User= in its unit, and own its files: sudo systemctl edit {shlex.quote(moonraker.unit)}"
        )
    elif moonraker.user != user:
        yield f"{moonraker.unit} runs as {moonraker.user}, and you are {user}: call this as {moonraker.user}"
    if situation.served is not None:
        yield (
            f"{moonraker.unit} serves {situation.served}, not {situation.data_path}: leave out --data-path, "
            "or name the service of this data path by --service"
        )
    if own.is_active:
        yield (
            f"{own.unit} runs already. If it serves another printer, choose another name by --name; else "
            f"stop it: sudo systemctl disable --now {own.name}"
        )
    for file, standing in situation.files:
        if standing is Standing.FOREIGN:
            yield (
                f"{file.path} is there and isn't this printer's: choose another name by --name, or move "
                f"the file away: sudo mv {shlex.quote(str(file.path))} {shlex.quote(f'{file.path}.old')}"
            )


def _about_live_server(situation: Situation) -> Iterator[str]:
    moonraker, listener = situation.moonraker, situation.listener
    if listener is not None and not _is_of(moonraker, listener):
        yield (
            f"A server for {situation.data_path} runs that isn't {moonraker.unit}: {listener}. "
            f"Stop it first: {_end_of(listener)}"
        )
    if situation.print_state in ("printing", "paused"):
        yield f"The printer is {situation.print_state}: wait until the print has ended"
    if situation.print_state == UNKNOWN:
        yield (
            f"{moonraker.unit} doesn't say whether the printer prints. Call this again, or, if you know that "
            f"it doesn't, stop it first: sudo systemctl stop {shlex.quote(moonraker.unit)}"
        )


def _about_data(situation: Situation) -> Iterator[str]:
    configuration = situation.configuration
    if configuration.fatal is not None:
        yield f"txraker can't use the configuration, and would not start: {configuration.fatal}"
    elif situation.configured_by is not None:
        target = situation.data_path / "config" / OWN_CONFIGURATION
        line = shlex.quote(f"[include {situation.configured_by}]")  # a link would include from elsewhere
        mend = f"echo {line} > {shlex.quote(str(target))}"
        yield f"Moonraker reads {situation.configured_by}, which txraker wouldn't: {mend}"
    elif configuration.path is None:
        yield f"There is no configuration in {situation.data_path / 'config'}"
    if isinstance(situation.imported, str):
        yield f"Moonraker's database can't be taken over: {situation.imported}"
    if situation.free < situation.needed:
        yield (
            f"There isn't room enough in {situation.data_path / 'database'}: {situation.free // _MIB} MB are "
            f"free, {situation.needed // _MIB} MB are needed. What takes the most: "
            f"du -xh {shlex.quote(str(situation.data_path))} | sort -h | tail"
        )


def _is_of(service: Service, listener: Listener) -> bool:
    return listener.unit == service.unit or listener.process_id == service.process_id != 0


def _end_of(listener: Listener) -> str:
    """Return what ends a process, or says which it is."""
    if listener.unit is not None:
        return f"sudo systemctl stop {shlex.quote(listener.unit)}"
    return f"kill {listener.process_id}" if listener.process_id else "sudo ss -xlp says which it is"


def _stop(moonraker: Service) -> Iterator[Step]:
    """Take away just what is there, so that just that comes back; so does ``_disable``."""
    if moonraker.is_active:
        undo = [_systemctl("start", moonraker.unit)]
        yield Step("Stop Moonraker", _systemctl("stop", moonraker.unit), undo)


def _disable(moonraker: Service) -> Iterator[Step]:
    if moonraker.is_enabled:
        undo = [_systemctl("enable", moonraker.unit)]
        yield Step("Disable Moonraker's service", _systemctl("disable", moonraker.unit), undo)


def _keep_earlier(earlier: Sequence[Path], now: str) -> Iterator[Step]:
    """Put files aside by renaming them, which takes no room and happens or not."""
    for file in earlier:
        name, ending = path_in(Path()).name, file.name.removeprefix(path_in(Path()).name)
        kept = file.with_name(f"{name}.before-{now}{ending}")
        yield Step(
            "Put the database of an earlier txraker aside; it is kept",
            Command(["mv", "-T", "--", str(file), str(kept)]),
            [Command(["mv", "-T", "--", str(kept), str(file)])],
            is_whole=True,
        )


def _import(installation: Installation, data_path: Path) -> Step:
    path = path_in(data_path)
    made = [str(path.with_name(path.name + ending)) for ending in ("", "-wal", "-shm")]
    return Step(
        "Take over what Moonraker's database holds, which isn't changed",
        Command([_program(installation), "import-database", "-d", str(data_path)], seconds=IMPORT_WITHIN),
        [Command(["rm", "-f", "--", *made])],
    )


def _write_files(situation: Situation) -> Iterator[Step]:
    installation, data_path = situation.installation, situation.data_path
    if all(standing is Standing.SAME for _, standing in situation.files):
        return
    words = ["unit", "-d", str(data_path), "--name", installation.name, "--write", "--yes"]
    new = [str(file.path) for file, standing in situation.files if standing is Standing.ABSENT]
    removal = [Command(["rm", "-f", "--", *new], as_root=True), _systemctl("daemon-reload")]
    yield Step(
        f"Write {' and '.join(str(file.path) for file, _ in situation.files)} and let systemd read them",
        Command([_program(installation), *words], seconds=START_WITHIN),
        removal if new else (),
    )


def _start_own(own: Service) -> Step:
    return Step(
        "Start txraker, now and whenever the machine starts, and wait until it is ready",
        _systemctl("enable", "--now", own.unit),
        [_systemctl("disable", "--now", own.unit)],
    )


def _systemctl(*words: str) -> Command:
    return Command(["systemctl", *words], as_root=True, seconds=START_WITHIN)


def _program(installation: Installation) -> str:
    return str(installation.twistd.with_name("txraker"))


def told_of_configuration(configuration: Configured) -> Iterator[str]:
    """Yield what of a configuration has an effect and what hasn't, a line each."""
    yield f"Configuration {configuration.path}, which stays as it is:"
    yield f"    used: {', '.join(f'[{section}]' for section in configuration.used) or 'nothing'}"
    yield from (f"    {warning}" for warning in configuration.warnings)
