"""What ISystem promises, kept by the one in memory and by a real systemd alike."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol, cast

import pytest
import pytest_twisted
from attrs import define, field
from twisted.internet import reactor
from twisted.internet.task import deferLater
from zope.interface.verify import verifyObject

from tests.testbed.systemd import Testbed, systemd
from tests.tools import Faults, Logged
from txraker.interfaces import ISystem
from txraker.reactor import Reactor
from txraker.server_warnings import ServerWarnings
from txraker.system import systemctl
from txraker.system.errors import NoSuchService
from txraker.system.services import PATTERNS, UnitState
from txraker.system.sudo import Sudo
from txraker.system.systemctl import SystemdCli
from txraker.system.systemd.provider import SystemdOverBus
from txraker.testing.system import RUNNING, STOPPED, MemorySystem

UNITS = ("klipper.service", "klipper-2.service", "crowsnest.service")
SERVICE = "[Unit]\nDefaultDependencies=no\n[Service]\nExecStart=/usr/bin/sleep 1000\n"


class Setting(Protocol):
    """A machine with three services, none of which runs, and with ourselves in none."""

    system: Any

    async def until(self, holds: Callable[[], object]) -> None:
        """Wait until something holds."""

    def process_of(self, unit: str) -> int:
        """Return a process of a service."""

    def crash(self, unit: str) -> None:
        """Let a service end by itself."""

    def close(self) -> None:
        """Let go of everything."""


@define(eq=False)
class InMemory:
    """The fake."""

    system: MemorySystem = field(factory=lambda: MemorySystem(dict.fromkeys(UNITS, STOPPED)))

    def __attrs_post_init__(self) -> None:
        self.system.processes = dict(enumerate(UNITS, 1000))
        self.system.processes[2000] = "session-3.scope"
        self.system.start()

    async def until(self, holds: Callable[[], object]) -> None:
        assert holds()

    def process_of(self, unit: str) -> int:
        return next(number for number, of in self.system.processes.items() if of == unit)

    def crash(self, unit: str) -> None:
        self.system.become(unit, UnitState("failed", "failed"))

    def close(self) -> None:
        self.system.stop()


@define(eq=False)
class Real:
    """systemd, over a real bus."""

    testbed: Testbed
    faults: Faults = field(factory=Faults)
    system: Any = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.testbed.manage("ResetFailed")
        self.system = self.make()
        self.system.start()

    def make(self) -> Any:
        """Make the provider."""
        log, address = Logged().logger(), self.testbed.address
        warnings = ServerWarnings(log)
        return SystemdOverBus(cast("Reactor", reactor), address, "pi", warnings, self.faults, log, no_power)

    async def until(self, holds: Callable[[], object]) -> None:
        for _ in range(500):
            if holds():
                return
            await deferLater(reactor, 0.01)
        raise AssertionError("it never holds")

    def process_of(self, unit: str) -> int:
        return self.testbed.main_process(unit)

    def crash(self, unit: str) -> None:
        os.kill(self.testbed.main_process(unit), 9)

    def close(self) -> None:
        self.system.stop()
        assert self.faults.seen == []


@define(eq=False)
class CommandLine(Real):
    """systemd by its command, which is told which systemd is meant."""

    def make(self) -> ISystem:
        log = Logged().logger()
        sudo = Sudo(cast("Reactor", reactor))
        return SystemdCli(cast("Reactor", reactor), sudo, ServerWarnings(log), self.faults, log)


async def no_power(action: str) -> None:
    """Be a machine that can't be switched off."""
    raise AssertionError(action)


@pytest.fixture(scope="module")
def testbed() -> Iterator[Testbed]:
    """Run a systemd with the three services."""
    with systemd() as testbed:
        for unit in UNITS:
            testbed.write_unit(unit, SERVICE)
        yield testbed


@pytest.fixture(params=["in memory", "systemd", "systemctl"])
def making(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[], Setting]:
    """Say how to make each kind of setting."""
    if request.param == "in memory":
        return InMemory
    testbed: Testbed = request.getfixturevalue("testbed")
    if request.param == "systemd":
        return lambda: Real(testbed)
    monkeypatch.setattr(systemctl, "WATCH_INTERVAL", 0.1)
    monkeypatch.setenv("PATH", f"{testbed.command_folder(tmp_path)}:{os.environ['PATH']}")
    return lambda: CommandLine(testbed)


@pytest_twisted.async_yield_fixture()  # type: ignore[untyped-decorator]  # pytest-twisted is not annotated
async def setting(making: Callable[[], Setting]) -> AsyncIterator[Setting]:
    """Make a machine whose services are stopped."""
    setting = making()
    for unit in UNITS:
        await setting.system.stop_unit(unit)
    yield setting
    setting.close()


async_test = pytest_twisted.ensureDeferred


def test_provides(making: Callable[[], Setting]) -> None:
    """Both provide what they say."""
    setting = making()
    assert verifyObject(ISystem, setting.system)
    assert setting.system.provider in ("systemd_dbus", "systemd_cli")
    setting.close()


@async_test  # type: ignore[untyped-decorator]  # pytest-twisted is not annotated
async def test_start_and_stop(setting: Setting) -> None:
    """When a start or a stop is over, the service has started or stopped."""
    system = setting.system
    assert await system.state("klipper.service") == STOPPED
    await system.start_unit("klipper.service")
    assert await system.state("klipper.service") == RUNNING
    await system.start_unit("klipper.service")
    await system.stop_unit("klipper.service")
    assert await system.state("klipper.service") == STOPPED
    await system.stop_unit("klipper.service")


@async_test  # type: ignore[untyped-decorator]  # pytest-twisted is not annotated
async def test_restart(setting: Setting) -> None:
    """After a restart the service runs, whether it did before or not."""
    for _ in range(2):
        await setting.system.restart_unit("klipper.service")
        assert await setting.system.state("klipper.service") == RUNNING


@async_test  # type: ignore[untyped-decorator]  # pytest-twisted is not annotated
async def test_unknown_units(setting: Setting) -> None:
    """A service that isn't there has no state, and can't be started, stopped or restarted."""
    assert await setting.system.state("nonesuch.service") is None
    for act in (setting.system.start_unit, setting.system.stop_unit, setting.system.restart_unit):
        with pytest.raises(NoSuchService, match=r"nonesuch\.service"):
            await act("nonesuch.service")


@async_test  # type: ignore[untyped-decorator]  # pytest-twisted is not annotated
async def test_installed(setting: Setting) -> None:
    """Services are found by patterns, running or not."""
    await setting.system.start_unit("klipper.service")
    assert await setting.system.installed(PATTERNS) == ["klipper-2.service", "klipper.service"]
    assert await setting.system.installed(["nonesuch*"]) == []


@async_test  # type: ignore[untyped-decorator]  # pytest-twisted is not annotated
async def test_unit_of_process(setting: Setting) -> None:
    """A process is traced to its service; one of no service, ours for example, to none."""
    await setting.system.start_unit("klipper-2.service")
    process = setting.process_of("klipper-2.service")
    assert await setting.system.unit_of_process(process) == "klipper-2.service"
    assert await setting.system.unit_of_process(os.getpid()) is None
    assert await setting.system.unit_of_process(2**22 + 5) is None


@async_test  # type: ignore[untyped-decorator]  # pytest-twisted is not annotated
async def test_watch(setting: Setting) -> None:
    """Who watches a service is told its state now and at each change, once each."""
    seen: list[UnitState] = []
    await setting.system.watch("klipper.service", seen.append)
    assert seen == [STOPPED]
    await setting.system.start_unit("klipper.service")
    await setting.until(lambda: seen[-1] == RUNNING)
    setting.crash("klipper.service")
    await setting.until(lambda: seen[-1] == UnitState("failed", "failed"))
    assert all(before != after for before, after in pairwise(seen))
    await setting.system.stop_unit("klipper.service")
