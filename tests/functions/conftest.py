"""A world for each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.functions.world import World, world


@pytest.fixture(name="world")
def fresh_world() -> Iterator[World]:
    """Give a world where nothing has happened yet."""
    with world() as made:
        yield made
