"""Why a command can't be done, in words for whoever gave it."""

from __future__ import annotations


class InstallError(Exception):
    """A command can't be done, or not to its end; the words say why and what mends it."""
