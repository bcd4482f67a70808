"""The text of our PolicyKit rule: just what the server calls.

Contract: polkit(8), "Authorization rules".
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from txraker.install.installation import Installation
from txraker.install.unit import MARKER
from txraker.system.services import unit_name

_RULE: Final = """\
// {marker} What you change here may be lost: put rules of your own into another file.
polkit.addRule(function (action, subject) {{
    if (subject.user != {user}) return;
    if (action.id == "org.freedesktop.systemd1.manage-units") {{
        var verbs = ["start", "stop", "restart"];
        var units = [
{units}
        ];
        var unit = String(action.lookup("unit"));
        if (verbs.indexOf(String(action.lookup("verb"))) < 0) return;
        if (units.indexOf(unit) >= 0 || /^klipper[A-Za-z0-9:_.@-]*\\.service$/.test(unit))
            return polkit.Result.YES;
    }}
    if (/^org\\.freedesktop\\.login1\\.(reboot|power-off|halt)(-multiple-sessions)?$/.test(action.id))
        return polkit.Result.YES;
}});
"""


def rule_path(installation: Installation) -> Path:
    """Return where the rule's file is."""
    return Path("/etc/polkit-1/rules.d") / f"60-{installation.name}.rules"


def rule_text(installation: Installation, services: Sequence[str]) -> str:
    """Return the text of the rule's file; ``services`` may be managed beside Klipper's and ours."""
    units = dict.fromkeys([installation.unit, *map(unit_name, services)])
    listed = ",\n".join(f"            {script_text(unit)}" for unit in units)
    return _RULE.format(marker=MARKER, user=script_text(installation.user), units=listed)


def script_text(text: str) -> str:
    """Return a text as JavaScript has it: in quotes, and ASCII only, so that nothing in it can end it."""
    return json.dumps(text)
