"""Files on their way to clients: opened and read in worker threads, a piece at a time."""

from __future__ import annotations

import errno
import os
from functools import partial
from pathlib import Path

import msgspec
from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IPushProducer, IReactorTime
from twisted.web.server import Request
from zope.interface import implementer

from txraker.errors import Forbidden, NotFound, Unavailable
from txraker.files.disk import open_file
from txraker.reactor import OffThread
from txraker.transports.web.conditions import Range, Version
from txraker.transports.web.request import LimitedRequest

PIECE = 128 * 1024
"""Bytes that are read at once; a client that doesn't read makes us keep no more."""

STALLED = 60.0
"""Seconds in which a client must take a piece."""

_NOT_THERE = (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG, errno.EINVAL, errno.ELOOP, errno.ENXIO)


class OpenFile(msgspec.Struct, frozen=True):
    """A file open for reading, to be closed; ``head`` is its whole content if that is short."""

    descriptor: int
    version: Version
    head: bytes | None

    def close(self) -> None:
        """Have no more of it."""
        os.close(self.descriptor)


def open_to_send(path: Path, missing: NotFound) -> OpenFile:
    """Open the file at a real path, and read it if it is short. Blocks.

    Raises ``missing``, Forbidden and Unavailable.
    """
    try:
        descriptor = open_file(path)
    except (OSError, ValueError) as problem:
        number = getattr(problem, "errno", errno.EINVAL)
        if number in _NOT_THERE:
            raise missing from None
        if number in (errno.EACCES, errno.EPERM):
            raise Forbidden("The file may not be read") from None
        raise Unavailable("The file can't be read now") from None
    try:
        return _looked_at(descriptor)
    except OSError:
        os.close(descriptor)
        raise Unavailable("The file can't be read now") from None


def _looked_at(descriptor: int) -> OpenFile:
    about = os.fstat(descriptor)
    head = os.pread(descriptor, about.st_size, 0) if about.st_size <= PIECE else None
    if head is not None and len(head) < about.st_size:
        head = None
    return OpenFile(descriptor, Version(about.st_size, about.st_mtime_ns), head)


@define(eq=False, repr=False)
class Sending:
    """Sends files. ``off_thread`` reads them."""

    off_thread: OffThread
    _clock: IReactorTime

    async def body(self, request: Request, file: OpenFile, part: Range) -> None:
        """Send a part of a file after the response's head, if the request is for that; end the response."""
        if request.method == b"HEAD" or part.length == 0:
            request.finish()
        elif file.head is not None:
            request.write(file.head[part.first : part.first + part.length])
            request.finish()
        else:
            limited: LimitedRequest = request  # type: ignore[assignment]  # our site makes no others
            await FileSender(limited, file.descriptor, part, self.off_thread, self._clock).send()


class _Gone(Exception):
    """The client is gone, or can't be served any more."""


@implementer(IPushProducer)
@define(eq=False, repr=False)
class FileSender:
    """Sends a part of a file as fast as the client reads: one piece is read when the one before is gone.

    What was promised is sent, however the file grows. If it shrinks the connection is closed amid the body,
    which tells the client that it is not whole.
    """

    _request: LimitedRequest
    _descriptor: int
    _part: Range
    _off_thread: OffThread
    _clock: IReactorTime
    _is_gone: bool = field(default=False, init=False)
    _go_on: Deferred[None] | None = field(default=None, init=False)
    _stalled: IDelayedCall | None = field(default=None, init=False)

    async def send(self) -> None:
        """Send it; return when the response is whole, or there is nobody to send it to."""
        self._request.notifyFinish().addErrback(lambda _: self.stopProducing())
        self._request.registerProducer(self, True)
        try:
            await self._send()
        except _Gone:
            return
        finally:
            self._stop_clock()
        self._request.unregisterProducer()
        self._request.finish()

    async def _send(self) -> None:
        place, end = self._part.first, self._part.first + self._part.length
        while place < end:
            data = await self._read(place, min(PIECE, end - place))
            if not data:
                self._request.connection.transport.abortConnection()
                raise _Gone
            place += len(data)
            self._request.write(data)
            if self._go_on is not None:
                await self._go_on
        if self._is_gone:
            raise _Gone

    async def _read(self, place: int, length: int) -> bytes:
        if self._is_gone:
            raise _Gone
        try:
            data = await self._off_thread(partial(os.pread, self._descriptor, length, place))
        except OSError:
            data = b""
        if self._is_gone:
            raise _Gone
        return data

    def pauseProducing(self) -> None:
        """Wait: the client has enough to read."""
        if self._go_on is None and not self._is_gone:
            self._go_on = Deferred()
            self._stalled = self._clock.callLater(STALLED, self._give_up)

    def resumeProducing(self) -> None:
        """Go on: the client has read."""
        self._stop_clock()
        go_on, self._go_on = self._go_on, None
        if go_on is not None:
            go_on.callback(None)

    def stopProducing(self) -> None:
        """End: the client is gone."""
        self._is_gone = True
        self.resumeProducing()

    def _give_up(self) -> None:
        self._stalled = None
        self._request.connection.transport.abortConnection()

    def _stop_clock(self) -> None:
        stalled, self._stalled = self._stalled, None
        if stalled is not None and stalled.active():
            stalled.cancel()


def nothing_more(_request: Request, _result: object) -> None:
    """Leave a response alone that was written already."""
