"""What a live server says of the printer, as it comes from its socket."""

from __future__ import annotations

import pytest

from txraker.install.migration.live import UNKNOWN, told_state
from txraker.klippy.framing import TERMINATOR

NEWS = b'{"jsonrpc":"2.0","method":"notify_proc_stat_update","params":[{"cpu":1}]}'
PRINTING = b'{"jsonrpc":"2.0","result":{"status":{"print_stats":{"state":"printing"}}},"id":7125}'


@pytest.mark.parametrize(
    ("received", "state"),
    [
        ([PRINTING + TERMINATOR], "printing"),
        ([NEWS + TERMINATOR + PRINTING[:20], PRINTING[20:] + TERMINATOR], "printing"),
        ([b'{"jsonrpc":"2.0","error":{"code":503,"message":"x"},"id":7125}' + TERMINATOR], None),
        ([b'{"jsonrpc":"2.0","result":{"status":{}},"id":7125}' + TERMINATOR], None),
        ([b""], None),
        ([NEWS + TERMINATOR] * 10, UNKNOWN),
        ([b"x" * 600_000] * 2, UNKNOWN),
    ],
)
def test_state(received: list[bytes], state: str | None) -> None:
    """Only an answer is one: who doesn't give any may be printing."""
    chunks, ticks = iter(received), iter(range(10))
    assert told_state(lambda size: next(chunks), lambda: float(next(ticks))) == state
