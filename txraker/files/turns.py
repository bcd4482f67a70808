"""Who may do something of which only so much goes on at once; others wait for their turn."""

from __future__ import annotations

from attrs import define, field
from twisted.internet.defer import Deferred

from txraker.errors import Unavailable


@define(eq=False, repr=False)
class Turns:
    """At most ``most`` at once, ``most_of_one`` of them for the same somebody.

    ``most_waiting`` others wait, and no more than ``most_waiting_of_one`` for the same somebody. Somebody is
    None who isn't to be told from others.
    """

    _most: int = 4
    _most_of_one: int = 2
    _most_waiting: int = 32
    _most_waiting_of_one: int = 12
    _busy: list[str | None] = field(factory=list, init=False)
    _waiting: list[tuple[str | None, Deferred[None]]] = field(factory=list, init=False)

    def wait(self, who: str | None) -> Deferred[None]:
        """Return what fires when it is somebody's turn, to be ended by ``leave``; it may be cancelled before.

        Raises Unavailable when too many wait.
        """
        turn: Deferred[None] = Deferred(self._forget)
        self._waiting.append((who, turn))
        self._go_on()
        if not turn.called and self._are_too_many(who):
            self._forget(turn)
            raise Unavailable("Too many uploads are waiting: try again later")
        return turn

    def leave(self, who: str | None) -> None:
        """Say that somebody's turn is over."""
        self._busy.remove(who)
        self._go_on()

    def _go_on(self) -> None:
        for entry in list(self._waiting):
            who, turn = entry
            of_same = 0 if who is None else self._busy.count(who)
            if len(self._busy) < self._most and of_same < self._most_of_one:
                self._waiting.remove(entry)
                self._busy.append(who)
                turn.callback(None)

    def _are_too_many(self, who: str | None) -> bool:
        of_same = 0 if who is None else sum(waiting == who for waiting, _ in self._waiting)
        return len(self._waiting) > self._most_waiting or of_same > self._most_waiting_of_one

    def _forget(self, turn: Deferred[None]) -> None:
        self._waiting = [entry for entry in self._waiting if entry[1] is not turn]
