"""Looks at the disk, in a worker thread: what is there, down to the last file, watched before it is read."""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Callable, Sequence

from attrs import define

from txraker.files.partial import is_partial
from txraker.files.watch.seen import Ask, FolderSeen, Identity, Seen, Stamp

DEEPEST = 64
"""Folders in one another that are looked into."""

MOST_LINKS = 2
"""Links to folders, one in the other, that are followed."""

_NOTHING = (None, 0.0)
_SURROGATE = re.compile("[\ud800-\udfff]")


def is_skipped(name: str) -> bool:
    """Say whether clients never hear of a name.

    Git's folder, as measured on Moonraker; our files that aren't whole yet; and names that are no UTF-8,
    which JSON can't say.
    """
    if name == ".git" or is_partial(name):
        return True
    return not name.isascii() and _SURROGATE.search(name) is not None


@define(eq=False, repr=False)
class Looker:
    """Answers what is asked; ``add_watch`` watches a folder, or raises OSError.

    Of links that lead to what ``may_reach`` denies nothing is known but the links themselves.
    """

    _add_watch: Callable[[str], int]
    _may_reach: Callable[[str], bool]

    def __call__(self, asks: Sequence[Ask]) -> list[Seen]:
        """Return what is there, in the order of the questions."""
        return [self._look(ask) for ask in asks]

    def _look(self, ask: Ask) -> Seen:
        try:
            link = os.lstat(ask.path)
            is_link = stat.S_ISLNK(link.st_mode)
            about = os.stat(ask.path)
        except (OSError, ValueError):
            return None
        if is_link and not self._may_reach(os.path.realpath(ask.path)):
            return _closed(link, about)
        if stat.S_ISDIR(about.st_mode) and ask.known == (about.st_dev, about.st_ino):
            return FolderSeen(_stamp(about, is_link), ask.known)
        return self._see(ask.path, about, is_link, ask.above, ask.links)

    def _see(
        self, path: str, about: os.stat_result, is_link: bool, above: tuple[Identity, ...], links: int
    ) -> Seen:
        stamp = _stamp(about, is_link)
        if stat.S_ISREG(about.st_mode):
            return stamp
        if not stat.S_ISDIR(about.st_mode):
            return None
        identity = (about.st_dev, about.st_ino)
        links += is_link
        if links > MOST_LINKS or len(above) >= DEEPEST or identity in above:
            return FolderSeen(stamp, identity, problem=errno.ELOOP, entries={})
        watch, problem = self._watch(path)
        entries, changed = self._read(path, (*above, identity), links)
        return FolderSeen(stamp, identity, watch, problem, entries, max(changed, about.st_ctime))

    def _watch(self, path: str) -> tuple[int | None, int]:
        try:
            return self._add_watch(path), 0
        except OSError as problem:
            return None, problem.errno or errno.EIO

    def _read(
        self, path: str, above: tuple[Identity, ...], links: int
    ) -> tuple[dict[str, Stamp | FolderSeen], float]:
        """Return what is in a folder, and when any of it was changed last."""
        entries: dict[str, Stamp | FolderSeen] = {}
        changed = 0.0
        try:
            with os.scandir(path) as found:
                for entry in found:
                    seen, at = _NOTHING if is_skipped(entry.name) else self._enter(entry, above, links)
                    if seen is not None:
                        entries[entry.name] = seen
                        changed = max(changed, at)
        except OSError:
            pass  # a folder that can't be read, or read to its end, has what was read of it
        return entries, changed

    def _enter(self, entry: os.DirEntry[str], above: tuple[Identity, ...], links: int) -> tuple[Seen, float]:
        try:
            about, is_link = entry.stat(), entry.is_symlink()
            if is_link and not self._may_reach(os.path.realpath(entry.path)):
                link = entry.stat(follow_symlinks=False)
                return _closed(link, about), link.st_ctime
        except OSError:
            return _NOTHING
        seen = self._see(entry.path, about, is_link, above, links)
        return seen, seen.changed if isinstance(seen, FolderSeen) else about.st_ctime


def _closed(link: os.stat_result, about: os.stat_result) -> Seen:
    """Return what clients hear of a link to what they can't get at."""
    stamp = Stamp(link.st_mtime, link.st_size, is_link=True, is_whole=True, is_closed=True)
    if not stat.S_ISDIR(about.st_mode):
        return stamp if stat.S_ISREG(about.st_mode) else None
    return FolderSeen(stamp, (link.st_dev, link.st_ino), problem=errno.ELOOP, entries={})


def _stamp(about: os.stat_result, is_link: bool) -> Stamp:
    return Stamp(about.st_mtime, about.st_size, is_link, is_link or about.st_nlink > 1)
