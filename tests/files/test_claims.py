"""Changes that could meet wait for each other; others don't."""

from __future__ import annotations

import random
from functools import partial
from pathlib import Path

import pytest

from txraker.errors import Unavailable
from txraker.files.claims import MOST_WAITING, Claim, Claims
from txraker.files.places import Root, Roots

ROOTS = Roots({name: Root(name, Path(f"/{name}"), True) for name in ("gcodes", "config")})


def _make(claims: Claims, *paths: str) -> Claim:
    return claims.make(ROOTS.place(path) for path in paths)


def _release(claims: Claims, claim: Claim, _: None) -> None:
    claims.release(claim)


def test_others_go_on() -> None:
    """What is in other folders doesn't wait."""
    claims = Claims()
    assert _make(claims, "gcodes/a").ready.called
    assert _make(claims, "gcodes/b").ready.called
    assert _make(claims, "config/a").ready.called


@pytest.mark.parametrize("second", ["gcodes/a", "gcodes/a/b/c", "gcodes"])
def test_same_tree_waits(second: str) -> None:
    """What is the same, in it, or around it waits for the end of what was asked for before."""
    claims = Claims()
    first, later = _make(claims, "gcodes/a"), _make(claims, second)
    assert not later.ready.called
    claims.release(first)
    assert later.ready.called


def test_nobody_overtakes() -> None:
    """Who doesn't meet who is at it, but who waits, waits as well: in the order of asking."""
    claims = Claims()
    first, second, third = (_make(claims, "gcodes/a"), _make(claims, "gcodes"), _make(claims, "gcodes/b"))
    assert not third.ready.called
    claims.release(first)
    assert second.ready.called
    assert not third.ready.called
    claims.release(second)
    assert third.ready.called


def test_done_at_once() -> None:
    """Who ends a claim as soon as it is ready lets all others go on."""
    claims = Claims()
    first = _make(claims, "gcodes")
    later = [_make(claims, "gcodes/a") for _ in range(50)]
    for claim in later:
        claim.ready.addCallback(partial(_release, claims, claim))
    claims.release(first)
    assert all(claim.ready.called for claim in later)
    assert claims.ended().called


def test_end() -> None:
    """The end is waited for until there is nothing under way."""
    claims = Claims()
    claim = _make(claims, "gcodes")
    end = claims.ended()
    assert not end.called
    claims.release(claim)
    assert end.called


def test_too_many() -> None:
    """Not everybody may wait."""
    claims = Claims()
    for _ in range(MOST_WAITING):
        _make(claims, "gcodes")
    with pytest.raises(Unavailable):
        _make(claims, "gcodes")


def test_none_at_once_and_none_left() -> None:
    """Whatever the order of ends, two that meet are never at it at once, and all have their turn."""
    dice = random.Random(6)
    claims = Claims()
    waiting = [
        _make(claims, *dice.sample(["gcodes", "gcodes/a", "gcodes/a/b", "gcodes/c", "config", "config/x"], 2))
        for _ in range(200)
    ]
    while waiting:
        ready = [claim for claim in waiting if claim.ready.called]
        assert not any(one.meets(other) for one in ready for other in ready if one is not other)
        ended = dice.choice(ready)
        waiting.remove(ended)
        claims.release(ended)
