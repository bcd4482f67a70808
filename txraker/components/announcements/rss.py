"""Announcements from the RSS that Moonlight makes.

Contract: "RSS file structure" of Moonraker's documentation of announcements.
"""

from __future__ import annotations

from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from txraker.events import Announcement

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

LONGEST_TEXT = 4096
"""Characters of one text."""

_TYPE = "<!DOCTYPE"


class NotAFeed(ValueError):
    """A document that isn't RSS, or more than that; ``str()`` says what is wrong, for users."""


def read_feed(document: bytes, feed: str, now: float) -> list[Announcement]:
    """Return the announcements of a feed; those without an id are left out. Raises NotAFeed.

    A document type is refused: it is what entities that expand without end are declared in. An announcement
    without a date that can be read is from ``now``, in Unix time.
    """
    channel = _parse(document).find("channel")
    if channel is None:
        raise NotAFeed("it has no channel")
    found: dict[str, Announcement] = {}
    for item in channel.iterfind("item"):
        announcement = _announcement(item, feed, now)
        if announcement is not None:
            found.setdefault(announcement.entry_id, announcement)
    return list(found.values())


def _parse(document: bytes) -> Element:
    from xml.etree.ElementTree import ParseError, XMLParser  # noqa: PLC0415  # 250 KB for what is read once a day

    try:
        text = document.decode("utf-8")
        if _TYPE in text:
            raise NotAFeed("it has a document type")
        parser = XMLParser()
        parser.feed(text)  # as text, so that no encoding it declares hides something
        return parser.close()
    except UnicodeDecodeError:
        raise NotAFeed("it isn't UTF-8") from None
    except ParseError as problem:
        raise NotAFeed(f"it isn't XML: {problem}") from None


def _announcement(item: Element, feed: str, now: float) -> Announcement | None:
    entry_id = _text(item, "guid")
    if entry_id is None:
        return None
    url = _text(item, "link")
    return Announcement(
        entry_id=entry_id,
        url=url if url is not None and url.startswith(("https://", "http://")) else None,
        title=_text(item, "title"),
        description=_text(item, "description"),
        priority=_text(item, "category"),
        date=_time(_text(item, "pubDate"), now),
        dismissed=False,
        date_dismissed=None,
        dismiss_wake=None,
        source="moonlight",
        feed=feed,
    )


def _text(item: Element, name: str) -> str | None:
    text = (item.findtext(name) or "").strip()
    return text[:LONGEST_TEXT] or None


def _time(text: str | None, now: float) -> float:
    try:
        return parsedate_to_datetime(text or "").timestamp()
    except (ValueError, OverflowError):
        return now
