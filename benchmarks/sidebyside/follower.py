"""A client that follows the printer's state, and remembers cheaply what it was told.

Messages are not decoded as they come: the end of an update (its event time) is all that is looked at.
Clients with the same subscription get the same bytes, so each distinct message is kept once, and the states
the clients ended with are worked out afterwards.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import Any, Final

import msgspec
from attrs import define, field

from sidebyside.loop import Loop
from sidebyside.websocket import Client, is_update

State = dict[str, dict[str, Any]]

_AT_ONCE: Final = 20
_WITHIN: Final = 20.0


class _Update(msgspec.Struct):
    params: tuple[State, float]


@define
class Messages:
    """Every distinct update, numbered in the order in which they were first seen."""

    _numbers: dict[bytes, int] = field(factory=dict)
    _distinct: list[bytes] = field(factory=list)
    _decoded: dict[int, State] = field(factory=dict)

    def number(self, text: bytes) -> int:
        """Return the number of an update."""
        number = self._numbers.get(text)
        if number is None:
            number = self._numbers[text] = len(self._distinct)
            self._distinct.append(text)
        return number

    def status(self, number: int) -> State:
        """Return what an update says."""
        if number not in self._decoded:
            self._decoded[number] = msgspec.json.decode(self._distinct[number], type=_Update).params[0]
        return self._decoded[number]


@define
class Follower:
    """Follows the state over one websocket.

    ``oldest`` is the greatest age that the state this client had ever reached, in seconds since it was so at
    the printer; ``delays`` are those of the single deliveries.
    """

    client: Client
    messages: Messages | None = None
    deliveries: int = 0
    octets: int = 0
    initial: State = field(factory=dict)
    as_of: float | None = None
    oldest: float = 0.0
    delays: array[float] = field(factory=lambda: array("d"))
    _told: array[int] = field(factory=lambda: array("L"))

    def __attrs_post_init__(self) -> None:
        self.client.on_text = self._text

    def subscribe(self, names: tuple[str, ...]) -> None:
        """Subscribe to printer objects; ``initial`` is filled in when the answer comes."""
        self.client.request("printer.objects.subscribe", {"objects": dict.fromkeys(names)}, self._subscribed)

    def forget_counts(self) -> None:
        """Count deliveries anew."""
        self.deliveries = self.octets = 0

    def watch(self, since: float, messages: Messages) -> None:
        """From now on, keep what is told and how old the state gets; at ``since`` it was right."""
        self.as_of, self.messages = since, messages

    def age(self, now: float) -> None:
        """Take note of the age of this client's state at some moment."""
        if self.as_of is not None:
            self.oldest = max(self.oldest, now - self.as_of)

    def state(self) -> State:
        """Return the state as this client sees it, after all it was told."""
        return merged(self.initial, self.told, self.messages or Messages())

    @property
    def told(self) -> tuple[int, ...]:
        """The numbers of the updates it got since it was watched."""
        return tuple(self._told)

    def _subscribed(self, answer: dict[str, Any], _now: float) -> None:
        if "result" not in answer:
            raise RuntimeError(f"no subscription: {answer}")
        self.initial = answer["result"]["status"]

    def _text(self, text: bytes, now: float) -> None:
        if not is_update(text):
            return
        self.deliveries += 1
        self.octets += len(text)
        if self.as_of is not None and self.messages is not None:
            event_time = float(text[text.rindex(b",") + 1 : -2])
            self.age(now)
            self.delays.append(now - event_time)
            self.as_of = max(self.as_of, event_time)
            self._told.append(self.messages.number(text))


def subscribe_all(loop: Loop, followers: Sequence[Follower], names: tuple[str, ...]) -> None:
    """Subscribe followers, a few at a time: scenarios that use this are not about subscribing."""
    for first in range(0, len(followers), _AT_ONCE):
        group = followers[first : first + _AT_ONCE]
        for follower in group:
            follower.subscribe(names)
        if not loop.run_until(lambda group=group: all(each.initial for each in group), _WITHIN):  # type: ignore[misc]
            raise RuntimeError(f"not everybody could subscribe: {first} of {len(followers)} did")


def merged(initial: State, told: tuple[int, ...], messages: Messages) -> State:
    """Return a state after some updates."""
    state = {name: dict(fields) for name, fields in initial.items()}
    for number in told:
        for name, fields in messages.status(number).items():
            state[name].update(fields)
    return state
