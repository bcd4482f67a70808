"""The options of announcements. Contract: "[announcements]" of Moonraker's configuration document."""

from __future__ import annotations

from typing import Annotated

import msgspec

from txraker.config.schema import Option


class AnnouncementOptions(msgspec.Struct, frozen=True, kw_only=True):
    """`[announcements]`: which feeds there are besides those of moonraker and klipper.

    They are fetched from Moonlight, on GitHub, only if `enable_moonlight` is set: unlike Moonraker, we ask
    nobody on the internet unless told to.
    """

    subscriptions: list[str] = []
    enable_moonlight: bool = False
    dev_mode: Annotated[bool, Option(unsupported_yet=True)] = False
