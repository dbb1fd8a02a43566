"""A road for each story."""

from __future__ import annotations

import pytest

from tests.service import lives
from tests.service.road import Road


@pytest.fixture
def road() -> Road:
    """Give a road on which nothing has happened yet, and nothing goes wrong by itself."""
    return lives.road(lives.policy())
