"""Limits: how many at once, how soon more, and how long to wait, by arithmetic alone."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from gonogo.core.errors import TooManyError
from gonogo.core.limit import DECISIONS, FAILURES, LAUNCHES, REQUESTS, UNCOUNTED, Limit, until_fewer
from tests.core.builders import AT, HOUR, MINUTE, SECOND

FEW = Limit("knocks", 3, MINUTE)


def used(times: list[datetime], limit: Limit = FEW) -> list[int]:
    """Return for each use the seconds that it was told to wait, 0 where it was let through."""
    full_at: datetime | None = None
    found = []
    for at in times:
        try:
            full_at = limit.used(full_at, at)
            found.append(0)
        except TooManyError as error:
            found.append(error.retry_after)
    return found


def test_as_many_as_it_says_at_once_and_then_one_by_one():
    """Whoever comes rarely may do it all at once; whoever goes on is held to the rate."""
    times = [AT] * 4 + [AT + 19 * SECOND, AT + 20 * SECOND, AT + 20 * SECOND, AT + 40 * SECOND]
    assert used(times) == [0, 0, 0, 20, 1, 0, 20, 0]


def test_whoever_waits_as_told_is_let_through():
    """A Retry-After that is too short by a fraction would be a lie that costs another refusal."""
    full_at: datetime | None = None
    limit = Limit("knocks", 7, MINUTE)
    for _ in range(7):
        full_at = limit.used(full_at, AT)
    with pytest.raises(TooManyError) as told:
        limit.used(full_at, AT)
    assert told.value.retry_after == 9  # 60 / 7 is 8.57
    limit.used(full_at, AT + told.value.retry_after * SECOND)


def test_what_is_refused_costs_nothing():
    """Who asks on and on while it is empty is let in as soon as whoever waits."""
    times = [AT] * 3 + [AT + SECOND * n for n in range(1, 20)] + [AT + 20 * SECOND]
    assert used(times)[-1] == 0


def test_after_the_window_it_is_full_again():
    """What was done long ago counts no longer, and no bucket holds more than its quota."""
    assert used([AT] * 3 + [AT + MINUTE] * 4) == [0, 0, 0, 0, 0, 0, 20]
    assert used([AT] * 3 + [AT + 9 * HOUR] * 4) == [0, 0, 0, 0, 0, 0, 20]


def test_a_clock_that_is_set_back_locks_nobody_out():
    """An hour's leap back must not make somebody wait an hour."""
    assert max(used([AT + HOUR] * 3 + [AT] * 2)) <= 20


def test_the_error_says_which_limit_and_when():
    """It becomes Retry-After and RateLimit, so it must hold all of that."""
    error = FEW.broken(timedelta(seconds=1.5))
    assert (error.limit, error.quota, error.window, error.retry_after) == ("knocks", 3, 60, 2)
    assert str(error) == "Too many knocks: at most 3 in 60 s. Try again in 2 s."
    assert FEW.broken(timedelta(0)).retry_after == 1


@pytest.mark.parametrize(
    ("ago", "wait"),
    [([], None), ([0, 1], None), ([0, 1, 2], 58), ([2, 0, 1], 58), ([0, 1, 2, 3], 58), ([0, 1, 60], None)],
)
def test_counting_waits_for_the_oldest_of_as_many_as_may_be(ago: list[int], wait: int | None):
    """What lies in the window is counted exactly, however it is sorted, and the window has one end only."""
    found = until_fewer(FEW, [AT - one * SECOND for one in ago], AT)
    assert found == (None if wait is None else wait * SECOND)


def test_limits_are_far_from_what_people_do():
    """A person who works fast, or a page that asks for everything at once, must never meet one."""
    assert (REQUESTS.quota, REQUESTS.window) == (600, MINUTE)
    assert (FAILURES.quota, FAILURES.window) == (30, MINUTE)
    assert UNCOUNTED.quota < LAUNCHES.quota
    assert UNCOUNTED.window == LAUNCHES.window == DECISIONS.window == HOUR
