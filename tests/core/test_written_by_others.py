"""Whole bundles as a stranger would write them from docs/policy.md, each with the answers that they would expect."""

from __future__ import annotations

from decimal import Decimal
from functools import cache

import msgspec
import pytest

from gonogo.core import policy
from gonogo.core.actor import Actor
from gonogo.core.budget import Standing
from gonogo.core.bundle import Bundle
from gonogo.core.errors import NotPermittedError
from tests.core.builders import asked, policy_files

ISSUER = "https://login.acme.example"
PEOPLE = """
[groups]
eng = "Engineers"
sec = "Security"
fin = "Finance"
boss = "Management"
oncall = "Whoever is on call"
bots = "Pipelines and scanners"
"""
MEMBERS = {
    "ann": "eng",
    "bob": "eng",
    "sue": "sec",
    "sam": "sec",
    "fay": "fin",
    "max": "boss",
    "olga": "oncall",
}
ASK = 'permit (principal in Group::"eng", action == Action::"request", resource)'
DECIDES = 'permit (principal in Group::"{}", action == Action::"approve", resource == Gate::"{}");'


def person(name: str, group: str, more: str = "") -> str:
    """Return somebody as people.toml has them."""
    return f'[[people]]\nname = "{name}"\nissuer = "{ISSUER}"\nsubject = "{name}"\ngroups = ["{group}"]\n{more}\n'


def decides(group: str, *gates: str) -> str:
    """Return that a group decides these gates."""
    return "\n".join(DECIDES.format(group, gate) for gate in gates)


BOTS = person("ci", "bots", f'service = true\nowner = "{ISSUER}#sue"') + person(
    "scanner", "bots", "service = true"
)
CLAIM = f'[[claims]]\nissuer = "{ISSUER}"\nclaim = "roles"\nvalue = "engineer"\ngroup = "eng"\n'
MAY_SCAN = f'permit (principal == Person::"{ISSUER}#scanner", action == Action::"approve", resource == Gate::"scan");'
OVER = "when { context has budget && context.budget.overrun };"

WRITTEN: dict[str, tuple[str, str, str]] = {
    "two of security": (
        '[sec]\ntitle = "Security"\nquorum = 2\nreject_quorum = 2',
        f'@gate("sec") {ASK};' + decides("sec", "sec"),
        "",
    ),
    "both teams": (
        '[sec]\ntitle = "Security"\n[fin]\ntitle = "Finance"\nstage = 2',
        f'@gate("sec") {ASK}; @gate("fin") {ASK};' + decides("sec", "sec") + decides("fin", "fin"),
        "",
    ),
    "by cost": (
        '[fin]\ntitle = "Finance"\n[boss]\ntitle = "Boss"\nstage = 2\nlogin = true',
        f"""
        permit (principal in Group::"eng", action == Action::"launch", resource)
        when {{ context.monthly_cost.lessThan(decimal("10.0")) }};
        @gate("fin") {ASK};
        @gate("boss") {ASK} when {{ context.monthly_cost.greaterThanOrEqual(decimal("1000.0")) }};
        forbid (principal, action == Action::"request", resource) when {{ context.quantity > 3 }};
        """
        + decides("fin", "fin")
        + decides("boss", "boss"),
        "",
    ),
    "change window": (
        """
        [sec]
        title = "Security"
        [hours]
        title = "Working hours"
        kind = "timer"
        window = { time_zone = "CET", from = "08:00", to = "17:00", days = ["mon"], holidays = [2026-12-28] }
        """,
        f'@gate("sec") {ASK}; @gate("hours") {ASK};' + decides("sec", "sec"),
        "",
    ),
    "scan, then people": (
        """
        [scan]
        title = "Scan"
        kind = "hook"
        expires_after = "15m"
        on_expiry = "escalate"
        escalate_to = "sec"
        [sec]
        title = "Security"
        remind_every = "2h"
        escalate_after = "1d"
        escalate_to = "boss"
        """,
        f'@gate("scan") {ASK}; @gate("sec") {ASK};' + decides("sec", "sec") + MAY_SCAN,
        "",
    ),
    "on call": (
        '[sec]\ntitle = "Security"\n[after]\ntitle = "Review"\nplace = "after_launch"',
        f"""
        @gate("sec") {ASK};
        @gate("after") @tell("boss")
        permit (principal in Group::"oncall", action == Action::"break_glass", resource == Template::"web-small");
        """
        + decides("sec", "sec", "after"),
        "",
    ),
    "budget asks finance": (
        '[sec]\ntitle = "Security"\n[fin]\ntitle = "Finance"',
        f'@gate("sec") {ASK}; @gate("fin") {ASK} {OVER}' + decides("sec", "sec") + decides("fin", "fin"),
        "",
    ),
    "budget is the end": (
        '[sec]\ntitle = "Security"',
        f'@gate("sec") {ASK}; forbid (principal, action == Action::"request", resource) {OVER}'
        + decides("sec", "sec"),
        "",
    ),
    "a pipeline with an owner": (
        '[sec]\ntitle = "Security"',
        '@gate("sec") permit (principal in Group::"bots", action == Action::"request", resource);'
        + decides("sec", "sec"),
        "",
    ),
    "claims and acting for": (
        '[sec]\ntitle = "Security"',
        f"""
        @gate("sec") {ASK};
        permit (principal in Group::"oncall", action == Action::"launch", resource);
        permit (principal in Group::"oncall", action == Action::"act_for", resource in Group::"eng");
        """
        + decides("sec", "sec"),
        CLAIM,
    ),
    "named one by one": (
        '[sec]\ntitle = "Security"\nquorum = 2',
        f"""
        @gate("sec") {ASK};
        permit (principal, action == Action::"approve", resource == Gate::"sec")
        when {{ [Person::"{ISSUER}#max", Person::"{ISSUER}#fay"].contains(principal) }};
        """,
        "",
    ),
}


@cache
def written(name: str) -> Bundle:
    """Return a bundle, accepted whole."""
    gates, policies, people = WRITTEN[name]
    members = "".join(person(*one) for one in MEMBERS.items())
    return policy.accept(
        policy_files(
            gates=gates,
            policies=policies,
            people=PEOPLE + members + BOTS + people,
            budgets='[lab]\nmonthly = "100.00"',
            tests="",
        )
    )


def who(name: str) -> Actor:
    """Return somebody of theirs."""
    return Actor(ISSUER, name)


CASES = [
    ("two of security", "ann", {}, "sec: sam sue"),
    ("two of security", "sue", {}, "refused"),
    ("both teams", "ann", {}, "sec: sam sue, fin: fay"),
    ("both teams", "max", {}, "refused"),
    ("by cost", "ann", {}, "direct"),
    ("by cost", "ann", {"count": 2}, "fin: fay"),
    ("by cost", "ann", {"count": 4}, "refused"),
    ("by cost", "ann", {"template": "gpu-large"}, "fin: fay, boss: max"),
    ("change window", "bob", {}, "sec: sam sue, hours:"),
    ("scan, then people", "ann", {}, "scan: scanner, sec: sam sue"),
    ("on call", "ann", {}, "sec: sam sue"),
    ("on call", "olga", {}, "refused"),
    ("on call", "olga", {"glass": True}, "break_glass after: sam sue, told boss"),
    ("on call", "olga", {"glass": True, "template": "gpu-large"}, "refused"),
    ("on call", "ann", {"glass": True}, "refused"),
    ("budget asks finance", "ann", {"left": "100"}, "sec: sam sue"),
    ("budget asks finance", "ann", {"left": "1"}, "fin: fay, sec: sam sue"),
    ("budget asks finance", "ann", {}, "sec: sam sue"),
    ("budget is the end", "ann", {"left": "100"}, "sec: sam sue"),
    ("budget is the end", "ann", {"left": "1"}, "refused"),
    ("a pipeline with an owner", "ci", {}, "sec: sam"),
    ("a pipeline with an owner", "scanner", {}, "sec: sam sue"),
    ("a pipeline with an owner", "ann", {}, "refused"),
    ("claims and acting for", "guest", {"groups": ("eng",)}, "sec: sam sue"),
    ("claims and acting for", "guest", {}, "refused"),
    ("claims and acting for", "olga", {}, "direct"),
    ("claims and acting for", "olga", {"for_": "ann"}, "sec: sam sue"),
    ("claims and acting for", "olga", {"for_": "fay"}, "refused"),
    ("claims and acting for", "guest", {"groups": ("oncall",), "for_": "ann"}, "refused"),
    ("named one by one", "ann", {}, "sec: fay max"),
]


def answer(made: Bundle, by: str, **asks: object) -> str:
    """Return the outcome, and each gate with who may decide it."""
    for_, left = asks.get("for_"), asks.get("left")
    question = asked(
        made,
        str(asks.get("template", "web-small")),
        by=who(by),
        count=int(str(asks.get("count", 1))),
        on_behalf_of=who(str(for_)) if for_ else None,
    )
    question = msgspec.structs.replace(question, break_glass=bool(asks.get("glass")))
    budget = None
    if left is not None:
        committed = Decimal(100) - Decimal(str(left))
        estimate = question.price.worst_case
        budget = Standing(
            cost_center="lab", month="2026-11", limit=Decimal(100), committed=committed, estimate=estimate
        )
    groups = asks.get("groups", ())
    assert isinstance(groups, tuple)
    judgement = policy.judge(made, policy.Principal(who(by), groups), question, budget)
    if judgement.outcome in ("refused", "direct"):
        return judgement.outcome
    try:
        gates = policy.gates_for(made, judgement, question)
    except NotPermittedError:
        return "refused"
    names = [f"{one.name}: {' '.join(actor.subject for actor in one.approvers)}".strip() for one in gates]
    told = [f"told {group}" for group in judgement.tells]
    return ("break_glass " if told else "") + ", ".join(names + told)


@pytest.mark.parametrize(("name", "by", "asks", "expected"), CASES)
def test_it_answers_as_its_writer_expects(name: str, by: str, asks: dict[str, object], expected: str):
    """What the language says in docs/policy.md is what a stranger gets."""
    assert answer(written(name), by, **asks) == expected
