"""What is deployed, packed once for all tests of this room."""

from __future__ import annotations

from typing import Any

import pytest

from tests import packaged


@pytest.fixture(scope="session")
def package(pytestconfig: pytest.Config) -> packaged.Package:
    """Return the package that is deployed, for Lambda's arm64."""
    assert pytestconfig.cache is not None
    return packaged.build(pytestconfig.cache.mkdir("gonogo-package"), "arm64")


@pytest.fixture(scope="session")
def template(package: packaged.Package) -> dict[str, Any]:
    """Return the template of the package, before SAM's transform."""
    return package.sam()
