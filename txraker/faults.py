"""Defects of ours: logged with an incident id, so that the client can name what the log explains."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Coroutine
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from txraker.coroutines import begin

FaultReport = Callable[[str, BaseException], str]
"""Takes where it happened and what was raised; returns the incident id."""


def fault_report(log: Logger) -> FaultReport:
    """Return a report that writes the traceback to a log under an incident id."""

    def report(where: str, fault: BaseException) -> str:
        incident = secrets.token_hex(4)
        log.failure("Incident {incident} in {where}", Failure(fault), incident=incident, where=where)
        return incident

    return report


def run_aside(
    work: Coroutine[Any, Any, object],
    where: str,
    report: FaultReport,
    *expected: type[Exception],
) -> Deferred[None]:
    """Run a coroutine that nobody waits for, and return what cancels it.

    What it raises is reported, except for the exceptions that are ``expected`` and its cancellation.
    """

    return begin(_guarded(work, where, report, expected))


async def _guarded(
    work: Coroutine[Any, Any, object],
    where: str,
    report: FaultReport,
    expected: tuple[type[Exception], ...],
) -> None:
    try:
        await work
    except CancelledError:
        pass
    except expected:
        pass
    except Exception as fault:
        report(where, fault)
