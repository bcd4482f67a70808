"""All facts of a machine together."""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec

from tests.system.host.machines import PI_4, grow
from tests.system.host.test_netlink import recorded
from tests.system.host.test_network import bus, recorded_dump
from txraker.system.host.facts import HostFactsReader

DOCUMENTED = ["python", "cpu_info", "sd_info", "distribution", "virtualization", "network", "canbus"]


def test_facts(tmp_path: Path) -> None:
    """The facts have the documented names, and what each room of the house finds."""
    bus(grow(tmp_path, PI_4), "can0", "gs_usb")
    facts = msgspec.json.decode(msgspec.json.encode(HostFactsReader(tmp_path, recorded_dump).read()))
    assert list(facts) == DOCUMENTED
    assert facts["cpu_info"]["model"] == "Raspberry Pi 4 Model B Rev 1.4"
    assert facts["sd_info"] == {}
    assert facts["distribution"]["release_info"]["name"] == "MainsailOS"
    assert facts["virtualization"] == {"virt_type": "none", "virt_identifier": "none"}
    assert list(facts["network"]) == ["eth0"]
    assert facts["canbus"] == {"can0": {"tx_queue_len": 128, "bitrate": None, "driver": "gs_usb"}}


def test_python(tmp_path: Path) -> None:
    """Python's version is told as Python tells it, in one line."""
    python = HostFactsReader(tmp_path, recorded_dump).read().python
    assert python.version == tuple(sys.version_info)
    assert "\n" not in python.version_string
    assert python.version_string.replace(" ", "") == sys.version.replace("\n", "").replace(" ", "")


def test_what_stays_and_what_changes(tmp_path: Path) -> None:
    """Networks are looked at with every call, the rest once."""
    answers = {"links": recorded("links"), "addresses": b""}
    reader = HostFactsReader(tmp_path, lambda kind: answers["links" if kind == 18 else "addresses"])
    before = reader.read()
    assert before.network == {}
    bus(grow(tmp_path, PI_4), "can0")
    answers["addresses"] = recorded("addresses")
    after = reader.read()
    assert list(after.network) == ["eth0"]
    assert list(after.canbus) == ["can0"]
    assert after.cpu_info == before.cpu_info


def test_nothing_known(tmp_path: Path) -> None:
    """A machine that shows nothing still has facts, all of them empty."""

    def refuse(_kind: int) -> bytes:
        raise PermissionError(1, "no")

    facts = msgspec.to_builtins(HostFactsReader(tmp_path, refuse).read())
    assert list(facts) == DOCUMENTED
    assert (facts["sd_info"], facts["network"], facts["canbus"]) == ({}, {}, {})


def test_this_machine() -> None:
    """The machine that runs the tests has a processor and memory."""
    facts = HostFactsReader(Path("/"), recorded_dump).read()
    assert facts.cpu_info.cpu_count
    assert facts.cpu_info.total_memory
    assert facts.distribution.kernel_version
