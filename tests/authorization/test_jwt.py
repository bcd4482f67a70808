"""JSON Web Tokens: made by us, read by us, and nobody else's."""

from __future__ import annotations

import base64
import json

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from txraker.authorization.jwt import ACCESS_LIFETIME, BadToken, Claims, TokenMint, new_key

MINT = TokenMint(b"k" * 32)
CLAIMS = Claims("ann", "session1", "access")
NOW = 1_800_000_000.0


def token(claims: Claims = CLAIMS, mint: TokenMint = MINT, lifetime: float = ACCESS_LIFETIME) -> str:
    """Make a token."""
    return mint.make(claims, NOW, NOW + lifetime)


def test_round() -> None:
    """What was said is read."""
    assert MINT.read(token(), "access", NOW) == CLAIMS
    assert MINT.read(token(), "access", NOW + ACCESS_LIFETIME - 1) == CLAIMS


def test_expired() -> None:
    """A token is good until it expires, whatever the clock of this machine's tests."""
    with pytest.raises(BadToken, match="expired"):
        MINT.read(token(), "access", NOW + ACCESS_LIFETIME)


def test_type() -> None:
    """A refresh token is no access token, nor the other way round."""
    refresh = token(Claims("ann", "session1", "refresh"))
    with pytest.raises(BadToken, match="no access token"):
        MINT.read(refresh, "access", NOW)
    with pytest.raises(BadToken, match="no refresh token"):
        MINT.read(token(), "refresh", NOW)


def test_other_instance() -> None:
    """Another server's token is no good."""
    with pytest.raises(BadToken):
        MINT.read(token(mint=TokenMint(new_key())), "access", NOW)


def unsigned(header: dict[str, str]) -> str:
    """Make a token without a good signature."""
    payload = base64.urlsafe_b64decode(token().split(".")[1] + "==")
    parts = [json.dumps(header).encode(), payload]
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts) + "."


@pytest.mark.parametrize("algorithm", ["none", "None", "HS256", "EdDSA"])
def test_forged(algorithm: str) -> None:
    """A token without our signature is no good, whatever it says of how it is signed."""
    with pytest.raises(BadToken):
        MINT.read(unsigned({"alg": algorithm, "typ": "JWT"}), "access", NOW)


def test_public_key_as_secret() -> None:
    """A token that is signed with our public key, as if that were a secret, is no good."""
    public = MINT._private_key().public_key().public_bytes_raw()
    payload = jwt.decode(token(), options={"verify_signature": False, "verify_exp": False})
    with pytest.raises(BadToken):
        MINT.read(jwt.encode(payload, public, algorithm="HS256"), "access", NOW)


@pytest.mark.parametrize("claim", ["username", "session", "token_type", "exp", "iss"])
def test_missing_claims(claim: str) -> None:
    """A token that doesn't say everything is no good, though we signed it."""
    payload = jwt.decode(token(), options={"verify_signature": False, "verify_exp": False})
    del payload[claim]
    with pytest.raises(BadToken):
        MINT.read(jwt.encode(payload, MINT._private_key(), algorithm="EdDSA"), "access", NOW)


@given(st.text(max_size=200))
def test_garbage(text: str) -> None:
    """Anything else is no good, and no reason to break down."""
    with pytest.raises(BadToken):
        MINT.read(text, "access", NOW)


@given(st.integers(0, 400), st.integers(1, 255))
def test_changed(place: int, change: int) -> None:
    """A token of which any letter was changed is no good."""
    letters = list(token())
    place %= len(letters) - 2  # the last letter holds bits that mean nothing
    letter = chr((ord(letters[place]) + change) % 128)
    if letter == letters[place]:
        return
    letters[place] = letter
    with pytest.raises(BadToken):
        MINT.read("".join(letters), "access", NOW)


def test_secret() -> None:
    """The key isn't shown with the object."""
    assert "kkk" not in repr(MINT)
