"""A policy with every kind of gate: systems, people, clocks, budgets, break-glass, and its own change."""

from __future__ import annotations

from tests.functions.policy import person
from tests.functions.world import ISSUER, example

SCHEMA = """
entity Group;
entity Person in [Group] = { issuer: String, subject: String, service: Bool };
entity Template;
entity Gate;
type Claimed = { cost_center: String, reason: String, name: String };
action "launch", "request", "break_glass" appliesTo {
  principal: [Person],
  resource: [Template],
  context: {
    hourly_cost: decimal, monthly_cost: decimal, worst_case_cost: decimal,
    engine: String, region: String, units: Set<String>, quantity: Long, lease_hours: Long,
    budget?: { limit: decimal, estimate: decimal, committed: decimal, remaining: decimal, overrun: Bool },
    claimed: Claimed,
  },
};
action "approve" appliesTo {
  principal: [Person], resource: [Gate],
  context: { hourly_cost: decimal, monthly_cost: decimal, worst_case_cost: decimal },
};
action "act_for", "delegate" appliesTo { principal: [Person], resource: [Person], context: {} };
action "change_policy" appliesTo { principal: [Person], resource: [Gate], context: {} };
"""

RULES = """
permit (principal in Group::"operators", action == Action::"launch", resource);
@gate("lead")
permit (principal in Group::"developers", action == Action::"request", resource);
permit (principal in Group::"leads", action == Action::"approve", resource == Gate::"lead");
permit (principal in Group::"finance", action == Action::"approve", resource == Gate::"finance");
@gate("review") @tell("operators")
permit (principal in Group::"developers", action == Action::"break_glass", resource == Template::"web-small");
permit (principal in Group::"leads", action == Action::"approve", resource == Gate::"review");
permit (principal in Group::"operators", action == Action::"change_policy", resource == Gate::"policy");
permit (principal in Group::"leads", action == Action::"approve", resource == Gate::"policy");
permit (principal in Group::"operators", action == Action::"delegate", resource);
"""

GATES = """
[lead]
title = "Team lead"

[finance]
title = "Finance"
stage = 2

[review]
title = "Review"
place = "after_launch"

[policy]
title = "Policy"
"""

SCANNER = person("scanner", mail=False, webhook="https://scanner.example.com/", service=True)
ORACLE = person("oracle", mail=False, service=True)
SCAN = """
@gate("scan")
permit (principal in Group::"developers", action == Action::"request", resource);
permit (principal == Person::"http://gonogo.local#scanner", action == Action::"approve", resource == Gate::"scan");
"""
OVERRUN = """
@gate("finance")
permit (principal in Group::"developers", action == Action::"request", resource)
when { context has budget && context.budget.overrun };
"""


def gated(*more_people: str, gates: str = "", rules: str = "", budgets: str = "") -> dict[str, str]:
    """Return the example's people and templates, with these gates and rules on top of those above."""
    files = example()
    files.pop("tests.toml", None)
    files["people.toml"] += "".join(more_people)
    files["schema.cedarschema"] = SCHEMA
    files["policies.cedar"] = RULES + rules
    files["gates.toml"] = GATES + gates
    files["budgets.toml"] = budgets
    return files


def hooked(on_expiry: str = "", *, place: str = "before_approval", more: str = "") -> dict[str, str]:
    """Return that policy with a scanner that must pass, and what happens when it does not answer."""
    fallback = '\nescalate_to = "lead"' if on_expiry == "escalate" else ""
    answer = f'on_expiry = "{on_expiry}"{fallback}' if on_expiry else ""
    scan = f'\n[scan]\ntitle = "Scanner"\nkind = "hook"\nplace = "{place}"\nexpires_after = "10m"\n{answer}\n{more}'
    return gated(SCANNER, gates=scan, rules=SCAN)


def issuer_and(subject: str) -> dict[str, str]:
    """Return somebody as the API takes them."""
    return {"issuer": ISSUER, "subject": subject}
