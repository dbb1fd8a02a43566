"""Lengths of time as people write them: 90s, 15m, 8h, 30d, 2w."""

from __future__ import annotations

import re
from datetime import timedelta

PATTERN = r"^[1-9][0-9]{0,6}[smhdw]$"
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


def parse(text: str) -> timedelta:
    """Read a length of time.

    Raises:
        ValueError: it is not a whole number of at most seven digits and one of s, m, h, d, w.
    """
    if not re.fullmatch(PATTERN[1:-1], text, re.ASCII):
        raise ValueError(f"{text!r} is not a length of time such as 90s, 15m, 8h, 30d or 2w")
    return timedelta(seconds=int(text[:-1]) * _UNITS[text[-1]])
