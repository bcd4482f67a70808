"""``server.files.metadata``, ``metascan`` and ``thumbnails``: what gcode files say about their prints.

Contract: "Get GCode Metadata", "Scan GCode Metadata" and "Get GCode Thumbnail Details" of the file management
document.
"""

from __future__ import annotations

from typing import Annotated

from attrs import define
from msgspec import Meta

from txraker.api.caller import Caller
from txraker.api.endpoint import GET, POST, endpoint
from txraker.errors import BadRequest, NotFound
from txraker.files.gcodes import GCODES
from txraker.files.places import Place, Roots
from txraker.metadata.facts import Metadata, ThumbnailDetails
from txraker.metadata.library import Library

FilenameParameter = Annotated[str, Meta(description="The path of a gcode file in the root `gcodes`.")]


@define(eq=False, repr=False)
class MetadataEndpoints:
    """Answers from a library."""

    _library: Library
    _roots: Roots

    @endpoint("server.files.metadata", GET, "/server/files/metadata")
    async def metadata(self, caller: Caller, *, filename: FilenameParameter) -> Metadata:
        """Return what a gcode file says about its print. A file that wasn't read yet is read first."""
        place = self._place(filename)
        if place is None:
            raise NotFound(f"Metadata not available for <{filename}>")
        return await self._library.of(place)

    @endpoint("server.files.metascan", POST, "/server/files/metascan", audit=("filename",))
    async def metascan(self, caller: Caller, *, filename: FilenameParameter) -> Metadata:
        """Read a gcode file anew and return what it says about its print."""
        place = self._place(filename)
        if place is None:
            raise NotFound(f"File '{filename}' does not exist")
        return await self._library.read_again(place)

    @endpoint("server.files.thumbnails", GET, "/server/files/thumbnails")
    async def thumbnails(self, caller: Caller, *, filename: FilenameParameter) -> list[ThumbnailDetails]:
        """Return the pictures of a gcode file; none where the file has none, or isn't there."""
        place = self._place(filename)
        known = await self._library.known(place) if place is not None else None
        if place is None or known is None:
            return []
        folder = "/".join((*place.parts[:-1], ""))
        return [
            ThumbnailDetails(picture.width, picture.height, picture.size, folder + picture.relative_path)
            for picture in known.thumbnails or ()
        ]

    def _place(self, filename: str) -> Place | None:
        """Return the place of a file, None for a path that can be no file's."""
        try:
            return self._roots.place(filename, within=GCODES)
        except BadRequest:
            return None
