"""The machine as clients see it: what it is, its services, its power, and sudo."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from attrs import define, field
from twisted.internet.defer import Deferred

from tests.components.bench import ComponentBench
from tests.tools import Logged
from txraker.components.machine.component import LOOK_INTERVAL, SERVICES_WITHIN, Machine
from txraker.components.machine.services import LAST_WORDS, Services
from txraker.errors import ApiError, BadRequest, InternalError
from txraker.events import ServiceStateChanged
from txraker.interfaces import ISystem
from txraker.klippy.host import KlippyHost
from txraker.system.errors import JobFailed, NotPermitted, NotSupported, SystemUnavailable
from txraker.system.host.facts import HostFactsReader
from txraker.system.instances import Instances
from txraker.system.nothing import NoSystem
from txraker.system.services import DEFAULT_ALLOWED, UnitState
from txraker.testing.system import RUNNING, STOPPED, MemorySystem
from txraker.testing.threads import at_once

OUR_UNIT = "txraker.service"


@define(eq=False)
class Setting:
    """A machine with some services; we are one of them, and Klippy is another."""

    data: Path
    system: Any = field(factory=MemorySystem)
    bench: ComponentBench = field(factory=ComponentBench)
    logged: Logged = field(factory=Logged)
    restarts: list[int] = field(factory=list)
    changes: list[dict[str, UnitState]] = field(factory=list)

    @classmethod
    def usual(cls, data: Path) -> Setting:
        """Make the usual machine."""
        units = dict.fromkeys(
            ["klipper.service", "klipper-2.service", "crowsnest.service", "ssh.service", OUR_UNIT], RUNNING
        )
        return cls(data, MemorySystem(units, {812: "klipper.service", os.getpid(): OUR_UNIT}))

    def begin(self) -> None:
        """Start everything, Klippy included."""
        log = self.logged.logger()
        klippy, clock, faults = self.bench.klippy, self.bench.clock, self.bench.faults
        instances = Instances(self.system, klippy)
        services = Services(
            clock,
            self.system,
            instances,
            self.bench.events,
            self.data / "moonraker.asvc",
            self.restart,
            faults,
            log,
        )
        machine = Machine(
            clock,
            self.system,
            instances,
            services,
            klippy,
            self.bench.events,
            HostFactsReader(self.data, lambda _: b""),
            at_once,
            "poweroff",
            faults,
            log,
        )
        self.bench.events.on(ServiceStateChanged, lambda event: self.changes.append(event.services))
        self.bench.serve(machine)
        self.bench.serve(services)
        machine.start()
        klippy.host = KlippyHost(peer=812)
        self.bench.up()

    async def restart(self) -> None:
        """Be restarted within the process."""
        self.restarts.append(1)

    def call(self, name: str, **arguments: object) -> Any:
        """Call a method."""
        return self.bench.call(name, **arguments)

    def info(self) -> dict[str, Any]:
        """Return what is known of the machine."""
        found: dict[str, Any] = self.call("machine.system_info")["system_info"]
        return found


@pytest.fixture
def setting(tmp_path: Path) -> Setting:
    """Make the usual machine, started."""
    setting = Setting.usual(tmp_path)
    setting.begin()
    return setting


def test_system_info(setting: Setting) -> None:
    """The services that may be managed are told with their states, and which of them we and Klippy are."""
    info = setting.info()
    assert info["provider"] == "systemd_dbus"
    assert info["available_services"] == ["crowsnest", "klipper", "klipper-2", "txraker"]
    running = {"active_state": "active", "sub_state": "running"}
    assert info["service_state"] == dict.fromkeys(info["available_services"], running)
    assert info["instance_ids"] == {"moonraker": "txraker", "klipper": "klipper"}


def test_system_info_fields(setting: Setting) -> None:
    """Every field that clients know is there, though nothing is known of this machine."""
    assert set(setting.info()) == {
        "python",
        "cpu_info",
        "sd_info",
        "distribution",
        "virtualization",
        "network",
        "canbus",
        "provider",
        "available_services",
        "service_state",
        "instance_ids",
    }


def test_state_changes(setting: Setting) -> None:
    """Clients are told when a service is doing otherwise, and find the same when they ask."""
    setting.changes.clear()
    setting.system.become("crowsnest.service", UnitState("failed", "failed"))
    assert setting.changes == [{"crowsnest": UnitState("failed", "failed")}]
    assert setting.info()["service_state"]["crowsnest"]["active_state"] == "failed"


def test_service_of_others(setting: Setting) -> None:
    """What happens to services that may not be managed is nobody's business."""
    setting.changes.clear()
    setting.system.become("ssh.service", STOPPED)
    assert setting.changes == []


def test_service_that_comes_later(setting: Setting) -> None:
    """A service that is installed while we run is found by the next look."""
    setting.system.units["KlipperScreen.service"] = RUNNING
    setting.bench.clock.advance(LOOK_INTERVAL)
    setting.info()
    assert "KlipperScreen" in setting.info()["available_services"]


def test_nobody_to_ask(tmp_path: Path) -> None:
    """Without a service manager the rest is told all the same, and the features say why they fail."""
    setting = Setting.usual(tmp_path)
    setting.system.problem = SystemUnavailable("No D-Bus at unix:path=/nowhere")
    setting.begin()
    assert (tmp_path / "moonraker.asvc").exists()
    info = setting.info()
    assert (info["available_services"], info["service_state"]) == ([], {})
    assert info["instance_ids"] == {"moonraker": "moonraker", "klipper": "klipper"}
    with pytest.raises(SystemUnavailable, match="No D-Bus"):
        setting.call("machine.services.restart", service="klipper")


def test_manager_that_is_silent(tmp_path: Path) -> None:
    """A service manager that doesn't answer keeps nobody waiting for long."""
    setting = Setting.usual(tmp_path)
    setting.system = SilentSystem()
    setting.begin()
    asking = setting.bench.begin("machine.system_info")
    assert not asking.done
    setting.bench.clock.advance(SERVICES_WITHIN)
    assert asking.result()


@define(eq=False)
class SilentSystem(MemorySystem):
    """A machine that never says which services there are."""

    never: Deferred[list[str]] = field(factory=Deferred)

    async def installed(self, patterns: object) -> list[str]:
        return await self.never


@pytest.mark.parametrize("action", ["start", "stop", "restart"])
@pytest.mark.parametrize("service", ["klipper", "klipper-2", "crowsnest", "klipper.service"])
def test_actions(setting: Setting, action: str, service: str) -> None:
    """A service that is allowed is started, stopped and restarted."""
    assert setting.call(f"machine.services.{action}", service=service) == "ok"
    assert setting.system.done == [f"{action} {service.removesuffix('.service')}.service"]


@pytest.mark.parametrize("action", ["start", "stop", "restart"])
@pytest.mark.parametrize(
    ("service", "words"),
    [
        ("ssh", "Service 'ssh' not allowed"),
        ("ssh.service", "Service 'ssh.service' not allowed"),
        ("sonar", "Service 'sonar' not installed"),
        ("Klipper", "Service 'Klipper' not allowed"),
        ("klipper.service/../ssh", "Service 'klipper.service/../ssh' not allowed"),
        ("klipper --now", "Service 'klipper --now' not allowed"),
        (" klipper", "Service ' klipper' not allowed"),
    ],
)
def test_refused_actions(setting: Setting, action: str, service: str, words: str) -> None:
    """Any other service isn't touched, in the words that clients know."""
    with pytest.raises(BadRequest) as caught:
        setting.call(f"machine.services.{action}", service=service)
    assert str(caught.value) == words
    assert setting.system.done == []


@pytest.mark.parametrize("arguments", [{}, {"service": ""}, {"service": None}, {"service": 5}])
def test_bad_arguments(setting: Setting, arguments: dict[str, Any]) -> None:
    """A service must be named."""
    with pytest.raises(ApiError) as caught:
        setting.call("machine.services.restart", **arguments)
    assert not isinstance(caught.value, InternalError)
    assert setting.system.done == []


@pytest.mark.parametrize("problem", [NotPermitted("not you"), JobFailed("exit code 1")])
def test_failed_actions(setting: Setting, problem: ApiError) -> None:
    """What goes wrong is told."""
    setting.system.failing["restart klipper.service"] = problem
    with pytest.raises(type(problem), match=str(problem)):
        setting.call("machine.services.restart", service="klipper")


@pytest.mark.parametrize("name", ["moonraker", "txraker", "txraker.service"])
def test_our_own_restart(setting: Setting, name: str) -> None:
    """We are restarted under either name, after the answer."""
    assert setting.call("machine.services.restart", service=name) == "ok"
    assert setting.system.done == []
    setting.bench.clock.advance(LAST_WORDS)
    assert setting.system.done == [f"restart {OUR_UNIT}"]


def test_our_own_restart_fails(setting: Setting) -> None:
    """A restart of ours that fails, when nobody can be told any more, is logged."""
    setting.system.failing[f"restart {OUR_UNIT}"] = NotPermitted("not you")
    setting.call("machine.services.restart", service="moonraker")
    setting.bench.clock.advance(LAST_WORDS)
    assert "not you" in setting.logged.lines[-1]
    assert setting.bench.faults.seen == []


@pytest.mark.parametrize("system", [MemorySystem(), NoSystem()])
def test_our_own_restart_without_a_unit(tmp_path: Path, system: ISystem) -> None:
    """Where we are no service, the server is restarted within its process."""
    setting = Setting(tmp_path, system)
    setting.begin()
    assert setting.call("machine.services.restart", service="moonraker") == "ok"
    assert setting.restarts == [1]


@pytest.mark.parametrize("action", ["start", "stop"])
def test_our_own_end(setting: Setting, action: str) -> None:
    """We can be restarted only: nobody could undo a stop."""
    with pytest.raises(BadRequest, match=f"Service action '{action}' not available for moonraker"):
        setting.call(f"machine.services.{action}", service="moonraker")


def test_allowed_file_is_made(setting: Setting) -> None:
    """The list of services that may be managed is made when it is missing, and no other time."""
    allowed = setting.data / "moonraker.asvc"
    assert allowed.read_text().split() == list(DEFAULT_ALLOWED)
    allowed.write_text("")
    setting.info()
    assert allowed.read_text() == ""


def test_allowed_file(setting: Setting) -> None:
    """What the list names may be managed from then on, and what it doesn't name any more may not."""
    (setting.data / "moonraker.asvc").write_text("ssh.service\n\n  spaced  \n../evil\n")
    assert setting.call("machine.services.restart", service="ssh") == "ok"
    with pytest.raises(BadRequest, match="not allowed"):
        setting.call("machine.services.restart", service="crowsnest")
    with pytest.raises(BadRequest, match="not allowed"):
        setting.call("machine.services.restart", service="../evil")
    with pytest.raises(BadRequest, match="'spaced' not installed"):
        setting.call("machine.services.restart", service="spaced")


def test_allowed_file_that_cannot_be_read(setting: Setting) -> None:
    """A list that can't be read allows nothing, which is logged."""
    allowed = setting.data / "moonraker.asvc"
    allowed.unlink()
    allowed.mkdir()
    with pytest.raises(BadRequest, match="not allowed"):
        setting.call("machine.services.restart", service="crowsnest")
    assert any("moonraker.asvc" in line for line in setting.logged.lines)


def test_service_that_goes(setting: Setting) -> None:
    """A service that is removed, or may not be managed any more, isn't told of any longer."""
    del setting.system.units["klipper-2.service"]
    (setting.data / "moonraker.asvc").write_text("")
    setting.bench.clock.advance(LOOK_INTERVAL)
    setting.info()
    info = setting.info()
    assert info["available_services"] == list(info["service_state"]) == ["klipper", "txraker"]
    setting.changes.clear()
    setting.system.become("crowsnest.service", STOPPED)
    assert setting.changes == []


def test_one_bad_service(setting: Setting) -> None:
    """A service that can't be looked at doesn't hide the others."""
    (setting.data / "moonraker.asvc").write_text("aaa\nssh\n")
    setting.system.units["aaa.service"] = RUNNING
    setting.system.spoiled.add("aaa.service")
    setting.bench.clock.advance(LOOK_INTERVAL)
    setting.info()
    assert "ssh" in setting.info()["available_services"]
    assert any("aaa can't be watched" in line for line in setting.logged.lines)


def test_asking_often(setting: Setting) -> None:
    """However often clients ask what there is, services are looked for once in a while."""
    before = setting.system.looks
    for _ in range(50):
        setting.info()
    assert setting.system.looks == before
    setting.bench.clock.advance(LOOK_INTERVAL)
    for _ in range(50):
        setting.info()
    assert setting.system.looks == before + 1


def test_klippy_under_another_name(setting: Setting) -> None:
    """The service that our Klippy is may be managed, whatever it is called."""
    setting.system.units["voron.service"] = RUNNING
    setting.system.processes[900] = "voron.service"
    setting.bench.klippy.disconnect()
    setting.bench.klippy.host = KlippyHost(peer=900)
    setting.bench.up()
    assert setting.info()["instance_ids"]["klipper"] == "voron"
    assert "voron" in setting.info()["available_services"]
    assert setting.call("machine.services.restart", service="voron") == "ok"


@pytest.mark.parametrize(("method", "action"), [("shutdown", "poweroff"), ("reboot", "reboot")])
def test_power(setting: Setting, method: str, action: str) -> None:
    """The machine is switched off and restarted."""
    assert setting.call(f"machine.{method}") == "ok"
    assert setting.system.done == [action]


def test_power_in_a_container(tmp_path: Path) -> None:
    """A container isn't a machine that can be switched off."""
    (tmp_path / ".dockerenv").touch()
    setting = Setting.usual(tmp_path)
    setting.begin()
    for method in ("shutdown", "reboot"):
        with pytest.raises(BadRequest, match=f"Cannot {method} from within a docker container"):
            setting.call(f"machine.{method}")
    assert setting.system.done == []


def test_without_a_provider(tmp_path: Path) -> None:
    """Where no service manager may be used, every call says so, and the machine is told all the same."""
    setting = Setting(tmp_path, NoSystem())
    setting.begin()
    assert (setting.info()["provider"], setting.info()["available_services"]) == ("none", [])
    for method in ("machine.services.restart", "machine.services.stop", "machine.services.start"):
        with pytest.raises(NotSupported, match="provider of \\[machine\\] is none"):
            setting.call(method, service="klipper")
    for method in ("machine.shutdown", "machine.reboot"):
        with pytest.raises(NotSupported, match="provider of \\[machine\\] is none"):
            setting.call(method)


@pytest.mark.parametrize(
    ("name", "arguments", "done"),
    [
        ("shutdown_machine", {}, "poweroff"),
        ("reboot_machine", {}, "reboot"),
        ("start_service", {"service": "crowsnest"}, "start crowsnest.service"),
        ("stop_service", {"service": "crowsnest"}, "stop crowsnest.service"),
        ("restart_service", {"service": "klipper-2"}, "restart klipper-2.service"),
    ],
)
def test_remote_methods(setting: Setting, name: str, arguments: dict[str, Any], done: str) -> None:
    """Klipper's macros can do the same."""
    setting.bench.klippy.remote_methods[name](arguments)
    assert setting.system.done == [done]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({}, "No service is named"),
        ({"service": 5}, "No service is named"),
        ({"service": "ssh"}, "not allowed"),
    ],
)
def test_refused_remote_methods(setting: Setting, arguments: dict[str, Any], words: str) -> None:
    """What a macro may not do is logged, because nobody can be told."""
    setting.bench.klippy.remote_methods["stop_service"](arguments)
    assert words in setting.logged.lines[-1]
    assert setting.system.done == []
    assert setting.bench.faults.seen == []
