"""``/server/files/{root}/{path}``: files as they are on the disk.

Contract: "File download" and "File delete" of the file management documentation; status codes and headers
as Moonraker 0.11.0 sends them, with validators beside.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from pathlib import Path
from urllib.parse import unquote_to_bytes

from attrs import define, field, frozen
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IPushProducer, IReactorTime
from twisted.web.resource import IResource
from twisted.web.server import Request
from zope.interface import implementer

from txraker.api.caller import Caller, Role, Transport
from txraker.api.dispatch import permit
from txraker.errors import BadRequest, Forbidden, MethodNotAllowed, NotFound, Unavailable
from txraker.files.partial import is_partial
from txraker.files.places import Place, Roots, not_found
from txraker.files.uploads import Locate
from txraker.reactor import OffThread
from txraker.transports.web.conditions import Range, Version, is_unchanged, wanted_range
from txraker.transports.web.cors import header
from txraker.transports.web.file_types import content_disposition, content_type
from txraker.transports.web.request import LimitedRequest
from txraker.transports.web.resources import Leaf, write_result

FOLDER = "/server/files/"

PIECE = 256 * 1024
"""Bytes that are read at once; a client that doesn't read makes us keep no more."""

STALLED = 60.0
"""Seconds in which a client must take a piece."""

_ON_EVERY_FILE = (
    # It may be anybody's: no script in it runs as ours, even if a browser is made to show it.
    (b"Content-Security-Policy", b"default-src 'none'; frame-ancestors 'none'; sandbox"),
    (b"Cache-Control", b"private, no-cache"),
    (b"Accept-Ranges", b"bytes"),
)

_NOT_THERE = (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG, errno.EINVAL, errno.ELOOP, errno.ENXIO)
_VERBS = ("GET", "HEAD", "DELETE", "OPTIONS")


@frozen
class OpenFile:
    """A file open for reading, to be closed; ``head`` is its whole content if that is short."""

    descriptor: int
    version: Version
    head: bytes | None

    def close(self) -> None:
        """Have no more of it."""
        os.close(self.descriptor)


@define(eq=False)
class Downloads:
    """Opens the files of one printer. ``logs`` are files that are known by names of their own."""

    _roots: Roots
    _locate: Locate
    _logs: Mapping[str, Callable[[], Path | None]]

    def has(self, path: str) -> bool:
        """Say whether a path, below the API's path for files, is that of a file, there or not."""
        root, slash, _ = path.partition("/")
        return path in self._logs or (bool(slash) and any(known.name == root for known in self._roots))

    def place(self, path: str) -> Place:
        """Return the place of a path as it is in a URL. Raises BadRequest."""
        root, _, rest = path.partition("/")
        try:
            text = unquote_to_bytes(rest.encode("latin-1")).decode()
        except UnicodeDecodeError:
            raise BadRequest("The path is not UTF-8") from None
        return self._roots.place(text, within=root)

    def open(self, path: str) -> tuple[str, OpenFile]:
        """Return a file's name, and the file. Blocks. Raises ApiError."""
        log = self._logs.get(path)
        if log is not None:
            where = log()
            if where is None:
                raise NotFound(f"There is no {path}")
            return path, open_file(where, NotFound(f"There is no {path}"))
        place = self.place(path)
        if place.parts and is_partial(place.name):
            raise not_found(place)
        return place.name, open_file(self._locate(place), not_found(place))


def open_file(path: Path, missing: NotFound) -> OpenFile:
    """Open a file and read it if it is short. Blocks. Raises ``missing``, Forbidden and Unavailable."""
    try:
        # A pipe that nobody writes to must not hold us, and nothing becomes our terminal.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
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
    except BaseException:
        os.close(descriptor)
        raise


def _looked_at(descriptor: int) -> OpenFile:
    about = os.fstat(descriptor)
    if not stat.S_ISREG(about.st_mode):
        raise Forbidden("That is no file")
    head = os.pread(descriptor, about.st_size, 0) if about.st_size <= PIECE else None
    if head is not None and len(head) < about.st_size:
        head = None
    return OpenFile(descriptor, Version(about.st_size, about.st_mtime_ns), head)


class _Gone(Exception):
    """The client is gone, or can't be served any more."""


@implementer(IPushProducer)
@define(eq=False)
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


@implementer(IResource)
@define(eq=False)
class FileResource(Leaf):
    """The files below a path. ``delete`` removes one for a caller and returns what the answer is."""

    downloads: Downloads
    _delete: Callable[[Caller, Place], Awaitable[object]]
    _off_thread: OffThread
    _clock: IReactorTime
    _prefix: str = ""

    def respond(self, request: Request) -> None:
        caller = self.door.caller(request, Transport.HTTP)
        path = request.path.decode("latin-1").removeprefix(self._prefix + FOLDER)
        if request.method in (b"GET", b"HEAD"):
            permit(Role.VIEWER, caller, "Reading files")
            self.write_outcome(request, self._send(request, path), _nothing_more, cancel=False)
        elif request.method == b"DELETE":
            self.refuse_foreign(request)
            permit(Role.OPERATOR, caller, "Deleting files")
            work = self._delete(caller, self.downloads.place(path))
            self.write_outcome(request, work, write_result, cancel=False)
        elif request.method == b"OPTIONS":
            request.setHeader(b"Allow", ", ".join(_VERBS).encode())
            request.setResponseCode(204)
            request.finish()
        else:
            raise MethodNotAllowed(f"Method {request.method.decode('latin-1')} is not allowed here", _VERBS)

    async def _send(self, request: Request, path: str) -> None:
        gone: list[object] = []
        request.notifyFinish().addErrback(gone.append)
        name, file = await self._off_thread(partial(self.downloads.open, path))
        try:
            if not gone:
                await self._send_file(request, name, file)
        finally:
            file.close()

    async def _send_file(self, request: Request, name: str, file: OpenFile) -> None:
        _set_headers(request, name, file.version)
        if is_unchanged(file.version, header(request, "If-None-Match"), header(request, "If-Modified-Since")):
            request.setResponseCode(304)
            request.finish()
            return
        part = _part(request, file.version)
        if request.method == b"HEAD" or part.length == 0:
            request.finish()
        elif file.head is not None:
            request.write(file.head[part.first : part.first + part.length])
            request.finish()
        else:
            limited: LimitedRequest = request  # type: ignore[assignment]  # our site makes no others
            await FileSender(limited, file.descriptor, part, self._off_thread, self._clock).send()


def _set_headers(request: Request, name: str, version: Version) -> None:
    for key, value in _ON_EVERY_FILE:
        request.setHeader(key, value)
    request.setHeader(b"ETag", version.tag.encode())
    request.setHeader(b"Last-Modified", version.date.encode())
    request.setHeader(b"Content-Type", content_type(name).encode())
    request.setHeader(b"Content-Disposition", content_disposition(name).encode())


def _part(request: Request, version: Version) -> Range:
    """Say in the response's head which part of a file follows, and return it."""
    part: Range | None = None
    try:
        if request.method == b"GET":
            part = wanted_range(version, header(request, "Range"), header(request, "If-Range"))
    except ValueError:
        request.setResponseCode(416)
        request.setHeader(b"Content-Range", b"bytes */%d" % version.size)
        request.setHeader(b"Content-Length", b"0")
        return Range(0, 0)
    if part is None:
        part = Range(0, version.size)
    else:
        request.setResponseCode(206)
        last = part.first + part.length - 1
        request.setHeader(b"Content-Range", b"bytes %d-%d/%d" % (part.first, last, version.size))
    request.setHeader(b"Content-Length", b"%d" % part.length)
    return part


def _nothing_more(_request: Request, _result: object) -> None:
    """Leave a response alone that was written already."""
