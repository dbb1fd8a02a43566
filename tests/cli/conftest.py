"""A world and a shell that reaches it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.cli.shell import Gateway, Shell
from tests.functions.world import World, world


@pytest.fixture(name="world")
def fresh_world() -> Iterator[World]:
    """Give a world where nothing has happened yet."""
    with world() as made:
        yield made


@pytest.fixture(name="shell")
def shell_to_the_world(world: World) -> Shell:
    """Give a shell whose commands reach the world's API."""
    return Shell(Gateway(world))
