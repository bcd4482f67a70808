"""Reading recorded conversations, and comparing ours with them."""

from __future__ import annotations

import json
import re
from typing import Any

from attrs import frozen

from .bench import RECORDINGS

#: Values that belong to a printer, not to Klippy: only their type is compared.
OWN_TO_A_PRINTER = frozenset(
    {"config", "settings", "commands", "mcu_constants", "last_stats", "steppers", "drv_status", "last_query"}
)
#: Fields that are null at times.
NULLABLE = frozenset({"message", "file_path", "current_object", "total_layer", "current_layer"})


@frozen
class Line:
    """One line of a recording: when (s), which way ("tx", "rx", "note"), and what."""

    t: float
    direction: str
    message: Any


def load(name: str) -> list[Line]:
    """A recording's lines."""
    with (RECORDINGS / f"{name}.jsonl").open() as file:
        return [Line(entry["t"], entry["dir"], entry["msg"]) for entry in map(json.loads, file)]


def received(lines: list[Line]) -> list[tuple[float, dict[str, Any]]]:
    """What the recorder received."""
    return [(line.t, line.message) for line in lines if line.direction == "rx"]


def wording(text: str) -> str:
    """A message without the numbers in it."""
    return re.sub(r"-?\d+(\.\d+)?", "#", text)


def events(messages: list[tuple[float, dict[str, Any]]]) -> list[str]:
    """Replies and console lines in order, without status updates and temperature reports."""
    found = []
    for _, message in messages:
        if "id" in message:
            outcome = message.get("error", {}).get("message", "ok")
            found.append(f"reply {message['id']}: {wording(outcome)}")
        elif "response" in message["params"] and not message["params"]["response"].startswith("B:"):
            found.append(f"console: {wording(message['params']['response'])}")
    return found


def updates(messages: list[tuple[float, dict[str, Any]]]) -> list[dict[str, dict[str, Any]]]:
    """The reports of objects in replies and status updates, in order."""
    found = []
    for _, message in messages:
        body = message.get("result") or message.get("params") or {}
        if "status" in body:
            found.append(body["status"])
    return found


def history(messages: list[tuple[float, dict[str, Any]]], name: str, key: str) -> list[Any]:
    """The values a field took, one after the other."""
    values: list[Any] = []
    for status in updates(messages):
        if key in status.get(name, {}):
            value = status[name][key]
            if not values or values[-1] != value:
                values.append(value)
    return values


def differences(theirs: Any, ours: Any, path: str = "") -> list[str]:
    """Where our value has another shape than theirs: other keys, or other JSON types."""
    key = path.rpartition(".")[2]
    if _kind(theirs) != _kind(ours):
        nullable = key in NULLABLE and None in (theirs, ours)
        return [] if nullable else [f"{path}: {theirs!r} is not like {ours!r}"]
    if isinstance(theirs, dict) and key not in OWN_TO_A_PRINTER:
        found = [f"{path}.{name} is missing" for name in theirs if name not in ours]
        if path:
            found += [f"{path}.{name} is ours alone" for name in ours if name not in theirs]
        for name in theirs.keys() & ours.keys():
            found += differences(theirs[name], ours[name], f"{path}.{name}")
        return found
    if isinstance(theirs, list) and theirs and ours:
        return differences(theirs[0], ours[0], path)
    return []


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "number"
    return type(value).__name__
