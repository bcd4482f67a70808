"""The API key, and named API tokens: what programs show that don't log in.

There is one API key, which opens everything, as Moonraker has it. Beside it an administrator may give out
tokens, each with a name, a role and, if wanted, an end; each can be taken back without touching the others.
Of a token only a hash is kept: it is shown once, when it is made.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import sqlite3
from collections.abc import Callable
from typing import Final

import msgspec
from attrs import define, field

from txraker.api.caller import Role, Who
from txraker.authorization.ledger import Ledger, Statement
from txraker.errors import BadRequest, NotFound, Unauthorized, Unavailable

API_KEY_USER: Final = "_API_KEY_USER_"

PREFIX: Final = "txr_"
"""How tokens begin, so that they are told from other credentials, and found where they don't belong."""

UNKNOWN: Final = "Users and keys aren't known: the database is not open"

MOST_TOKENS: Final = 200
"""Tokens that may be there at once."""

TOKENS: Final = (
    "CREATE TABLE api_tokens (name TEXT PRIMARY KEY, digest TEXT NOT NULL UNIQUE, role INTEGER NOT NULL,"
    " created_on REAL NOT NULL, created_by TEXT NOT NULL, expires_on REAL) STRICT"
)
SECRETS: Final = "CREATE TABLE secrets (name TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT"


class ApiToken(msgspec.Struct, frozen=True):
    """A token that was given out. Times are Unix time; without ``expires_on`` it is good until taken back."""

    name: str
    digest: str
    role: int
    created_on: float
    created_by: str
    expires_on: float | None = None


_COLUMNS: Final = ", ".join(ApiToken.__struct_fields__)
_MARKS: Final = ", ".join("?" * len(ApiToken.__struct_fields__))


@define(eq=False, repr=False)
class Keys:
    """The keys of one printer's server, by what they show."""

    _ledger: Ledger
    _now: Callable[[], float]
    api_key: str = field(default="", init=False, repr=False)
    tokens: dict[str, ApiToken] = field(factory=dict, init=False)
    _by_digest: dict[str, ApiToken] = field(factory=dict, init=False, repr=False)

    def load(self, api_key: str, tokens: list[ApiToken]) -> None:
        """Begin with what was kept."""
        self.api_key = api_key
        self.tokens.clear()
        self._by_digest.clear()
        for token in tokens:
            self._put(token)

    def check_loaded(self) -> None:
        """Raise Unavailable until it is known which keys there are."""
        if not self.api_key:
            raise Unavailable(UNKNOWN)

    def who_has_api_key(self, key: str) -> Who:
        """Return who shows the API key. Raises Unauthorized for any other text."""
        self.check_loaded()
        if not hmac.compare_digest(key.encode(), self.api_key.encode()):
            raise Unauthorized("Invalid API Key")
        return Who(API_KEY_USER, Role.ADMIN, key=_digest(key))

    def who_has_token(self, text: str) -> Who:
        """Return what is known of who shows a token. Raises Unauthorized for one that isn't good."""
        self.check_loaded()
        token = self._by_digest.get(_digest(text))
        if token is None or self._has_expired(token):
            raise Unauthorized
        return Who(token.name, Role(token.role), "api_token", key=token.digest)

    def is_good(self, key: str) -> bool:
        """Say whether what somebody showed, of whom this is the ``key``, would still be let in."""
        token = self._by_digest.get(key)
        if token is not None:
            return not self._has_expired(token)
        return bool(self.api_key) and key == _digest(self.api_key)

    async def create(
        self, name: str, role: Role, expires_on: float | None, created_by: str, may: Callable[[], None]
    ) -> tuple[ApiToken, str]:
        """Keep a new token and return it with its text, which nobody can learn later.

        ``may`` raises if it must not be any more. Raises BadRequest when the name is taken.
        """
        self.check_loaded()
        text = PREFIX + secrets.token_urlsafe(32)
        async with self._ledger.changing():
            may()
            if name in self.tokens:
                raise BadRequest(f"There is an API token '{name}' already")
            if len(self.tokens) >= MOST_TOKENS:
                raise BadRequest(f"There are {MOST_TOKENS} API tokens already")
            token = ApiToken(name, _digest(text), int(role), self._now(), created_by, expires_on)
            values = msgspec.structs.astuple(token)
            statement = f"INSERT INTO api_tokens ({_COLUMNS}) VALUES ({_MARKS})"
            await self._ledger.write(("api token", name), Statement(statement, values))
            self._put(token)
        return token, text

    async def take_back(self, name: str) -> None:
        """Forget a token, at once, whether that can be written or not. Raises NotFound and StorageError."""
        self.check_loaded()
        row = ("api token", name)
        if name not in self.tokens and not self._ledger.is_due(row):
            raise NotFound(f"There is no API token '{name}'")
        token = self.tokens.pop(name, None)
        if token is not None:
            del self._by_digest[token.digest]
        await self._ledger.withdraw(row, Statement("DELETE FROM api_tokens WHERE name = ?", (name,)))

    async def new_api_key(self) -> str:
        """Replace the API key; the old one is no good from then on, whether that can be written or not."""
        self.check_loaded()
        self.api_key = key = secrets.token_hex(16)
        statement = Statement("UPDATE secrets SET value = ? WHERE name = 'api_key'", (key.encode(),))
        await self._ledger.withdraw("api key", statement)
        return key

    def _put(self, token: ApiToken) -> None:
        self.tokens[token.name] = self._by_digest[token.digest] = token

    def _has_expired(self, token: ApiToken) -> bool:
        return token.expires_on is not None and token.expires_on <= self._now()


def read_tokens(connection: sqlite3.Connection) -> list[ApiToken]:
    """Return the tokens that were kept."""
    return [ApiToken(*row) for row in connection.execute(f"SELECT {_COLUMNS} FROM api_tokens")]


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
