"""How properties are tried: as many examples as they say, however slow the machine; and a machine far away."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")


@pytest.fixture
def far_east(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Run the test on a machine whose own clock is fourteen hours ahead of UTC."""
    with monkeypatch.context() as there:
        there.setenv("TZ", "<+14>-14")
        time.tzset()
        yield
    time.tzset()
