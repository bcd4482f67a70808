"""The text of our systemd unit.

Contract: systemd.unit(5), systemd.service(5), systemd.exec(5) of systemd 252 and newer.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from txraker.install.installation import Installation

MARKER: Final = 'Made by "txraker unit".'
"""What the first line of our files says, behind the comment sign."""

HARDENING: Final = (
    "NoNewPrivileges=yes",
    "ProtectSystem=full",
    "ProtectControlGroups=yes",
    "ProtectKernelTunables=yes",
    "ProtectKernelModules=yes",
    "ProtectKernelLogs=yes",
    "RestrictSUIDSGID=yes",
    "RestrictRealtime=yes",
    "RestrictNamespaces=yes",
    "LockPersonality=yes",
)
"""What the server can do without; docs/systemd.md has the reasons, and what isn't here."""

_PLAIN: Final = re.compile(r"[A-Za-z0-9/_.,:=@+-]+")


def unit_path(installation: Installation) -> Path:
    """Return where the unit's file is."""
    return Path("/etc/systemd/system") / installation.unit


def unit_text(installation: Installation) -> str:
    """Return the text of the unit's file."""
    sections = (_unit(installation), _service(installation), ("[Install]", "WantedBy=multi-user.target"))
    head = f"# {MARKER} What you change here may be lost: use `sudo systemctl edit {installation.name}`.\n\n"
    return head + "\n".join("".join(f"{line}\n" for line in section) for section in sections)


def is_ours(text: str) -> bool:
    """Say whether a file was made by us, whatever has become of it since."""
    return MARKER in text.partition("\n")[0]


def program_word(program: Path) -> str:
    """Return a runnable program as ``ExecStart=`` wants it: variables aren't expanded there."""
    return quoted(str(program)).replace("$$", "$")


def quoted(word: str) -> str:
    """Return an argument as ``ExecStart=`` wants it, so that it is neither split, expanded nor unescaped."""
    escaped = "".join(map(_escaped, word)).replace("%", "%%").replace("$", "$$")
    return escaped if _PLAIN.fullmatch(word) else f'"{escaped}"'


def _unit(installation: Installation) -> Iterator[str]:
    yield "[Unit]"
    yield "Description=txraker, the API server for Klipper printers"
    if installation.needs_network:
        yield "Wants=network-online.target"
    yield f"After=network{'-online' if installation.needs_network else ''}.target"
    mounts = [_mount(str(path)) for path in installation.data_paths if str(path).isprintable()]
    if mounts:
        yield f"RequiresMountsFor={' '.join(mounts)}"


def _service(installation: Installation) -> Iterator[str]:
    yield "[Service]"
    yield "Type=notify"
    yield "NotifyAccess=main"
    yield f"User={installation.user.replace('%', '%%')}"
    yield f"Group={installation.group.replace('%', '%%')}"
    if installation.groups:
        yield f"SupplementaryGroups={' '.join(installation.groups)}"
    yield "WorkingDirectory=-~"
    yield f"SyslogIdentifier={installation.name}"
    yield f"ExecStart={_command(installation)}"
    yield "Restart=always"
    yield "RestartSec=2"
    yield "WatchdogSec=30"
    yield "TimeoutStopSec=90"
    if not installation.uses_sudo:
        yield from HARDENING


def _command(installation: Installation) -> str:
    words = [program_word(installation.twistd), "--nodaemon", "--pidfile=", "txraker"]
    for path in installation.data_paths:
        words += ["--data-path", quoted(str(path))]
    return " ".join(words)


def _escaped(character: str) -> str:
    """Return a character as it is written between double quotes; bytes that are no UTF-8 by their number."""
    if character in '"\\':
        return f"\\{character}"
    if character.isprintable():
        return character
    return "".join(f"\\x{byte:02x}" for byte in character.encode("utf-8", "surrogateescape"))


def _mount(path: str) -> str:
    """Return a path for ``RequiresMountsFor=``, which knows quotes and specifiers, but no other escapes."""
    escaped = re.sub(r'(["\\])', r"\\\1", path).replace("%", "%%")
    return escaped if _PLAIN.fullmatch(path) else f'"{escaped}"'
