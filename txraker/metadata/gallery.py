"""Pictures on the disk: in ``.thumbs`` beside a gcode file, named after it. All of it blocks."""

from __future__ import annotations

import io
import os
import secrets
from collections.abc import Collection, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from txraker.metadata.facts import Thumbnail
from txraker.metadata.thumbnails import Picture

FOLDER: Final = ".thumbs"
"""The folder for pictures, as front-ends know it."""

ICON: Final = 32
"""Pixels of each side of the picture that lists of files show."""

LARGEST_SHRUNK: Final = 4096 * 4096
"""Pixels of a picture that is decoded; the memory that takes is four times as many bytes."""


def hang(file: Path, pictures: Sequence[Picture]) -> list[Thumbnail]:
    """Write the pictures of a file, and an icon first if there is none and Pillow is installed.

    What can't be written is left out, and so is, without Pillow, what browsers don't know. An icon is as wide
    or as high as ``ICON``.
    """
    known = _known(pictures)
    if not known or not _prepare(file.parent / FOLDER):
        return []
    hung = [(picture, f"{picture.width}x{picture.height}") for picture in known]
    if not any((picture.width, picture.height) == (ICON, ICON) for picture in known):
        small = _as_png(max(known, key=lambda picture: picture.width * picture.height), ICON)
        hung[:0] = [] if small is None else [(small, f"{ICON}x{ICON}")]
    found = (_write(file, picture, size) for picture, size in hung)
    return [thumbnail for thumbnail in found if thumbnail is not None]


def _known(pictures: Sequence[Picture]) -> list[Picture]:
    """Return the pictures in formats that browsers know; one that is there as PNG needs no second one."""
    sizes = {(picture.width, picture.height) for picture in pictures if picture.format == "png"}
    known = []
    for picture in pictures:
        shown: Picture | None = picture
        if picture.format == "qoi":
            is_there = (picture.width, picture.height) in sizes
            shown = None if is_there else _as_png(picture, max(picture.width, picture.height))
        known += [] if shown is None else [shown]
    return known


def _as_png(picture: Picture, side: int) -> Picture | None:
    """Return a picture that is at most as wide and high as ``side``, None where that can't be made."""
    try:
        from PIL import Image  # noqa: PLC0415  # optional, and large
    except ImportError:
        return None
    written = io.BytesIO()
    try:
        with Image.open(io.BytesIO(picture.content), formats=("PNG", "JPEG", "QOI")) as image:
            if image.width * image.height > LARGEST_SHRUNK:
                return None
            image.thumbnail((side, side))
            image.save(written, "PNG")
            return Picture(image.width, image.height, "png", written.getvalue())
    except Exception:  # whatever a decoder finds wrong with somebody's picture
        return None


def _prepare(folder: Path) -> bool:
    """Make the folder; a link isn't followed, since it may lead out of the root."""
    with suppress(OSError):
        folder.mkdir(exist_ok=True)
        return not folder.is_symlink()
    return False


def _write(file: Path, picture: Picture, size: str) -> Thumbnail | None:
    name = f"{file.stem}-{size}.{picture.format}"
    folder = file.parent / FOLDER
    part = folder / _part()
    try:
        part.write_bytes(picture.content)
        os.replace(part, folder / name)
    except OSError:
        with suppress(OSError):
            part.unlink()
        return None
    return Thumbnail(picture.width, picture.height, len(picture.content), f"{FOLDER}/{name}")


def rehang(
    source: Path, target: Path, thumbnails: Sequence[Thumbnail], shared: Collection[str]
) -> list[Thumbnail]:
    """Let the pictures of a file go where it went, and be named as it is now; what can't is left out.

    Those whose relative paths are ``shared`` also stay where they are: another file shows them, too.
    """
    found = []
    for thumbnail in thumbnails:
        name = Path(thumbnail.relative_path).name
        renamed = target.stem + name.removeprefix(source.stem)
        folder = target.parent / FOLDER
        if not _prepare(folder):
            continue
        go = _link if thumbnail.relative_path in shared else os.replace
        with suppress(OSError):
            go(source.parent / FOLDER / name, folder / renamed)
            found.append(Thumbnail(thumbnail.width, thumbnail.height, thumbnail.size, f"{FOLDER}/{renamed}"))
    return found


def _link(source: Path, target: Path) -> None:
    """Let there be a picture at both paths; it is never written to, only replaced. Raises OSError."""
    part = target.parent / _part()
    os.link(source, part, follow_symlinks=False)
    try:
        os.replace(part, target)
    finally:
        part.unlink(missing_ok=True)


def _part() -> str:
    return f".txraker-{secrets.token_hex(8)}.part"


def take_down(folder: Path, thumbnails: Sequence[Thumbnail]) -> None:
    """Delete the pictures of a file that was in a folder, and the folder for them when it is empty."""
    for thumbnail in thumbnails:
        with suppress(OSError):
            (folder / FOLDER / Path(thumbnail.relative_path).name).unlink()
    with suppress(OSError):
        (folder / FOLDER).rmdir()
