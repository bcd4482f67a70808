"""What ``server.files.*`` answers. Contract: the file management documentation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from txraker.events import FileItem
from txraker.files.listing import DiskUsage, FileInfo, FolderContents, FolderInfo
from txraker.files.places import Root

Metadata = Mapping[str, Mapping[str, Any]]
"""What is known of gcode files, by their paths below `gcodes`."""


class RootDetails(msgspec.Struct, frozen=True):
    """A root: `path` is the folder on this machine, `permissions` are `rw` or `r`."""

    name: str
    path: str
    permissions: str

    @classmethod
    def of(cls, root: Root) -> RootDetails:
        """Return a root in the words of this API."""
        return cls(root.name, str(root.path), root.permissions)


class RootInfo(msgspec.Struct, frozen=True):
    """The root that a folder is in."""

    name: str
    permissions: str


class Directory(msgspec.Struct, frozen=True):
    """What is directly in a folder.

    Each of `files` has `modified` (Unix time), `size` (bytes), `permissions` and `filename`; gcode files have
    their metadata besides, if that was asked for and is known.
    """

    dirs: list[FolderInfo]
    files: list[dict[str, Any]]
    disk_usage: DiskUsage
    root_info: RootInfo

    @classmethod
    def of(cls, root: Root, contents: FolderContents, metadata: Metadata) -> Directory:
        """Return a folder in the words of this API."""
        return cls(
            contents.folders,
            [_file(file, metadata.get(file.path, {})) for file in contents.files],
            contents.disk_usage,
            RootInfo(root.name, root.permissions),
        )


class Zipped(msgspec.Struct, frozen=True):
    """An archive that was made."""

    destination: FileItem
    action: Literal["zip_files"] = "zip_files"


def _file(file: FileInfo, metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Return a file with its metadata, which has its own idea of some of the fields."""
    own = {
        "modified": file.modified,
        "size": file.size,
        "permissions": file.permissions,
        "filename": file.path.rpartition("/")[2],
    }
    return {**own, **{name: value for name, value in metadata.items() if name not in own}}
