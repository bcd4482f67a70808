"""Passwords are kept as the result of a slow function that needs memory, each with a salt of its own.

Contract: RFC 7914 (scrypt). One hash takes about 50 ms and 16 MiB: compute it off the reactor's thread.
What a Moonraker kept, which is PBKDF2-HMAC-SHA256, is known too, until its user logs in.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets

_COST, _BLOCK, _PARALLEL = 2**14, 8, 1
_SALT_BYTES, _HASH_BYTES = 16, 32
_MEMORY = 64 * 1024 * 1024

_FORM = f"scrypt${_COST}${_BLOCK}${_PARALLEL}$"
NOBODYS = f"{_FORM}{secrets.token_hex(_SALT_BYTES)}${secrets.token_hex(_HASH_BYTES)}"
"""A result that no password has: to try those of unknown users on, which takes as long as for known ones."""

_MOONRAKER = "moonraker$"
_MOONRAKER_ROUNDS = 100_000

LONGEST = 1024
"""Characters of a password; more make it no safer."""


def hashed(password: str) -> str:
    """Return what is kept of a password: the function's name, its parameters, the salt and the result."""
    salt = secrets.token_bytes(_SALT_BYTES)
    return f"{_FORM}{salt.hex()}${_scrypt(password, salt).hex()}"


def matches(password: str, kept: str) -> bool:
    """Say whether a password is the one that was kept, in a time that doesn't tell how wrong it is."""
    salt, result = (bytes.fromhex(part) for part in kept.split("$")[-2:])
    function = _pbkdf2 if is_of_moonraker(kept) else _scrypt
    return hmac.compare_digest(function(password, salt), result)


def of_moonraker(salt: bytes, result: bytes) -> str:
    """Return what is kept of a password that a Moonraker has kept, for now."""
    return f"{_MOONRAKER}{salt.hex()}${result.hex()}"


def is_of_moonraker(kept: str) -> bool:
    """Say whether what is kept of a password is a Moonraker's, to be replaced as soon as it is known."""
    return kept.startswith(_MOONRAKER)


def _pbkdf2(password: str, salt: bytes) -> bytes:
    return hashlib.pbkdf2_hmac("sha256", password.encode("utf-8", "surrogatepass"), salt, _MOONRAKER_ROUNDS)


def _scrypt(password: str, salt: bytes) -> bytes:
    return hashlib.scrypt(
        password.encode("utf-8", "surrogatepass"),
        salt=salt,
        n=_COST,
        r=_BLOCK,
        p=_PARALLEL,
        maxmem=_MEMORY,
        dklen=_HASH_BYTES,
    )
