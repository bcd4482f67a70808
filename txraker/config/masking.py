"""Which option values are secrets, and how they are shown to people and clients: as `****`.

An option counts as secret because the documentation says that it holds a credential, because its name says
so, or because its value visibly carries one (a URL with a user in it, an authorization header).
"""

from __future__ import annotations

import re
from typing import Final

MASK: Final = "****"

REFERENCE: Final = re.compile(r"\{\s*(data_path|secrets(?:\.\w+)+)\s*\}")
"""A template reference; group 1 is what it refers to."""
_ONLY_REFERENCES: Final = re.compile(rf"\s*(?:{REFERENCE.pattern}\s*)+")

# Documented options that hold a credential although nothing in their name says so.
_BY_OPTION: Final = frozenset({("notifier", "url"), ("power", "user")})
_BY_NAME: Final = re.compile(
    r"passw|passphrase|passcode|token|secret|credential|api_?key|auth_?key|private_?key|\bpass\b|^key$"
)
# Names that only talk about a secret: a switch for it, or the place where it is kept.
_NOT_BY_NAME: Final = re.compile(r"^(?:enable|require|use)_|_(?:path|file|timeout|topic)$")
_BY_VALUE: Final = re.compile(
    r"://[^/\s?#@]+@|[?&](?:pass\w*|token|access_token|api_?key|auth|key|secret)="
    r"|\bauthorization\b|\bbearer\b|\bx-api-key\b|\bcookie\b"
    r"|\b(?:pass\w*|pwd?|token|secret|api_?key)[\"']?\s*[=:]|://[^\s@]*:[^\s@]*@",
    re.IGNORECASE,
)


def holds_secret(section: str, option: str, value: str) -> bool:
    """Say whether `value`, as written for `option` in `section`, must not be shown.

    A value that consists of template references alone (`{secrets.mqtt.password}`) names a secret without
    being one.
    """
    if not value.strip() or _ONLY_REFERENCES.fullmatch(value) is not None:
        return False
    kind = section.split(maxsplit=1)[0] if section.strip() else ""
    if (kind, option) in _BY_OPTION:
        return True
    named = _BY_NAME.search(option) is not None and _NOT_BY_NAME.search(option) is None
    return named or _BY_VALUE.search(value) is not None


def masked(section: str, option: str, value: str, *, secret: bool = False) -> str:
    """Return `value` as it may be shown: itself, or `****` when it holds a secret.

    `secret` says that the option is known to hold one, whatever its name; references are still shown.
    """
    hidden = holds_secret(section, "password" if secret else option, value)
    return MASK if hidden else value
