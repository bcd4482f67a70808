"""The shell: the kernel's descriptor, the clock, and looks at the disk in a worker thread."""

from __future__ import annotations

import errno
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from time import time

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReadDescriptor
from twisted.python.failure import Failure
from zope.interface import implementer

from txraker.events import FileChange
from txraker.files.places import Root
from txraker.files.watch.batches import Batches
from txraker.files.watch.core import Core
from txraker.files.watch.echoes import Spot, spots_of, touch
from txraker.files.watch.events import parse
from txraker.files.watch.inotify import Inotify
from txraker.files.watch.look import Looker, is_skipped
from txraker.files.watch.seen import Ask, FolderSeen, Seen
from txraker.reactor import OffThread, Reactor

MOST_HELD = 4096
"""Events that wait here; when there are more, the others wait in the kernel."""

TOLD_AT_ONCE = 50
"""Changes that are told before the reactor goes on with something else."""

CHECK_EVERY = 10.0
"""Seconds after which roots, links and the table of mounts are looked at: no event tells of a mount."""

POLL_EVERY = 60.0
"""Seconds after which folders that can't be watched are looked at."""

WARNING = "inotify"
"""The key of the warning that there are too few watches."""

_TOO_FEW = (
    "Some folders of files can't be watched, so that changes there show only after up to a minute: "
    "the system allows for too few {what}. To allow for more: "
    "echo {setting} | sudo tee /etc/sysctl.d/90-inotify.conf && sudo sysctl --system"
)
_LIMITS = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)
_TOO_FEW_WATCHES = _TOO_FEW.format(what="inotify watches", setting="fs.inotify.max_user_watches=524288")
_TOO_FEW_INSTANCES = _TOO_FEW.format(what="inotify instances", setting="fs.inotify.max_user_instances=512")


@implementer(IReadDescriptor)
@define(eq=False, repr=False)
class Watcher:
    """Tells every change in the roots, in order, each once.

    ``changed`` is called with each. ``warn`` is called with a key and a text, an empty one when that is over.
    ``rules`` returns what says at this time which paths may be reached by links; it blocks. Without inotify,
    roots are looked at every minute. ``mounts`` is the kernel's table of mounts,
    ``wall`` the time of files (Unix time).
    """

    _reactor: Reactor
    _off_thread: OffThread
    _roots: Iterable[Root]
    _rules: Callable[[], Callable[[str], bool]]
    _changed: Callable[[FileChange], None]
    _warn: Callable[[str, str], None]
    _report_fault: Callable[[str, Exception], str]
    _open: Callable[[], Inotify] = Inotify.open
    _mounts: Path = Path("/proc/self/mountinfo")
    _wall: Callable[[], float] = time
    _inotify: Inotify | None = field(default=None, init=False)
    _core: Core = field(init=False)
    _batches: Batches = field(factory=Batches, init=False)
    _untold: deque[FileChange] = field(factory=deque, init=False)
    _started: Deferred[None] = field(factory=Deferred, init=False)
    _looking: bool = field(default=False, init=False)
    _is_running: bool = field(default=False, init=False)
    _is_reading: bool = field(default=False, init=False)
    _turning: IDelayedCall | None = field(default=None, init=False)
    _telling: IDelayedCall | None = field(default=None, init=False)
    _next_check: float = field(default=0.0, init=False)
    _next_poll: float = field(default=0.0, init=False)
    _mounted: bytes = field(default=b"", init=False)
    _warned: str = field(default="", init=False)

    def __attrs_post_init__(self) -> None:
        self._core = Core(self._untold.append, is_skipped)

    def start(self) -> Deferred[None]:
        """Begin; the answer fires when the roots were looked at: what changes from then on is told."""
        now = self._reactor.seconds()
        self._is_running = True
        self._next_check, self._next_poll = now + CHECK_EVERY, now + POLL_EVERY
        try:
            self._inotify = self._open()
        except OSError as problem:
            self._set_warning(_TOO_FEW_INSTANCES if problem.errno in _LIMITS else "")
        for root in self._roots:
            self._core.put_root(root, now)
        self._go_on()
        return self._started

    def stop(self) -> None:
        """End: nothing is told any more."""
        self._is_running = False
        self._pause()
        for call in (self._turning, self._telling):
            if call is not None and call.active():
                call.cancel()
        inotify, self._inotify = self._inotify, None
        if inotify is not None:
            inotify.close()

    def put_root(self, root: Root) -> None:
        """Watch a root from now on; if one of its name is elsewhere, ``root_update`` is told."""
        self._core.put_root(root, self._reactor.seconds())
        self._go_on()

    def drop_root(self, name: str) -> None:
        """Watch a root no more."""
        self._core.drop_root(name)

    def expect(self, change: FileChange) -> None:
        """Don't tell this change, which has happened, and which clients hear of from somebody else.

        It counts as told from now on. What is on the disk is compared with it, so that whatever is otherwise,
        now or later, is told. When what is done takes time, it is to be done within ``quiet``.
        """
        if not self._is_running:
            return
        spots = spots_of(change)
        if any(touch(spot, mine) for told in self._untold for spot in spots_of(told) for mine in spots):
            self._tell(len(self._untold))
        self._core.expect(change, self._reactor.seconds(), self._wall())
        self._go_on()

    @contextmanager
    def quiet(self, *spots: Spot) -> Iterator[None]:
        """Tell nothing of places (a root's name and the way from there) and what is in them for a while.

        Afterwards, what is different from what was told or expected is told.
        """
        for spot in spots:
            self._core.hold(spot)
        try:
            yield
        finally:
            for spot in spots:
                self._core.release(spot)
            self._go_on()

    # What the reactor calls.

    def fileno(self) -> int:
        """Return the kernel's descriptor."""
        return self._inotify.descriptor if self._inotify is not None else -1

    def logPrefix(self) -> str:
        """Return the name for the log."""
        return "files"

    def doRead(self) -> None:
        """Take in some events."""
        if self._inotify is not None:
            self._batches.take(parse(self._inotify.read()), self._reactor.seconds())
            self._go_on()

    def connectionLost(self, reason: Failure) -> None:
        """Watch no more: the reactor has given up on the descriptor."""
        self._is_reading = False

    # One look after the other.

    def _go_on(self) -> None:
        """Read if there is room, and see to it that there is a turn when one is due."""
        if not self._is_running:
            return
        if len(self._batches) >= MOST_HELD:
            self._pause()
        elif self._inotify is not None and not self._is_reading:
            self._is_reading = True
            self._reactor.addReader(self)
        if not self._looking:
            due = self._batches.due() if self._batches else self._core.due()
            times = (due, self._next_check, self._next_poll)
            self._turn_at(min(time for time in times if time is not None))

    def _pause(self) -> None:
        if self._is_reading:
            self._is_reading = False
            self._reactor.removeReader(self)

    def _turn_at(self, time: float) -> None:
        delay = max(0.0, time - self._reactor.seconds())
        if self._turning is not None and self._turning.active():
            self._turning.reset(delay)
        else:
            self._turning = self._reactor.callLater(delay, self._turn)

    def _turn(self) -> None:
        """Find out what there is to look at, and have it looked at; after a fault, everything."""
        now = self._reactor.seconds()
        try:
            self._take_turn(now)
        except Exception as fault:
            self._report_fault("watching files", fault)
            self._core.rescan(now)
        self._tell_soon()
        self._go_on()

    def _take_turn(self, now: float) -> None:
        if now >= self._next_check:
            self._next_check = now + CHECK_EVERY
            self._core.check_links(now)
        if now >= self._next_poll:
            self._next_poll = now + POLL_EVERY
            self._core.check_unwatched(now)
        self._core.apply(self._batches.steps(now), now)
        # What is held may show that something isn't over yet.
        asks = [] if self._batches else [asked.ask for asked in self._core.asks(now)]
        if asks:
            self._looking = True
            self._off_thread(partial(self._look, asks)).addCallback(self._saw).addErrback(self._failed)

    def _look(self, asks: list[Ask]) -> tuple[list[Seen], bytes]:
        """Look at the disk; in a worker thread."""
        mounted = b""
        with suppress(OSError):
            mounted = self._mounts.read_bytes()
        return Looker(self._add_watch, self._rules())(asks), mounted

    def _add_watch(self, path: str) -> int:
        inotify = self._inotify
        if inotify is None:
            raise OSError(errno.EMFILE, "there is no inotify")
        return inotify.add(path)

    def _saw(self, seen: tuple[list[Seen], bytes]) -> None:
        self._looking = False
        if not self._is_running:
            return
        now = self._reactor.seconds()
        for watch in self._core.answer(seen[0], now):
            if self._inotify is not None:
                self._inotify.remove(watch)
        if seen[1] != self._mounted:
            if self._mounted:
                self._core.rescan(now)
            self._mounted = seen[1]
        self._see_to_watches(seen[0])
        if not self._started.called:
            self._started.callback(None)
        self._tell_soon()
        self._go_on()

    def _failed(self, failure: Failure) -> None:
        """Try again later, with everything: what was seen may have been taken in half-way."""
        self._looking = False
        if self._is_running:
            self._report_fault("looking at files", _exception(failure))
            self._core.rescan(self._reactor.seconds() + CHECK_EVERY)
            self._go_on()

    def _see_to_watches(self, seen: list[Seen]) -> None:
        if self._inotify is not None and any(
            isinstance(one, FolderSeen) and one.entries is not None for one in seen
        ):
            self._set_warning(_TOO_FEW_WATCHES if self._core.needs_more_watches else "")

    def _set_warning(self, text: str) -> None:
        if text != self._warned:
            self._warned = text
            self._warn(WARNING, text)

    # Telling.

    def _tell_soon(self) -> None:
        if self._untold and not (self._telling is not None and self._telling.active()):
            self._telling = self._reactor.callLater(0, self._tell_some)

    def _tell_some(self) -> None:
        self._telling = None
        self._tell(TOLD_AT_ONCE)
        self._tell_soon()

    def _tell(self, count: int) -> None:
        for _ in range(min(count, len(self._untold))):
            try:
                self._changed(self._untold.popleft())
            except Exception as fault:
                self._report_fault("telling of files", fault)


def _exception(failure: Failure) -> Exception:
    value = failure.value
    return value if isinstance(value, Exception) else RuntimeError(str(value))
