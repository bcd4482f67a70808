"""The users of one printer's server, its API key, and the key that signs its tokens.

All of it is read when the server starts, so that who is asking is known at once; what changes is written
before it is answered. Passwords are hashed off the reactor's thread, one at a time.
"""

from __future__ import annotations

import hmac
import secrets
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final, TypeVar

import msgspec
from attrs import define, field
from twisted.internet.defer import DeferredLock

from txraker.api.caller import Role, Who
from txraker.authorization import passwords
from txraker.authorization.jwt import (
    ACCESS_LIFETIME,
    BadToken,
    Claims,
    TokenMint,
    TokenType,
    import_libraries,
    new_key,
)
from txraker.errors import BadRequest, Unauthorized, Unavailable
from txraker.interfaces import IDatabase
from txraker.reactor import OffThread
from txraker.storage.migrations import Migration

_T = TypeVar("_T")

MIGRATION: Final = Migration(
    1,
    (
        "CREATE TABLE users (username TEXT PRIMARY KEY, password TEXT NOT NULL, source TEXT NOT NULL,"
        " role INTEGER NOT NULL, created_on REAL NOT NULL, session TEXT, session_began REAL NOT NULL) STRICT",
        "CREATE TABLE secrets (name TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT",
    ),
)
"""The tables that users and keys are kept in."""

DAY: Final = 86400.0

MOST_HASHING: Final = 64
"""Passwords that may wait to be hashed; further ones are refused, so that a flood of logins ends there."""

API_KEY_USER: Final = "_API_KEY_USER_"
RESERVED: Final = frozenset({API_KEY_USER, "_TRUSTED_USER_"})
"""Names of those who aren't users."""


class User(msgspec.Struct, frozen=True):
    """A user. ``session`` is the login that its tokens are of, None when logged out; times are Unix time."""

    username: str
    password: str
    source: str
    role: int
    created_on: float
    session: str | None = None
    session_began: float = 0.0


_COLUMNS: Final = User.__struct_fields__


class Tokens(msgspec.Struct, frozen=True):
    """What a user shows instead of a password."""

    access: str
    refresh: str


@define(eq=False)
class Accounts:
    """Users, by their names. ``login_timeout`` (days) ends a login, however often it was refreshed."""

    _database: IDatabase
    _now: Callable[[], float]
    _off_thread: OffThread
    login_timeout: int = 90
    users: dict[str, User] = field(factory=dict, init=False)
    api_key: str = field(default="", init=False, repr=False)
    is_loaded: bool = field(default=False, init=False)
    _mint: TokenMint | None = field(default=None, init=False)
    _hashing: DeferredLock = field(factory=DeferredLock, init=False)
    _changing: DeferredLock = field(factory=DeferredLock, init=False)

    async def load(self) -> None:
        """Read everything, and make what a new server needs. Raises StorageError."""
        users, kept = await self._database.run(_read)
        if users:
            await self._off_thread(import_libraries)
        self.users = {user.username: user for user in users}
        self.api_key = kept["api_key"].decode()
        self._mint = TokenMint(kept["signing_key"])
        self.is_loaded = True

    def who_has_key(self, key: str) -> Who:
        """Return who shows an API key. Raises Unauthorized for any other."""
        if not self.api_key or not hmac.compare_digest(key.encode(), self.api_key.encode()):
            raise Unauthorized("Invalid API Key")
        return Who(API_KEY_USER, Role.ADMIN)

    def who_has_token(self, token: str, token_type: TokenType = "access") -> Who:
        """Return the user who shows a JSON Web Token. Raises Unauthorized for one that isn't good."""
        if self._mint is None or not self.users:
            raise Unauthorized
        try:
            claims = self._mint.read(token, token_type, self._now())
        except BadToken:
            raise Unauthorized from None
        user = self.users.get(claims.username)
        if user is None or user.session != claims.session or not self._is_logged_in(user):
            raise Unauthorized
        return who_is(user)

    def is_current(self, who: Who) -> bool:
        """Say whether somebody who was let in may still be: a user's login must not have ended."""
        if who.session is None:
            return True
        user = self.users.get(who.name)
        return user is not None and user.session == who.session and self._is_logged_in(user)

    async def log_in(self, username: str, password: str) -> tuple[User, Tokens] | None:
        """Return a user with tokens of its login, which begins unless it has already.

        Returns None for a wrong password, after as long for a user who isn't there.
        """
        kept = self.users[username].password if username in self.users else passwords.NOBODYS
        is_right = await self._hash(lambda: passwords.matches(password, kept))
        async with self._one_at_a_time():
            user = self.users.get(username)
            if not is_right or user is None or user.password != kept:
                return None
            if not self._is_logged_in(user):
                user = msgspec.structs.replace(user, session=secrets.token_hex(16), session_began=self._now())
                await self._change(user)
            return user, self._tokens(user)

    async def create(self, username: str, password: str) -> tuple[User, Tokens]:
        """Keep a new user, who is logged in. Raises BadRequest when there is one of that name."""
        await self._off_thread(import_libraries)
        kept = await self._hash(lambda: passwords.hashed(password))
        async with self._one_at_a_time():
            if username in self.users:
                raise BadRequest(f"User {username} already exists")
            now = self._now()
            user = User(username, kept, "moonraker", int(Role.ADMIN), now, secrets.token_hex(16), now)
            await self._database.run(lambda connection: _insert_user(connection, user))
            self.users[username] = user
            return user, self._tokens(user)

    async def change_password(self, username: str, password: str, new_password: str) -> bool:
        """Change a password, and say whether the old one was right. Whoever is logged in stays so."""
        kept = self.users[username].password if username in self.users else passwords.NOBODYS
        is_right = await self._hash(lambda: passwords.matches(password, kept))
        if not is_right:
            return False
        replacement = await self._hash(lambda: passwords.hashed(new_password))
        async with self._one_at_a_time():
            user = self.users.get(username)
            if user is None or user.password != kept:
                return False
            await self._change(msgspec.structs.replace(user, password=replacement))
            return True

    def access_token(self, user: User) -> str:
        """Return a token that is good for an hour."""
        return self._token(user, "access", self._now() + ACCESS_LIFETIME)

    async def log_out(self, username: str) -> None:
        """End a user's login and with it every token of it, at once, whether that can be written or not."""
        async with self._one_at_a_time():
            user = self.users.get(username)
            if user is not None:
                self.users[username] = user = msgspec.structs.replace(user, session=None)
                await self._database.run(lambda connection: _update_user(connection, user))

    async def delete(self, username: str) -> None:
        """Forget a user, at once, whether that can be written or not."""
        async with self._one_at_a_time():
            self.users.pop(username, None)
            await self._database.run(lambda connection: _delete_user(connection, username))

    async def new_api_key(self) -> str:
        """Replace the API key; the old one is no good from then on, whether that can be written or not."""
        async with self._one_at_a_time():
            self.api_key = key = secrets.token_hex(16)
            await self._database.run(lambda connection: _put_secret(connection, "api_key", key.encode()))
            return key

    async def _change(self, user: User) -> None:
        await self._database.run(lambda connection: _update_user(connection, user))
        self.users[user.username] = user

    def _is_logged_in(self, user: User) -> bool:
        return user.session is not None and user.session_began + self.login_timeout * DAY > self._now()

    def _tokens(self, user: User) -> Tokens:
        ends = user.session_began + self.login_timeout * DAY
        return Tokens(self.access_token(user), self._token(user, "refresh", ends))

    @asynccontextmanager
    async def _one_at_a_time(self) -> AsyncIterator[None]:
        """Read, change and write without somebody else's change between."""
        await self._changing.acquire()
        try:
            yield
        finally:
            self._changing.release()

    def _token(self, user: User, token_type: TokenType, expires: float) -> str:
        if self._mint is None or user.session is None:
            raise Unavailable("Nobody can log in: the database is not open")
        return self._mint.make(Claims(user.username, user.session, token_type), self._now(), expires)

    async def _hash(self, work: Callable[[], _T]) -> _T:
        if len(self._hashing.waiting) >= MOST_HASHING:
            raise Unavailable("Too many passwords are being checked; try again")
        await self._hashing.acquire()
        try:
            return await self._off_thread(work)
        finally:
            self._hashing.release()


def who_is(user: User) -> Who:
    """Return what a user who has logged in is known by."""
    return Who(user.username, Role(user.role), user.source, user.session)


def _read(connection: sqlite3.Connection) -> tuple[list[User], dict[str, bytes]]:
    for name, value in (("api_key", secrets.token_hex(16).encode()), ("signing_key", new_key())):
        connection.execute("INSERT OR IGNORE INTO secrets VALUES (?, ?)", (name, value))
    users = [User(*row) for row in connection.execute(f"SELECT {', '.join(_COLUMNS)} FROM users")]
    return users, dict(connection.execute("SELECT name, value FROM secrets"))


def _insert_user(connection: sqlite3.Connection, user: User) -> None:
    columns, marks = ", ".join(_COLUMNS), ", ".join("?" * len(_COLUMNS))
    connection.execute(f"INSERT INTO users ({columns}) VALUES ({marks})", msgspec.structs.astuple(user))


def _update_user(connection: sqlite3.Connection, user: User) -> None:
    changes = ", ".join(f"{column} = ?" for column in _COLUMNS)
    values = msgspec.structs.astuple(user)
    connection.execute(f"UPDATE users SET {changes} WHERE username = ?", (*values, user.username))


def _delete_user(connection: sqlite3.Connection, username: str) -> None:
    connection.execute("DELETE FROM users WHERE username = ?", (username,))


def _put_secret(connection: sqlite3.Connection, name: str, value: bytes) -> None:
    connection.execute("UPDATE secrets SET value = ? WHERE name = ?", (value, name))
