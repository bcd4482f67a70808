"""``access.*``: users, logins, tokens and the API key.

Contract: "Authorization and Authentication" of Moonraker's API. Answers to a login don't tell whether there
is such a user.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated, Literal

import msgspec
from attrs import define, field
from msgspec import Meta
from twisted.internet.interfaces import IReactorTime
from zope.interface import implementer

from txraker.api.caller import NOBODY, TRUSTED, Caller, Role, Transport, Who
from txraker.api.endpoint import DELETE, GET, POST, endpoint
from txraker.authorization import passwords
from txraker.authorization.accounts import RESERVED, Accounts, who_is
from txraker.authorization.attempts import LoginAttempts, origin
from txraker.authorization.gate import Gate
from txraker.clients import Clients
from txraker.errors import BadRequest, TooManyRequests, Unauthorized
from txraker.events import Events, UserCreated, UserDeleted, UserLoggedOut, Username
from txraker.interfaces import IComponent

MOST_AT_ONCE = 2
"""Passwords from one place that may wait to be checked."""

POLICY_VIOLATION = 1008

SOURCE = "moonraker"
"""What the users of our own database are said to come from."""

UserParameter = Annotated[str, Meta(min_length=1, max_length=256, description="The user's name.")]
PasswordParameter = Annotated[str, Meta(max_length=passwords.LONGEST, description="The user's password.")]


class LoggedIn(msgspec.Struct, frozen=True):
    """A user who has logged in: `token` goes with requests for an hour, `refresh_token` is for others."""

    username: str
    token: str
    refresh_token: str
    source: str
    action: Literal["user_logged_in", "user_created"]


class Refreshed(msgspec.Struct, frozen=True):
    """A new token of a user's."""

    username: str
    token: str
    source: str
    action: Literal["user_jwt_refresh"]


class UserAction(msgspec.Struct, frozen=True):
    """What was done to a user."""

    username: str
    action: Literal["user_logged_out", "user_deleted", "user_password_reset"]


class UserInfo(msgspec.Struct, frozen=True):
    """A user; `created_on` is Unix time."""

    username: str
    source: str
    created_on: float


class Users(msgspec.Struct, frozen=True):
    """All users."""

    users: list[UserInfo]


class AccessInfo(msgspec.Struct, frozen=True):
    """How one can get in; `trusted` says whether the address is trusted while no login is required."""

    default_source: str
    available_sources: list[str]
    login_required: bool
    trusted: bool


@implementer(IComponent)
@define(eq=False)
class Authorization:
    """Answers for who may use the server."""

    _clock: IReactorTime
    _gate: Gate
    _accounts: Accounts
    _attempts: LoginAttempts
    _clients: Clients
    _events: Events
    _started: float = field(default=0.0, init=False)
    _trying: Counter[str] = field(factory=Counter, init=False)

    name = "authorization"

    def start(self) -> None:
        self._started = self._clock.seconds()

    def stop(self) -> None:
        """Do nothing: who was let in goes with the connections."""

    @endpoint("access.info", GET, "/access/info", role=Role.NOBODY)
    async def info(self, caller: Caller) -> AccessInfo:
        """Return how one can get in."""
        is_local = caller.transport is Transport.UNIX
        trusted = is_local or self._gate.access.trusts(caller.address)
        return AccessInfo(SOURCE, [SOURCE], self._gate.force_logins and bool(self._accounts.users), trusted)

    @endpoint("access.login", POST, "/access/login", role=Role.NOBODY)
    async def login(
        self,
        caller: Caller,
        *,
        username: UserParameter,
        password: PasswordParameter,
        source: Annotated[str, Meta(description="Where the user is known: `moonraker`.")] = SOURCE,
    ) -> LoggedIn:
        """Log a user in. On a persistent connection that is who the connection belongs to from then on."""
        self._refuse_reserved(username)
        _check_source(source)
        if self._attempts.is_locked(caller.address):
            raise Unauthorized
        with self._try(caller, username):
            logged_in = await self._accounts.log_in(username, password)
        if logged_in is None:
            raise BadRequest("Invalid Password")
        self._attempts.succeeded(caller.address, username)
        user, tokens = logged_in
        if caller.connection is not None:
            caller.connection.authorize(who_is(user))
        return LoggedIn(username, tokens.access, tokens.refresh, user.source, "user_logged_in")

    @endpoint("access.logout", POST, "/access/logout", role=Role.VIEWER)
    async def logout(self, caller: Caller) -> UserAction:
        """Log the calling user out, on all connections: every token of the login ends."""
        username = self._user_of(caller, "Invalid log out request for user {}")
        try:
            await self._accounts.log_out(username)
        finally:
            self._events.emit(UserLoggedOut(Username(username)))
            self._dismiss(lambda who: who.name == username and who.session is not None)
        return UserAction(username, "user_logged_out")

    @endpoint("access.get_user", GET, "/access/user")
    async def get_user(self, caller: Caller) -> UserInfo:
        """Return who is asking."""
        user = self._accounts.users.get(caller.who.name) if caller.who.session else None
        return UserInfo(caller.who.name, caller.who.source, user.created_on if user else self._started)

    @endpoint("access.post_user", POST, "/access/user", role=Role.ADMIN)
    async def post_user(
        self,
        caller: Caller,
        *,
        username: Annotated[str, Meta(min_length=1, max_length=256, description="The new user's name.")],
        password: Annotated[
            str, Meta(min_length=1, max_length=passwords.LONGEST, description="The new user's password.")
        ],
        source: Annotated[str, Meta(description="Where the user is to be known: `moonraker`.")] = SOURCE,
    ) -> LoggedIn:
        """Create a user who is logged in; the calling connection stays whose it is."""
        self._refuse_reserved(username)
        _check_source(source)
        if not username.isprintable() or username != username.strip():
            raise BadRequest("Invalid argument 'username': must be printable, without spaces at its ends")
        user, tokens = await self._accounts.create(username, password)
        self._events.emit(UserCreated(Username(username)))
        if self._gate.login_required:
            self._dismiss(lambda who: who is TRUSTED)
        return LoggedIn(username, tokens.access, tokens.refresh, user.source, "user_created")

    @endpoint("access.delete_user", DELETE, "/access/user", role=Role.ADMIN)
    async def delete_user(self, caller: Caller, *, username: UserParameter) -> UserAction:
        """Delete a user, who is logged out by that. Nobody can delete themselves."""
        if username == caller.who.name:
            raise BadRequest(f"Cannot delete logged in user {username}")
        if username in RESERVED:
            raise BadRequest(f"Invalid Request for reserved user {username}")
        if username not in self._accounts.users:
            raise BadRequest(f"No registered user: {username}")
        try:
            await self._accounts.delete(username)
        finally:
            self._events.emit(UserDeleted(Username(username)))
            self._dismiss(lambda who: who.name == username and who.session is not None)
        return UserAction(username, "user_deleted")

    @endpoint("access.users.list", GET, "/access/users/list", role=Role.ADMIN)
    async def users(self, caller: Caller) -> Users:
        """Return all users."""
        known = self._accounts.users.values()
        return Users([UserInfo(user.username, user.source, user.created_on) for user in known])

    @endpoint("access.user.password", POST, "/access/user/password", role=Role.VIEWER)
    async def reset_password(
        self,
        caller: Caller,
        *,
        password: PasswordParameter,
        new_password: Annotated[
            str, Meta(min_length=1, max_length=passwords.LONGEST, description="The password from now on.")
        ],
    ) -> UserAction:
        """Change the calling user's password. Logins go on."""
        username = self._user_of(caller, "Invalid Reset Request for user {}")
        with self._try(caller, username):
            is_right = await self._accounts.change_password(username, password, new_password)
        if not is_right:
            raise BadRequest("Invalid Password")
        self._attempts.succeeded(caller.address, username)
        return UserAction(username, "user_password_reset")

    @endpoint("access.refresh_jwt", POST, "/access/refresh_jwt", role=Role.NOBODY)
    async def refresh_jwt(
        self,
        caller: Caller,
        *,
        refresh_token: Annotated[str, Meta(max_length=4096, description="The token of the login.")],
    ) -> Refreshed:
        """Return a new token for another hour."""
        try:
            who = self._accounts.who_has_token(refresh_token, "refresh")
        except Unauthorized:
            raise Unauthorized("Invalid Refresh Token") from None
        token = self._accounts.access_token(self._accounts.users[who.name])
        return Refreshed(who.name, token, who.source, "user_jwt_refresh")

    @endpoint("access.oneshot_token", GET, "/access/oneshot_token", reads_only=False, role=Role.VIEWER)
    async def oneshot_token(self, caller: Caller) -> str:
        """Return a token for `?token=` of one request, within five seconds, from the same address."""
        return self._gate.oneshot_token(caller.who, caller.address)

    @endpoint("access.get_api_key", GET, "/access/api_key", role=Role.ADMIN)
    async def get_api_key(self, caller: Caller) -> str:
        """Return the API key."""
        return self._accounts.api_key

    @endpoint("access.post_api_key", POST, "/access/api_key", role=Role.ADMIN)
    async def post_api_key(self, caller: Caller) -> str:
        """Replace the API key and return the new one. Websockets that were let in by the old one stay."""
        return await self._accounts.new_api_key()

    @contextmanager
    def _try(self, caller: Caller, username: str) -> Iterator[None]:
        """Count a try, of which there are few at once from one place.

        Raises TooManyRequests when it is too early for another.
        """
        place = origin(caller.address)
        if self._trying[place] >= MOST_AT_ONCE:
            raise TooManyRequests("Too many logins at once: try again when they are answered")
        now = self._gate.now()
        wait = self._attempts.wait(caller.address, username, now)
        if wait > 0:
            raise TooManyRequests(f"Too many failed logins: try again in {math.ceil(wait)} seconds")
        self._attempts.tried(caller.address, username, now)
        self._trying[place] += 1
        try:
            yield
        finally:
            self._trying[place] -= 1
            if not self._trying[place]:
                del self._trying[place]

    def _user_of(self, caller: Caller, refusal: str) -> str:
        if caller.who.session is None or caller.who.name not in self._accounts.users:
            raise BadRequest(refusal.format(caller.who.name))
        return caller.who.name

    def _refuse_reserved(self, username: str) -> None:
        if username in RESERVED:
            raise BadRequest(f"Invalid Request for user {username}")

    def _dismiss(self, concerns: Callable[[Who], bool]) -> None:
        """Let the connections of somebody belong to nobody. The unix socket is for whoever may open it."""
        for connection in self._clients:
            if connection.transport is not Transport.UNIX and concerns(connection.who):
                connection.authorize(NOBODY)
        for bridge in list(self._clients.bridges):
            if concerns(bridge.who):
                bridge.close(POLICY_VIOLATION, "Unauthorized")


def _check_source(source: str) -> None:
    if source.lower() == "ldap":
        raise Unauthorized("LDAP authentication not available")
    if source.lower() != SOURCE:
        raise BadRequest(f"Invalid 'source': {source}")
