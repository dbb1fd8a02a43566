"""What the suites of ports share: an AWS to ask, which is moto in this process, or the second engine."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.contract import second_engine


@pytest.fixture(scope="session")
def engine() -> Iterator[str]:
    """Give the address of the second engine."""
    with second_engine.running() as address:
        yield address


@pytest.fixture(params=second_engine.ON_AWS)
def aws(request: pytest.FixtureRequest) -> Iterator[str]:
    """Give each AWS in turn, by name."""
    with second_engine.asked(request.param, request):
        yield request.param
