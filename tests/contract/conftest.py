"""What the suites of ports share: the second engine, and where each implementation on AWS is asked."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.contract import second_engine


@pytest.fixture(scope="session")
def engine() -> Iterator[str]:
    """Give the address of the second engine."""
    with second_engine.running() as address:
        yield address
