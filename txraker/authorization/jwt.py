"""JSON Web Tokens: what a user who has logged in shows instead of a password.

They are signed with an Ed25519 key of this printer's server alone (EdDSA, RFC 8037), so that neither
another instance's tokens nor unsigned ones are any good. PyJWT and its cryptography are imported when the
first token is made or read: many printers never see one.
"""

from __future__ import annotations

import secrets
from typing import Any, Final, Literal

import msgspec
from attrs import define, field

ACCESS_LIFETIME: Final = 3600.0
"""Seconds for which an access token is good. Contract: "Login User" of Moonraker's API."""

CLOCK_IS_WRONG: Final = 86400.0
"""Seconds by which a time may lie ahead of now: what a clock made that was wrong isn't good for years."""

KEY_BYTES: Final = 32

_ALGORITHM: Final = "EdDSA"
_ISSUER: Final = "txraker"

TokenType = Literal["access", "refresh"]


class Claims(msgspec.Struct, frozen=True):
    """What a token says: whose it is, of which login, and what it is good for."""

    username: str
    session: str
    token_type: TokenType


class BadToken(Exception):
    """A token is garbled, forged, of somebody else, expired, or of the wrong type."""


def new_key() -> bytes:
    """Return a new private key: 32 random bytes, as RFC 8032 has it."""
    return secrets.token_bytes(KEY_BYTES)


def import_libraries() -> None:
    """Import what makes and reads tokens, which takes a while: call it off the reactor's thread."""
    import jwt  # noqa: F401, PLC0415  # heavy, and not needed where there are no users
    from cryptography.hazmat.primitives.asymmetric import ed25519  # noqa: F401, PLC0415  # the same


@define(eq=False, repr=False)
class TokenMint:
    """Makes and reads the tokens of one server. ``seed`` is its private key."""

    _seed: bytes = field(repr=False)
    _key: Any = field(default=None, init=False, repr=False)

    def make(self, claims: Claims, now: float, expires: float) -> str:
        """Return a token; times are Unix time."""
        import jwt  # noqa: PLC0415  # heavy, and seldom needed

        said = {
            "iss": _ISSUER,
            "iat": now,
            "exp": expires,
            "jti": secrets.token_hex(8),
            "username": claims.username,
            "session": claims.session,
            "token_type": claims.token_type,
        }
        return jwt.encode(said, self._private_key(), algorithm=_ALGORITHM)

    def read(self, token: str, token_type: TokenType, now: float) -> Claims:
        """Return what a token says that we have made. Raises BadToken."""
        import jwt  # noqa: PLC0415  # heavy, and seldom needed

        try:
            said = jwt.decode(
                token,
                self._private_key().public_key(),
                algorithms=[_ALGORITHM],
                issuer=_ISSUER,
                options={"require": ["exp", "iat", "iss"], "verify_exp": False, "verify_iat": False},
            )
            claims = msgspec.convert(said, Claims)
            expires, made = float(said["exp"]), float(said["iat"])
        except (jwt.InvalidTokenError, msgspec.ValidationError, TypeError, ValueError) as problem:
            raise BadToken("The token is not valid") from problem
        if expires <= now:
            raise BadToken("The token has expired")
        if made > now + CLOCK_IS_WRONG:
            raise BadToken("The token is of a time to come")
        if claims.token_type != token_type:
            raise BadToken(f"The token is no {token_type} token")
        return claims

    def _private_key(self) -> Any:
        if self._key is None:
            from cryptography.hazmat.primitives.asymmetric import ed25519  # noqa: PLC0415  # the same

            self._key = ed25519.Ed25519PrivateKey.from_private_bytes(self._seed)
        return self._key
