"""What a server doesn't load."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = frozenset(
    {
        "autobahn.twisted",
        "autobahn.wamp.message",
        "cbor2",
        "cffi",
        "jwt",
        "PIL",
        "pycparser",
        "txraker.simulator",
    }
)
"""What costs memory and is needed by nobody, or not by most. Twisted loads ``cryptography`` if it can."""

SHOW = """
import sys
from twisted.internet import reactor
import txraker.tap, txraker.printer, txraker.assembly
print("\\n".join(sys.modules))
"""


@pytest.fixture(scope="module")
def loaded() -> frozenset[str]:
    """Return the modules that a process holds which is about to serve."""
    shown = subprocess.run(
        [sys.executable, "-c", SHOW], check=True, capture_output=True, text=True, timeout=60
    )
    return frozenset(shown.stdout.split())


@pytest.mark.parametrize("name", sorted(HEAVY))
def test_heavy(name: str, loaded: frozenset[str]) -> None:
    """A server begins without what it needs only sometimes, or never."""
    assert name not in loaded


def test_autobahn_can_be_used_whole() -> None:
    """Who wants the rest of Autobahn in the same process still gets it."""
    program = (
        "import txraker.transports.websocket_protocol, autobahn.twisted.websocket, autobahn.wamp.message"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
