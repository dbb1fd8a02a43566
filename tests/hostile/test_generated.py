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
SHORT = ("--max-examples", "2")
"""How much where GONOGO_GENERATED does not say for how many seconds: so many of each operation."""
SECONDS = int(os.environ.get("GONOGO_GENERATED") or 0)
PHASES = ("coverage", "fuzzing", "stateful") if SECONDS else ("fuzzing",)
"""Each has its share of the time, so that none takes that of the next. `examples` has none: we describe none."""
LATE = 300
"""Seconds: it looks at the clock between operations only, and first reads what there is."""

pytestmark = [
    pytest.mark.generated,
    pytest.mark.skipif(not PROGRAM.exists(), reason="there is no .venv-schemathesis"),
]


@pytest.mark.parametrize("phase", PHASES)
def test_no_generated_request_finds_a_fault(
    record_property: Callable[[str, object], None], tmp_path: Path, phase: str
) -> None:
    """No 5xx, every answer as described, what the schema forbids refused, and nobody let in without a good bearer."""
    share = SECONDS // len(PHASES)
    number = seed()
    with house.served() as served:
        for given in ("waiting", "offered", "scanned"):
            served.stage.launch(given, "requester")
        done = subprocess.run(
            [
                PROGRAM,
                *("--config-file", Path(__file__).parent / "schemathesis.toml"),
                *("run", f"{served.url}/openapi.json", "--url", served.url),
                *("--checks", "all", "--phases", phase, "--seed", str(number)),
                *(("--max-time", str(share)) if share else SHORT),
                *("--header", f"Authorization: Bearer {served.stage.bearer('everything')}"),
                *("--continue-on-failure", "--no-shrink", "--warnings", "off"),
            ],
            cwd=tmp_path,
            env={"PATH": os.environ.get("PATH", ""), "NO_COLOR": "1", "COLUMNS": "120"},
            capture_output=True,
            text=True,
            check=False,
            timeout=share + LATE if share else None,
        )
    assert done.returncode == 0, f"GONOGO_SEED={number}\n{done.stdout[-12_000:]}{done.stderr[-2000:]}"
    (tried,) = re.findall(r"(\d+) generated", done.stdout)
    (tested,) = re.findall(r"Tested: (\d+)", done.stdout)
    assert int(tried) > 20
    record_property(
        "hostile",
        f"{tried} generated requests of phase {phase} to {tested} operations (GONOGO_SEED={number}),"
        " all checks of schemathesis",
    )
