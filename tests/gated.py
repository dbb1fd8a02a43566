"""The words of a policy with every kind of gate: systems, people, clocks, budgets, break-glass, its own change."""

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
