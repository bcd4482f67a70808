"""The users of one printer's server, and the key that signs their tokens.

All of it is read when the server starts, so that who is asking is known at once; what changes is written
before it is answered.
"""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Callable
from typing import Final, NamedTuple

import msgspec
from attrs import define, field

from txraker.api.caller import Role, Who
from txraker.authorization import keys, passwords
from txraker.authorization.hashing import Hashing
from txraker.authorization.jwt import (
    ACCESS_LIFETIME,
    CLOCK_IS_WRONG,
    BadToken,
    Claims,
    TokenMint,
    TokenType,
    import_libraries,
    new_key,
)
from txraker.authorization.keys import API_KEY_USER, UNKNOWN, ApiToken, Keys
from txraker.authorization.ledger import Ledger, Statement
from txraker.errors import BadRequest, Unauthorized, Unavailable
from txraker.interfaces import IDatabase
from txraker.reactor import OffThread
from txraker.storage.migrations import Migration

USERS: Final = (
    "CREATE TABLE users (username TEXT PRIMARY KEY, password TEXT NOT NULL, source TEXT NOT NULL,"
    " role INTEGER NOT NULL, created_on REAL NOT NULL, session TEXT, session_began REAL NOT NULL) STRICT"
)

MIGRATION: Final = Migration(1, (USERS, keys.SECRETS, keys.TOKENS))
"""The tables that users and keys are kept in."""

DAY: Final = 86400.0

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


_COLUMNS: Final = ", ".join(User.__struct_fields__)
_MARKS: Final = ", ".join("?" * len(User.__struct_fields__))


class Tokens(msgspec.Struct, frozen=True):
    """What a user shows instead of a password."""

    access: str
    refresh: str


@define(eq=False, repr=False)
class Accounts:
    """Users, by their names. ``login_timeout`` (days) ends a login, however often it was refreshed.

    ``keys`` are what opens without a login; ``ledger`` tells who listens of changes.
    """

    ledger: Ledger
    _hashing: Hashing
    _now: Callable[[], float]
    keys: Keys
    login_timeout: int = 90
    users: dict[str, User] = field(factory=dict, init=False)
    _mint: TokenMint | None = field(default=None, init=False)

    @property
    def is_loaded(self) -> bool:
        """Whether it is known who may."""
        return self._mint is not None

    async def load(self) -> None:
        """Read everything, and make what a new server needs. Raises StorageError."""
        async with self.ledger.changing():
            kept = await self.ledger.read(_read)
            if kept.users:
                await self._hashing.off_thread(import_libraries)
            self.users = {user.username: user for user in kept.users}
            self.keys.load(kept.secrets["api_key"].decode(), kept.tokens)
            self._mint = TokenMint(kept.secrets["signing_key"])

    def check_loaded(self) -> None:
        """Raise Unavailable until it is known who may."""
        if not self.is_loaded:
            raise Unavailable(UNKNOWN)

    def who_has_token(self, token: str, token_type: TokenType = "access") -> Who:
        """Return the user who shows a JSON Web Token. Raises Unauthorized for one that isn't good."""
        if self._mint is None:
            raise Unavailable(UNKNOWN)
        if not self.users:  # nobody's token need be read, which would load the libraries for it
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
        """Say whether somebody who was let in by a login, a key or a token still would be."""
        if who.key is not None:
            return self.keys.is_good(who.key)
        user = self.users.get(who.name)
        return user is not None and user.session == who.session and self._is_logged_in(user)

    async def log_in(self, username: str, password: str, *, is_known: bool) -> tuple[User, Tokens] | None:
        """Return a user with tokens of its login, which begins unless it has already.

        Returns None for a wrong password, after as long for a user who isn't there. A disk that is full keeps
        nobody out. What a Moonraker kept of a password is replaced. Raises Unavailable.
        """
        self.check_loaded()
        kept = self.users[username].password if username in self.users else passwords.NOBODYS
        is_right = await self._hashing.matches(password, kept, is_known=is_known)
        if is_right and passwords.is_of_moonraker(kept):
            kept = await self._replace_password(username, kept, password)
        async with self.ledger.changing():
            user = self.users.get(username)
            if not is_right or user is None or user.password != kept:
                return None
            if not self._is_logged_in(user):
                user = msgspec.structs.replace(user, session=secrets.token_hex(16), session_began=self._now())
                await self.ledger.write_or_owe(("user", username), _kept(user))
                self.users[username] = user
            return user, self._tokens(user)

    async def _replace_password(self, username: str, kept: str, password: str) -> str:
        """Keep a password, which is known now, in our way, and return what is kept from now on.

        If somebody else has done that meanwhile, by a login with the same password, it is theirs.
        """
        ours = await self._hashing.hashed(password, is_known=True)
        async with self.ledger.changing():
            user = self.users.get(username)
            if user is not None and user.password == kept:
                user = msgspec.structs.replace(user, password=ours)
                await self.ledger.write_or_owe(("user", username), _kept(user))
                self.users[username] = user
        is_same = user is not None and await self._hashing.matches(password, user.password, is_known=True)
        return user.password if user is not None and is_same else kept

    async def create(
        self, username: str, password: str, role: Role, may: Callable[[], None]
    ) -> tuple[User, Tokens]:
        """Keep a new user, who is logged in.

        ``may`` raises if that must not be any more. Raises BadRequest when there is one of that name.
        """
        self.check_loaded()
        await self._hashing.off_thread(import_libraries)
        kept = await self._hashing.hashed(password, is_known=True)
        async with self.ledger.changing():
            may()
            if username in self.users:
                raise BadRequest(f"User {username} already exists")
            now = self._now()
            user = User(username, kept, "moonraker", int(role), now, secrets.token_hex(16), now)
            columns = f"INSERT INTO users ({_COLUMNS}) VALUES ({_MARKS})"
            await self._put(user, Statement(columns, msgspec.structs.astuple(user)))
            self.ledger.changed()
            return user, self._tokens(user)

    async def change_password(
        self, username: str, password: str, new_password: str, may: Callable[[], None]
    ) -> bool:
        """Change a password, and say whether the old one was right. Whoever is logged in stays so.

        ``may`` raises if that must not be any more.
        """
        self.check_loaded()
        kept = self.users[username].password if username in self.users else passwords.NOBODYS
        if not await self._hashing.matches(password, kept, is_known=True):
            return False
        replacement = await self._hashing.hashed(new_password, is_known=True)
        async with self.ledger.changing():
            may()
            user = self.users.get(username)
            if user is None or user.password != kept:
                return False
            await self._put(msgspec.structs.replace(user, password=replacement))
            return True

    def access_token(self, user: User) -> str:
        """Return a token that is good for an hour."""
        return self._token(user, "access", self._now() + ACCESS_LIFETIME)

    async def log_out(self, username: str) -> None:
        """End a user's login and with it every token of it, at once, whether that can be written or not."""
        user = self.users.get(username)
        if user is not None:
            self.users[username] = user = msgspec.structs.replace(user, session=None)
            await self.ledger.withdraw(("user", username), _kept(user))

    async def delete(self, username: str) -> None:
        """Forget a user, at once, whether that can be written or not.

        Raises BadRequest for one who isn't there, unless that couldn't be written before.
        """
        self.check_loaded()
        row = ("user", username)
        if self.users.pop(username, None) is None and not self.ledger.is_due(row):
            raise BadRequest(f"No registered user: {username}")
        await self.ledger.withdraw(row, Statement("DELETE FROM users WHERE username = ?", (username,)))

    async def _put(self, user: User, statement: Statement | None = None) -> None:
        await self.ledger.write(("user", user.username), statement or _kept(user))
        self.users[user.username] = user

    def _is_logged_in(self, user: User) -> bool:
        """Say whether a login lasts; one that is to begin yet is of a clock that was wrong."""
        age = self._now() - user.session_began
        return user.session is not None and -CLOCK_IS_WRONG < age < self.login_timeout * DAY

    def _tokens(self, user: User) -> Tokens:
        ends = user.session_began + self.login_timeout * DAY
        return Tokens(self.access_token(user), self._token(user, "refresh", ends))

    def _token(self, user: User, token_type: TokenType, expires: float) -> str:
        if self._mint is None or user.session is None:
            raise Unavailable(UNKNOWN)
        return self._mint.make(Claims(user.username, user.session, token_type), self._now(), expires)


def open_accounts(database: IDatabase, off_thread: OffThread, now: Callable[[], float]) -> Accounts:
    """Return the accounts that a database keeps. ``now`` is Unix time."""
    ledger = Ledger(database)
    return Accounts(ledger, Hashing(off_thread), now, Keys(ledger, now))


def who_is(user: User) -> Who:
    """Return what a user who has logged in is known by."""
    return Who(user.username, Role(user.role), user.source, user.session)


class _Kept(NamedTuple):
    users: list[User]
    tokens: list[ApiToken]
    secrets: dict[str, bytes]


def _read(connection: sqlite3.Connection) -> _Kept:
    for name, value in (("api_key", secrets.token_hex(16).encode()), ("signing_key", new_key())):
        connection.execute("INSERT OR IGNORE INTO secrets VALUES (?, ?)", (name, value))
    users = [User(*row) for row in connection.execute(f"SELECT {_COLUMNS} FROM users")]
    found = dict(connection.execute("SELECT name, value FROM secrets"))
    return _Kept(users, keys.read_tokens(connection), found)


def _kept(user: User) -> Statement:
    statement = f"INSERT OR REPLACE INTO users ({_COLUMNS}) VALUES ({_MARKS})"
    return Statement(statement, msgspec.structs.astuple(user))
