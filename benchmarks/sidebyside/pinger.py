"""A client that asks for little, all the time, and so notices when a server is busy with something else."""

from __future__ import annotations

import time
from typing import Any

from attrs import define, field

from sidebyside.loop import Loop
from sidebyside.websocket import Client


@define
class Pinger:
    """Asks for ``server.info``, one request after the other, at most every ``pause`` seconds.

    ``worst`` is the longest that an answer took since :meth:`forget`, in seconds.
    """

    loop: Loop
    client: Client
    pause: float = 0.005
    worst: float = 0.0
    answers: int = 0
    _asked: float | None = field(default=None, init=False)

    def start(self) -> None:
        """Ask from now on, as long as the loop runs."""
        self._asked = time.monotonic()
        self.client.request("server.info", {}, self._answered)

    def forget(self) -> None:
        """Begin to watch anew."""
        self.worst, self.answers = 0.0, 0

    def seen(self) -> float:
        """Return the longest wait, the one that is still going on included."""
        waiting = 0.0 if self._asked is None else time.monotonic() - self._asked
        if not self.answers:
            raise RuntimeError("no request was answered meanwhile")
        return max(self.worst, waiting)

    def _answered(self, answer: dict[str, Any], now: float) -> None:
        if self._asked is None or answer.get("result", {}).get("klippy_state") != "ready":
            raise RuntimeError(f"a wrong answer: {answer}")
        self.worst = max(self.worst, now - self._asked)
        self.answers += 1
        following = max(self._asked + self.pause, now)
        self._asked = None
        self.loop.call_at(following, self.start)
