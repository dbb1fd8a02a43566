"""Sentences that people read, test by test, as they were last agreed on in a file of tests/golden/.

After a change that is meant, write them anew with `GOLDEN=write make test ARGS=tests/core`, and read the difference
before a commit.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

GOLDEN = Path(__file__).parents[1] / "golden"


def assert_agreed(file: str, name: str, said: list[str]) -> None:
    """Assert that a test's sentences are those that stand in the file under its name."""
    path = GOLDEN / file
    known: dict[str, list[str]] = json.loads(path.read_text()) if path.exists() else {}
    if os.environ.get("GOLDEN") == "write":
        known[name] = said
        path.write_text(json.dumps({one: known[one] for one in sorted(known)}, indent=1) + "\n")
    assert said == known[name]
