"""Whether the cached state of printer objects may answer a query. Pure: it is told what went over the wire.

The rule: a client that gives a command and then asks must never see the state from before its command, just
as if Klippy had been asked. Klippy starts on requests in the order in which they are sent, and sends status
at ticks. So the cache is fresh when

- Klippy has *begun* everything that could change something: it has answered a request that was sent after the
  newest command (the command's own answer is such an answer);
- a status tick has come in *after* that answer, and after every sign that a command has got on: its answer,
  a line on the console, a call of a remote method;
- ticks are flowing: the newest is no older than ``MOST_SECONDS`` (something that always moves is subscribed,
  so that Klippy is never silent while it lives).

When just the tick is missing a query waits for it: Klippy's own answer would come no earlier.

While a long command runs the cache becomes fresh again at the first tick after such an answer, and the tick
values that follow are as good as Klippy's own answer would be.
"""

from __future__ import annotations

from attrs import define

MOST_SECONDS = 1.0
"""Seconds without a tick after which ticks are not flowing: four times Klippy's interval."""

READING_METHODS = frozenset(
    {
        "info",
        "list_endpoints",
        "objects/list",
        "objects/query",
        "objects/subscribe",
        "gcode/help",
        "gcode/subscribe_output",
        "register_remote_method",
        "bed_mesh/dump_mesh",
    }
)
"""Klippy's methods that change no printer object; every other one counts as a command."""


@define(repr=False)
class Freshness:
    """The state of the rule on one connection to Klippy."""

    _commands: int = 0
    _begun: int = 0
    _shown: int = 0
    _ended: int = 0
    _ended_since_tick: bool = False
    _held: bool = False
    _newest_tick: float = float("-inf")

    def reset(self) -> None:
        """A new connection begins."""
        self._commands = self._begun = self._shown = self._ended = 0
        self._ended_since_tick = False
        self._newest_tick = float("-inf")

    def command_sent(self) -> None:
        """Something that may change printer objects is on its way to Klippy."""
        self._commands += 1

    def hold(self) -> None:
        """Trust nothing until release: commands that aren't known here may be under way."""
        self._held = True

    def release(self) -> None:
        """Trust again what comes from now on."""
        self._held = False
        self.command_sent()

    @property
    def mark(self) -> int:
        """What to note of the moment in which a request is sent."""
        return self._commands

    @property
    def epoch(self) -> tuple[int, int]:
        """What differs between two moments if anything may have changed between them."""
        return (self._commands, self._ended)

    def answered(self, mark: int, *, is_command: bool) -> None:
        """Klippy answered a request that was sent at a mark; a command has ended with its answer."""
        self._begun = max(self._begun, mark)
        if is_command:
            self.happened()

    def happened(self) -> None:
        """A command has got on: it has ended, written to the console, or called somebody."""
        self._ended += 1
        self._ended_since_tick = True

    def ticked(self, now: float) -> None:
        """A status update has come in."""
        self._shown = self._begun
        self._ended_since_tick = False
        self._newest_tick = now

    def awaits_tick(self, now: float) -> bool:
        """Say whether the cache is not fresh, and will be with the next tick, which is about to come."""
        return (
            not self._held
            and self._begun == self._commands
            and now - self._newest_tick <= MOST_SECONDS
            and not self.is_fresh(now)
        )

    def is_fresh(self, now: float) -> bool:
        """Say whether the cache may answer."""
        return (
            not self._held
            and self._shown == self._commands
            and not self._ended_since_tick
            and now - self._newest_tick <= MOST_SECONDS
        )
