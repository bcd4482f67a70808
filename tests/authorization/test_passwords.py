"""Passwords as they are kept."""

from __future__ import annotations

import pytest

from txraker.authorization.passwords import NOBODYS, hashed, matches


@pytest.mark.parametrize("password", ["secret", "", "wörd 🐻", "x" * 1024, "lone \udce9"])
def test_matches(password: str) -> None:
    """A password matches what was kept of it, and no other does."""
    kept = hashed(password)
    assert matches(password, kept)
    assert not matches(password + " ", kept)
    assert not matches("other", kept)


def test_salted() -> None:
    """Two users with one password can't be told to have it."""
    assert hashed("secret") != hashed("secret")
    assert "secret" not in hashed("secret")


def test_nobody() -> None:
    """No password is nobody's."""
    assert not matches("", NOBODYS)
