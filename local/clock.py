"""A clock that runs with the real one and can jump ahead, so that an expiry can be watched at once."""

import re
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

ADVANCE = re.compile(r"([1-9][0-9]{0,8})([smhd])", re.ASCII)
UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
FURTHEST = timedelta(days=3660)


class ClockError(ValueError):
    """A jump that this clock does not make; the text tells a person what it would make."""


def parse_advance(text: object) -> timedelta:
    """Read a jump such as "90s", "30m", "2h" or "3d"; raise ClockError on anything else."""
    match = ADVANCE.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        message = '"advance" is a whole number and one of s, m, h, d: "90s", "30m", "2h", "3d".'
        raise ClockError(message)
    jump = timedelta(**{UNITS[match[2]]: int(match[1])})
    if jump > FURTHEST:
        message = f"A jump is at most {FURTHEST.days} days."
        raise ClockError(message)
    return jump


class Clock:
    """The time that gonogo sees here: the real time, plus every jump so far. It never goes back."""

    def __init__(self, real: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._real = real
        self._ahead = timedelta()
        self._lock = threading.Lock()

    def now(self) -> datetime:
        """Return the time in UTC."""
        return self._real() + self._ahead

    def advance(self, jump: timedelta) -> datetime:
        """Jump ahead and return the new time; raise ClockError for a jump back or beyond ten years in all."""
        if jump <= timedelta():
            message = "The clock goes forward only."
            raise ClockError(message)
        with self._lock:
            if self._ahead + jump > FURTHEST:
                message = (
                    f"The clock is {self._ahead} ahead; it stays within {FURTHEST.days} days of the real one."
                )
                raise ClockError(message)
            self._ahead += jump
            return self.now()
