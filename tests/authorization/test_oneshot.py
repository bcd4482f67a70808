"""Oneshot tokens are good once, for seconds, from one address."""

from __future__ import annotations

from txraker.authorization.oneshot import LIFETIME, MOST, OneshotTokens

HERE, THERE = ("10.0.0.1",), ("10.0.0.2",)


def test_once() -> None:
    """A token is good once."""
    tokens: OneshotTokens[str] = OneshotTokens()
    token = tokens.give("ann", HERE, 100.0)
    assert tokens.take(token, HERE, 104.9) == "ann"
    assert tokens.take(token, HERE, 104.9) is None


def test_form() -> None:
    """A token is text of 32 letters and digits, no two alike."""
    tokens: OneshotTokens[str] = OneshotTokens()
    given = {tokens.give("ann", HERE, 0.0) for _ in range(100)}
    assert len(given) == 100
    assert all(len(token) == 32 and token.isalnum() for token in given)


def test_too_late() -> None:
    """A token is good for seconds."""
    tokens: OneshotTokens[str] = OneshotTokens()
    assert tokens.take(tokens.give("ann", HERE, 100.0), HERE, 100.0 + LIFETIME) is None


def test_theft() -> None:
    """A token is no good from elsewhere, and whoever tries doesn't spoil it for its owner."""
    tokens: OneshotTokens[str] = OneshotTokens()
    token = tokens.give("ann", HERE, 100.0)
    assert tokens.take(token, THERE, 101.0) is None
    assert tokens.take(token, HERE, 101.0) == "ann"


def test_unknown() -> None:
    """What was never given is no good."""
    tokens: OneshotTokens[str] = OneshotTokens()
    assert tokens.take("A" * 32, HERE, 0.0) is None


def test_flood() -> None:
    """Whoever asks for very many makes the oldest ones useless, and takes bounded memory."""
    tokens: OneshotTokens[str] = OneshotTokens()
    given = [tokens.give("ann", HERE, 0.0) for _ in range(MOST + 10)]
    assert len(tokens._tokens) <= MOST
    assert tokens.take(given[0], HERE, 0.0) is None
    assert tokens.take(given[-1], HERE, 0.0) == "ann"


def test_expired_ones_are_forgotten() -> None:
    """Tokens that nobody used are forgotten."""
    tokens: OneshotTokens[str] = OneshotTokens()
    for second in range(100):
        tokens.give("ann", HERE, float(second))
    assert len(tokens._tokens) <= LIFETIME + 1


def test_peek() -> None:
    """To look whose a token is doesn't use it up; from elsewhere, or too late, it is nobody's."""
    tokens: OneshotTokens[str] = OneshotTokens()
    token = tokens.give("ann", HERE, 100.0)
    assert tokens.peek(token, HERE, 101.0) == "ann"
    assert tokens.peek(token, THERE, 101.0) is None
    assert tokens.peek(token, (*HERE, *THERE), 101.0) is None
    assert tokens.take(token, HERE, 101.0) == "ann"
    assert tokens.peek(token, HERE, 101.0) is None
