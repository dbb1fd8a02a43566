"""A policy with gates of every kind, for what people and systems are told of them."""

from __future__ import annotations

from functools import cache

from tests.core.builders import also, policy_files, somebody

GATES = """
[scan]
title = "Image scan"
kind = "hook"
place = "before_approval"
expires_after = "10m"
on_expiry = "escalate"
escalate_to = "lead"

[lead]
title = "Team lead"
expires_after = "5d"
valid_for = "4d"
remind_every = "1d"
escalate_after = "2d"
escalate_to = "operators"

[audit]
title = "Audit"
place = "after_launch"
expires_after = "5d"

[review]
title = "Was it needed?"
place = "after_launch"
expires_after = "5d"

[policy]
title = "Policy owners"
"""

POLICIES = """
@gate("scan")
permit (principal in Group::"developers", action == Action::"request", resource);
@gate("audit")
permit (principal in Group::"developers", action == Action::"request", resource);
permit (
  principal == Person::"http://gonogo.local#scanner", action == Action::"approve", resource == Gate::"scan"
);
permit (principal in Group::"leads", action == Action::"approve", resource == Gate::"audit");
permit (principal in Group::"leads", action == Action::"approve", resource == Gate::"review");
permit (principal in Group::"leads", action == Action::"approve", resource == Gate::"policy");
@gate("review")
@tell("operators")
permit (principal in Group::"developers", action == Action::"break_glass", resource);
permit (principal in Group::"developers", action == Action::"change_policy", resource == Gate::"policy");
permit (principal in Group::"operators", action == Action::"delegate", resource);
"""

PEOPLE = somebody(
    "scanner",
    more='service = true\nmail = "scanner@example.com"\n'
    'webhook = { url = "https://hooks.example.com/scanner", secret = "room" }',
) + somebody("lead2", "leads", more='mail = "lead2@example.com"')
"""The scanner's webhook is not private: the code that it is sent decides the hook, and nothing else."""


@cache
def policy() -> dict[str, str]:
    """Return the example policy with gates of every kind, and with whoever decides them."""
    return policy_files(
        gates=GATES + '\n[finance]\ntitle = "Finance"\nstage = 2\n',
        policies=also(POLICIES),
        people=also(PEOPLE),
        tests="",
    )
