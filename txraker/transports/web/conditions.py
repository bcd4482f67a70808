"""Requests for a part of a file, or for it only if it has changed: RFC 9110, sections 13 and 14.

Nothing here touches a request or a file.
"""

from __future__ import annotations

import re
from email.utils import formatdate, mktime_tz, parsedate_tz

import msgspec

_RANGE = re.compile(r"bytes\s*=\s*(\d*)\s*-\s*(\d*)", re.IGNORECASE)
_TAG = re.compile(r'(?:W/)?("[^"]*")')

_MOST_DIGITS = 18


class Version(msgspec.Struct, frozen=True):
    """Which content a file has: its size (bytes) and when it was changed last (ns of Unix time)."""

    size: int
    modified: int

    @property
    def tag(self) -> str:
        """The entity tag."""
        return f'"{self.modified:x}-{self.size:x}"'

    @property
    def date(self) -> str:
        """When it was changed, as headers say it."""
        return formatdate(self.modified // 10**9, usegmt=True)


class Range(msgspec.Struct, frozen=True):
    """The bytes of a file from ``first``, ``length`` of them."""

    first: int
    length: int


def is_known(tag: str, if_none_match: str) -> bool:
    """Say whether a client has the content of a tag already."""
    return if_none_match.strip() == "*" or tag in _TAG.findall(if_none_match)


def is_unchanged(version: Version, if_none_match: str | None, if_modified_since: str | None) -> bool:
    """Say whether a client has this version already. The tag counts where both are given."""
    if if_none_match is not None:
        return is_known(version.tag, if_none_match)
    since = _seconds(if_modified_since)
    return since is not None and version.modified // 10**9 <= since


def wanted_range(version: Version, asked: str | None, if_range: str | None) -> Range | None:
    """Return the part that is asked for, None for all: also when several are, or when the file has changed.

    Raises ValueError when there is no such part.
    """
    found = _RANGE.fullmatch(asked.strip()) if asked is not None else None
    if found is None or not _is_same(version, if_range):
        return None
    first, last = found.groups()
    if not (first or last) or max(len(first), len(last)) > _MOST_DIGITS:
        return None
    begin = int(first) if first else max(0, version.size - int(last))
    end = int(last) + 1 if first and last else version.size
    if first and last and end <= begin:
        return None
    end = min(end, version.size)
    if begin >= end:
        raise ValueError("the file has no such bytes")
    return Range(begin, end - begin)


def _is_same(version: Version, if_range: str | None) -> bool:
    if if_range is None:
        return True
    if if_range.strip().startswith('"'):
        return if_range.strip() == version.tag
    return if_range.strip() == version.date


def _seconds(text: str | None) -> float | None:
    parsed = parsedate_tz(text) if text is not None else None
    if parsed is None:
        return None
    try:
        return float(mktime_tz(parsed))
    except (ValueError, OverflowError):
        return None
