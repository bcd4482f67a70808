"""``/server/files/{root}/{path}``: files as they are on the disk.

Contract: "File download" and "File delete" of the file management documentation; status codes and headers
as Moonraker 0.11.0 sends them, with validators beside.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from pathlib import Path
from urllib.parse import unquote_to_bytes

from attrs import define
from twisted.web.resource import IResource
from twisted.web.server import Request
from zope.interface import implementer

from txraker.api.caller import Caller, Role, Transport
from txraker.api.dispatch import permit
from txraker.errors import BadRequest, MethodNotAllowed, NotFound
from txraker.files.disk import Disk
from txraker.files.partial import is_partial
from txraker.files.places import Place, Roots, not_found
from txraker.transports.web.conditions import Range, Version, is_unchanged, wanted_range
from txraker.transports.web.cors import header
from txraker.transports.web.file_types import content_disposition, content_type
from txraker.transports.web.resources import Leaf, write_result
from txraker.transports.web.sending import OpenFile, Sending, nothing_more, open_to_send

FOLDER = "/server/files/"

_ON_EVERY_FILE = (
    # It may be anybody's: no script in it runs as ours, even if a browser is made to show it.
    (b"Content-Security-Policy", b"default-src 'none'; frame-ancestors 'none'; sandbox"),
    (b"Cache-Control", b"private, no-cache"),
    (b"Accept-Ranges", b"bytes"),
)

_VERBS = ("GET", "HEAD", "DELETE", "OPTIONS")


@define(eq=False, repr=False)
class Downloads:
    """Opens the files of one printer. ``logs`` are files that are known by names of their own."""

    _roots: Roots
    _disk: Disk
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
            return path, open_to_send(Path(os.path.realpath(where)), NotFound(f"There is no {path}"))
        place = self.place(path)
        if place.parts and is_partial(place.name):
            raise not_found(place)
        return place.name, open_to_send(self._disk.locate(place), not_found(place))


@implementer(IResource)
@define(eq=False, repr=False)
class FileResource(Leaf):
    """The files below a path. ``delete`` removes one for a caller and returns what the answer is."""

    downloads: Downloads
    _delete: Callable[[Caller, Place], Awaitable[object]]
    _sending: Sending
    _prefix: str = ""

    def respond(self, request: Request) -> None:
        caller = self.door.caller(request, Transport.HTTP)
        path = request.path.decode("latin-1").removeprefix(self._prefix + FOLDER)
        if request.method in (b"GET", b"HEAD"):
            permit(Role.VIEWER, caller, "Reading files")
            self.write_outcome(request, self._send(request, path), nothing_more, cancel=False)
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
        name, file = await self._sending.off_thread(partial(self.downloads.open, path))
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
        await self._sending.body(request, file, _part(request, file.version))


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
