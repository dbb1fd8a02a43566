"""How properties are tried: as many examples as they say, however slow the machine is; and what was counted."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, settings

settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")

COUNTED = ("random steps", "small world")


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print what the tests of this room counted, whichever process ran them."""
    for reports in terminalreporter.stats.values():
        for report in reports:
            properties = report.user_properties if getattr(report, "when", "") == "call" else ()
            for name, value in properties:
                if name in COUNTED:
                    terminalreporter.write_line(f"tests/core: {name}, {value}")
