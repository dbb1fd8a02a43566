"""At the end: what the tests counted, whichever process ran them."""

from __future__ import annotations

import gc
from collections import Counter
from typing import Any

gc.set_threshold(
    100_000, 20, 100
)  # worlds are large and short-lived: what they leave need not be looked for so often

SUMS = {
    "fault points": "tests/service",
    "pairs of faults": "tests/service",
    "orders of two": "tests/service",
    "simulated lives": "tests/simulation",
    "simulated lives over AWS": "tests/simulation",
    "simulated faults": "tests/simulation",
    "restores of the table": "tests/simulation",
    "launches adopted after a restore": "tests/simulation",
    "launches lost by a restore": "tests/simulation",
    "codes of an older epoch": "tests/simulation",
    "faults at calls to EC2": "tests/contract",
    "pairs of faults at calls to EC2": "tests/contract",
    "actions taken from a role": "tests/package",
    "actions taken from the template": "tests/package",
    "conditions taken from a role": "tests/package",
    "attacks by a function's role": "tests/package",
}
SETTLED = "crashes that are one with a silence"
SAID = {"outage": "tests/service", "at once": "tests/contract", "hostile": "tests/hostile"}
LINES = ("random steps", "small world", "lives of instances")

LONGEST = ("tests/service/test_faults.py", "tests/deployed", "tests/browser", "tests/package")
SHORTEST = ("tests/core", "tests/local_room")
"""The files that take longest are begun first, and the shortest last, so that no worker is left alone at the end."""


def pytest_collection_modifyitems(items: list[Any]) -> None:
    """Begin with the longest files and end with the shortest; the others stay in their order."""
    items.sort(key=lambda item: (not item.nodeid.startswith(LONGEST), item.nodeid.startswith(SHORTEST)))


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print how much was tried, and how much of what there is was seen."""
    sums: Counter[str] = Counter()
    for reports in terminalreporter.stats.values():
        for report in reports:
            for name, value in report.user_properties if getattr(report, "when", "") == "call" else ():
                if name in LINES:
                    terminalreporter.write_line(f"tests/core: {name}, {value}")
                if name in SAID:
                    terminalreporter.write_line(f"{SAID[name]}: {value}")
                if name in SUMS or name == SETTLED:
                    sums[name] += value
    settled = sums.pop(SETTLED, 0)
    for name, value in sums.items():
        terminalreporter.write_line(f"{SUMS[name]}: {value} {name} tried, none skipped")
    if settled:
        terminalreporter.write_line(f"tests/service: {settled} {SETTLED} that nothing handles")
