"""Leases and reports as they are typed: an end is reckoned from the end that is, and an answer says which it is."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

import pytest

from tests.cli.shell import Answers, Shell
from tests.functions.world import World

ENDS = "2026-12-23T09:00:00Z"
PRICE = {"currency": "USD", "hourly": "0.0104", "monthly": "7.60", "worst_case": "7.49", "version": "1"}
LAUNCH: dict[str, Any] = {
    "id": "l-abc",
    "state": "RUNNING",
    "template": "web-small",
    "wanted": None,
    "price": PRICE,
    "lease": "30d",
    "gates": [],
    "failure": None,
    "lease_ends_at": ENDS,
    "plan": {"engine": "ec2"},
}
EXTENSION = {
    **LAUNCH,
    "id": "l-def",
    "state": "PENDING_APPROVAL",
    "plan": {
        "engine": "lease",
        "spec": {"launch": "l-abc", "name": "fair", "previous": ENDS, "until": "never"},
    },
}
EXTEND, READ = "POST /v1/launches/l-abc/extend", "GET /v1/launches/l-abc"


def asked(there: Answers) -> Any:
    """Return what was sent last."""
    return json.loads(there.asked[-1].content)


def test_a_launch_is_extended_by_the_command_of_the_mail(world: World, shell: Shell):
    """`gonogo extend ID --by 7d` is all that there is to know."""
    launch = shell.json("submit", "web-small", "--reason", "a page", "--cost-center", "x")
    assert shell("decide", launch["id"], "--approve", "--yes", who="lead", typed="GO\n").exit_code == 0
    world.settle()
    before = shell.json("show", launch["id"])["lease_ends_at"]
    done = shell("extend", launch["id"], "--by", "7d")
    assert done.exit_code == 0, done.output
    after = shell.json("show", launch["id"])["lease_ends_at"]
    assert datetime.fromisoformat(after) - datetime.fromisoformat(before) == timedelta(days=7)
    assert "ends at 2026-12-30" in done.stdout


def test_an_end_is_sent_as_a_time():
    """Sent again it means the same: so much more would be more each time."""
    there = Answers({READ: LAUNCH, EXTEND: {**LAUNCH, "lease_ends_at": None}})
    shell = Shell(there)
    assert shell("extend", "l-abc", "--by", "36h").exit_code == 0
    assert asked(there) == {"until": "2026-12-24T21:00:00+00:00"}
    assert shell("extend", "l-abc", "--until", "2027-01-01T00:00+01:00", "--reason", "On.").exit_code == 0
    assert asked(there) == {"until": "2026-12-31T23:00:00+00:00", "reason": "On."}
    done = shell("extend", "l-abc", "--until", "never")
    assert asked(there) == {"until": "never"}
    assert "has no end" in done.stdout


def test_an_extension_that_waits_says_so():
    """Whoever reads only the first line must not take it for done."""
    shell = Shell(Answers({READ: LAUNCH, EXTEND: EXTENSION}))
    done = shell("extend", "l-abc", "--until", "never")
    assert done.exit_code == 0
    assert "extends the lease of fair (l-abc) from 2026-12-23" in " ".join(done.stdout.split())
    assert "no end" in done.stdout
    assert "gonogo wait l-def" in done.stderr
    assert shell.json("extend", "l-abc", "--until", "never")["id"] == "l-def"


def test_what_has_no_end_is_not_extended_by_anything():
    """There is nothing to reckon from."""
    there = Answers({READ: {**LAUNCH, "lease_ends_at": None}})
    done = Shell(there)("extend", "l-abc", "--by", "7d")
    assert (done.exit_code, len(there.asked)) == (1, 1)
    assert "Nothing was changed" in done.stderr


@pytest.mark.parametrize(
    "words",
    [
        ("extend", "l-abc"),
        ("extend", "l-abc", "--by", "7d", "--until", "never"),
        ("extend", "l-abc", "--until", "tomorrow"),
        ("report", "l-abc", "done", "--digest", "0"),
        ("report", "l-abc", "started"),
        ("report", "l-abc", "started", "--digest", "0", "--attempt", "0"),
    ],
)
def test_what_cannot_be_meant_is_not_sent(words: tuple[str, ...]):
    """It leaves with 2, and nobody is asked."""
    there = Answers({})
    assert Shell(there)(*words).exit_code == 2
    assert there.asked == []


def test_a_system_reports_from_a_shell():
    """A batch script is an outside system too."""
    there = Answers({"POST /v1/launches/l-abc/report": LAUNCH})
    shell = Shell(there)
    words = ("report", "l-abc", "started", "--digest", "0" * 64, "--attempt", "2")
    assert shell(*words, "--resource", "a", "--resource", "b").exit_code == 0
    assert asked(there) == {
        "digest": "0" * 64,
        "outcome": "started",
        "attempt": 2,
        "resources": ["a", "b"],
    }
    why = ("--code", "NoQuota", "--message", "All is taken.")
    assert shell.json("report", "l-abc", "failed", "--digest", "0" * 64, *why)["id"] == "l-abc"
    assert asked(there)["message"] == "All is taken."
