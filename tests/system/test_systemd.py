"""What can go wrong between us and a real systemd, and what becomes of it."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import cast

import pytest
import pytest_twisted
from attrs import define, field
from twisted.internet import reactor
from twisted.internet.endpoints import UNIXServerEndpoint
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import deferLater

from tests.testbed.systemd import Testbed, systemd
from tests.tools import Faults, Logged, Outcome, start
from txraker.install.installation import Installation
from txraker.install.polkit import rule_text
from txraker.reactor import Reactor
from txraker.server_warnings import ServerWarnings
from txraker.system.errors import JobFailed, NoSuchService, NotPermitted, SystemUnavailable
from txraker.system.services import UnitState
from txraker.system.systemd import bus, provider, session
from txraker.system.systemd.provider import SystemdOverBus
from txraker.testing.system import RUNNING, STOPPED

NOBODY = 65534
HEAD = "[Unit]\nDefaultDependencies=no\n[Service]\n"
ALIAS = "klippy.service"
"""Another name of ``slow.service``."""

UNITS = {
    "klipper.service": "ExecStart=/usr/bin/sleep 1000\n",
    "slow.service": "ExecStart=/usr/bin/sleep 1000\nExecStop=/usr/bin/sleep 1\n",
    "broken.service": "Type=oneshot\nExecStart=/usr/bin/false\n",
    "endless.service": "Type=oneshot\nExecStart=/usr/bin/sleep 1000\n",
}

async_test = pytest_twisted.ensureDeferred


@define(eq=False)
class Setting:
    """The provider on a real bus, and what it told."""

    testbed: Testbed
    faults: Faults = field(factory=Faults)
    warnings: ServerWarnings = field(factory=lambda: ServerWarnings(Logged().logger()))
    powered: list[str] = field(factory=list)
    system: SystemdOverBus = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.system = SystemdOverBus(
            cast("Reactor", reactor),
            self.testbed.address,
            "pi",
            self.warnings,
            self.faults,
            Logged().logger(),
            self.power,
        )

    async def power(self, action: str) -> None:
        """Be what is asked where there is no logind."""
        self.powered.append(action)


async def until(holds: Callable[[], object]) -> None:
    """Wait until something holds."""
    for _ in range(1000):
        if holds():
            return
        await deferLater(reactor, 0.01)
    raise AssertionError("it never holds")


@pytest.fixture(scope="module")
def testbed() -> Iterator[Testbed]:
    """Run a systemd with services good and bad."""
    with systemd() as testbed:
        for unit, text in UNITS.items():
            testbed.write_unit(unit, HEAD + text)
        (testbed.folder / "units" / ALIAS).symlink_to("slow.service")
        testbed.manage("Reload")
        yield testbed


@pytest_twisted.async_yield_fixture()  # type: ignore[untyped-decorator]  # pytest-twisted is not annotated
async def setting(testbed: Testbed) -> AsyncIterator[Setting]:
    """Start the provider, with all services stopped."""
    setting = Setting(testbed)
    setting.system.start()
    for unit in UNITS:
        await setting.system.stop_unit(unit)
    yield setting
    setting.system.stop()
    assert setting.faults.seen == []


@async_test  # type: ignore[untyped-decorator]  # pytest-twisted is not annotated
async def test_service_that_fails(setting: Setting) -> None:
    """A service that ends by an error isn't started, and its state is told."""
    with pytest.raises(JobFailed, match=r"Can't start broken\.service: the job ended as failed.*failed"):
        await setting.system.start_unit("broken.service")


@async_test  # type: ignore[untyped-decorator]  # pytest-twisted is not annotated
async def test_service_that_never_starts(setting: Setting, monkeypatch: pytest.MonkeyPatch) -> None:
    """A job without end is waited for in bounded time."""
    monkeypatch.setattr(provider, "JOB_WITHIN", 0.2)
    with pytest.raises(SystemUnavailable, match=r"StartUnit endless\.service: no answer within 0\.2 seconds"):
        await setting.system.start_unit("endless.service")


@async_test  # type: ignore[untyped-decorator]  # pytest-twisted is not annotated
async def test_jobs_of_one_unit(setting: Setting) -> None:
    """Jobs of a unit are run one after the other, so that none replaces another."""
    await setting.system.start_unit("slow.service")
    jobs = [start(job("slow.service")) for job in (setting.system.stop_unit, setting.system.start_unit)]
    await until(lambda: all(job.done for job in jobs))
    assert [job.error for job in jobs] == [None, None]
    assert await setting.system.state("slow.service") == RUNNING


@async_test  # type: ignore[untyped-decorator]  # pytest-twisted is not annotated
async def test_job_that_somebody_replaces(setting: Setting, testbed: Testbed) -> None:
    """A stop that somebody else turns into a start has failed, and says why."""
    stopping = await begin_to_stop(setting)
    testbed.unit("StartUnit", "slow.service")
    await until(lambda: stopping.done)
    assert isinstance(stopping.error, JobFailed)
    assert "replaced by another job" in str(stopping.error)


@async_test  # type: ignore[untyped-decorator]  # pytest-twisted is not annotated
async def test_job_that_somebody_repeats(setting: Setting, testbed: Testbed) -> None:
    """A start that becomes a restart has done what was wanted, once the service runs."""
    starting = start(setting.system.start_unit("klipper.service"))
    testbed.unit("RestartUnit", "klipper.service")
    await until(lambda: starting.done)
    assert starting.error is None
    await until_state(setting, "klipper.service", RUNNING)


@async_test  # type: ignore[untyped-decorator]  # pytest-twisted is not annotated
async def test_bus_killed_during_a_job(setting: Setting, testbed: Testbed) -> None:
    """A bus that dies fails the job at once; the next call is answered by the next bus."""
    stopping = await begin_to_stop(setting)
    testbed.signal_bus(signal.SIGKILL)
    await until(lambda: stopping.done)
    assert isinstance(stopping.error, SystemUnavailable)
    await until_state(setting, "slow.service", STOPPED)
    await setting.system.start_unit("slow.service")


@async_test  # type: ignore[untyped-decorator]  # pytest-twisted is not annotated
async def test_watched_over_buses(setting: Setting, testbed: Testbed) -> None:
    """What is watched is watched over the next bus, too, and told what it missed."""
    seen: list[UnitState] = []
    await setting.system.watch("klipper.service", seen.append)
    testbed.signal_bus(signal.SIGKILL)
    await until(lambda: setting.warnings.texts() or setting.system._session is None)
    await until_state(setting, "klipper.service", STOPPED)
    await setting.system.start_unit("klipper.service")
    await until(lambda: seen[-1] == RUNNING)
    await setting.system.stop_unit("klipper.service")
    await until(lambda: seen[-1] == STOPPED)


@async_test  # type: ignore[untyped-decorator]  # pytest-twisted is not annotated
async def test_frozen_bus(setting: Setting, testbed: Testbed, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bus that doesn't answer is waited for in bounded time, given up, and taken again when it answers."""
    monkeypatch.setattr(session, "CALL_WITHIN", 0.2)
    monkeypatch.setattr(bus, "LOGIN_WITHIN", 0.2)
    testbed.signal_bus(signal.SIGSTOP)
    try:
        for _ in range(2):
            with pytest.raises(SystemUnavailable):
                await setting.system.state("klipper.service")
        await until(setting.warnings.texts)
        assert "Services can't be managed: No D-Bus at" in setting.warnings.texts()[0]
    finally:
        testbed.signal_bus(signal.SIGCONT)
    await until_state(setting, "klipper.service", STOPPED)
    assert setting.warnings.texts() == []


@async_test  # type: ignore[untyped-decorator]  # pytest-twisted is not annotated
async def test_systemd_that_starts_anew(setting: Setting, testbed: Testbed) -> None:
    """systemd may replace itself by a newer version."""
    seen: list[UnitState] = []
    await setting.system.watch("klipper.service", seen.append)
    with suppress(subprocess.CalledProcessError):  # its answer is lost
        testbed.manage("Reexecute")
    await until_state(setting, "klipper.service", STOPPED)
    await setting.system.start_unit("klipper.service")
    await until(lambda: seen[-1] == RUNNING)


@pytest.mark.parametrize("directly", [True, False], ids=["to us", "to all"])
@async_test  # type: ignore[untyped-decorator]  # pytest-twisted is not annotated
async def test_forged_signal(setting: Setting, testbed: Testbed, directly: bool) -> None:
    """The end of a job counts only when systemd itself tells it, whoever else says so."""
    stopping = await begin_to_stop(setting)
    current = setting.system._session
    assert current is not None
    (job,) = current._jobs
    to = [f"--destination={current._connection.busName}"] if directly else []
    forged = ["org.freedesktop.systemd1.Manager", "JobRemoved", "uoss", "1", job, "slow.service", "done"]
    testbed.busctl("emit", *to, "/org/freedesktop/systemd1", *forged)
    await deferLater(reactor, 0.3)
    assert not stopping.done
    await until(lambda: stopping.done)
    assert stopping.error is None


async def begin_to_stop(setting: Setting) -> Outcome[None]:
    """Let the slow service begin to stop, and return the job."""
    await setting.system.start_unit("slow.service")
    stopping = start(setting.system.stop_unit("slow.service"))
    await until_state(setting, "slow.service", UnitState("deactivating", "stop"))
    assert not stopping.done
    return stopping


async def until_state(setting: Setting, unit: str, state: UnitState) -> None:
    """Wait until a unit is in a state; a bus that was started just now may not have systemd on it yet."""
    now: UnitState | None = None
    for _ in range(500):
        with suppress(SystemUnavailable):
            now = await setting.system.state(unit)
        if now == state:
            return
        await deferLater(reactor, 0.01)
    raise AssertionError(now)


@async_test  # type: ignore[untyped-decorator]  # pytest-twisted is not annotated
async def test_two_names(setting: Setting) -> None:
    """A unit with two names is watched under both, and jobs under both are answered."""
    seen: dict[str, list[UnitState]] = {"slow.service": [], ALIAS: []}
    for unit, states in seen.items():
        await setting.system.watch(unit, states.append)
    await setting.system.start_unit(ALIAS)
    await until(lambda: all(states[-1] == RUNNING for states in seen.values()))
    jobs = [start(setting.system.stop_unit(unit)) for unit in seen]
    await until(lambda: all(job.done for job in jobs))
    assert [job.error for job in jobs] == [None, None]


@pytest.mark.parametrize("unit", ["can@.service", "@.service", "x" * 300 + ".service", "a b.service"])
@async_test  # type: ignore[untyped-decorator]  # pytest-twisted is not annotated
async def test_names_that_no_unit_has(setting: Setting, unit: str) -> None:
    """A name that systemd refuses is that of no service."""
    with pytest.raises(NoSuchService):
        await setting.system.start_unit(unit)
    with suppress(NoSuchService):
        assert await setting.system.state(unit) is None


@async_test  # type: ignore[untyped-decorator]  # pytest-twisted is not annotated
async def test_power_without_logind(setting: Setting) -> None:
    """Where there is no logind, another way is taken."""
    await setting.system.power("reboot")
    assert setting.powered == ["reboot"]


@async_test  # type: ignore[untyped-decorator]  # pytest-twisted is not annotated
async def test_no_bus(tmp_path: Path) -> None:
    """Without a bus, calls fail at once with the reason, which is a warning, too."""
    setting = Setting(Testbed(tmp_path))
    setting.system.start()
    with pytest.raises(SystemUnavailable, match=r"No D-Bus at unix:path=/.*/bus: .*No such file"):
        await setting.system.state("klipper.service")
    assert len(setting.warnings.texts()) == 1
    setting.system.stop()


@async_test  # type: ignore[untyped-decorator]  # pytest-twisted is not annotated
async def test_no_bus_and_two_questions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who asks again when a first question has failed is answered at once, too, not after the pause."""
    monkeypatch.setattr(provider, "FIRST_PAUSE", 60.0)
    setting = Setting(Testbed(tmp_path))
    setting.system.start()

    async def ask_twice() -> None:
        with suppress(SystemUnavailable):
            await setting.system.unit_of_process(1)
        await setting.system.state("klipper.service")

    await until(setting.warnings.texts)
    asking = start(ask_twice())
    await until(lambda: asking.done)
    assert isinstance(asking.error, SystemUnavailable)
    setting.system.stop()


@async_test  # type: ignore[untyped-decorator]  # pytest-twisted is not annotated
async def test_stopped_at_once(setting: Setting, testbed: Testbed) -> None:
    """A provider that is stopped in the moment it starts doesn't come to life later."""
    other = Setting(testbed)
    other.system.start()
    other.system.stop()
    await deferLater(reactor, 0.2)
    assert other.system._session is None
    assert other.faults.seen == []


@async_test  # type: ignore[untyped-decorator]  # pytest-twisted is not annotated
async def test_stopped_while_connecting(setting: Setting, testbed: Testbed) -> None:
    """A provider that is stopped before the bus has answered doesn't come back to life."""
    testbed.signal_bus(signal.SIGSTOP)
    other = Setting(testbed)
    try:
        other.system.start()
        await deferLater(reactor, 0.1)
        other.system.stop()
    finally:
        testbed.signal_bus(signal.SIGCONT)
    await until_state(setting, "klipper.service", STOPPED)
    await deferLater(reactor, 0.2)
    assert other.system._session is None
    asking = start(other.system.state("klipper.service"))
    assert isinstance(asking.error, SystemUnavailable)


@pytest.mark.parametrize("behaviour", ["silent", "closing", "rejecting"])
@async_test  # type: ignore[untyped-decorator]  # pytest-twisted is not annotated
async def test_what_is_no_bus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, behaviour: str) -> None:
    """Something that listens where the bus should, and isn't one, is given up in bounded time."""
    monkeypatch.setattr(bus, "LOGIN_WITHIN", 0.2)
    answers: dict[str, Callable[[Protocol], None]] = {
        "silent": lambda protocol: None,
        "closing": lambda protocol: protocol.transport.loseConnection(),  # type: ignore[union-attr]
        "rejecting": lambda protocol: protocol.transport.write(b"REJECTED EXTERNAL\r\n"),  # type: ignore[union-attr]
    }

    class NoBus(Protocol):
        def dataReceived(self, data: bytes) -> None:
            answers[behaviour](self)

    port = await UNIXServerEndpoint(reactor, str(tmp_path / "bus")).listen(Factory.forProtocol(NoBus))
    setting = Setting(Testbed(tmp_path))
    setting.system.start()
    with pytest.raises(SystemUnavailable, match="No D-Bus at"):
        await setting.system.state("klipper.service")
    setting.system.stop()
    await port.stopListening()


@pytest.mark.parametrize("address", ["", "nonsense", "unix:dir=/tmp", "autolaunch:", "unix:path=/a=b"])
@async_test  # type: ignore[untyped-decorator]  # pytest-twisted is not annotated
async def test_odd_addresses(address: str) -> None:
    """An address that isn't understood is no reason to break down."""
    with pytest.raises(SystemUnavailable, match="No D-Bus at"):
        await bus.connect(cast("Reactor", reactor), address)


@async_test  # type: ignore[untyped-decorator]  # pytest-twisted is not annotated
async def test_stopped(setting: Setting, testbed: Testbed) -> None:
    """A provider that is stopped leaves the bus."""
    await setting.system.state("klipper.service")
    assert setting.system._session is not None
    name = setting.system._session._connection.busName
    assert name is not None
    assert name in testbed.busctl("list", "--no-legend")
    setting.system.stop()
    await deferLater(reactor, 0.1)
    assert name not in testbed.busctl("list", "--no-legend").split()


@async_test  # type: ignore[untyped-decorator]  # pytest-twisted is not annotated
async def test_stopped_while_asked(tmp_path: Path) -> None:
    """Who waits when the server stops is told."""
    port = await UNIXServerEndpoint(reactor, str(tmp_path / "bus")).listen(Factory.forProtocol(Protocol))
    setting = Setting(Testbed(tmp_path))
    setting.system.start()
    asking = start(setting.system.state("klipper.service"))
    setting.system.stop()
    assert isinstance(asking.error, SystemUnavailable)
    await port.stopListening()


@contextmanager
def as_nobody() -> Iterator[None]:
    """Be somebody without rights, to the bus."""
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


@async_test  # type: ignore[untyped-decorator]  # pytest-twisted is not annotated
async def test_permissions() -> None:
    """PolicyKit's refusals name who may not do what; what our rule permits is permitted."""
    with systemd("system") as testbed:
        for unit in ("klipper.service", "slow.service"):
            testbed.write_unit(unit, HEAD + UNITS[unit])
        setting = Setting(testbed)
        with as_nobody():
            setting.system.start()
            for unit in ("klipper.service", "slow.service"):
                with pytest.raises(NotPermitted, match=rf"The user pi may not restart {unit}: "):
                    await setting.system.restart_unit(unit)
            with pytest.raises(NotPermitted, match="The user pi may not reboot the machine: "):
                await setting.system.power("reboot")
            assert len(setting.warnings.texts()) == 1
            assert "may not reboot" in setting.warnings.texts()[0]
        installation = Installation("txraker", "nobody", "nogroup", (), Path("/twistd"), ())
        (testbed.folder / "rules" / "60-txraker.rules").write_text(rule_text(installation, ["crowsnest"]))
        with as_nobody():
            await until_permitted(setting, "klipper.service")
            assert setting.warnings.texts() == []
            with pytest.raises(NotPermitted, match=r"The user pi may not restart slow\.service: "):
                await setting.system.restart_unit("slow.service")
            await setting.system.power("reboot")
            await until(lambda: not testbed.is_running())
        setting.system.stop()


async def until_permitted(setting: Setting, unit: str) -> None:
    """Restart a unit as soon as PolicyKit has read its new rules."""
    for _ in range(100):
        with suppress(NotPermitted):
            await setting.system.restart_unit(unit)
            return
        await deferLater(reactor, 0.05)
    raise AssertionError("it is never permitted")


@pytest.mark.parametrize("action", ["reboot", "poweroff"])
@async_test  # type: ignore[untyped-decorator]  # pytest-twisted is not annotated
async def test_power(action: str) -> None:
    """The machine, which is a namespace of this one, ends."""
    with systemd("system") as testbed:
        setting = Setting(testbed)
        setting.system.start()
        await setting.system.power(action)  # type: ignore[arg-type]  # one of the actions
        await until(lambda: not testbed.is_running())
        setting.system.stop()
