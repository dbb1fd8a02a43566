"""Whether a host that did not answer is called again yet: a dead one must not take the time of those that live."""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec

PATIENCE = 3
"""How many calls in a row may go unanswered before the host is left alone."""
FIRST, LONGEST = timedelta(minutes=1), timedelta(minutes=5)
"""How long it is left alone: twice as long each time that it does not answer the one call in between.

Not for longer, so that what somebody wants sent again when the host is back goes out soon."""


class Circuit(msgspec.Struct, frozen=True):
    """How many calls in a row the host left unanswered, and until when it is not called."""

    silences: int = 0
    until: datetime | None = None

    def wait(self, at: datetime) -> timedelta:
        """Return for how long it is not called yet: nothing where it may be called now.

        Never longer than `LONGEST`, whatever the clock did in between.
        """
        return min(max(self.until - at, timedelta()), LONGEST) if self.until else timedelta()

    def called(self, at: datetime) -> Circuit:
        """Return it with a call under way: of one that was left alone, no second call until that is answered."""
        return msgspec.structs.replace(self, until=at + FIRST) if self.until else self

    def silent(self, at: datetime) -> Circuit:
        """Return it after a call that was not answered."""
        silences = self.silences + 1
        over = silences - PATIENCE
        return Circuit(silences, at + min(FIRST * 2 ** min(over, 16), LONGEST) if over >= 0 else None)


WHOLE = Circuit()
"""Of a host that answers, or of which nothing is known."""
