"""Pure: what a printer writes on its gcode console."""

from __future__ import annotations

from collections.abc import Callable

from attrs import define


@define
class Console:
    """Formats console lines the way Klippy does and hands each one to ``write``."""

    write: Callable[[str], None]

    def raw(self, text: str) -> None:
        """Write a message as it is."""
        self.write(text)

    def info(self, message: str) -> None:
        """Write a message with every line behind ``// ``."""
        lines = [line.strip() for line in message.strip().split("\n")]
        self.write("// " + "\n// ".join(lines))

    def error(self, message: str) -> None:
        """Write an error: the whole of a message of several lines, then its first line behind ``!! ``."""
        lines = message.strip().split("\n")
        if len(lines) > 1:
            self.info(message)
        self.write("!! " + lines[0].strip())
