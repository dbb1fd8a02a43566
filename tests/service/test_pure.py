"""The use cases know nothing of AWS, and a test of them pays nothing for it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CHECK = """
import sys, {modules}
loaded = sorted(name for name in sys.modules if name.partition(".")[0] in {forbidden!r})
sys.exit(f"loaded: {{loaded}}" if loaded else 0)
"""
OF_AWS = {"boto3", "botocore", "pynamodb", "moto", "chalice"}


@pytest.mark.parametrize(
    "modules",
    [
        "gonogo.service",
        ", ".join(
            f"gonogo.service.{path.stem}" for path in sorted((ROOT / "gonogo/service").glob("[a-z]*.py"))
        ),
        "tests.memory",
        "tests.service.road, tests.service.lives, tests.service.faults, tests.service.test_faults",
    ],
)
def test_no_use_case_loads_an_aws_library(modules: str) -> None:
    """What a use case needs from outside it is given; so it runs in a test, a terminal or another cloud alike."""
    code = CHECK.format(modules=modules, forbidden=OF_AWS)
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
