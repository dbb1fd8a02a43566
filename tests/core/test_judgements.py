"""Who may do what under one policy that has everything, each answer whole: tests/golden/judgements.json."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from decimal import Decimal
from functools import cache, partial
from typing import Any

import msgspec
import pytest

from gonogo.core import policy
from gonogo.core.actor import Actor
from gonogo.core.budget import Standing
from gonogo.core.bundle import Bundle
from gonogo.core.errors import NotPermittedError
from gonogo.core.plan import Question
from gonogo.core.policy import Principal
from tests.core.agreed import GOLDEN, assert_agreed
from tests.core.builders import (
    BOSS,
    DEV,
    FINANCE,
    LEAD,
    LEAD2,
    OPS,
    SCANNER,
    STRANGER,
    actor,
    also,
    asked,
    bundle,
    longer,
    principal,
    somebody,
)

BOT, NIGHT, NOBODY = actor("bot"), actor("night"), actor("nobody")

GATES = """
[scan]
title = "Scan"
kind = "hook"
place = "before_approval"
quorum = 1
expires_after = "2h"
on_expiry = "escalate"
escalate_to = "people"

[mute]
title = "Mute"
kind = "hook"
expires_after = "2h"

[people]
title = "People"
quorum = 2
services = true
expires_after = "2d"
login = true
valid_for = "9d"
remind_every = "4h"
escalate_after = "1d"
escalate_to = "watch"
reject_quorum = 2

[cool]
title = "Cool"
kind = "timer"
place = "before_launch"
wait = "1h"

[late]
title = "Late"
place = "after_launch"
on_reject = "terminate"
expires_after = "2d"
escalate_after = "1d"
escalate_to = "watch"
"""

POLICIES = """
@id("scans") permit (principal == Person::"http://gonogo.local#scanner", action == Action::"approve", resource);
@id("leads decide people") permit (principal in Group::"leads", action == Action::"approve", resource == Gate::"people");
@id("bot decides people")
permit (principal == Person::"http://gonogo.local#bot", action == Action::"approve", resource == Gate::"people");
@id("leads decide late") permit (principal in Group::"leads", action == Action::"approve", resource == Gate::"late");
@id("night not lead")
forbid (principal == Person::"http://gonogo.local#night", action == Action::"approve", resource == Gate::"lead");
@id("night not late")
forbid (principal == Person::"http://gonogo.local#night", action == Action::"approve", resource == Gate::"late");
@id("dear ones not by lead2") forbid (principal == Person::"http://gonogo.local#lead2", action == Action::"approve",
  resource == Gate::"people") when { context.monthly_cost.greaterThan(decimal("1000.0")) };
@id("boss needs a scan") @gate("scan") permit (principal in Group::"bosses", action == Action::"request", resource);
@id("boss needs people") @gate("people") permit (principal in Group::"bosses", action == Action::"request", resource);
@id("boss waits") @gate("cool") permit (principal in Group::"bosses", action == Action::"request", resource);
@id("boss is reviewed") @gate("late") permit (principal in Group::"bosses", action == Action::"request", resource);
@id("boss speaks for developers")
permit (principal in Group::"bosses", action == Action::"act_for", resource in Group::"developers");
@id("not for night")
forbid (principal, action == Action::"act_for", resource == Person::"http://gonogo.local#night");
@id("anybody delegates for developers")
permit (principal, action == Action::"delegate", resource in Group::"developers");
@id("anybody speaks for finance") permit (principal, action == Action::"act_for", resource in Group::"finance");
@id("boss breaks") @gate("late") @tell("leads")
permit (principal in Group::"bosses", action == Action::"break_glass", resource == Template::"web-small");
@id("bot asks") @gate("lead")
permit (principal == Person::"http://gonogo.local#bot", action == Action::"request", resource);
@id("night asks once") @gate("lead")
permit (principal == Person::"http://gonogo.local#night", action == Action::"request", resource);
@id("no many") forbid (principal, action == Action::"request", resource) when { context.quantity > 9 };
@id("no many at once") forbid (principal, action == Action::"launch", resource) when { context.quantity > 9 };
@id("no long ones")
forbid (principal, action == Action::"launch", resource) when { context.lease_hours > 8759 };
@id("no change by night")
forbid (principal == Person::"http://gonogo.local#night", action == Action::"change_policy", resource);
@id("no glass for lead") forbid (principal in Group::"leads", action == Action::"break_glass", resource);
"""

PEOPLE = (
    somebody("lead2", "leads")
    + somebody("boss", "bosses")
    + somebody("night", "developers", "watch")
    + somebody("scanner", more='service = true\nowner = "http://gonogo.local#ops"')
    + somebody("bot", "watch", more='service = true\nowner = "http://gonogo.local#lead"')
)


def grouped(before: str) -> str:
    """Add two groups to people.toml."""
    return before.replace("[groups]", '[groups]\nbosses = "Dear ones"\nwatch = "At night"', 1)


@cache
def everything() -> Bundle:
    """Return the example with gates, people and rules of every kind."""
    return bundle(gates=also(GATES), policies=also(POLICIES), people=lambda text: also(PEOPLE)(grouped(text)))


def ask(
    by: Actor, template: str = "web-small", *groups: str, change: str = "", **more: Any
) -> Callable[[], object]:
    """Return the judgement of what somebody asks for; `change` makes another kind of question of it."""

    def judged() -> object:
        budget = more.pop("budget", None) if "budget" in more else None
        what = asked(everything(), template, by=by, **more)
        return policy.judge(everything(), principal(by, *groups), changed(what, change), budget)

    return judged


def changed(what: Question, change: str) -> Question:
    """Return a question as one of another kind."""
    if change == "policy":
        return msgspec.structs.replace(what, plan=msgspec.structs.replace(what.plan, engine="policy"))
    if change.startswith("glass"):
        return msgspec.structs.replace(what, break_glass=True)
    return longer(what, change) if change else what


def standing(estimate: str, committed: str = "10") -> Standing:
    """Return how a launch would stand to a budget of 100."""
    return Standing(
        cost_center="4711",
        month="2026-11",
        limit=Decimal(100),
        committed=Decimal(committed),
        estimate=Decimal(estimate),
    )


def of(function: Callable[..., object], *names: object, by: Actor = DEV, **more: Any) -> Callable[[], object]:
    """Return what a function of `policy` answers of a gate and a question of somebody."""

    def answered() -> object:
        keywords = {name: more.pop(name) for name in ("escalated",) if name in more}
        return function(everything(), *names, asked(everything(), by=by, **more), **keywords)

    return answered


def gates(
    by: Actor, template: str = "web-small", barred: frozenset[Actor] = frozenset(), **more: Any
) -> Callable[[], object]:
    """Return the gates behind which somebody's launch would stand."""

    def made() -> object:
        what = asked(everything(), template, by=by, **more)
        return policy.gates_for(everything(), policy.judge(everything(), principal(by), what), what, barred)

    return made


def why(who: Actor, gate: str, template: str = "web-small") -> Callable[[], object]:
    """Return why somebody may not decide a gate."""
    return lambda: policy.why_not_approve(everything(), who, gate, asked(everything(), template))


def delegates(who: Actor, whom: Actor) -> Callable[[], object]:
    """Return whether somebody may say who decides in another's place."""
    return lambda: policy.may_delegate_for(everything(), Principal(who), whom)


def directly(who: Actor, change: str = "") -> Callable[[], object]:
    """Return whether somebody could have launched what DEV asks for without a gate."""
    return lambda: policy.may_launch_directly(
        everything(), Principal(who), changed(asked(everything(), by=DEV), change)
    )


CASES: Mapping[str, Callable[[], object]] = {
    "dev asks": ask(DEV),
    "dev asks for a dear one": ask(DEV, "gpu-large"),
    "ops launches": ask(OPS),
    "lead asks": ask(LEAD),
    "stranger asks": ask(STRANGER),
    "stranger with a group": ask(STRANGER, "web-small", "developers"),
    "stranger with a group that there is not": ask(STRANGER, "web-small", "root"),
    "night asks": ask(NIGHT),
    "a service asks": ask(BOT),
    "boss asks": ask(BOSS),
    "boss asks for dev": ask(BOSS, on_behalf_of=DEV),
    "boss asks for herself": ask(BOSS, on_behalf_of=BOSS),
    "boss asks for night": ask(BOSS, on_behalf_of=NIGHT),
    "boss asks for ops": ask(BOSS, on_behalf_of=OPS),
    "boss asks for nobody": ask(BOSS, on_behalf_of=NOBODY),
    "stranger asks for dev by a group": ask(STRANGER, "web-small", "bosses", on_behalf_of=DEV),
    "stranger asks for finance": ask(STRANGER, "web-small", "developers", on_behalf_of=FINANCE),
    "ops asks for dev": ask(OPS, on_behalf_of=DEV),
    "within the budget": ask(DEV, budget=standing("90")),
    "over the budget": ask(DEV, budget=standing("90.01")),
    "over the budget, for dev": ask(BOSS, on_behalf_of=DEV, budget=standing("90.01")),
    "dev extends a little": ask(DEV, change="7d"),
    "dev extends for ever": ask(DEV, change="never"),
    "ops extends": ask(OPS, change="7d"),
    "lead extends": ask(LEAD, change="7d"),
    "dev breaks the glass": ask(DEV, change="glass"),
    "dev breaks the glass for a dear one": ask(DEV, "gpu-large", change="glass"),
    "boss breaks the glass": ask(BOSS, change="glass"),
    "boss breaks the glass for dev": ask(BOSS, on_behalf_of=DEV, change="glass"),
    "lead breaks the glass": ask(LEAD, change="glass"),
    "ops changes policy": ask(OPS, change="policy"),
    "ops changes policy for dev": ask(OPS, on_behalf_of=DEV, change="policy"),
    "dev changes policy": ask(DEV, change="policy"),
    "night changes policy": ask(NIGHT, change="policy"),
    "stranger changes policy by a group": ask(STRANGER, "web-small", "operators", change="policy"),
    **{
        f"gate {gate} of {by.subject}": of(policy.eligible, gate, by=by)
        for gate in ("lead", "finance", "scan", "mute", "people", "cool", "late", "policy", "none")
        for by in (DEV, LEAD, BOT)
    },
    **{
        f"gate {gate} once escalated": of(policy.eligible, gate, escalated=True)
        for gate in ("lead", "scan", "people", "cool", "late")
    },
    "the reserve of people": of(policy.reserve, "people"),
    "the reserve of people, asked by one of them": of(policy.reserve, "people", by=NIGHT),
    "the reserve of people, asked for one of them": of(policy.reserve, "people", by=BOSS, on_behalf_of=NIGHT),
    "the reserve of late": of(policy.reserve, "late"),
    "the reserve of a system": of(policy.reserve, "scan"),
    "the reserve of none": of(policy.reserve, "none"),
    "who owns dev": of(policy.owners),
    "who owns the bot": of(policy.owners, by=BOT),
    "who owns whom it is for": of(policy.owners, by=BOSS, on_behalf_of=SCANNER),
    "who owns both": of(policy.owners, by=BOT, on_behalf_of=SCANNER),
    **{
        f"{who.subject} in the place of a {gate}": of(policy.may_stand_in, who, gate)
        for who in (DEV, NIGHT, BOT, STRANGER, BOSS)
        for gate in ("lead", "people")
    },
    "the owner in another's place": of(policy.may_stand_in, LEAD, "people", by=BOT),
    **{
        f"why {who.subject} not {gate}": why(who, gate)
        for who, gate in (
            (LEAD, "lead"),
            (DEV, "lead"),
            (NIGHT, "lead"),
            (STRANGER, "lead"),
            (LEAD, "none"),
            (LEAD, "cool"),
            (LEAD, "scan"),
            (SCANNER, "scan"),
            (SCANNER, "lead"),
            (BOT, "people"),
            (BOT, "late"),
            (LEAD2, "people"),
        )
    },
    "why lead2 not people, for what is dear": why(LEAD2, "people", "gpu-large"),
    "members of leads": lambda: policy.members([everything()], ["leads"]),
    "members of watch": lambda: policy.members([everything()], ["watch"]),
    "members of none": lambda: policy.members([everything()], ["none"]),
    **{
        f"{who.subject} says who decides for {whom.subject}": delegates(who, whom)
        for who, whom in (
            (DEV, DEV),
            (DEV, LEAD),
            (OPS, LEAD),
            (OPS, STRANGER),
            (STRANGER, STRANGER),
            (STRANGER, DEV),
            (STRANGER, LEAD),
        )
    },
    **{f"{who.subject} launches directly": directly(who) for who in (DEV, OPS, STRANGER)},
    "ops launches a policy directly": directly(OPS, "policy"),
    "ops extends directly": directly(OPS, "7d"),
    "gates of dev": gates(DEV),
    "gates of dev for a dear one": gates(DEV, "gpu-large"),
    "gates of boss": gates(BOSS),
    "gates of boss, changed by a lead": gates(BOSS, barred=frozenset({LEAD})),
    "gates of dev, changed by both leads": gates(DEV, barred=frozenset({LEAD, LEAD2})),
    "gates of the bot, whose owner does not decide": gates(BOT),
    "gates of ops": gates(OPS),
    **{
        f"{amount} for Cedar": partial(policy.cedar_decimal, Decimal(amount))
        for amount in ("0", "0.00001", "-0.00001", "1.23456", "922337203685477.5807", "922337203685477.5808")
    },
}


def plain(value: object) -> Any:
    """Return an answer as JSON: sets sorted, what is not there left out."""
    if isinstance(value, frozenset):
        return sorted(plain(one) for one in value)
    if isinstance(value, Actor):
        return value.subject
    if isinstance(value, msgspec.Struct):
        return {
            name: plain(one)
            for name, one in msgspec.structs.asdict(value).items()
            if one not in (None, (), "")
        }
    return [plain(one) for one in value] if isinstance(value, tuple) else value


@pytest.mark.parametrize("case", CASES)
def test_each_answer_is_as_agreed(case: str):
    """Who may do what, who decides, and why not, changes only when somebody means it to."""
    try:
        said = plain(CASES[case]())
    except NotPermittedError as error:
        said = f"refused: {error}"
    assert_agreed("judgements.json", case, [json.dumps(said, default=str)])


def test_no_answer_is_left_over():
    """An answer that nobody asks for would be believed, and holds nothing."""
    assert set(json.loads((GOLDEN / "judgements.json").read_text())) == set(CASES)
