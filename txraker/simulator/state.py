"""Pure: the state of the host software, and the words in which it explains itself."""

from __future__ import annotations

from enum import Enum
from typing import Final


class State(Enum):
    """The states of Klippy's host software.

    ::

        startup --> ready ----> shutdown
           |                       |
           +------> error          |
           |          |            |
           +----------+------------+--> (restart: a new host, in startup)
    """

    STARTUP = "startup"
    READY = "ready"
    ERROR = "error"
    SHUTDOWN = "shutdown"


READY_MESSAGE: Final = "Printer is ready"

STARTUP_MESSAGE: Final = """
Printer is not ready
The klippy host software is attempting to connect.  Please
retry in a few moments.
"""

CONFIG_ERROR: Final = "Section 'nosuch_section' is not a valid config section"

MCU_LOST: Final = "Lost communication with MCU 'mcu'"


def shutdown_message(reason: str) -> str:
    """The state message of a shutdown."""
    return (
        f"{reason}\n"
        "Once the underlying issue is corrected, use the\n"
        '"FIRMWARE_RESTART" command to reset the firmware, reload the\n'
        "config, and restart the host software.\n"
        "Printer is shutdown\n"
    )


def error_message(reason: str) -> str:
    """The state message of an error at start-up."""
    return (
        f"{reason}\n\n"
        'Once the underlying issue is corrected, use the "RESTART"\n'
        "command to reload the config and restart the host software.\n"
        "Printer is halted\n"
    )
