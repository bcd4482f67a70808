"""What the parts of a printer have in common."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

from txraker.simulator.interpreter import CommandSpec

Status = dict[str, Any]
"""The fields of one printer object, fresh at every call."""

Provider = Callable[[], Status]


class Feature(Protocol):
    """A part of the printer: printer objects it reports and gcode commands it adds."""

    def objects(self) -> Mapping[str, Provider]:
        """Printer objects by name."""
        ...

    def commands(self) -> Iterable[CommandSpec]:
        """Commands this part adds."""
        ...
