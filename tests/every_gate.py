"""A policy with gates of every kind, for what people and systems are told of them."""

from __future__ import annotations

from functools import cache

from tests.core.builders import policy_files, somebody

SCHEMA = """
entity Group;
entity Person in [Group] = { issuer: String, subject: String, service: Bool };
entity Template;
entity Gate;
type Claimed = { cost_center: String, reason: String, name: String };
type Budget = { limit: decimal, estimate: decimal, committed: decimal, remaining: decimal, overrun: Bool };
type Costs = { hourly_cost: decimal, monthly_cost: decimal, worst_case_cost: decimal };
type Asked = {
  hourly_cost: decimal, monthly_cost: decimal, worst_case_cost: decimal, engine: String, region: String,
  units: Set<String>, quantity: Long, lease_hours: Long, claimed: Claimed, budget?: Budget,
};
action "launch", "request", "break_glass" appliesTo {
  principal: [Person], resource: [Template], context: Asked,
};
action "approve" appliesTo { principal: [Person], resource: [Gate], context: Costs };
action "change_policy" appliesTo { principal: [Person], resource: [Gate], context: {} };
action "act_for", "delegate" appliesTo { principal: [Person], resource: [Person], context: {} };
"""

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

[finance]
title = "Finance"
stage = 2
"""

POLICIES = """
permit (principal in Group::"operators", action == Action::"launch", resource);
@gate("lead")
permit (principal in Group::"developers", action == Action::"request", resource);
permit (principal in Group::"leads", action == Action::"approve", resource == Gate::"lead");
permit (principal in Group::"finance", action == Action::"approve", resource == Gate::"finance");
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

PEOPLE = (
    """
[groups]
developers = "May ask for launches"
leads = "Say go for their teams"
finance = "Say go for what is dear"
operators = "May launch at once"
"""
    + "".join(
        somebody(name, group, more=f'mail = "{name}@example.com"')
        for name, group in (
            ("dev", "developers"),
            ("lead", "leads"),
            ("lead2", "leads"),
            ("finance", "finance"),
            ("ops", "operators"),
        )
    )
    + somebody(
        "scanner",
        more='service = true\nmail = "scanner@example.com"\n'
        'webhook = { url = "https://hooks.example.com/scanner", secret = "room" }',
    )
)
"""The scanner's webhook is not private: the code that it is sent decides the hook, and nothing else."""


@cache
def policy() -> dict[str, str]:
    """Return a policy of its own, but for the example's templates and prices."""
    own = {
        "gates.toml": GATES,
        "policies.cedar": POLICIES,
        "schema.cedarschema": SCHEMA,
        "people.toml": PEOPLE,
    }
    files = policy_files()
    kept = {name: text for name, text in files.items() if name == "prices.toml" or "templates/" in name}
    return {**kept, **own}
