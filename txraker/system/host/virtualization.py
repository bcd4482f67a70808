"""Whether the machine is a real one, a virtual one, or a container.

Contract: ``virtualization`` of ``machine.system_info``; the identifiers are those of systemd-detect-virt(1).
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

import msgspec

from txraker.system.host.files import exists, pairs, read_text

_OTHER_CONTAINER, _OTHER_VM = "container-other", "vm-other"
_CONTAINERS = frozenset(
    {"docker", "lxc", "lxc-libvirt", "openvz", "podman", "pouch", "proot", "rkt", "systemd-nspawn", "wsl"}
)
_CGROUPS = (("docker", "docker"), ("libpod", "podman"), ("kubepods", _OTHER_CONTAINER), ("lxc", "lxc"))

_DMI_FILES = ("product_name", "sys_vendor", "board_vendor", "bios_vendor", "product_version")
_DMI_MAKERS = (
    ("KVM", "kvm"),
    ("OpenStack", "kvm"),
    ("Amazon EC2", "amazon"),
    ("Google Compute Engine", "google"),
    ("VMware", "vmware"),
    ("VMW", "vmware"),
    ("innotek GmbH", "oracle"),
    ("VirtualBox", "oracle"),
    ("Oracle Corporation", "oracle"),
    ("Xen", "xen"),
    ("Bochs", "bochs"),
    ("Parallels", "parallels"),
    ("BHYVE", "bhyve"),
    ("Hyper-V", "microsoft"),
    ("Microsoft Corporation Virtual Machine", "microsoft"),
    ("Apple Virtualization", "apple"),
    ("QEMU", "qemu"),
)
"""How firmware begins to name itself; each file is looked at, and maker and product together."""

_CLOCKS = (("kvm-clock", "kvm"), ("hyperv", "microsoft"), ("xen", "xen"))
_TREES = (("kvm", "kvm"), ("xen", "xen"), ("vmware", "vmware"))


class Virtualization(msgspec.Struct, frozen=True):
    """What the machine is, and what makes it so: ``docker``, ``kvm``, ..., or ``none``."""

    virt_type: Literal["none", "container", "vm"]
    virt_identifier: str


def read_virtualization(root: Path) -> Virtualization:
    """Return what gives itself away; a container in a virtual machine is a container."""
    container = _container(root)
    if container:
        return Virtualization("container", container)
    machine = _virtual_machine(root)
    return Virtualization("vm", machine) if machine else Virtualization("none", "none")


def _container(root: Path) -> str:
    for name in (_told_manager(root), _marked(root), _grouped(root)):
        if name:
            return name
    kernel = read_text(root / "proc/sys/kernel/osrelease")
    return "wsl" if re.search("microsoft|WSL", kernel, re.IGNORECASE) else ""


def _told_manager(root: Path) -> str:
    """Return what the container's manager told its first process, or its init told everybody."""
    environment = read_text(root / "proc/1/environ").split("\0")
    told = [
        read_text(root / "run/host/container-manager"),
        read_text(root / "run/systemd/container"),
        *(value.removeprefix("container=") for value in environment if value.startswith("container=")),
    ]
    for name in filter(None, told):
        if name == "oci":
            return _marked(root) or _OTHER_CONTAINER
        return name if name in _CONTAINERS else _OTHER_CONTAINER
    return ""


def _marked(root: Path) -> str:
    if exists(root / "run/.containerenv"):
        return "podman"
    if exists(root / ".dockerenv"):
        return "docker"
    return "openvz" if exists(root / "proc/vz") and not exists(root / "proc/bc") else ""


def _grouped(root: Path) -> str:
    groups = read_text(root / "proc/1/cgroup")
    return next((name for part, name in _CGROUPS if f"/{part}" in groups), "")


def _virtual_machine(root: Path) -> str:
    """Return what runs this virtual machine; QEMU is ``kvm`` where the kernel has KVM's clock."""
    if "control_d" in read_text(root / "proc/xen/capabilities"):
        return ""  # the machine that Xen itself is administered from
    clocks = read_text(root / "sys/devices/system/clocksource/clocksource0/available_clocksource")
    clock = next((name for start, name in _CLOCKS if start in clocks), "")
    named = _firmware(root) or _device_tree(root)
    if named in {"", "qemu"} and clock:
        return clock
    return named or (_OTHER_VM if _sees_hypervisor(root) else "")


def _firmware(root: Path) -> str:
    said = [read_text(root / "sys/class/dmi/id" / name) for name in _DMI_FILES]
    said.append(f"{said[1]} {said[0]}")
    for text in said:
        for start, name in _DMI_MAKERS:
            if text.startswith(start):
                return name
    return ""


def _device_tree(root: Path) -> str:
    tree = root / "proc/device-tree"
    if exists(tree / "hypervisor"):
        compatible = read_text(tree / "hypervisor/compatible")
        return next((name for part, name in _TREES if part in compatible), _OTHER_VM)
    return "qemu" if read_text(tree / "compatible").startswith("linux,dummy-virt") else ""


def _sees_hypervisor(root: Path) -> bool:
    lines = pairs(read_text(root / "proc/cpuinfo"), ":")
    return any(key == "flags" and "hypervisor" in value.split() for key, value in lines)
