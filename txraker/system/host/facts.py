"""What there is to know about the machine: the facts that ``machine.system_info`` tells.

Contract: "Get System Info" of Moonraker's documentation of machine administration.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import msgspec
from attrs import define, field

from txraker.system.host import netlink
from txraker.system.host.cpu import CpuInfo, read_cpu_info
from txraker.system.host.distribution import Distribution, read_distribution
from txraker.system.host.netlink import Dump
from txraker.system.host.network import CanInterface, NetworkInterface, read_networks
from txraker.system.host.sdcard import SdInfo, read_sd_info
from txraker.system.host.virtualization import Virtualization, read_virtualization


class PythonInfo(msgspec.Struct, frozen=True):
    """The interpreter we run on; ``version`` is what Python calls ``sys.version_info``."""

    version: tuple[int, int, int, str, int]
    version_string: str


class HostFacts(msgspec.Struct, frozen=True):
    """The machine; ``network`` and ``canbus`` map the names of interfaces to them."""

    python: PythonInfo
    cpu_info: CpuInfo
    sd_info: SdInfo
    distribution: Distribution
    virtualization: Virtualization
    network: dict[str, NetworkInterface]
    canbus: dict[str, CanInterface]


@define(eq=False, repr=False)
class HostFactsReader:
    """Finds the facts below a root, which is ``/`` on a real machine."""

    _root: Path
    _dump: Dump = netlink.dump
    _lasting: HostFacts | None = field(default=None, init=False)

    def read(self) -> HostFacts:
        """Return the facts; networks are as they are now, all else as it was at the first call.

        This waits for the kernel: call it off the reactor's thread. It may be called from several at once.
        """
        if self._lasting is None:
            self._lasting = _lasting_facts(self._root)
        now = read_networks(self._root, self._dump)
        return msgspec.structs.replace(self._lasting, network=now.network, canbus=now.canbus)


def _lasting_facts(root: Path) -> HostFacts:
    machine, version = os.uname(), sys.version_info
    return HostFacts(
        python=PythonInfo(
            (version.major, version.minor, version.micro, version.releaselevel, version.serial),
            " ".join(sys.version.splitlines()),
        ),
        cpu_info=read_cpu_info(root, machine.machine),
        sd_info=read_sd_info(root),
        distribution=read_distribution(root, machine.release),
        virtualization=read_virtualization(root),
        network={},
        canbus={},
    )
