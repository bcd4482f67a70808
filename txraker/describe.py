"""``python -m txraker.describe FOLDER``: write the API's description, or check that it is current.

The folder gets ``openrpc.json``, ``openapi.json`` and ``README.md``, all made from the declarations.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path

import msgspec

from txraker import __version__
from txraker.api.describe import openapi, openrpc
from txraker.api.endpoint import Endpoint, declared_by
from txraker.components.announcements.component import Announcements
from txraker.components.authorization.api_tokens import ApiTokenEndpoints
from txraker.components.authorization.component import Authorization
from txraker.components.connection import ConnectionEndpoints
from txraker.components.data_store.component import DataStore
from txraker.components.database.component import DatabaseEndpoints, DebugDatabaseEndpoints
from txraker.components.extensions import ExtensionEndpoints
from txraker.components.file_manager.component import FileManager
from txraker.components.file_manager.metadata import MetadataEndpoints
from txraker.components.klippy_apis import KlippyApis
from txraker.components.logs import Logs
from txraker.components.machine.component import Machine
from txraker.components.machine.peripherals import Peripherals
from txraker.components.machine.services import Services
from txraker.components.machine.sudo import SudoEndpoints
from txraker.components.proc_stats import ProcStats
from txraker.components.server import ServerEndpoints
from txraker.components.webcams.component import Webcams
from txraker.events import NOTIFICATIONS

DECLARING = (
    ServerEndpoints,
    ConnectionEndpoints,
    Logs,
    DataStore,
    KlippyApis,
    ExtensionEndpoints,
    Machine,
    Services,
    SudoEndpoints,
    Peripherals,
    ProcStats,
    Authorization,
    ApiTokenEndpoints,
    DatabaseEndpoints,
    DebugDatabaseEndpoints,
    FileManager,
    MetadataEndpoints,
    Webcams,
    Announcements,
)
"""Every class that declares endpoints."""


def declared_endpoints() -> list[Endpoint]:
    """Return all endpoints that are declared, in the order of the description."""
    return [endpoint for component in DECLARING for endpoint in declared_by(component)]


def documents() -> dict[str, str]:
    """Return the description: file names to contents."""
    endpoints = declared_endpoints()
    return {
        "openrpc.json": _pretty(openrpc(endpoints, __version__)),
        "openapi.json": _pretty(openapi(endpoints, __version__)),
        "README.md": _overview(endpoints),
    }


def _pretty(document: object) -> str:
    return msgspec.json.format(msgspec.json.encode(document), indent=1).decode() + "\n"


def _overview(endpoints: Iterable[Endpoint]) -> str:
    lines = [
        "# The API",
        "",
        "Made from the declarations by `python -m txraker.describe docs/api`; the same, for machines, is in",
        "[openrpc.json](openrpc.json) and [openapi.json](openapi.json). Klippy's own endpoints are added to",
        "`/printer/` at run time.",
        "",
        "| JSON-RPC method | HTTP | least role | what it does |",
        "| --- | --- | --- | --- |",
    ]
    for endpoint in endpoints:
        verbs = ", ".join(str(verb.name) for verb in endpoint.verbs)
        http = f"{verbs} `{endpoint.path}`" if endpoint.path else "not available"
        role = endpoint.role.name.lower()
        lines.append(f"| `{endpoint.name}` | {http} | {role} | {_first_paragraph(endpoint.documentation)} |")
    lines += ["", "## Notifications", "", "| method | when |", "| --- | --- |"]
    lines += [f"| `{event.wire_name}` | {_first_paragraph(event.__doc__ or '')} |" for event in NOTIFICATIONS]
    return "\n".join(lines) + "\n"


def _first_paragraph(documentation: str) -> str:
    return " ".join(documentation.partition("\n\n")[0].split())


def main() -> None:
    """Write the documents, or with ``--check`` exit with an error when one of them is not current."""
    parser = argparse.ArgumentParser(prog="python -m txraker.describe", description="Describe the API.")
    parser.add_argument("folder", type=Path, help="where the documents are")
    parser.add_argument("--check", action="store_true", help="write nothing; fail when one is stale")
    arguments = parser.parse_args()
    folder: Path = arguments.folder
    for name, text in documents().items():
        path = folder / name
        if arguments.check:
            if not path.is_file() or path.read_text(encoding="utf-8") != text:
                parser.exit(1, f"{path} is stale: run python -m txraker.describe {folder}\n")
        else:
            folder.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
