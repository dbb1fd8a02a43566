"""Requests that a program written by others generates from /openapi.json, good and bad, with all its checks."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.hostile import house
from tests.hostile.corpus import seed

ROOT = Path(__file__).parents[2]
PROGRAM = ROOT / ".venv-schemathesis" / "bin" / "schemathesis"
SHORT = 8
"""Seconds of fuzzing where GONOGO_GENERATED does not say how many."""

pytestmark = [
    pytest.mark.generated,
    pytest.mark.skipif(not PROGRAM.exists(), reason="there is no .venv-schemathesis"),
]


def test_no_generated_request_finds_a_fault(
    record_property: Callable[[str, object], None], tmp_path: Path
) -> None:
    """No 5xx, every answer as described, what the schema forbids refused, and nobody let in without a good bearer."""
    seconds = int(os.environ.get("GONOGO_GENERATED") or SHORT)
    phases = "fuzzing" if seconds <= SHORT else "examples,coverage,fuzzing,stateful"
    number = seed()
    with house.served() as served:
        for given in ("waiting", "offered", "scanned"):
            served.stage.launch(given, "requester")
        done = subprocess.run(
            [
                PROGRAM,
                *("--config-file", Path(__file__).parent / "schemathesis.toml"),
                *("run", f"{served.url}/openapi.json", "--url", served.url),
                *("--checks", "all", "--phases", phases, "--max-time", str(seconds), "--seed", str(number)),
                *("--header", f"Authorization: Bearer {served.stage.bearer('everything')}"),
                *("--continue-on-failure", "--no-shrink", "--warnings", "off"),
            ],
            cwd=tmp_path,
            env={"PATH": os.environ.get("PATH", ""), "NO_COLOR": "1", "COLUMNS": "120"},
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 0, f"GONOGO_SEED={number}\n{done.stdout[-12_000:]}{done.stderr[-2000:]}"
    (tried,) = re.findall(r"(\d+) generated", done.stdout)
    assert int(tried) > 20
    record_property(
        "hostile", f"{tried} generated requests (GONOGO_SEED={number}), all checks of schemathesis"
    )
