"""``txraker doctor``: says what was found, and how it is mended."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from txraker.install.doctor.finding import Finding, Level


def tell(findings: Iterable[Finding], say: Callable[[str], object]) -> int:
    """Say findings, a line each, with the commands that mend them below; return 1 when one is bad, else 0."""
    told = list(findings)
    for finding in told:
        say(f"{finding.level:<8} {_printable(finding.says)}")
        if finding.mend is not None:
            say(f"{'':<8}     {finding.mend}")
    say("")
    say(f"{', '.join(_counted(told)) or 'Nothing is wrong'}.")
    return 1 if any(finding.level == "bad" for finding in told) else 0


def _printable(text: str) -> str:
    """Return a text for a terminal, whatever others call their processes and files."""
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)


def _counted(findings: Iterable[Finding]) -> Iterator[str]:
    levels: list[tuple[Level, str]] = [
        ("bad", "bad"),
        ("warning", "to be looked at"),
        ("unknown", "not seen"),
    ]
    counts = [(sum(finding.level == level for finding in findings), words) for level, words in levels]
    yield from (f"{count} {words}" for count, words in counts if count)
