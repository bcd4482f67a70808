"""Real machines, virtual ones and containers."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.system.host.machines import ORANGE_PI, PC, PI_3, PI_4, PI_5, Tree, grow
from txraker.system.host.virtualization import Virtualization, read_virtualization

CLOCKS = "sys/devices/system/clocksource/clocksource0/available_clocksource"
DMI = "sys/class/dmi/id/"
GUEST = {"proc/cpuinfo": "processor\t: 0\nflags\t\t: fpu vme hypervisor lahf_lm\n"}


@pytest.mark.parametrize("machine", [{}, PI_3, PI_4, PI_5, ORANGE_PI, PC])
def test_real(tmp_path: Path, machine: Tree) -> None:
    """A real machine isn't virtual."""
    assert read_virtualization(grow(tmp_path, machine)) == Virtualization("none", "none")


@pytest.mark.parametrize(
    ("files", "name"),
    [
        ({".dockerenv": ""}, "docker"),
        ({"run/.containerenv": ""}, "podman"),
        ({"run/.containerenv": "", ".dockerenv": ""}, "podman"),
        ({"run/systemd/container": "systemd-nspawn\n"}, "systemd-nspawn"),
        ({"run/host/container-manager": "lxc-libvirt\n"}, "lxc-libvirt"),
        ({"proc/1/environ": b"PATH=/bin\0container=lxc\0TERM=linux\0"}, "lxc"),
        ({"proc/1/environ": b"container=oci\0", ".dockerenv": ""}, "docker"),
        ({"proc/1/environ": b"container=oci\0"}, "container-other"),
        ({"proc/1/environ": b"container=garden\0"}, "container-other"),
        ({"proc/1/cgroup": "12:cpuset:/docker/0123abc\n0::/docker/0123abc\n"}, "docker"),
        ({"proc/1/cgroup": "0::/../machine.slice/libpod-0123.scope\n"}, "podman"),
        ({"proc/1/cgroup": "1:name=systemd:/lxc/printer\n"}, "lxc"),
        ({"proc/1/cgroup": "0::/kubepods/besteffort/pod1\n"}, "container-other"),
        ({"proc/vz/veinfo": ""}, "openvz"),
        ({"proc/sys/kernel/osrelease": "4.4.0-19041-Microsoft\n"}, "wsl"),
        ({"proc/sys/kernel/osrelease": "5.15.90.1-microsoft-standard-WSL2\n"}, "wsl"),
        ({"proc/sys/kernel/osrelease": "5.15.90.1-microsoft-standard-WSL2\n", ".dockerenv": ""}, "docker"),
    ],
)
def test_container(tmp_path: Path, files: Tree, name: str) -> None:
    """A container is known by its manager's name, wherever that is left, also inside a virtual machine."""
    virtual = {f"{DMI}product_name": "KVM\n"}
    assert read_virtualization(grow(tmp_path, virtual, files)) == Virtualization("container", name)


@pytest.mark.parametrize(
    ("files", "name"),
    [
        ({f"{DMI}product_name": "KVM\n"}, "kvm"),
        ({f"{DMI}sys_vendor": "QEMU\n", f"{DMI}product_name": "Standard PC (Q35 + ICH9, 2009)\n"}, "qemu"),
        ({f"{DMI}sys_vendor": "QEMU\n", CLOCKS: "kvm-clock tsc hpet acpi_pm \n"}, "kvm"),
        ({CLOCKS: "tsc kvm-clock \n"}, "kvm"),
        ({f"{DMI}product_name": "VMware Virtual Platform\n"}, "vmware"),
        ({f"{DMI}product_name": "VirtualBox\n", f"{DMI}bios_vendor": "innotek GmbH\n"}, "oracle"),
        ({f"{DMI}bios_vendor": "innotek GmbH\n"}, "oracle"),
        ({f"{DMI}sys_vendor": "Xen\n", f"{DMI}product_name": "HVM domU\n"}, "xen"),
        ({f"{DMI}product_version": "Hyper-V UEFI Release v4.1\n"}, "microsoft"),
        (
            {f"{DMI}sys_vendor": "Microsoft Corporation\n", f"{DMI}product_name": "Virtual Machine\n"},
            "microsoft",
        ),
        ({CLOCKS: "hyperv_clocksource_tsc_page acpi_pm \n"}, "microsoft"),
        ({"proc/device-tree/hypervisor/compatible": b"linux,kvm\0"}, "kvm"),
        ({"proc/device-tree/hypervisor/compatible": b"xen,xen-4.17\0xen,xen\0"}, "xen"),
        ({"proc/device-tree/hypervisor/compatible": b"acme\0"}, "vm-other"),
        ({"proc/device-tree/compatible": b"linux,dummy-virt\0"}, "qemu"),
        (GUEST, "vm-other"),
    ],
)
def test_virtual_machine(tmp_path: Path, files: Tree, name: str) -> None:
    """A virtual machine is known by its firmware, its clocks, its device tree, or just its processor."""
    assert read_virtualization(grow(tmp_path, files)) == Virtualization("vm", name)


def test_microsofts_own_hardware(tmp_path: Path) -> None:
    """A Surface is made by Microsoft and still a real machine."""
    files = {f"{DMI}sys_vendor": "Microsoft Corporation\n", f"{DMI}product_name": "Surface Go\n"}
    assert read_virtualization(grow(tmp_path, files)).virt_type == "none"


def test_xens_own_machine(tmp_path: Path) -> None:
    """The machine that Xen is administered from is a real one."""
    files = {"proc/xen/capabilities": "control_d\n", CLOCKS: "tsc xen hpet \n"}
    assert read_virtualization(grow(tmp_path, files)).virt_type == "none"
