"""How often a password may be tried."""

from __future__ import annotations

from txraker.authorization.attempts import (
    FIRST_WAIT,
    FORGOTTEN_AFTER,
    FREE,
    FREE_FOR_ADDRESS,
    LONGEST_WAIT,
    MOST_REMEMBERED,
    LoginAttempts,
)

HERE, THERE = "10.0.0.1", "10.0.0.2"


def failed(attempts: LoginAttempts, count: int, user: str = "ann", address: str = HERE) -> None:
    """Fail some times."""
    for _ in range(count):
        attempts.tried((address,), user, 0.0)


def test_waiting() -> None:
    """After some failures each further try must wait, twice as long each time, up to a limit."""
    attempts = LoginAttempts()
    failed(attempts, FREE - 1)
    assert attempts.wait((HERE,), "ann", 0.0) <= 0
    waits = []
    for _ in range(15):
        failed(attempts, 1)
        waits.append(attempts.wait((HERE,), "ann", 0.0))
    assert waits[:3] == [FIRST_WAIT, 2 * FIRST_WAIT, 4 * FIRST_WAIT]
    assert waits[-1] == LONGEST_WAIT
    assert attempts.wait((HERE,), "ann", LONGEST_WAIT) <= 0


def test_others() -> None:
    """Others don't wait: neither other users from there, for a while, nor the same user from elsewhere."""
    attempts = LoginAttempts()
    failed(attempts, FREE + 2)
    assert attempts.wait((HERE,), "bob", 0.0) <= 0
    assert attempts.wait((THERE,), "ann", 0.0) <= 0


def test_many_users() -> None:
    """Whoever tries many users from one address waits, too."""
    attempts = LoginAttempts()
    for number in range(FREE_FOR_ADDRESS):
        failed(attempts, 1, f"user{number}")
    assert attempts.wait((HERE,), "another", 0.0) > 0


def test_success() -> None:
    """A success forgets the failures."""
    attempts = LoginAttempts(most=10)
    failed(attempts, 9)
    attempts.succeeded((HERE,), "ann")
    assert attempts.wait((HERE,), "ann", 0.0) <= 0
    failed(attempts, 1)
    assert not attempts.is_locked((HERE,))


def test_lock() -> None:
    """As many failures as are configured lock an address out, and no other."""
    attempts = LoginAttempts(most=3)
    failed(attempts, 2)
    assert not attempts.is_locked((HERE,))
    failed(attempts, 1, "bob")
    assert attempts.is_locked((HERE,))
    assert not attempts.is_locked((THERE,))


def test_no_lock() -> None:
    """By default nobody is locked out for good."""
    attempts = LoginAttempts()
    failed(attempts, 1000)
    assert not attempts.is_locked((HERE,))


def test_memory() -> None:
    """However many addresses fail, memory is bounded."""
    attempts = LoginAttempts()
    for number in range(2 * MOST_REMEMBERED):
        failed(attempts, 1, address=f"10.{number}")
    assert len(attempts._pairs) <= MOST_REMEMBERED
    assert len(attempts._origins) <= MOST_REMEMBERED


def test_locked_out_for_good() -> None:
    """Who is locked out isn't forgotten because of others' failures."""
    attempts = LoginAttempts(most=3)
    failed(attempts, 3)
    for number in range(2 * MOST_REMEMBERED):
        failed(attempts, 1, address=f"10.{number}")
    assert attempts.is_locked((HERE,))


def test_one_host_with_many_addresses() -> None:
    """All addresses that one host on IPv6 has count as one."""
    attempts = LoginAttempts(most=3)
    for number in range(3):
        failed(attempts, 1, address=f"2001:db8::{number:x}")
    assert attempts.is_locked(("2001:db8::ffff:1",))
    assert not attempts.is_locked(("2001:db8:0:1::1",))


def test_success_of_one_user() -> None:
    """To log in oneself in between buys no more tries of others' passwords."""
    attempts = LoginAttempts(most=100)
    for number in range(FREE_FOR_ADDRESS):
        failed(attempts, 1, f"user{number}")
        attempts.tried((HERE,), "me", 0.0)
        attempts.succeeded((HERE,), "me")
    assert attempts.wait((HERE,), "another", 0.0) > 0


def test_try_that_came_to_nothing() -> None:
    """A try in which nobody looked at the password doesn't count."""
    attempts = LoginAttempts(most=1)
    failed(attempts, 1)
    attempts.not_tried((HERE,), "ann")
    assert not attempts.is_locked((HERE,))
    assert attempts.wait((HERE,), "ann", 0.0) <= 0


def test_several_addresses() -> None:
    """Who varies one of the addresses that a proxy passes on is counted by the other."""
    attempts = LoginAttempts(most=2 * FREE)
    for number in range(2 * FREE):
        attempts.tried((HERE, f"10.9.9.{number}"), "ann", 0.0)
    assert attempts.wait((HERE, "10.8.8.8"), "ann", 0.0) > 0
    assert attempts.is_locked(("10.8.8.8", HERE))
    assert not attempts.is_locked(("10.8.8.8",))


def test_long_ago() -> None:
    """Failures of long ago are forgotten, but not a lock."""
    attempts = LoginAttempts(most=FREE)
    failed(attempts, FREE - 1)
    failed(attempts, FREE, address=THERE)
    later = FORGOTTEN_AFTER + LONGEST_WAIT
    for address in (HERE, THERE):
        attempts.tried((address,), "ann", later)
    assert attempts.wait((HERE,), "ann", later) <= 0
    assert [attempts.is_locked((address,)) for address in (HERE, THERE)] == [False, True]
