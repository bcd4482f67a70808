"""``access.*``: users, logins, tokens and the API key.

Contract: "Authorization and Authentication" of Moonraker's API. Answers to a login don't tell whether there
is such a user.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Annotated

import msgspec
from attrs import define, field
from msgspec import Meta
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from zope.interface import implementer

from txraker.api.audit import AuditEntry, audit_entry
from txraker.api.caller import Caller, Role, Transport
from txraker.api.endpoint import DELETE, GET, POST, endpoint
from txraker.authorization import passwords
from txraker.authorization.accounts import RESERVED, Accounts, who_is
from txraker.authorization.attempts import LoginAttempts, origins
from txraker.authorization.gate import Gate
from txraker.authorization.names import TrustedNames
from txraker.components.authorization.answers import (
    AccessInfo,
    LoggedIn,
    Refreshed,
    RoleName,
    UserAction,
    UserInfo,
    Users,
)
from txraker.components.authorization.api_tokens import check_name
from txraker.components.authorization.sweep import Sweep
from txraker.errors import BadRequest, TooManyRequests, Unauthorized, Unavailable
from txraker.events import Events, UserCreated, UserDeleted, UserLoggedOut, Username
from txraker.faults import FaultReport, run_aside
from txraker.interfaces import IComponent

MOST_AT_ONCE = 2
"""Passwords from one place that may wait to be checked."""

LOOK_EVERY = 10.0
"""Seconds between looks for connections whose login has run out, and for what couldn't be written."""

SOURCE = "moonraker"
"""What the users of our own database are said to come from."""

UserParameter = Annotated[str, Meta(min_length=1, max_length=256, description="The user's name.")]
PasswordParameter = Annotated[str, Meta(max_length=passwords.LONGEST, description="The user's password.")]


@implementer(IComponent)
@define(eq=False, repr=False)
class Authorization:
    """Answers for who may use the server."""

    _clock: IReactorTime
    _gate: Gate
    _accounts: Accounts
    _attempts: LoginAttempts
    _sweep: Sweep
    _names: TrustedNames
    _audit: Callable[[AuditEntry], None]
    _report_fault: FaultReport
    _events: Events
    _started: float = field(default=0.0, init=False)
    _looking: LoopingCall = field(init=False)
    _trying: Counter[str] = field(factory=Counter, init=False)

    name = "authorization"

    def __attrs_post_init__(self) -> None:
        self._looking = LoopingCall(
            lambda: run_aside(self._look(), "looking after logins", self._report_fault)
        )
        self._looking.clock = self._clock

    def start(self) -> None:
        self._started = self._clock.seconds()
        self._accounts.ledger.listen(self._sweep.dismiss)
        self._looking.start(LOOK_EVERY, now=False)
        self._names.start()

    def stop(self) -> None:
        self._names.stop()
        self._accounts.ledger.forget(self._sweep.dismiss)
        if self._looking.running:
            self._looking.stop()

    async def _look(self) -> None:
        self._sweep.dismiss()
        with suppress(Unavailable):  # who asked for it was told, and it will be tried again
            await self._accounts.ledger.catch_up()

    @endpoint("access.info", GET, "/access/info", role=Role.NOBODY)
    async def info(self, caller: Caller) -> AccessInfo:
        """Return how one can get in."""
        is_local = caller.transport is Transport.UNIX
        trusted = is_local or all(map(self._gate.access.trusts, caller.addresses))
        return AccessInfo(SOURCE, [SOURCE], self._gate.login_required, trusted)

    @endpoint("access.login", POST, "/access/login", role=Role.NOBODY, audit=("username",))
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
        with self._try(caller, username):
            logged_in = await self._accounts.log_in(username, password, is_known=caller.is_known)
        if logged_in is None:
            raise BadRequest("Invalid Password")
        self._attempts.succeeded(caller.addresses, username)
        user, tokens = logged_in
        self._audit(audit_entry("let in", "access.login", msgspec.structs.replace(caller, who=who_is(user))))
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
        return UserAction(username, "user_logged_out")

    @endpoint("access.get_user", GET, "/access/user")
    async def get_user(self, caller: Caller) -> UserInfo:
        """Return who is asking."""
        user = self._accounts.users.get(caller.who.name) if caller.who.is_user else None
        return UserInfo(caller.who.name, caller.who.source, user.created_on if user else self._started)

    @endpoint("access.post_user", POST, "/access/user", role=Role.ADMIN, audit=("username", "role"))
    async def post_user(
        self,
        caller: Caller,
        *,
        username: Annotated[str, Meta(min_length=1, max_length=256, description="The new user's name.")],
        password: Annotated[
            str, Meta(min_length=1, max_length=passwords.LONGEST, description="The new user's password.")
        ],
        source: Annotated[str, Meta(description="Where the user is to be known: `moonraker`.")] = SOURCE,
        role: Annotated[RoleName, Meta(description="What the user may do.")] = "admin",
    ) -> LoggedIn:
        """Create a user who is logged in; the calling connection stays whose it is."""
        self._refuse_reserved(username)
        _check_source(source)
        check_name("username", username)
        user, tokens = await self._accounts.create(
            username, password, Role[role.upper()], self._sweep.still(caller)
        )
        self._events.emit(UserCreated(Username(username)))
        return LoggedIn(username, tokens.access, tokens.refresh, user.source, "user_created")

    @endpoint("access.delete_user", DELETE, "/access/user", role=Role.ADMIN, audit=("username",))
    async def delete_user(self, caller: Caller, *, username: UserParameter) -> UserAction:
        """Delete a user, who is logged out by that. Nobody can delete themselves."""
        if username == caller.who.name and caller.who.source == SOURCE:
            raise BadRequest(f"Cannot delete logged in user {username}")
        if username in RESERVED:
            raise BadRequest(f"Invalid Request for reserved user {username}")
        is_there = username in self._accounts.users
        try:
            await self._accounts.delete(username)
        finally:
            if is_there:
                self._events.emit(UserDeleted(Username(username)))
        return UserAction(username, "user_deleted")

    @endpoint("access.users.list", GET, "/access/users/list", role=Role.ADMIN)
    async def users(self, caller: Caller) -> Users:
        """Return all users."""
        self._accounts.check_loaded()
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
            is_right = await self._accounts.change_password(
                username, password, new_password, self._sweep.still(caller)
            )
        if not is_right:
            raise BadRequest("Invalid Password")
        self._attempts.succeeded(caller.addresses, username)
        return UserAction(username, "user_password_reset")

    @endpoint("access.refresh_jwt", POST, "/access/refresh_jwt", role=Role.NOBODY, audit=None)
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

    @endpoint(
        "access.oneshot_token",
        GET,
        "/access/oneshot_token",
        reads_only=False,
        role=Role.VIEWER,
        audit=None,
    )
    async def oneshot_token(self, caller: Caller) -> str:
        """Return a token for `?token=` of one request, within five seconds, from the same address."""
        return self._gate.oneshot_token(caller.who, caller.addresses)

    @endpoint("access.get_api_key", GET, "/access/api_key", role=Role.ADMIN)
    async def get_api_key(self, caller: Caller) -> str:
        """Return the API key."""
        self._accounts.check_loaded()
        return self._accounts.keys.api_key

    @endpoint("access.post_api_key", POST, "/access/api_key", role=Role.ADMIN)
    async def post_api_key(self, caller: Caller) -> str:
        """Replace the API key and return the new one. Connections by the old one are nobody's."""
        return await self._accounts.keys.new_api_key()

    @contextmanager
    def _try(self, caller: Caller, username: str) -> Iterator[None]:
        """Count a try, of which there are few at once from one place.

        Raises TooManyRequests when it is too early for another, and Unauthorized where it is too late.
        """
        if self._attempts.is_locked(caller.addresses):
            raise Unauthorized
        places = origins(caller.addresses)
        if any(self._trying[place] >= MOST_AT_ONCE for place in places):
            raise TooManyRequests("Too many logins at once: try again when they are answered")
        now = self._gate.now()
        wait = self._attempts.wait(caller.addresses, username, now)
        if wait > 0:
            raise TooManyRequests(f"Too many failed logins: try again in {math.ceil(wait)} seconds")
        self._attempts.tried(caller.addresses, username, now)
        self._trying.update(places)
        try:
            yield
        except Unavailable:
            self._attempts.not_tried(caller.addresses, username)
            raise
        finally:
            self._trying.subtract(places)
            self._trying = +self._trying

    def _user_of(self, caller: Caller, refusal: str) -> str:
        user = self._accounts.users.get(caller.who.name)
        if not caller.who.is_user or user is None or user.session != caller.who.session:
            raise BadRequest(refusal.format(caller.who.name))
        return user.username

    def _refuse_reserved(self, username: str) -> None:
        if username in RESERVED:
            raise BadRequest(f"Invalid Request for user {username}")


def _check_source(source: str) -> None:
    if source.lower() == "ldap":
        raise Unauthorized("LDAP authentication not available")
    if source.lower() != SOURCE:
        raise BadRequest(f"Invalid 'source': {source}")
