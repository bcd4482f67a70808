"""Ultimaker's format packages: a ZIP archive that Cura writes, with the gcode and a picture of the model.

What is in there is somebody's: how much is unpacked is bounded, and no name in it is used. Everything here
blocks: it is done in a worker thread.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile, ZipInfo

from txraker.errors import BadRequest, PayloadTooLarge
from txraker.files.partial import PartialFile, check_space, told

SUFFIX = ".ufp"
MODEL = "/3D/model.gcode"
THUMBNAIL = "/Metadata/thumbnail.png"

LARGEST_THUMBNAIL = 4 * 1024 * 1024
LONGEST_DIRECTORY = 1024 * 1024
"""Bytes of the archive's list of its files, which is read into memory."""

_PIECE = 256 * 1024
_END = b"PK\x05\x06"
_END_OF_LARGE = b"PK\x06\x07"
_LONGEST_END = 22 + 65535


def extract_model(package: PartialFile, folder: Path, largest: int) -> PartialFile:
    """Unpack the gcode into a folder, at most ``largest`` bytes.

    Raises BadRequest, PayloadTooLarge, InsufficientStorage and whatever a PartialFile does.
    """
    with _opened(package) as archive:
        entry = _entry(archive, MODEL)
        if entry is None:
            raise BadRequest(f"The package holds no {MODEL}")
        if entry.file_size > largest:
            raise PayloadTooLarge(f"The package's gcode is longer than {largest} bytes")
        check_space(folder, entry.file_size)
        model = PartialFile.create(folder)
        try:
            for data in _read(archive, entry, largest):
                model.write(data)
        except BaseException:
            model.discard()
            raise
        return model


def extract_thumbnail(package: PartialFile) -> bytes | None:
    """Return the picture, a PNG file; None when there is none, or it is too large. Raises BadRequest."""
    with _opened(package) as archive:
        entry = _entry(archive, THUMBNAIL)
        if entry is None or entry.file_size > LARGEST_THUMBNAIL:
            return None
        return b"".join(_read(archive, entry, LARGEST_THUMBNAIL))


@contextmanager
def _opened(package: PartialFile) -> Iterator[ZipFile]:
    with os.fdopen(package.reader(), "rb") as file:
        try:
            _check_directory(file)
            with ZipFile(file) as archive:
                yield archive
        except (BadZipFile, zlib.error, EOFError, ValueError, RuntimeError, struct.error) as problem:
            raise BadRequest(f"The file is no Ultimaker format package: {problem}") from None


def _check_directory(file: IO[bytes]) -> None:
    """Refuse an archive whose list of files is too long, before it is read."""
    with told("The package can't be read"):
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - _LONGEST_END - 20))
        tail = file.read()
    place = tail.rfind(_END)
    if place < 0 or len(tail) < place + 22:
        raise BadZipFile("it is no ZIP archive")
    (directory,) = struct.unpack_from("<I", tail, place + 12)
    if directory > LONGEST_DIRECTORY or _END_OF_LARGE in tail:
        raise BadZipFile("its directory is too long")


def _entry(archive: ZipFile, name: str) -> ZipInfo | None:
    """Return the entry of a name, with or without the leading slash."""
    for entry in archive.infolist():
        if entry.filename.lstrip("/") == name.lstrip("/") and not entry.is_dir():
            if entry.compress_type not in (ZIP_STORED, ZIP_DEFLATED):
                raise BadZipFile("it is compressed in an unusual way")
            return entry
    return None


def _read(archive: ZipFile, entry: ZipInfo, largest: int) -> Iterator[bytes]:
    """Yield what is in an entry, never more than ``largest`` bytes whatever the archive says."""
    read = 0
    with archive.open(entry) as file:
        while data := file.read(_PIECE):
            read += len(data)
            if read > largest:
                raise PayloadTooLarge(f"{entry.filename} is longer than {largest} bytes")
            yield data
