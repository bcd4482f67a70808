"""BambuStudio: PrusaSlicer's settings, at the beginning of the file, below a header of its own."""

from __future__ import annotations

import re
from typing import Final

from txraker.metadata.readings import Recognition, Slicer, first_of, seconds
from txraker.metadata.remarks import Remarks
from txraker.metadata.slicers.prusa import FIELDS

_NAMED: Final = re.compile(r"BambuStudio (\d[\w.+-]{0,40})")


def recognise(comment: str) -> Recognition | None:
    """Recognise ``BambuStudio <version>``."""
    found = _NAMED.fullmatch(comment)
    return None if found is None else ("BambuStudio", found[1])


def estimated_time(remarks: Remarks) -> float | None:
    """Read ``model printing time: 4m 19s; total estimated time: 11m 4s``, of which the total counts."""
    times = remarks.first.get("model printing time", "")
    return seconds(times.partition("total estimated time:")[2])


BAMBU: Final = Slicer(
    recognise, {**FIELDS, "estimated_time": first_of(estimated_time, FIELDS["estimated_time"])}
)
