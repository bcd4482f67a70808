"""A form as browsers send files, read as it comes: a file goes to where it is written, fields are kept.

Contract: RFC 7578; "File upload" of the file management documentation. Fields may come as file parts, and
before or after the file.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Protocol
from urllib.parse import unquote_to_bytes

from attrs import define, field
from multipart import MultipartError, MultipartSegment, PushMultipartParser, parse_options_header

from txraker.errors import BadRequest

LONGEST_FIELD = 8192
"""Bytes of a field; of those that nobody knows nothing is kept."""

LONGEST_BOUNDARY = 200
MOST_PARTS = 64

LONGEST_PREAMBLE = 64 * 1024
"""Bytes before the first part."""

_QUOTED = re.compile(r'"(?:\\.|[^"\\])*"')
_EXTENDED_NAME = re.compile(r";\s*filename\*\s*=\s*([\w-]+)'[^';]*'([^;\s]*)", re.IGNORECASE)


class FileWriter(Protocol):
    """Where a file is written to."""

    def write(self, data: bytes, /) -> object:
        """Add bytes at the end."""


OpenFile = Callable[[str, Mapping[str, str]], FileWriter]
"""Returns where a file goes, by its name and by the fields that came before it."""


def boundary_of(content_type: str) -> str | None:
    """Return what separates the parts of a form; None if the header is not that of one."""
    try:
        kind, options = parse_options_header(content_type)
    except ValueError:
        return None
    boundary: str = options.get("boundary", "")
    if kind != "multipart/form-data" or not 0 < len(boundary) <= LONGEST_BOUNDARY:
        return None
    return boundary


@define(eq=False, repr=False)
class FormReader:
    """Reads a form with one file, in the part named ``file``, and with the fields in ``known``.

    The file's bytes go to what ``open_file`` returns. ``fields`` are those that have come as a whole.
    """

    _boundary: str
    _known: frozenset[str]
    _open_file: OpenFile
    filename: str | None = field(default=None, init=False)
    _fields: dict[str, str] = field(factory=dict, init=False)
    _parser: PushMultipartParser = field(init=False)
    _write: Callable[[bytes], object] | None = field(default=None, init=False)
    _name: str | None = field(default=None, init=False)
    _value: bytearray = field(factory=bytearray, init=False)
    _has_parts: bool = field(default=False, init=False)
    _skipped: int = field(default=0, init=False)

    def __attrs_post_init__(self) -> None:
        try:
            self._parser = PushMultipartParser(self._boundary, max_segment_count=MOST_PARTS)
        except (MultipartError, UnicodeError):
            raise BadRequest("The form's boundary is not valid") from None

    @property
    def fields(self) -> Mapping[str, str]:
        """What the form says beside the file."""
        return MappingProxyType(self._fields)

    def feed(self, data: bytes) -> None:
        """Read on. Raises BadRequest, and what writing the file raises."""
        try:
            for event in self._parser.parse(data):
                if event is None:
                    self._end_part()
                elif isinstance(event, MultipartSegment):
                    self._begin_part(event)
                elif self._write is not None:
                    self._write(event)
        except MultipartError as problem:
            raise BadRequest(f"The form can't be read: {problem}") from None
        if not self._has_parts:
            self._skipped += len(data)
            if self._skipped > LONGEST_PREAMBLE:
                raise BadRequest("The form doesn't begin")

    def end(self) -> None:
        """Say that there is no more. Raises BadRequest when something is missing."""
        try:
            self._parser.close()
        except MultipartError:
            raise BadRequest("The form is not complete") from None
        if self.filename is None:
            raise BadRequest("The form holds no file: a part named 'file' with a file name is needed")

    def _begin_part(self, part: MultipartSegment) -> None:
        self._has_parts = True
        filename = _filename(part)
        if part.name == "file" and filename:
            if self.filename is not None:
                raise BadRequest("The form holds more than one file")
            self.filename = filename
            self._write = self._open_file(filename, self.fields).write
        elif part.name in self._known:
            self._name = part.name
            self._write = self._add_to_value

    def _end_part(self) -> None:
        if self._name is not None:
            try:
                self._fields[self._name] = self._value.decode()
            except UnicodeDecodeError:
                raise BadRequest(f"The field '{self._name}' is not UTF-8") from None
        self._name, self._write, self._value = None, None, bytearray()

    def _add_to_value(self, data: bytes) -> None:
        if len(self._value) + len(data) > LONGEST_FIELD:
            raise BadRequest(f"The field '{self._name}' is longer than {LONGEST_FIELD} bytes")
        self._value += data


def _filename(part: MultipartSegment) -> str | None:
    """Return a file's name; the encoded one (RFC 5987) if there is one, as some clients send no other."""
    found = _EXTENDED_NAME.search(_QUOTED.sub('""', part["Content-Disposition"]))
    if found is None:
        name: str | None = part.filename
        return name
    try:
        return unquote_to_bytes(found[2]).decode(found[1])
    except (UnicodeError, LookupError):
        raise BadRequest("The file's name can't be decoded") from None
