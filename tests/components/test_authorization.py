"""Users log in, are known by what they show, and are nobody again when they log out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from attrs import define, field
from twisted.internet.defer import Deferred
from zope.interface.verify import verifyObject

from tests.components.bench import ComponentBench
from tests.tools import Logged, caller, result_of, start
from txraker.access import configured_access
from txraker.api.audit import AuditEntry
from txraker.api.caller import NOBODY, TRUSTED, Caller, Role, Transport, Who
from txraker.authorization import hashing
from txraker.authorization.accounts import DAY, Accounts, open_accounts
from txraker.authorization.attempts import FREE, LoginAttempts
from txraker.authorization.gate import Gate, Shown
from txraker.authorization.jwt import ACCESS_LIFETIME, TokenMint
from txraker.authorization.names import TrustedNames, client_networks
from txraker.clients import Clients
from txraker.components.authorization.api_tokens import ApiTokenEndpoints
from txraker.components.authorization.component import LOOK_EVERY, MOST_AT_ONCE, Authorization
from txraker.components.authorization.sweep import Sweep
from txraker.components.connection import ConnectionEndpoints
from txraker.errors import (
    ApiError,
    BadRequest,
    Forbidden,
    NotFound,
    TooManyRequests,
    Unauthorized,
    Unavailable,
)
from txraker.events import UserCreated, UserDeleted, UserLoggedOut
from txraker.interfaces import IComponent
from txraker.server_warnings import ServerWarnings
from txraker.storage.database import StorageError
from txraker.storage.schema import MIGRATIONS
from txraker.testing.connection import MemoryConnection
from txraker.testing.database import MemoryDatabase
from txraker.testing.threads import at_once

HOME, AWAY = "192.168.1.7", "203.0.113.9"
NOW = 1_800_000_000.0


@define(eq=False)
class Setting(ComponentBench):
    """A server that trusts the home network, at a time of its own."""

    force_logins: bool = False
    enable_api_key: bool = True
    database: MemoryDatabase = field(factory=lambda: MemoryDatabase(MIGRATIONS))
    clients: Clients = field(init=False)
    accounts: Accounts = field(init=False)
    gate: Gate = field(init=False)
    attempts: LoginAttempts = field(factory=LoginAttempts)
    load_problem: BaseException | None = field(default=None, init=False)
    told: list[object] = field(factory=list)
    noted: list[AuditEntry] = field(factory=list)
    hold: list[Deferred[Any]] | None = field(default=None, init=False)
    warnings: ServerWarnings = field(factory=lambda: ServerWarnings(Logged().logger()))

    def off_thread(self, work: Callable[[], Any]) -> Deferred[Any]:
        """Do work at once, or while there is a list to ``hold`` it, when the test says so."""
        if self.hold is None:
            return at_once(work)
        self.hold.append(Deferred())
        return self.hold[-1].addCallback(lambda _: work())

    def __attrs_post_init__(self) -> None:
        super().__attrs_post_init__()
        self.clock.advance(NOW)
        result_of(self.database.start())
        self.clients = Clients(10, self.events)
        for event in (UserCreated, UserDeleted, UserLoggedOut):
            self.events.on(event, self.told.append)
        self.renew()

    def renew(self) -> None:
        """Let the server be another one, on the same database."""
        clock = self.clock
        self.accounts = open_accounts(self.database, self.off_thread, clock.seconds)
        self.load_problem = start(self.accounts.load()).error
        access = configured_access(["192.168.1.0/24"], []).access
        self.gate = Gate(access, self.accounts, clock.seconds, self.enable_api_key, self.force_logins)
        sweep = Sweep(self.gate, self.clients)
        names = TrustedNames((), clock, no_name, self.gate.trust_also, self.warnings, self.faults)
        component = Authorization(
            clock,
            self.gate,
            self.accounts,
            self.attempts,
            sweep,
            names,
            self.noted.append,
            self.faults,
            self.events,
        )
        assert verifyObject(IComponent, component)
        self.component = component
        self.dispatcher.remove(self.dispatcher.endpoints())
        self.serve(component)
        self.serve(ApiTokenEndpoints(self.accounts, sweep, clock.seconds))
        self.serve(ConnectionEndpoints(self.clients, self.gate, self.noted.append))
        component.start()

    component: Authorization = field(init=False)

    def comes(self, address: str = AWAY, **shown: str) -> Caller:
        """Return a caller over HTTP."""
        otherwise = self.gate.who_comes_from((address,))
        who = self.gate.who_shows(Shown(**shown), (address,))
        return Caller(Transport.HTTP, address, who, otherwise=otherwise)

    def connects(self, who: Who = NOBODY, address: str = AWAY) -> tuple[MemoryConnection, Caller]:
        """Return a client on a connection, and the caller it is."""
        otherwise = self.gate.who_comes_from((address,))
        connection = MemoryConnection(address=address, who=who, otherwise=otherwise)
        self.clients.add(connection)
        return connection, Caller(Transport.WEBSOCKET, address, who, connection)

    def log_in(self, username: str = "ann", password: str = "secret", address: str = AWAY) -> dict[str, Any]:
        """Log somebody in over HTTP."""
        answer: dict[str, Any] = self.call(
            "access.login", self.comes(address), username=username, password=password
        )
        return answer


def no_name(_name: str) -> Deferred[list[str]]:
    """Find no address."""
    return Deferred()


@define(eq=False)
class SlowDatabase:
    """A database whose work is done when the test says so."""

    database: MemoryDatabase
    held: list[tuple[Any, Deferred[Any]]] = field(factory=list)

    def run(self, work: Any) -> Deferred[Any]:
        """Hold work back."""
        self.held.append((work, Deferred()))
        return self.held[-1][1]

    def work(self) -> None:
        """Do all that was asked for."""
        while self.held:
            work, told = self.held.pop(0)
            told.callback(result_of(self.database.run(work)))


@pytest.fixture
def setting() -> Setting:
    """Make a server with one user, ann, who is logged in by being created."""
    setting = Setting()
    setting.call("access.post_user", username="ann", password="secret")
    return setting


def test_new_user(setting: Setting) -> None:
    """A new user is logged in and told of; whoever made it stays who it is."""
    answer = setting.call("access.post_user", username="bob", password="hidden")
    assert (answer["username"], answer["source"], answer["action"]) == ("bob", "moonraker", "user_created")
    assert setting.gate.who_shows(Shown(token=answer["token"]), (AWAY,)).name == "bob"
    assert [event.user.username for event in setting.told] == ["ann", "bob"]  # type: ignore[attr-defined]
    listed = setting.call("access.users.list")["users"]
    assert listed == [{"username": name, "source": "moonraker", "created_on": NOW} for name in ("ann", "bob")]


@pytest.mark.parametrize(
    ("username", "words"),
    [
        ("ann", "User ann already exists"),
        ("_TRUSTED_USER_", "Invalid Request for user _TRUSTED_USER_"),
        ("_API_KEY_USER_", "Invalid Request for user _API_KEY_USER_"),
        ("", "username"),
        (" ann", "must be printable, without spaces"),
        ("a\nb", "must be printable"),
        ("x" * 257, "username"),
    ],
)
def test_refused_users(setting: Setting, username: str, words: str) -> None:
    """A name that is taken, reserved or no name is refused."""
    with pytest.raises(BadRequest, match=words):
        setting.call("access.post_user", username=username, password="secret")


@pytest.mark.parametrize("password", ["", "x" * 1025])
def test_refused_passwords(setting: Setting, password: str) -> None:
    """A password must be one, and can't be endless."""
    with pytest.raises(BadRequest, match="password"):
        setting.call("access.post_user", username="bob", password=password)


def test_login(setting: Setting) -> None:
    """A login gives tokens, of which one is good for an hour and the other gives further ones."""
    answer = setting.log_in()
    assert set(answer) == {"username", "token", "refresh_token", "source", "action"}
    assert answer["action"] == "user_logged_in"
    who = setting.comes(token=answer["token"])
    assert setting.call("access.get_user", who) == {
        "username": "ann",
        "source": "moonraker",
        "created_on": NOW,
    }
    setting.clock.advance(ACCESS_LIFETIME)
    assert setting.comes(token=answer["token"]).who is NOBODY
    refreshed = setting.call(
        "access.refresh_jwt", setting.comes(token=answer["token"]), refresh_token=answer["refresh_token"]
    )
    assert refreshed["action"] == "user_jwt_refresh"
    assert setting.comes(token=refreshed["token"]).who.name == "ann"


@pytest.mark.parametrize(("username", "password"), [("ann", "wrong"), ("ann", ""), ("nobody", "secret")])
def test_wrong_password(setting: Setting, username: str, password: str) -> None:
    """A wrong password is refused in the same words whether there is such a user or not."""
    with pytest.raises(BadRequest) as caught:
        setting.log_in(username, password)
    assert str(caught.value) == "Invalid Password"


@pytest.mark.parametrize(
    ("arguments", "kind", "words"),
    [
        ({"username": "_API_KEY_USER_"}, BadRequest, "Invalid Request for user _API_KEY_USER_"),
        ({"source": "ldap"}, Unauthorized, "LDAP authentication not available"),
        ({"source": "xyz"}, BadRequest, "Invalid 'source': xyz"),
    ],
)
def test_odd_logins(setting: Setting, arguments: dict[str, str], kind: type[ApiError], words: str) -> None:
    """Those who aren't users can't log in, nor can those of sources that aren't there."""
    with pytest.raises(kind) as caught:
        setting.call(
            "access.login", setting.comes(), **{"username": "ann", "password": "secret", **arguments}
        )
    assert str(caught.value) == words


def test_many_wrong_passwords(setting: Setting) -> None:
    """After some failures one must wait, and then the right password opens."""
    for _ in range(FREE):
        with pytest.raises(BadRequest, match="Invalid Password"):
            setting.log_in(password="wrong")
    with pytest.raises(TooManyRequests, match="try again in 1 seconds"):
        setting.log_in()
    assert setting.log_in(address="203.0.113.10")
    setting.clock.advance(1.0)
    assert setting.log_in()


def test_locked_out(setting: Setting) -> None:
    """An address that has used up its tries can't log in any more, even with the right password."""
    setting.attempts.most = 2
    for _ in range(2):
        with pytest.raises(BadRequest):
            setting.log_in(password="wrong")
    with pytest.raises(Unauthorized):
        setting.log_in()
    assert setting.log_in(address="203.0.113.10")


def test_login_timeout(setting: Setting) -> None:
    """A login ends after the configured time, however often it was refreshed; another login begins anew."""
    first = setting.log_in()
    setting.clock.advance(89 * DAY)
    assert setting.call("access.refresh_jwt", setting.comes(), refresh_token=first["refresh_token"])
    again = setting.log_in()
    setting.clock.advance(DAY)
    for token in (first["refresh_token"], again["refresh_token"]):
        with pytest.raises(Unauthorized, match="Invalid Refresh Token"):
            setting.call("access.refresh_jwt", setting.comes(), refresh_token=token)
    assert setting.comes(token=setting.log_in()["token"]).who.name == "ann"


def test_logout(setting: Setting) -> None:
    """A logout ends every token of the user and what the user's connections may do; others don't notice."""
    answer = setting.log_in()
    who = setting.comes(token=answer["token"])
    first, _ = setting.connects(who.who)
    other, _ = setting.connects(TRUSTED, HOME)
    assert setting.call("access.logout", who) == {"username": "ann", "action": "user_logged_out"}
    assert (first.who, other.who) == (NOBODY, TRUSTED)
    assert setting.comes(token=answer["token"]).who is NOBODY
    with pytest.raises(Unauthorized, match="Invalid Refresh Token"):
        setting.call("access.refresh_jwt", setting.comes(), refresh_token=answer["refresh_token"])
    assert isinstance(setting.told[-1], UserLoggedOut)


def test_logout_of_nobody(setting: Setting) -> None:
    """Who hasn't logged in can't log out."""
    with pytest.raises(BadRequest, match="Invalid log out request for user _TRUSTED_USER_"):
        setting.call("access.logout")
    with pytest.raises(Unauthorized):
        setting.call("access.logout", caller(who=NOBODY))


def test_login_on_a_connection(setting: Setting) -> None:
    """A login on a connection makes the connection the user's."""
    connection, who = setting.connects()
    setting.call("access.login", who, username="ann", password="secret")
    assert (connection.who.name, connection.who.role) == ("ann", Role.ADMIN)


def test_delete(setting: Setting) -> None:
    """A user who is deleted is nobody at once."""
    answer = setting.log_in()
    connection, _ = setting.connects(setting.comes(token=answer["token"]).who)
    assert setting.call("access.delete_user", username="ann") == {"username": "ann", "action": "user_deleted"}
    assert setting.comes(token=answer["token"]).who is NOBODY
    assert connection.who is NOBODY
    assert setting.call("access.users.list") == {"users": []}
    setting.call("access.post_user", username="ann", password="another")
    assert setting.comes(token=answer["token"]).who is NOBODY


@pytest.mark.parametrize(
    ("username", "words"),
    [
        ("zz", "No registered user: zz"),
        ("_TRUSTED_USER_", "Cannot delete logged in user _TRUSTED_USER_"),
        ("_API_KEY_USER_", "Invalid Request for reserved user _API_KEY_USER_"),
    ],
)
def test_refused_deletes(setting: Setting, username: str, words: str) -> None:
    """Those who aren't there can't be deleted, nor those who aren't users."""
    with pytest.raises(BadRequest, match=words):
        setting.call("access.delete_user", username=username)


def test_delete_oneself(setting: Setting) -> None:
    """Nobody can delete themselves."""
    who = setting.comes(token=setting.log_in()["token"])
    with pytest.raises(BadRequest, match="Cannot delete logged in user ann"):
        setting.call("access.delete_user", who, username="ann")


def test_password(setting: Setting) -> None:
    """A user changes its password, and stays logged in."""
    token = setting.log_in()["token"]
    who = setting.comes(token=token)
    with pytest.raises(BadRequest, match="Invalid Password"):
        setting.call("access.user.password", who, password="wrong", new_password="new")
    answer = setting.call("access.user.password", who, password="secret", new_password="new")
    assert answer == {"username": "ann", "action": "user_password_reset"}
    assert setting.comes(token=token).who.name == "ann"
    with pytest.raises(BadRequest):
        setting.log_in()
    assert setting.log_in(password="new")
    with pytest.raises(BadRequest, match="Invalid Reset Request for user _TRUSTED_USER_"):
        setting.call("access.user.password", password="secret", new_password="new")


def test_api_key(setting: Setting) -> None:
    """The API key opens; a wrong one closes, wherever it comes from; a new one replaces it."""
    key = setting.call("access.get_api_key")
    assert len(key) == 32
    assert setting.comes(api_key=key).who.name == "_API_KEY_USER_"
    assert setting.comes(HOME, api_key="0" * 32).who is NOBODY
    new = setting.call("access.post_api_key")
    assert new != key
    assert setting.comes(HOME, api_key=key).who is NOBODY
    assert setting.comes(api_key=new).is_known
    assert setting.call("access.get_api_key") == new


def test_api_key_that_is_not_enabled() -> None:
    """Where keys aren't enabled, none opens."""
    setting = Setting(enable_api_key=False)
    assert setting.comes(api_key=setting.call("access.get_api_key")).who is NOBODY


def test_oneshot(setting: Setting) -> None:
    """A oneshot token stands for who asked for it, once, and from the same address; a bad one is ignored."""
    who = setting.comes(token=setting.log_in()["token"])
    token = setting.call("access.oneshot_token", who)
    assert setting.comes("203.0.113.10", oneshot=token).who is NOBODY
    assert setting.comes(oneshot=token).who.name == "ann"
    assert setting.comes(oneshot=token).who is NOBODY
    assert setting.comes(HOME, oneshot=token).who is TRUSTED


def test_info(setting: Setting) -> None:
    """Anybody learns how to get in."""
    stranger = setting.comes()
    assert setting.call("access.info", stranger) == {
        "default_source": "moonraker",
        "available_sources": ["moonraker"],
        "login_required": False,
        "trusted": False,
    }
    assert setting.call("access.info", setting.comes(HOME))["trusted"] is True


def test_force_logins() -> None:
    """Addresses are trusted until there is a user, and again when there is none any more."""
    setting = Setting(force_logins=True)
    assert setting.comes(HOME).who is TRUSTED
    setting.call("access.post_user", username="ann", password="secret")
    assert setting.comes(HOME).who is NOBODY
    assert setting.call("access.info", setting.comes(HOME))["login_required"] is True
    assert setting.comes(HOME, api_key=setting.accounts.keys.api_key).is_known
    setting.call("access.delete_user", username="ann")
    assert setting.comes(HOME).who is TRUSTED


def test_force_logins_before_users_are_known() -> None:
    """As long as it isn't known whether there are users, addresses aren't trusted."""
    setting = Setting(force_logins=True)
    setting.accounts = setting.gate.accounts = open_accounts(setting.database, at_once, setting.clock.seconds)
    assert setting.comes(HOME).who is NOBODY
    assert setting.call("access.info", setting.comes(HOME))["login_required"] is True


def test_restart(setting: Setting) -> None:
    """Users, their logins and the key outlast the server."""
    answer, key = setting.log_in(), setting.call("access.get_api_key")
    setting.renew()
    assert setting.comes(token=answer["token"]).who.name == "ann"
    assert setting.comes(api_key=key).is_known
    assert setting.log_in()


def test_no_database() -> None:
    """Without a database nobody can log in, which is a warning; addresses are trusted as ever."""
    setting = Setting()
    setting.database.problem = StorageError(Path("txraker.db"), "it is damaged")
    setting.renew()
    assert isinstance(setting.load_problem, StorageError)
    assert setting.comes(HOME).who is TRUSTED
    assert setting.comes(HOME, api_key="whatever").who is TRUSTED
    for shown in ({"api_key": ""}, {"api_key": "txr_x"}, {"token": "x"}):
        with pytest.raises(Unavailable, match="the database is not open"):
            setting.comes(**shown)
    for method, arguments in (
        ("access.login", {"username": "ann", "password": "secret"}),
        ("access.refresh_jwt", {"refresh_token": "x"}),
        ("access.get_api_key", {}),
        ("access.post_api_key", {}),
        ("access.users.list", {}),
        ("access.post_user", {"username": "bob", "password": "hidden"}),
        ("access.delete_user", {"username": "ann"}),
        ("access.tokens.list", {}),
        ("access.post_token", {"name": "x"}),
        ("access.delete_token", {"name": "x"}),
    ):
        with pytest.raises(Unavailable, match="the database is not open"):
            setting.call(method, **arguments)
    assert setting.faults.seen == []


def test_disk_that_is_full(setting: Setting) -> None:
    """What can't be kept hasn't happened."""
    setting.database.problem = StorageError(Path("txraker.db"), "the disk is full")
    with pytest.raises(Unavailable, match="full"):
        setting.call("access.post_user", username="bob", password="hidden")
    assert list(setting.accounts.users) == ["ann"]


def test_disk_that_is_full_takes_no_rights(setting: Setting) -> None:
    """What takes rights away does so at once, though it can't be kept."""
    answer, key = setting.log_in(), setting.accounts.keys.api_key
    setting.database.problem = StorageError(Path("txraker.db"), "the disk is full")
    who = setting.comes(token=answer["token"])
    for act in ("access.post_api_key", "access.logout"):
        with pytest.raises(Unavailable, match="full"):
            setting.call(act, who)
    assert setting.comes(api_key=key).who is NOBODY
    assert setting.comes(token=answer["token"]).who is NOBODY


def test_disk_that_is_full_for_a_while(setting: Setting) -> None:
    """What was taken away while it couldn't be written is gone for good once it can, without being asked."""
    setting.call("access.post_user", username="bob", password="hidden")
    setting.call("access.post_token", name="slicer")
    token, key = setting.log_in()["token"], setting.accounts.keys.api_key
    setting.database.problem = StorageError(Path("txraker.db"), "the disk is full")
    for act, arguments in (
        ("access.delete_user", {"username": "bob"}),
        ("access.delete_user", {"username": "bob"}),
        ("access.delete_token", {"name": "slicer"}),
        ("access.delete_token", {"name": "slicer"}),
        ("access.post_api_key", {}),
    ):
        with pytest.raises(Unavailable, match="full"):
            setting.call(act, **arguments)
    with pytest.raises(Unavailable, match="full"):
        setting.call("access.logout", setting.comes(token=token))
    setting.clock.advance(LOOK_EVERY)
    setting.database.problem = None
    setting.clock.advance(LOOK_EVERY)
    setting.renew()
    assert list(setting.accounts.users) == ["ann"]
    assert setting.accounts.keys.tokens == {}
    assert setting.comes(token=token).who is NOBODY
    assert setting.comes(api_key=key).who is NOBODY
    assert [type(event) for event in setting.told].count(UserDeleted) == 1


def test_flood(setting: Setting, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only so many passwords wait to be checked, and those whom we know are ahead of strangers."""
    setting.hold = []
    monkeypatch.setattr(hashing, "MOST_WAITING", 3)
    begun = [
        setting.begin("access.login", setting.comes(f"203.0.113.{number}"), username="ann", password="x")
        for number in range(6)
    ]
    assert len(setting.hold) == 1
    assert [isinstance(outcome.error, Unavailable) for outcome in begun] == [False] * 4 + [True] * 2
    known = setting.begin("access.login", setting.comes(HOME), username="ann", password="secret")
    assert not known.done
    setting.hold[0].callback(None)
    assert len(setting.hold) == 2
    setting.hold[1].callback(None)
    assert known.done
    assert known.error is None


def test_flood_costs_no_tries(setting: Setting, monkeypatch: pytest.MonkeyPatch) -> None:
    """A password that nobody looked at is no failure."""
    setting.attempts.most = 1
    monkeypatch.setattr(hashing, "MOST_WAITING", 0)
    for _ in range(FREE + 1):
        with pytest.raises(Unavailable):
            setting.log_in()
    monkeypatch.undo()
    assert setting.log_in()


def test_many_at_once(setting: Setting) -> None:
    """From one place few passwords are checked at once, so that no limit is overrun by being quick."""
    setting.attempts.most = 3
    setting.hold = []
    begun = [setting.begin("access.login", setting.comes(), username="ann", password="x") for _ in range(5)]
    assert [outcome.done for outcome in begun] == [False] * MOST_AT_ONCE + [True] * (5 - MOST_AT_ONCE)
    assert all(isinstance(outcome.error, TooManyRequests) for outcome in begun[MOST_AT_ONCE:])


@pytest.mark.parametrize(
    ("method", "arguments"),
    [
        ("access.post_user", {"username": "eve", "password": "evil"}),
        ("access.user.password", {"password": "secret", "new_password": "evil"}),
    ],
)
def test_dismissed_meanwhile(setting: Setting, method: str, arguments: dict[str, str]) -> None:
    """Who is logged out while a password is computed has asked in vain."""
    who = setting.comes(token=setting.log_in()["token"])
    setting.hold = []
    asked = setting.begin(method, who, **arguments)
    setting.call("access.delete_user", username="ann")
    while setting.hold:
        setting.hold.pop(0).callback(None)
    assert isinstance(asked.error, Unauthorized | BadRequest)
    assert setting.accounts.users == {}


def test_login_runs_out_on_a_connection(setting: Setting) -> None:
    """A connection whose login has run out is nobody's, and hears nothing, without asking for anything."""
    connection, _ = setting.connects(setting.comes(token=setting.log_in()["token"]).who)
    setting.clock.advance(89 * DAY)
    assert connection.who.name == "ann"
    setting.clock.advance(DAY)
    setting.clock.advance(LOOK_EVERY)
    assert connection.who is NOBODY


def test_logout_where_the_address_is_trusted(setting: Setting) -> None:
    """A connection from a trusted address goes on as that when its user logs out."""
    connection, who = setting.connects(TRUSTED, HOME)
    setting.call("access.login", who, username="ann", password="secret")
    assert connection.who.name == "ann"
    setting.call("access.logout", setting.comes(token=setting.log_in()["token"]))
    assert connection.who is TRUSTED


def test_new_api_key_ends_what_the_old_one_let_in(setting: Setting) -> None:
    """A connection by an API key that was replaced is nobody's."""
    connection, _ = setting.connects(setting.comes(api_key=setting.accounts.keys.api_key).who)
    assert connection.who.role is Role.ADMIN
    setting.call("access.post_api_key")
    assert connection.who is NOBODY


def test_oneshot_of_who_is_not_trusted_any_more() -> None:
    """A oneshot token of a trusted address is no good once a login is required."""
    setting = Setting(force_logins=True)
    token = setting.call("access.oneshot_token", setting.comes(HOME))
    setting.call("access.post_user", username="ann", password="secret")
    assert setting.comes(HOME, oneshot=token).who is NOBODY


@pytest.mark.parametrize("role", ["viewer", "operator", "admin"])
def test_roles_of_users(setting: Setting, role: str) -> None:
    """A new user may do what is said, and everything if nothing is said."""
    answer = setting.call("access.post_user", username="bob", password="hidden", role=role)
    assert setting.comes(token=answer["token"]).who.role is Role[role.upper()]
    setting.renew()
    assert setting.comes(token=answer["token"]).who.role is Role[role.upper()]


@pytest.mark.parametrize("role", ["viewer", "operator", "admin"])
def test_api_tokens(setting: Setting, role: str) -> None:
    """An API token opens what its role may, as a key and as a bearer token, until it is taken back."""
    answer = setting.call("access.post_token", name="slicer", role=role)
    text = answer.pop("token")
    assert answer == {
        "name": "slicer",
        "role": role,
        "created_on": NOW,
        "created_by": "_TRUSTED_USER_",
        "expires_on": None,
    }
    assert setting.call("access.tokens.list") == {"tokens": [answer]}
    setting.renew()
    assert setting.call("access.tokens.list") == {"tokens": [answer]}
    for shown in ({"api_key": text}, {"token": text}):
        who = setting.comes(**shown).who
        assert (who.name, who.role) == ("slicer", Role[role.upper()])
    assert setting.comes(HOME, api_key=text + "x").who is NOBODY
    connection, _ = setting.connects(who)
    deleted = setting.call("access.delete_token", name="slicer")
    assert deleted == {"name": "slicer", "action": "token_deleted"}
    assert setting.comes(api_key=text).who is NOBODY
    assert connection.who is NOBODY
    with pytest.raises(NotFound, match="There is no API token 'slicer'"):
        setting.call("access.delete_token", name="slicer")


def test_api_token_with_an_end(setting: Setting) -> None:
    """An API token is good for as many days as were said."""
    text = setting.call("access.post_token", name="demo", days=0.5)["token"]
    setting.clock.advance(DAY / 2 - 1)
    connection, _ = setting.connects(setting.comes(api_key=text).who)
    assert connection.who.role is Role.VIEWER
    setting.clock.advance(1)
    assert setting.comes(api_key=text).who is NOBODY
    setting.clock.advance(LOOK_EVERY)
    assert connection.who is NOBODY


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"name": ""}, "name"),
        ({"name": " x"}, "'name': must be printable"),
        ({"name": "taken"}, "There is an API token 'taken' already"),
        ({"name": "x", "role": "king"}, "role"),
        ({"name": "x", "days": -1}, "days"),
    ],
)
def test_refused_api_tokens(setting: Setting, arguments: dict[str, object], words: str) -> None:
    """A token that couldn't be told from others, or with no sensible end, is refused."""
    setting.call("access.post_token", name="taken")
    with pytest.raises(BadRequest, match=words):
        setting.call("access.post_token", **arguments)


def test_api_tokens_are_no_users(setting: Setting) -> None:
    """A token that is named like a user isn't the user: it can't log out, nor keep the user from going."""
    text = setting.call("access.post_token", name="ann", role="admin")["token"]
    who = setting.comes(api_key=text)
    with pytest.raises(BadRequest, match="Invalid log out request for user ann"):
        setting.call("access.logout", who)
    assert setting.call("access.get_user", who)["source"] == "api_token"
    assert setting.call("access.delete_user", who, username="ann")["action"] == "user_deleted"


def test_api_tokens_are_kept_as_hashes(setting: Setting) -> None:
    """Whoever reads the database doesn't learn a token."""
    text = setting.call("access.post_token", name="slicer")["token"]
    rows = result_of(
        setting.database.run(lambda connection: list(connection.execute("SELECT * FROM api_tokens")))
    )
    assert "slicer" in repr(rows)
    assert text.removeprefix("txr_") not in repr(rows)


def test_api_key_is_not_needed_for_api_tokens() -> None:
    """Where the one API key isn't enabled, named tokens are."""
    setting = Setting(enable_api_key=False)
    assert setting.comes(api_key=setting.call("access.post_token", name="x")["token"]).is_known


@pytest.fixture
def slow(setting: Setting) -> SlowDatabase:
    """Let the database do nothing until it is told to."""
    slow = SlowDatabase(setting.database)
    setting.accounts.ledger.database = slow  # type: ignore[assignment]  # as far as accounts use one
    return slow


@pytest.mark.parametrize("act", ["log_out", "delete"])
def test_changes_one_after_the_other(setting: Setting, slow: SlowDatabase, act: str) -> None:
    """A user who was deleted or logged out stays so, whatever else was being done to it."""
    token = setting.log_in()["token"]
    first = start(setting.accounts.delete("ann") if act == "delete" else setting.accounts.log_out("ann"))
    second = start(setting.accounts.log_out("ann"))
    assert setting.comes(token=token).who is NOBODY
    slow.work()
    assert (first.done, second.done) == (True, True)
    setting.renew()
    user = setting.accounts.users.get("ann")
    assert user is None if act == "delete" else user is not None and user.session is None


@pytest.mark.parametrize("act", ["access.delete_user", "access.logout"])
def test_taken_away_amid_a_change(setting: Setting, slow: SlowDatabase, act: str) -> None:
    """What is taken away while something else of the same user is being written stays taken away."""
    who = setting.comes(token=setting.log_in()["token"])
    change = setting.begin("access.user.password", who, password="secret", new_password="new")
    assert len(slow.held) == 1
    is_deleted = act == "access.delete_user"
    gone = setting.begin(act, username="ann") if is_deleted else setting.begin(act, who)
    assert setting.comes(token="x").who is NOBODY
    assert not setting.gate.is_current(who.who)
    slow.work()
    assert gone.error is None
    assert isinstance(change.error, Unavailable)
    setting.renew()
    user = setting.accounts.users.get("ann")
    assert user is None if is_deleted else user is not None and user.session is None
    if not is_deleted:
        assert setting.log_in(password="secret")


def test_token_that_is_taken_back_does_nothing_more(setting: Setting, slow: SlowDatabase) -> None:
    """However long the disk takes, what a token may is over at once, for connections and bridges, too."""
    setting.accounts.ledger.database = setting.database
    text = setting.call("access.post_token", name="evil", role="admin")["token"]
    setting.call("access.post_token", name="other")
    setting.accounts.ledger.database = slow  # type: ignore[assignment]  # as above
    connection, evil = setting.connects(setting.comes(api_key=text).who)
    setting.begin("access.delete_token", name="evil")
    assert len(slow.held) == 1
    assert connection.who is NOBODY
    for method, arguments in (("access.post_api_key", {}), ("access.delete_token", {"name": "other"})):
        assert isinstance(setting.begin(method, evil, **arguments).error, Unauthorized)
    assert "other" in setting.accounts.keys.tokens


@pytest.mark.parametrize(
    ("method", "arguments"),
    [
        ("access.post_user", {"username": "eve", "password": "evil"}),
        ("access.post_token", {"name": "eve", "role": "admin"}),
    ],
)
def test_dismissed_while_waiting(
    setting: Setting, slow: SlowDatabase, method: str, arguments: dict[str, str]
) -> None:
    """Who is dismissed while a change waits for another one to be written has asked in vain."""
    who = setting.comes(token=setting.log_in()["token"])
    setting.begin("access.post_token", name="first")
    asked = setting.begin(method, who, **arguments)
    setting.begin("access.delete_user", username="ann")
    slow.work()
    assert isinstance(asked.error, Unauthorized)
    assert "eve" not in {*setting.accounts.users, *setting.accounts.keys.tokens}


def test_disk_that_is_full_keeps_nobody_out(setting: Setting) -> None:
    """Who knows the password gets in although the login can't be kept, and it is kept later."""
    setting.clock.advance(91 * DAY)
    setting.database.problem = StorageError(Path("txraker.db"), "the disk is full")
    token = setting.log_in()["token"]
    assert setting.comes(token=token).who.name == "ann"
    setting.database.problem = None
    setting.clock.advance(LOOK_EVERY)
    setting.renew()
    assert setting.comes(token=token).who.name == "ann"


def test_clock_that_was_ahead(setting: Setting) -> None:
    """What was made while the clock was years ahead is worth nothing once it is right."""
    setting.clock.advance(3650 * DAY)
    answer = setting.log_in()
    assert setting.comes(token=answer["token"]).who.name == "ann"
    setting.clock.rightNow -= 3650 * DAY
    assert setting.comes(token=answer["token"]).who is NOBODY
    assert setting.comes(token=setting.log_in()["token"]).who.name == "ann"


def test_unix_socket_after_a_login(setting: Setting) -> None:
    """A program on the unix socket that logged in goes on as itself when its user is gone."""
    connection = MemoryConnection(transport=Transport.UNIX, otherwise=TRUSTED)
    setting.clients.add(connection)
    local = Caller(Transport.UNIX, "a program", TRUSTED, connection, otherwise=TRUSTED)
    setting.call("access.login", local, username="ann", password="secret")
    assert connection.who.name == "ann"
    setting.call("access.delete_user", username="ann")
    assert connection.who is TRUSTED


def test_viewers_are_no_agents(setting: Setting) -> None:
    """Who may only look can't take an agent's name and answer for it."""
    about = {"client_name": "obico", "version": "1", "type": "agent", "url": ""}
    for role in ("viewer", "operator"):
        text = setting.call("access.post_token", name=role, role=role)["token"]
        connection, who = setting.connects()
        identified = setting.begin("server.connection.identify", who, **about, api_key=text)
        assert isinstance(identified.error, Forbidden) is (role == "viewer")
        assert connection.who.role is (Role.NOBODY if role == "viewer" else Role.OPERATOR)


def test_who_was_let_in_is_noted(setting: Setting) -> None:
    """A login and an identification are noted under the name of who was let in."""
    setting.log_in()
    text = setting.call("access.post_token", name="slicer")["token"]
    _, who = setting.connects()
    about = {"client_name": "x", "version": "1", "type": "web", "url": ""}
    setting.call("server.connection.identify", who, **about, api_key=text)
    assert [(entry.outcome, entry.who, entry.source) for entry in setting.noted] == [
        ("let in", "ann", "moonraker"),
        ("let in", "slicer", "api_token"),
    ]


@pytest.mark.parametrize("shown", ["access_token", "api_key"])
def test_identify(setting: Setting, shown: str) -> None:
    """A connection that isn't known becomes known by what it shows when it identifies itself."""
    secret = setting.log_in()["token"] if shown == "access_token" else setting.accounts.keys.api_key
    about = {"client_name": "x", "version": "1", "type": "web", "url": ""}
    connection, who = setting.connects()
    with pytest.raises(Unauthorized, match="Unauthorized"):
        setting.call("server.connection.identify", who, **about)
    with pytest.raises(Unauthorized):
        setting.call("server.connection.identify", who, **about, **{shown: "wrong"})
    assert connection.who is NOBODY
    assert "connection_id" in setting.call("server.connection.identify", who, **about, **{shown: secret})
    assert connection.who.role is Role.ADMIN


def test_name_that_leads_elsewhere_now(setting: Setting) -> None:
    """A connection that was trusted for its address is nobody's once the address isn't trusted any more."""
    setting.gate.trust_also(client_networks([AWAY]))
    connection, who = setting.connects(setting.comes().who)
    assert who.who is TRUSTED
    setting.clock.advance(LOOK_EVERY)
    assert connection.who is TRUSTED
    setting.gate.trust_also(())
    setting.clock.advance(LOOK_EVERY)
    assert connection.who is NOBODY
    assert setting.comes(HOME).who is TRUSTED


def test_garbage_where_nobody_logs_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without users no token can be good, and no stranger makes the server load what reads them."""
    read: list[str] = []
    monkeypatch.setattr(TokenMint, "read", lambda _mint, token, *_: read.append(token))
    setting = Setting()
    assert setting.comes(token="x").who is NOBODY
    with pytest.raises(Unauthorized, match="Invalid Refresh Token"):
        setting.call("access.refresh_jwt", setting.comes(), refresh_token="x")
    assert read == []
