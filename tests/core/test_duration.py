"""Lengths of time: few forms, each with one meaning."""

from __future__ import annotations

from datetime import timedelta

import pytest

from gonogo.core import duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1s", 1),
        ("90s", 90),
        ("15m", 900),
        ("8h", 28800),
        ("30d", 2592000),
        ("2w", 1209600),
        ("9999999s", 9999999),
    ],
)
def test_lengths(text: str, seconds: int):
    """What people write is read as they mean it."""
    assert duration.parse(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "text",
    [
        "", "0s", "01m", "1", "s", "-1h", "+1h", "1.5h", "1 h", " 1h", "1h ", "1h\n", "\n1h", "1H", "1y",
        "1ms", "1h30m", "10000000s", "\uff11h", "1\uff48", "1h\0", "P1D", "٣h", "1_0h", "1e3s",
    ],
)  # fmt: skip
def test_anything_else_is_refused(text: str):
    """A length that could be read in two ways, or that is none, must not become a lease."""
    with pytest.raises(ValueError, match="is not a length of time"):
        duration.parse(text)
