"""What ``access.*`` answers. Contract: "Authorization and Authentication" of Moonraker's API."""

from __future__ import annotations

from typing import Literal

import msgspec

RoleName = Literal["viewer", "operator", "admin"]


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
    """How one can get in; `trusted` says whether the address is trusted, which a required login overrides."""

    default_source: str
    available_sources: list[str]
    login_required: bool
    trusted: bool


class ApiTokenInfo(msgspec.Struct, frozen=True):
    """An API token without its text. Times are Unix time; `expires_on` is null for one without an end."""

    name: str
    role: RoleName
    created_on: float
    created_by: str
    expires_on: float | None


class ApiTokens(msgspec.Struct, frozen=True):
    """All API tokens."""

    tokens: list[ApiTokenInfo]


class NewApiToken(ApiTokenInfo, frozen=True):
    """An API token that was made now, with the text to show: nobody can learn that later."""

    token: str


class ApiTokenAction(msgspec.Struct, frozen=True):
    """What was done to an API token."""

    name: str
    action: Literal["token_deleted"]
