"""How much of something one may do in a time: a bucket that fills steadily, kept as one moment.

A bucket holds `quota` and fills in `window`; each use takes one. All that is kept is when it will be full again
(the generic cell rate algorithm, ITU-T I.371, annex A): a bucket that is full need not be kept at all.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec

from gonogo.core.errors import TooManyError


class Limit(msgspec.Struct, frozen=True):
    """`quota` of what `name` says (in the plural, lower case) in any `window`, at once or spread over it."""

    name: str
    quota: int
    window: timedelta

    def used(self, full_at: datetime | None, at: datetime) -> datetime:
        """Return when the bucket will be full again after one more use; `full_at` is when it would have been.

        Raises:
            TooManyError: it is empty.
        """
        each = self.window // self.quota  # rounded down, so that a whole quota fits
        full_at = min(max(full_at or at, at), at + self.window) + each
        over = full_at - at - self.window
        if over > timedelta():
            raise self.broken(over)
        return full_at

    def broken(self, wait: timedelta) -> TooManyError:
        """Return the error that says to wait so long: at least a second, and never less than it takes."""
        seconds = max(-(-wait // timedelta(seconds=1)), 1)
        return TooManyError(self.name, self.quota, int(self.window.total_seconds()), seconds)


MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
REQUESTS = Limit("requests", 600, MINUTE)
"""Of one actor who is signed in, or with one code that is good, in one process."""
FAILURES = Limit("failed attempts", 30, MINUTE)
"""With bearers and codes that are not good, from one address, in one process."""
UNCOUNTED = Limit("launches", 10, HOUR)
"""How many launches one actor asks for, in one process, before all that the actor asked for anywhere are counted."""
LAUNCHES = Limit("launches", 100, HOUR)
"""Of one actor, wherever they are asked for."""
DECISIONS = Limit("decisions", 6, HOUR)
"""Of one actor on one gate: each may be taken back, and each is told by mail."""


def until_fewer(limit: Limit, times: list[datetime], at: datetime) -> timedelta | None:
    """Return how long it takes until fewer than the quota lie in the window; None where fewer do now."""
    recent = sorted(one for one in times if one > at - limit.window)
    if len(recent) < limit.quota:
        return None
    return recent[len(recent) - limit.quota] + limit.window - at
