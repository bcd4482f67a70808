"""Whether the server that was started has what it should have."""

from __future__ import annotations

import http.client
import json
import sqlite3
import ssl
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Final

from attrs import field, frozen

from txraker.config.options import ServerOptions
from txraker.install.configured import Configured
from txraker.install.errors import InstallError
from txraker.storage.copies import open_to_read
from txraker.storage.database import path_in
from txraker.storage.importing import preview
from txraker.storage.moonraker_import import Imported, imported_history

ANSWERS_WITHIN: Final = 30.0
"""Seconds in which a server must answer."""

_THIS_MACHINE: Final = {"0.0.0.0": "127.0.0.1", "all": "127.0.0.1", "": "127.0.0.1", "::": "::1"}
_OK, _LOGIN_WANTED = 200, 401


@frozen
class Address:
    """Where a server answers on this machine."""

    host: str
    port: int
    prefix: str = ""
    is_encrypted: bool = False

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.is_encrypted else 'http'}://{host}:{self.port}{self.prefix}"


Get = Callable[[Address, str, dict[str, str]], tuple[int, Any]]
"""Asks for a path with headers; returns status and decoded body. Raises OSError and ValueError."""


def address_of(options: ServerOptions) -> Address:
    """Return where a server answers that is so configured."""
    host = _THIS_MACHINE.get(options.host, options.host)
    prefix = f"/{options.route_prefix}" if options.route_prefix else ""
    port = options.port if options.enable_http else options.ssl_port
    return Address(host, port, prefix, not options.enable_http)


def get(address: Address, path: str, headers: dict[str, str]) -> tuple[int, Any]:
    """Ask a server on this machine, whose certificate is for another name."""
    connection: http.client.HTTPConnection
    if address.is_encrypted:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        connection = http.client.HTTPSConnection(
            address.host, address.port, timeout=ANSWERS_WITHIN, context=context
        )
    else:
        connection = http.client.HTTPConnection(address.host, address.port, timeout=ANSWERS_WITHIN)
    with closing(connection):
        connection.request("GET", address.prefix + path, headers=headers)
        response = connection.getresponse()
        return response.status, json.loads(response.read())


@frozen(eq=False)
class Trial:
    """Compares what a server answers with what is in Moonraker's database."""

    _data_path: Path
    _configuration: Configured
    _get: Get = get
    _address: Address = field(init=False)

    def __attrs_post_init__(self) -> None:
        object.__setattr__(self, "_address", address_of(self._configuration.server))

    @property
    def command(self) -> str:
        """What a person would type to see the first thing that is looked at."""
        insecure = "--insecure " if self._address.is_encrypted else ""
        return f"curl {insecure}{self._address}/server/info"

    def __call__(self) -> None:
        """Raise InstallError, which says what is missing, unless all is there."""
        expected = preview(self._data_path)
        problems = [*self._missing(expected)]
        if problems:
            raise InstallError(f"txraker runs, but {'; '.join(problems)}")

    def _missing(self, expected: Imported) -> Iterator[str]:
        api_key, history = self._kept()
        if history != (expected.jobs, expected.totals):
            yield f"of the history it has {history[0]} jobs, not {expected.jobs}"
        has_key = self._configuration.authorization.enable_api_key
        headers = {"X-Api-Key": api_key} if has_key and api_key else {}
        status, _ = self._ask("/server/info", headers)
        if status == _LOGIN_WANTED and headers:
            yield "it doesn't take the API key"
        elif status not in (_OK, _LOGIN_WANTED):
            yield f"{self._address}/server/info answers with the status {status}"
        if status == _OK:
            yield from self._missing_there(expected, headers)

    def _missing_there(self, expected: Imported, headers: dict[str, str]) -> Iterator[str]:
        _, listed = self._ask("/server/database/list", headers)
        namespaces = set(expected.namespaces) - set(_result(listed).get("namespaces", ()))
        if namespaces:
            yield f"it lacks the namespaces {', '.join(sorted(namespaces))}"
        _, listed = self._ask("/access/users/list", headers)
        there = {user.get("username") for user in _result(listed).get("users", ())}
        if set(expected.users) - there:
            yield f"it lacks the users {', '.join(sorted(set(expected.users) - there))}"

    def _ask(self, path: str, headers: dict[str, str]) -> tuple[int, Any]:
        try:
            return self._get(self._address, path, headers)
        except (OSError, ValueError, http.client.HTTPException) as problem:
            raise InstallError(f"{self._address}{path} doesn't answer: {problem}") from None

    def _kept(self) -> tuple[str, tuple[int, int]]:
        """Return the API key, and the numbers of jobs and totals, as the server's database has them."""
        path = path_in(self._data_path)
        try:
            with closing(open_to_read(path)) as database:
                found = database.execute("SELECT value FROM secrets WHERE name = 'api_key'").fetchone()
                return bytes(found[0]).decode() if found else "", imported_history(database)
        except (OSError, sqlite3.Error) as problem:
            raise InstallError(f"{path} can't be read: {problem}") from None


def _result(answer: Any) -> dict[str, Any]:
    result = answer.get("result") if isinstance(answer, dict) else None
    return result if isinstance(result, dict) else {}
