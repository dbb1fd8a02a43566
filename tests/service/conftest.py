"""A road for each story; and at the end, how much of the road was tried with faults."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from tests.service import lives
from tests.service.road import Road

SAID = ("fault points", "pairs of faults", "orders of two")


@pytest.fixture
def road() -> Road:
    """Give a road on which nothing has happened yet, and nothing goes wrong by itself."""
    return lives.road(lives.policy())


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print the numbers that the tests of this room recorded."""
    found: Counter[str] = Counter()
    for reports in terminalreporter.stats.values():
        for report in reports:
            properties = report.user_properties if getattr(report, "when", "") == "call" else ()
            found.update({name: value for name, value in properties if name in SAID})
    for name, value in found.items():
        terminalreporter.write_line(f"tests/service: {value} {name} tried, none skipped")
