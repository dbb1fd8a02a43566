"""Who may do what: the example's answers, and each way in which policy could be talked into a yes."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from decimal import Decimal, localcontext
from typing import Any
from unittest import mock

import cedarpy
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gonogo.core import policy
from gonogo.core.actor import Actor
from gonogo.core.budget import Standing
from gonogo.core.bundle import Bundle
from gonogo.core.errors import BundleRefusedError, NotPermittedError
from gonogo.core.event import Price
from gonogo.core.plan import Question
from gonogo.core.policy import Judgement
from tests.core.builders import (
    DEV,
    FINANCE,
    ISSUER,
    LEAD,
    LEAD2,
    OPS,
    POLICY,
    STRANGER,
    actor,
    also,
    asked,
    bundle,
    example,
    longer,
    policy_files,
    principal,
    replaced,
    somebody,
)

Change = str | Callable[[str], str] | None

ERRS = "context.quantity * 9223372036854775807 > 1"
"""Valid by the schema, and an overflow for every quantity above one."""
REQUEST = 'action == Action::"request"'
ALWAYS_ERRS = "9223372036854775807 + 1 > 1"
"""The same, whatever is asked."""


def judged(
    made: Bundle, who: Actor, template: str = "web-small", *, groups: tuple[str, ...] = (), **asks: Any
) -> Judgement:
    """Return what the bundle answers to a request."""
    return policy.judge(made, principal(who, *groups), asked(made, template, by=who, **asks))


def answer(made: Bundle, who: Actor, template: str = "web-small", **asks: Any) -> str:
    """Return the outcome in one word, or the gates."""
    judgement = judged(made, who, template, **asks)
    return " ".join(judgement.gates) if judgement.gates else judgement.outcome


def with_policies(*texts: str, **changed: Change) -> Bundle:
    """Return the example with policies appended."""
    return bundle(policies=also("\n".join(texts)), **changed)


def costing(amount: str) -> Price:
    """Return a price of so much an hour, a month, and for the lease."""
    return Price(
        currency="USD",
        version="v",
        hourly=Decimal(amount),
        monthly=Decimal(amount),
        worst_case=Decimal(amount),
    )


# The example


@pytest.mark.parametrize(
    ("who", "template", "expected"),
    [
        (DEV, "web-small", "lead"),
        (DEV, "gpu-large", "finance lead"),
        (OPS, "web-small", "direct"),
        (OPS, "gpu-large", "direct"),
        (LEAD, "web-small", "refused"),
        (FINANCE, "gpu-large", "refused"),
        (STRANGER, "web-small", "refused"),
        (Actor("http://other.local", "dev"), "web-small", "refused"),
        (Actor(ISSUER, "Dev"), "web-small", "refused"),
        (Actor(ISSUER, "dev "), "web-small", "refused"),
        (Actor(ISSUER + "/", "ops"), "web-small", "refused"),
    ],
)
def test_the_examples_answers(who: Actor, template: str, expected: str):
    """Developers ask, operators launch, nobody else: by issuer and subject to the letter (CVE-2025-6004)."""
    assert answer(example(), who, template) == expected


def test_the_examples_own_cases_hold():
    """tests.toml is what a new user learns to write; its answers must be true."""
    cases = tomllib.loads((POLICY / "tests.toml").read_text())["case"]
    assert cases
    people = {person.name: person.actor for person in example().people.values()}
    for case in cases:
        if case["expect"]["outcome"] == "invalid":
            continue  # no question is made of it: tests/cli has it
        who = people[case["person"]]
        question = msgspec.structs.replace(
            asked(example(), case["template"], by=who), break_glass=case.get("break_glass", False)
        )
        if "extend" in case:
            question = longer(question, case["extend"])
        judgement = policy.judge(example(), principal(who), question, standing(question, case))
        expect = case["expect"]
        assert (judgement.outcome, set(judgement.gates)) == (
            expect["outcome"],
            set(expect.get("gates", [])),
        ), case["name"]


def standing(question: Question, case: dict[str, Any]) -> Standing | None:
    """Return how the question of a case stands to the budget of its cost center."""
    rule = example().budgets.get(case.get("cost_center", ""))
    if rule is None:
        return None
    return Standing(
        cost_center=case["cost_center"],
        month="2026-11",
        limit=rule.limit("2026-11"),
        committed=Decimal(case.get("committed", "0")),
        estimate=question.price.worst_case,
    )


def test_a_judgement_says_why():
    """Whoever asks sees which rules decided, by the names that their writer gave them."""
    assert judged(example(), DEV, "gpu-large").policies == (
        "above 500 a month finance says go too",
        "developers ask their lead",
    )
    assert judged(example(), OPS).policies == ("operators launch",)
    assert judged(example(), FINANCE).reason == "No policy permits you to 'request' this."


@pytest.mark.parametrize(
    ("monthly", "expected"),
    [
        ("0", "lead"),
        ("500", "lead"),
        ("500.00001", "finance lead"),
        ("500.0001", "finance lead"),
        ("499.99999", "lead"),
        ("16029.08", "finance lead"),
        ("922337203685477.5807", "finance lead"),
    ],
)
def test_the_limit_is_exact_and_rounds_up(monthly: str, expected: str):
    """A fifth place neither errs nor slips under the limit: money enters Cedar rounded up to four."""
    assert answer(example(), DEV, price=costing(monthly)) == expected


# Errors mean no


@pytest.mark.parametrize(
    "erring",
    [
        f'@gate("lead") permit (principal in Group::"developers", {REQUEST}, resource) when {{ {ERRS} }};',
        f'@gate("finance") permit (principal in Group::"leads", {REQUEST}, resource) when {{ {ERRS} }};',
        f'forbid (principal, action == Action::"request", resource) when {{ {ERRS} }};',
        f'permit (principal in Group::"developers", action == Action::"launch", resource) when {{ {ERRS} }};',
        f'forbid (principal, action == Action::"launch", resource) when {{ {ERRS} }};',
    ],
    ids=["request", "another's request", "forbid request", "launch", "forbid launch"],
)
@pytest.mark.parametrize("who", [DEV, OPS])
def test_a_policy_that_errs_means_no(erring: str, who: Actor):
    """Cedar skips what errs, so a forbid or a finance gate would be gone: any error refuses, whoever asks."""
    made = with_policies(erring)
    group = "developers" if who == DEV else "operators"
    judgement = judged(made, who, count=2)
    concerned = f'Group::"{group}"' in erring or "principal," in erring
    if concerned:
        assert judgement.outcome == "refused"
        assert "could not be evaluated" in judgement.reason
        assert not judgement.gates
    else:
        assert judgement == judged(example(), who, count=2)


def test_an_error_for_one_quantity_is_no_error_for_another():
    """The same bundle answers where nothing errs: it is refused for the error and for nothing else."""
    made = with_policies(
        f'forbid (principal, action == Action::"request", resource) when {{ {ERRS} && false }};'
    )
    assert answer(made, DEV, count=1) == "lead"
    assert answer(made, DEV, count=2) == "refused"


def test_an_approve_that_errs_makes_nobody_eligible():
    """Who would be eligible only because a forbid was skipped is not."""
    made = with_policies(
        'forbid (principal, action == Action::"approve", resource) when'
        f' {{ context.monthly_cost.greaterThan(decimal("500.0")) && {ALWAYS_ERRS} }};',
    )
    assert policy.eligible(made, "lead", asked(made)) == {LEAD}
    assert policy.eligible(made, "lead", asked(made, "gpu-large")) == frozenset()


@pytest.mark.parametrize(
    "reason", ["\ud800", '"', "\\", "\0", "'); permit(principal,action,resource);//", "}" * 99]
)
def test_what_is_said_is_data(reason: str):
    """Entities and context are structures: no text of a requester can add a policy or a fact."""
    assert answer(example(), DEV, reason=reason) in {"lead", "refused"}
    assert answer(example(), FINANCE, reason=reason) == "refused"


@pytest.mark.parametrize("subject", ['dev"', "dev\\", 'x", "id": "dev', "dev\0", "\ud800"])
def test_a_subject_is_data(subject: str):
    """An identity provider's subjects are no part of our syntax."""
    assert answer(example(), Actor(ISSUER, subject)) == "refused"


def test_a_context_that_does_not_fit_the_schema_is_refused():
    """Each request is validated: a schema without `region` does not take what the server derives."""
    schema = policy_files(schema=replaced("    region: String,\n", ""))["schema.cedarschema"]
    made = msgspec.structs.replace(example(), schema=cedarpy.Schema.from_str(schema))
    judgement = judged(made, OPS)
    assert judgement.outcome == "refused"
    assert "could not be evaluated" in judgement.reason


@pytest.mark.parametrize("who", [DEV, OPS])
def test_what_cedar_cannot_read_is_refused(who: Actor):
    """A request that is no text to Cedar is asked of no rule at all, and the refusal says so."""
    judgement = judged(example(), who, reason="\ud800")
    assert (judgement.outcome, judgement.gates, judgement.policies) == ("refused", (), ())
    assert judgement.reason.startswith(
        "Policy could not be evaluated for 'request', and that means no: failed to build request"
    )


def test_nobody_may_anything_where_cedar_does_not_answer():
    """Whatever Cedar fails of, it has permitted nothing and made nobody an approver, by any road."""
    made = with_policies(
        ACTS.format("operators", ""),
        gates=replaced(
            'title = "Finance"', 'title = "Finance"\nescalate_after = "1d"\nescalate_to = "leads"'
        ),
    )
    question = asked(made)
    assert policy.reserve(made, "finance", question) == {LEAD}
    assert policy.may_stand_in(made, FINANCE, "lead", question)
    policy._deciders.cache_clear()
    with mock.patch.object(cedarpy, "is_authorized", side_effect=ValueError("gone")):
        no = "Policy could not be evaluated for {!r}, and that means no: gone"
        assert judged(made, OPS) == Judgement(outcome="refused", reason=no.format("request"))
        assert judged(made, OPS, on_behalf_of=DEV).reason == no.format("act_for")
        assert policy.judge(made, principal(OPS), changing(OPS)).reason == no.format("change_policy")
        assert policy.why_not_approve(made, LEAD, "lead", question) == no.format("approve")
        assert policy.eligible(made, "lead", question) == frozenset()
        assert policy.reserve(made, "finance", question) == frozenset()
        assert not policy.may_stand_in(made, FINANCE, "lead", question)
        assert not policy.may_delegate_for(made, principal(OPS), LEAD)
    policy._deciders.cache_clear()


def losing(gate: str, **changed: Any) -> Bundle:
    """Return the example whose gate is another, or not there: no bundle that was accepted is like that."""
    rules = {name: rule for name, rule in example().gates.items() if name != gate}
    if changed:
        rules[gate] = msgspec.structs.replace(example().gates[gate], **changed)
    return msgspec.structs.replace(example(), gates=rules, digest="0" * 64)


def naming_no_gate() -> Bundle:
    """Return the example whose permits name no gate: no bundle that was accepted is like that."""
    rules = {
        name: msgspec.structs.replace(rule, annotations={"id": rule.label})
        for name, rule in example().policies.items()
    }
    return msgspec.structs.replace(example(), policies=rules, digest="1" * 64)


def glass(by: Actor) -> Question:
    """Return what somebody asks for by breaking the glass."""
    return msgspec.structs.replace(asked(example(), by=by), break_glass=True)


@pytest.mark.parametrize(
    ("made", "who", "question", "reason"),
    [
        (
            losing("lead"),
            DEV,
            asked(example()),
            "Policy names a gate that it does not have, so nothing is permitted.",
        ),
        (
            naming_no_gate(),
            DEV,
            asked(example()),
            "Policy names a gate that it does not have, so nothing is permitted.",
        ),
        (
            losing("review"),
            DEV,
            glass(DEV),
            "Policy names no gate to review it, so it is not permitted.",
        ),
        (
            naming_no_gate(),
            DEV,
            glass(DEV),
            "Policy names no gate to review it, so it is not permitted.",
        ),
    ],
    ids=["gate lost", "no gate named", "review lost", "no review named"],
)
def test_a_gate_that_is_not_there_permits_nothing(made: Bundle, who: Actor, question: Question, reason: str):
    """The bundle's check sees to it, and were it passed by, a launch without its gate would still be refused."""
    judgement = policy.judge(made, principal(who), question)
    assert judgement == Judgement(outcome="refused", reason=reason)


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        (
            losing("policy"),
            "The policy in force has no gate 'policy', so nobody could approve a change of it.",
        ),
        (losing("policy", kind="hook"), "The gate 'policy' does not let people approve."),
        (losing("policy", place="before_launch"), "The gate 'policy' does not let people approve."),
    ],
    ids=["none", "of systems", "at another place"],
)
def test_a_change_of_policy_waits_for_people(made: Bundle, reason: str):
    """Rules by which everything is decided are changed by people who approve it, or not at all."""
    judgement = policy.judge(made, principal(OPS), changing(OPS))
    assert judgement == Judgement(outcome="refused", reason=reason)


@pytest.mark.parametrize("count", [2**63, 10**15])
def test_what_cannot_be_reckoned_is_refused(count: int):
    """More than Cedar can hold is refused by name, and is no crash."""
    plain = asked(example(), count=4)
    units = (msgspec.structs.replace(plain.plan.units[0], quantity=count),)
    question = msgspec.structs.replace(plain, plan=msgspec.structs.replace(plain.plan, units=units))
    assert policy.judge(example(), principal(OPS), question).outcome in (
        {"refused"} if count >= 2**63 else {"direct"}
    )
    dear = msgspec.structs.replace(plain, price=costing("922337203685477.5808"))
    with pytest.raises(NotPermittedError, match="more than policy can reckon"):
        policy.judge(example(), principal(OPS), dear)


@pytest.mark.parametrize("who", [DEV, OPS, LEAD])
@pytest.mark.parametrize("template", ["web-small", "gpu-large"])
def test_leaving_out_what_could_not_hold_changes_no_answer(who: Actor, template: str):
    """Only policies whose scope could take the question are asked, and the answer is that of all of them."""
    made = with_policies(
        f'forbid (principal, {REQUEST}, resource == Template::"gpu-large") when {{ {ALWAYS_ERRS} }};',
        'forbid (principal == Person::"http://gonogo.local#ops", action, resource == Template::"web-small");',
        'forbid (principal, action in [Action::"launch", Action::"approve"], resource) when { false };',
    )
    whole = cedarpy.PolicySet.from_str(made.files["policies.cedar"])
    found = judged(made, who, template)
    with mock.patch.object(policy, "_policies_for", return_value=whole):
        assert judged(made, who, template) == found
    assert (found.outcome == "refused") == (who in (OPS, LEAD) or template == "gpu-large")


# Deny wins


def test_what_forbids_request_forbids_launch():
    """An operator launches without asking; a rule that forbids to ask must still hold for them."""
    made = with_policies(
        '@id("no GPU") forbid (principal, action == Action::"request", resource == Template::"gpu-large");'
    )
    judgement = judged(made, OPS, "gpu-large")
    assert (judgement.outcome, judgement.policies) == ("refused", ("no GPU",))
    assert judgement.reason == "Policy forbids 'request': no GPU."
    assert answer(made, OPS) == "direct"
    assert not policy.may_launch_directly(made, principal(OPS), asked(made, "gpu-large", by=OPS))


def test_what_forbids_launch_leaves_the_gates():
    """Forbidden to launch at once, somebody who may ask still asks."""
    made = with_policies(
        'forbid (principal, action == Action::"launch", resource);',
        '@gate("lead") permit (principal in Group::"operators", action == Action::"request", resource);',
    )
    assert answer(made, OPS) == "lead"
    assert answer(made, DEV) == "lead"


def test_who_may_launch_needs_no_gate():
    """`launch` permitted means none, also where a permit of request would name one."""
    made = with_policies(
        '@gate("finance") permit (principal in Group::"operators", action == Action::"request", resource);'
    )
    assert answer(made, OPS) == "direct"


def test_every_permit_of_request_adds_its_gate():
    """The union must say go: a broader permit never takes a narrower one's gate away."""
    made = with_policies(
        '@gate("lead") permit (principal, action == Action::"request", resource);',
        '@gate("finance") permit (principal == Person::"http://gonogo.local#dev",'
        ' action == Action::"request", resource);',
    )
    assert answer(made, DEV) == "finance lead"
    assert answer(made, FINANCE) == "lead"


def test_everything_forbidden_is_nothing_permitted():
    """The emergency brake works for everybody."""
    made_of = 'forbid (principal, action == Action::"request", resource);'
    made = with_policies(made_of)
    assert {answer(made, who) for who in (DEV, OPS, LEAD, STRANGER)} == {"refused"}


# On behalf of somebody


ACTS = 'permit (principal in Group::"{}", action == Action::"act_for", resource{});'


@pytest.mark.parametrize(
    ("asker", "other", "template", "expected"),
    [
        (OPS, DEV, "web-small", "lead"),
        (OPS, DEV, "gpu-large", "finance lead"),
        (OPS, FINANCE, "web-small", "refused"),
        (OPS, STRANGER, "web-small", "refused"),
        (OPS, Actor("http://other.local", "dev"), "web-small", "refused"),
        (DEV, OPS, "web-small", "refused"),
        (OPS, OPS, "web-small", "direct"),
        (DEV, DEV, "web-small", "lead"),
        (FINANCE, OPS, "web-small", "refused"),
    ],
)
def test_the_stricter_answer_holds(asker: Actor, other: Actor, template: str, expected: str):
    """Both are judged: nobody launches in another's name what that one could not, nor what they could not."""
    made = with_policies(ACTS.format("operators", ""))
    assert answer(made, asker, template, on_behalf_of=other) == expected


def test_gates_of_both_are_asked():
    """One needs finance and the other the lead: both gates it is."""
    made = with_policies(
        ACTS.format("operators", ""),
        '@gate("finance") permit (principal in Group::"finance", action == Action::"request", resource);',
        'forbid (principal in Group::"operators", action == Action::"launch", resource);',
        '@gate("lead") permit (principal in Group::"operators", action == Action::"request", resource);',
    )
    assert set(judged(made, OPS, on_behalf_of=FINANCE).gates) == {"lead", "finance"}


def test_acting_for_somebody_needs_a_permit():
    """Without act_for nobody speaks for anybody, not even an operator for a developer."""
    judgement = judged(example(), OPS, on_behalf_of=DEV)
    assert judgement.outcome == "refused"
    assert "act_for" in judgement.reason


def test_act_for_may_be_for_one_person_only():
    """A permit that names whom it is for is for nobody else."""
    made = with_policies(ACTS.format("operators", ' == Person::"http://gonogo.local#dev"'))
    assert answer(made, OPS, on_behalf_of=DEV) == "lead"
    assert answer(made, OPS, on_behalf_of=OPS) == "direct"
    assert answer(made, OPS, on_behalf_of=LEAD) == "refused"


def test_act_for_that_is_forbidden_or_errs_is_no():
    """Deny wins here too, and so does an error."""
    forbidden = with_policies(
        ACTS.format("operators", ""),
        'forbid (principal, action == Action::"act_for", resource in Group::"developers");',
    )
    assert answer(forbidden, OPS, on_behalf_of=DEV) == "refused"
    erring = with_policies(
        ACTS.format("operators", ""),
        f'forbid (principal, action == Action::"act_for", resource) when {{ {ALWAYS_ERRS} }};',
    )
    assert answer(erring, OPS, on_behalf_of=DEV) == "refused"


# Claims


CLAIMS = f'[[claims]]\nissuer = "{ISSUER}"\nclaim = "groups"\nvalue = "x"\ngroup = "developers"'


def test_a_tokens_groups_count_for_asking_and_launching():
    """Somebody whom people.toml does not know asks, or launches, by what their issuer says."""
    made = bundle(people=also(CLAIMS))
    assert answer(made, STRANGER, groups=("developers",)) == "lead"
    assert answer(made, STRANGER, groups=("operators",)) == "direct"
    assert answer(made, STRANGER, groups=("developers", "operators")) == "direct"
    assert answer(made, STRANGER, groups=("root", "Operators")) == "refused"
    assert answer(made, STRANGER) == "refused"


def test_a_tokens_groups_add_to_those_of_people_toml():
    """A known developer with an operator's claim has both."""
    assert answer(example(), DEV, groups=("operators",)) == "direct"


def test_a_tokens_groups_never_let_act_for_somebody():
    """Claims count for launch and request only: an identity provider hands out nobody's name."""
    made = with_policies(ACTS.format("operators", ""))
    assert answer(made, STRANGER, groups=("operators",), on_behalf_of=DEV) == "refused"
    assert answer(made, OPS, groups=("operators",), on_behalf_of=DEV) == "lead"


EVERYTHING = (
    'permit (principal in Group::"operators", action == Action::"change_policy", resource);'
    'permit (principal in Group::"operators", action == Action::"approve", resource);'
    'permit (principal in Group::"operators", action == Action::"delegate", resource);'
    '@gate("review") @tell("operators")'
    'permit (principal in Group::"operators", action == Action::"break_glass", resource);'
)


def changing(by: Actor) -> Question:
    """Return a change of policy, as somebody asks for it."""
    plain = asked(example(), by=by)
    return msgspec.structs.replace(plain, plan=msgspec.structs.replace(plain.plan, engine="policy"))


@pytest.mark.parametrize("who", [STRANGER, DEV])
def test_a_tokens_groups_count_to_launch_and_to_request_only(who: Actor):
    """An identity provider that adds `operators` to a token adds no power over policy, people or gates."""
    made = with_policies(EVERYTHING)
    claiming, known = principal(who, "operators"), principal(OPS)
    glass = msgspec.structs.replace(asked(made, "gpu-large", by=who), break_glass=True)
    assert answer(made, who, groups=("operators",)) == "direct"
    assert policy.judge(made, claiming, changing(who)).outcome == "refused"
    assert policy.judge(made, claiming, glass).outcome == "refused"
    assert not policy.may_delegate_for(made, claiming, LEAD)
    assert who not in policy.eligible(made, "policy", asked(made))
    assert policy.judge(made, known, changing(OPS)).outcome == "gates"
    assert policy.judge(made, known, msgspec.structs.replace(glass, requester=OPS)).outcome == "break_glass"
    assert policy.may_delegate_for(made, known, LEAD)
    assert OPS in policy.eligible(made, "policy", asked(made))


def test_a_tokens_groups_never_make_an_approver():
    """Approvers come from people.toml alone, whatever a token says."""
    assert STRANGER not in policy.eligible(example(), "lead", asked(example()))


# Approvers


def test_who_may_decide():
    """The example's lead decides lead, its finance finance, and neither the other's."""
    question = asked(example(), "gpu-large")
    assert policy.eligible(example(), "lead", question) == {LEAD}
    assert policy.eligible(example(), "finance", question) == {FINANCE}


@pytest.mark.parametrize("gate", ["", "Lead", "lead ", "nothing", "finance2"])
def test_a_gate_that_is_not_there_is_decided_by_nobody(gate: str):
    """A gate that a new bundle has dropped takes no decision for a launch that still has it."""
    assert policy.eligible(example(), gate, asked(example())) == frozenset()


@pytest.mark.parametrize(
    ("by", "on_behalf_of", "left"), [(LEAD, None, {LEAD2}), (OPS, LEAD, {LEAD2}), (LEAD, LEAD2, set())]
)
def test_who_asks_is_never_eligible(by: Actor, on_behalf_of: Actor | None, left: set[Actor]):
    """Neither the requester nor whoever it is for, though both are in the group."""
    made = bundle(people=also(somebody("lead2", "leads")))
    assert policy.eligible(made, "lead", asked(made, by=by, on_behalf_of=on_behalf_of)) == left


def test_a_service_is_never_eligible():
    """A pipeline in the group of leads fills no human seat, even where policy names it."""
    made = with_policies(
        f'permit (principal == Person::"{ISSUER}#robot",'
        ' action == Action::"approve", resource == Gate::"lead");',
        people=also(somebody("robot", "leads", more="service = true")),
    )
    assert policy.eligible(made, "lead", asked(made)) == {LEAD}


def test_a_service_may_ask():
    """Pipelines ask for launches: that is what they are for."""
    made = bundle(people=also(somebody("robot", "developers", more="service = true")))
    assert answer(made, actor("robot")) == "lead"


def test_approvers_may_depend_on_the_price():
    """A junior lead decides what is cheap."""
    made = with_policies(
        'permit (principal in Group::"developers", action == Action::"approve", resource == Gate::"lead")'
        ' when { context.monthly_cost.lessThan(decimal("100.0")) };',
        people=also(somebody("junior", "developers")),
    )
    assert policy.eligible(made, "lead", asked(made)) == {LEAD, actor("junior")}
    assert policy.eligible(made, "lead", asked(made, "gpu-large")) == {LEAD}


# Gates


def test_gates_are_copied_from_the_bundle():
    """A launch keeps the rules by which it was judged, by stage and name, and who may decide."""
    question = asked(example(), "gpu-large")
    first, second = policy.gates_for(example(), policy.judge(example(), principal(DEV), question), question)
    assert (first.name, first.stage, first.quorum, first.expires_after, first.login) == (
        "lead",
        1,
        1,
        "3d",
        False,
    )
    assert (second.name, second.stage, second.approvers) == ("finance", 2, (FINANCE,))
    assert (first.state, first.round, first.decisions) == ("WAITING", 0, ())


def test_gates_that_nobody_could_pass_are_refused_when_asked():
    """The only lead asks: the bundle can be met, this launch cannot, and waiting would be for nothing."""
    made = with_policies(
        '@gate("lead") permit (principal in Group::"leads", action == Action::"request", resource);'
    )
    question = asked(made, by=LEAD)
    judgement = policy.judge(made, principal(LEAD), question)
    with pytest.raises(NotPermittedError, match="nobody could ever approve"):
        policy.gates_for(made, judgement, question)


def test_a_direct_launch_has_no_gates():
    """None are made where none are named."""
    question = asked(example(), by=OPS)
    assert policy.gates_for(example(), policy.judge(example(), principal(OPS), question), question) == ()


# Who may stop it


def test_who_could_launch_it_may_change_it():
    """Operators may stop what they could have started; a developer who may only ask may not."""
    question = asked(example())
    assert policy.may_launch_directly(example(), principal(OPS), question)
    assert not policy.may_launch_directly(example(), principal(DEV), question)
    assert not policy.may_launch_directly(example(), principal(STRANGER), question)


# What Cedar reckons with


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        ("0", "0.0000"),
        ("1", "1.0000"),
        ("500.00001", "500.0001"),
        ("0.00000000001", "0.0001"),
        ("500.0000", "500.0000"),
        ("1E+2", "100.0000"),
        ("1E-20", "0.0001"),
        ("922337203685477.5807", "922337203685477.5807"),
    ],
)
def test_decimals_for_cedar(amount: str, text: str):
    """Four places, never fewer than it costs, never in a notation that Cedar cannot read."""
    assert policy.cedar_decimal(Decimal(amount)) == {"__extn": {"fn": "decimal", "arg": text}}


@pytest.mark.parametrize(
    "amount", ["922337203685477.5808", "922337203685477.58071", "1E+15", "1E+40", "1E+999"]
)
def test_too_much_for_cedar(amount: str):
    """What Cedar cannot hold must not become something smaller that it can."""
    with pytest.raises(NotPermittedError):
        policy.cedar_decimal(Decimal(amount))


@given(st.decimals(min_value=0, max_value=policy.MOST))
def test_decimals_for_cedar_round_up_by_less_than_a_place(amount: Decimal):
    """Never cheaper than it is, and dearer by less than a ten-thousandth."""
    arg = Decimal(policy.cedar_decimal(amount)["__extn"]["arg"])
    with localcontext(prec=200):
        assert amount <= arg < amount + Decimal("0.0001")


@pytest.mark.parametrize(
    ("lease", "permitted"), [("8h", True), ("28800s", True), ("28801s", False), ("481m", False), ("1s", True)]
)
def test_part_of_an_hour_is_an_hour(lease: str, permitted: bool):  # noqa: FBT001 - a table of what is permitted
    """A limit of eight hours is not passed by a lease of one second more."""
    made = with_policies(
        'permit (principal in Group::"developers", action == Action::"launch", resource)'
        " when { context.lease_hours <= 8 };"
    )
    assert (answer(made, DEV, lease=lease) == "direct") == permitted


@pytest.mark.parametrize(
    "condition",
    [
        'context.engine == "ec2"',
        'context.region == "us-east-1"',
        "context.quantity == 3",
        'context.units.contains("t3.micro")',
        "context.lease_hours == 720",
        'context.hourly_cost == decimal("0.0312")',
        'context.monthly_cost == decimal("22.78")',
        'context.worst_case_cost == decimal("22.47")',
        'principal.issuer == "http://gonogo.local" && principal.subject == "dev" && !principal.service',
        'resource == Template::"web-small"',
    ],
)
def test_what_a_policy_may_reckon_with(condition: str):
    """Each fact of the context is what the server derived of the plan."""
    made = with_policies(f'permit (principal, action == Action::"launch", resource) when {{ {condition} }};')
    assert answer(made, DEV, count=3) == "direct"


def test_what_the_client_claims_may_add_a_gate():
    """Under `claimed` stands what was said; a policy may be stricter for it."""
    made = with_policies(
        '@gate("finance") permit (principal in Group::"developers", action == Action::"request", resource)'
        ' when { context.claimed.cost_center == "9999" || context.claimed.name == "big"'
        ' || context.claimed.reason like "*!" };'
    )
    assert answer(made, DEV) == "lead"
    assert answer(made, DEV, cost_center="9999") == "finance lead"
    assert answer(made, DEV, name="big") == "finance lead"
    assert answer(made, DEV, reason="Now!") == "finance lead"


def test_the_price_shown_is_the_price_judged():
    """The context is made of the question's own price, not of one reckoned anew."""
    question = asked(example(), price=costing("500.01"))
    assert policy.judge(example(), principal(DEV), question).gates == ("finance", "lead")


# Longer leases

LESS = 'action == Action::"extend", resource'


def extending(policies: Callable[[str], str] | None = None, by: str = "7d", who: Actor = DEV) -> str:
    """Return what becomes of the extension of somebody's small server, by the example with other rules."""
    changed = bundle(policies=policies) if policies else example()
    judgement = policy.judge(changed, principal(who), longer(asked(changed, by=who), by))
    return f"{judgement.outcome} {' '.join(judgement.gates)}".strip()


@pytest.mark.parametrize(
    ("rules", "by", "who", "expected"),
    [
        (None, "7d", DEV, "direct"),
        (None, "80d", DEV, "direct"),
        (None, "81d", DEV, "gates lead"),
        (None, "never", DEV, "gates lead"),
        (None, "never", OPS, "direct"),
        (None, "7d", FINANCE, "refused"),
        (also(f"forbid (principal, {LESS});"), "7d", DEV, "gates lead"),
        (also('forbid (principal, action == Action::"request", resource);'), "7d", DEV, "refused"),
        (also('forbid (principal, action == Action::"request", resource);'), "7d", OPS, "refused"),
        (
            also(
                'forbid (principal, action == Action::"request", resource) when { context.engine == "lease" };'
            ),
            "7d",
            DEV,
            "refused",
        ),
        (
            also(f'permit (principal in Group::"finance", {LESS}) when {{ context.lease_hours > 800 }};'),
            "7d",
            FINANCE,
            "direct",
        ),
        (
            also(f'permit (principal in Group::"finance", {LESS}) when {{ context.lease_hours > 800 }};'),
            "1d",
            FINANCE,
            "refused",
        ),
    ],
)
def test_a_longer_lease_is_permitted_at_once_or_judged_as_a_request(
    rules: Callable[[str], str] | None, by: str, who: Actor, expected: str
):
    """By what the extension costs and the whole lease; what forbids a request forbids it, whoever asks."""
    assert extending(rules, by, who) == expected


def test_a_bundle_of_before_judges_a_longer_lease_as_a_request():
    """Its schema knows no `extend`: it loads, and answers all else as it did."""
    files = policy_files(
        schema=replaced(', "extend" appliesTo', " appliesTo"),
        policies=replaced('action == Action::"extend"', 'action == Action::"launch"'),
    )
    before = policy.accept(files)
    assert "extend" not in before.takes
    assert policy.judge(before, principal(LEAD), longer(asked(before, by=LEAD), "7d")).outcome == "refused"
    ops = policy.judge(before, principal(OPS), longer(asked(before, by=OPS), "7d"))
    assert ops.outcome == "direct"


@pytest.mark.parametrize(
    "when",
    ['context.claimed.cost_center == "x"', "context has budget && !context.budget.overrun"],
)
def test_no_permit_of_extend_reads_what_the_client_says(when: str):
    """Who asks says the reason: no gate stands between that and the money."""
    with pytest.raises(BundleRefusedError, match="extend may not read"):
        bundle(policies=also(f"permit (principal, {LESS}) when {{ {when} }};"))


@pytest.mark.parametrize("engine", ["lease", "policy"])
def test_no_template_names_an_engine_of_gonogos_own(engine: str):
    """It would put a policy in force, or extend a lease, past the rules for that."""
    with pytest.raises(BundleRefusedError, match="none that a template can name"):
        bundle(web_small=replaced('engine = "ec2"', f'engine = "{engine}"'))


def test_nobody_may_launch_directly_what_is_a_longer_lease():
    """Who may stop and extend what others launched is told by templates, and by nothing else."""
    question = longer(asked(example(), by=OPS), "7d")
    assert not policy.may_launch_directly(example(), principal(OPS), question)


# What is asked of Cedar, and what of it is said


OVER = Standing(
    cost_center="4711", month="2026-11", limit=Decimal(1), committed=Decimal(1), estimate=Decimal(1)
)
"""A budget that is used up."""
WHEN_OVER = "when { context has budget && context.budget.overrun };"


@pytest.mark.parametrize(
    ("action", "by", "other"),
    [
        ("request", DEV, None),
        ("launch", OPS, None),
        ("break_glass", DEV, None),
        ("request", OPS, DEV),
        ("launch", OPS, LEAD),
    ],
)
def test_each_action_is_told_how_the_budget_stands(action: str, by: Actor, other: Actor | None):
    """What is forbidden over budget is so at once too, by breaking the glass, and for somebody else."""
    whom = other or by
    made = with_policies(
        ACTS.format("operators", ""),
        f'permit (principal == Person::"{whom.key}", action == Action::"launch", resource);'
        if action == "launch"
        else "",
        f'@id("no more") forbid (principal == Person::"{whom.key}", action == Action::"{action}", resource)'
        f" {WHEN_OVER}",
    )
    question = msgspec.structs.replace(
        asked(made, by=by, on_behalf_of=other), break_glass=action == "break_glass"
    )
    within = msgspec.structs.replace(OVER, limit=Decimal(2))
    assert policy.judge(made, principal(by), question, within).outcome != "refused"
    assert policy.judge(made, principal(by), question, OVER).outcome == "refused"
    assert policy.judge(made, principal(by), question).outcome != "refused"


def test_a_schema_without_budgets_is_told_of_none():
    """A bundle from before there were budgets answers as it did, whatever stands in the ledger."""
    made = bundle(
        schema=replaced("    budget?: Budget,  // where the cost center has one: see budgets.toml\n", ""),
        policies=lambda text: text.replace("context has budget && context.budget.overrun", "false"),
        budgets=None,
    )
    question = asked(made, by=OPS)
    assert policy.judge(made, principal(OPS), question, OVER).outcome == "direct"
    assert policy.judge(made, principal(DEV), asked(made), OVER).gates == ("lead",)


def test_a_launch_without_a_name_has_an_empty_one():
    """A policy that wants every launch named can say so."""
    made = with_policies(f'forbid (principal, {REQUEST}, resource) when {{ context.claimed.name == "" }};')
    assert answer(made, DEV) == "refused"
    assert answer(made, DEV, name="fair") == "lead"


def test_a_launch_that_errs_is_said_to():
    """Who writes policy must find the rule that failed: by the action, and each error told."""
    made = with_policies(
        f'@id("one") permit (principal, action == Action::"launch", resource) when {{ {ALWAYS_ERRS} }};',
        f'@id("other") forbid (principal, action == Action::"launch", resource) when {{ {ALWAYS_ERRS} }};',
    )
    judgement = judged(made, OPS)
    assert judgement.policies == ("operators launch",)
    head = "Policy could not be evaluated for 'launch', and that means no: "
    assert judgement.reason.startswith(head)
    errors = judgement.reason.removeprefix(head).split("; ")
    assert len(errors) == 2
    assert all(one.startswith("error while evaluating policy") for one in errors), errors


def test_all_that_forbid_are_named():
    """Who is refused must not mend one thing after the other."""
    made = with_policies(
        f'@id("not now") forbid (principal, {REQUEST}, resource);',
        f'@id("not here") forbid (principal, {REQUEST}, resource);',
    )
    assert judged(made, DEV).reason == "Policy forbids 'request': not now, not here."


@pytest.mark.parametrize("monthly", ["0.0", "1000.0", "1000000.0"])
def test_a_gate_need_only_be_decided_by_enough_at_some_price(monthly: str):
    """A gate of which only the free, the dear, or the very dear can be decided is no mistake of its writer's."""
    only = (
        'permit (principal in Group::"leads", action == Action::"approve", resource == Gate::"dear")'
        f' when {{ context.monthly_cost == decimal("{monthly}") }};'
    )
    gate = also('[dear]\ntitle = "Dear"\nquorum = 1\nexpires_after = "1d"')
    assert "dear" in with_policies(only, gates=gate).gates
    with pytest.raises(BundleRefusedError, match="policy lets 0 people decide it"):
        with_policies(only.replace(monthly, "7.0"), gates=gate)


def test_a_timer_is_decided_by_nobody():
    """Whoever may approve whatever there is does not turn the clock forward."""
    made = with_policies(
        'permit (principal in Group::"leads", action == Action::"approve", resource);',
        gates=also('[cool]\ntitle = "Cool"\nkind = "timer"\nwait = "1h"'),
    )
    assert policy.eligible(made, "lead", asked(made)) == {LEAD}
    assert policy.eligible(made, "cool", asked(made)) == frozenset()


def test_a_hook_escalates_to_a_gate_and_not_to_the_group_of_that_name():
    """A group that is called like the gate of people would have a system's seat."""
    made = with_policies(
        'permit (principal == Person::"http://gonogo.local#robot", action == Action::"approve", resource);',
        'permit (principal in Group::"leads", action == Action::"approve", resource == Gate::"leads");',
        gates=also(
            '[scan]\ntitle = "Scan"\nkind = "hook"\nquorum = 1\nexpires_after = "1h"\non_expiry = "escalate"\n'
            'escalate_to = "leads"\n[leads]\ntitle = "Leads"\nquorum = 1\nexpires_after = "1d"'
        ),
        people=also(somebody("robot", more="service = true")),
    )
    assert policy.reserve(made, "scan", asked(made)) == frozenset()
    assert policy.eligible(made, "scan", asked(made), escalated=True) == {actor("robot")}


def test_a_gate_has_what_its_rule_says_and_where_it_says_nothing_what_its_kind_does():
    """A silent system means no, silent people mean that it is over, and a timer keeps its window."""
    window = 'window = { time_zone = "Europe/Vienna", from = "09:00", to = "17:00" }'
    made = with_policies(
        'permit (principal == Person::"http://gonogo.local#robot", action == Action::"approve", resource);',
        *(f'@gate("{one}") permit (principal, {REQUEST}, resource);' for one in ("scan", "lead", "hours")),
        gates=also(
            '[scan]\ntitle = "Scan"\nkind = "hook"\nquorum = 1\nexpires_after = "1h"\n'
            f'[hours]\ntitle = "Hours"\nkind = "timer"\n{window}'
        ),
        people=also(somebody("robot", more="service = true")),
    )
    question = asked(made)
    gates = {
        one.name: one
        for one in policy.gates_for(made, policy.judge(made, principal(DEV), question), question)
    }
    assert {name: one.on_expiry for name, one in gates.items() if one.kind != "timer"} == {
        "scan": "reject",
        "lead": "expire",
    }
    assert gates["hours"].window == made.gates["hours"].window
    assert gates["hours"].window is not None


@pytest.mark.parametrize(("who", "times"), [(STRANGER, 1), (LEAD, 1), (DEV, 1), (OPS, 2)])
def test_only_what_could_decide_is_asked(who: Actor, times: int):
    """Cedar is asked where some policy could take the question, by person and by group: each question takes time."""
    made = with_policies(
        'permit (principal == Person::"http://gonogo.local#finance", action == Action::"launch", resource);',
        'permit (principal in Group::"operators", action == Action::"launch", resource == Template::"gpu-large");',
    )
    with mock.patch.object(cedarpy, "is_authorized", wraps=cedarpy.is_authorized) as ask:
        policy.judge(made, principal(who), asked(made, by=who))
    assert ask.call_count == times
    known = len(cedarpy.PolicySet.from_str(made.files["policies.cedar"]))
    assert all(len(call.args[1]) < known for call in ask.call_args_list if call.args[1])


def test_what_somebody_is_holds_whatever_their_token_says():
    """A token's groups add groups; a service stays one, and who is in no file has their issuer all the same."""
    made = with_policies(
        'permit (principal, action == Action::"act_for", resource)'
        ' when { principal.issuer == "http://gonogo.local" && !principal.service && !resource.service };',
        f'@gate("lead") permit (principal, {REQUEST}, resource)'
        ' when { principal.issuer == "http://gonogo.local" && !principal.service };',
        people=also(somebody("robot", more="service = true")),
    )
    robot = actor("robot")
    for groups in ((), ("finance",), ("leads", "finance")):
        assert answer(made, STRANGER, groups=groups) == "lead"
        assert answer(made, FINANCE, groups=groups) == "lead"
        assert answer(made, robot, groups=groups) == "refused"
        assert answer(made, STRANGER, groups=groups, on_behalf_of=DEV) == "lead"
        assert answer(made, STRANGER, groups=groups, on_behalf_of=robot) == "refused"
        assert answer(made, robot, groups=groups, on_behalf_of=DEV) == "refused"
