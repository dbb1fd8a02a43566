"""Says at the end how much of the road was tried."""

from __future__ import annotations

from collections import Counter
from typing import Any

SAID = ("fault points", "pairs of faults")


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print the numbers that the tests of this room recorded."""
    found: Counter[str] = Counter()
    for reports in terminalreporter.stats.values():
        for report in reports:
            for name, value in getattr(report, "user_properties", ()) if getattr(report, "when", "") == "call" else ():
                if name in SAID:
                    found[name] += value
    for name, value in found.items():
        terminalreporter.write_line(f"tests/service: {value} {name} tried, none skipped")
