"""A bundle is refused whole if it breaks one rule: each rule of design section 5, with its attack."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from gonogo.core import bundle as bundles
from gonogo.core import bundle_rules, policy
from gonogo.core.actor import Actor
from gonogo.core.bundle import Bundle
from gonogo.core.errors import BundleRefusedError, Fault, InvalidError
from tests.core.agreed import assert_agreed
from tests.core.builders import (
    ISSUER,
    LEAD,
    STRANGER,
    actor,
    also,
    bundle,
    example,
    policy_files,
    replaced,
    somebody,
)

Change = str | Callable[[str], str] | None


SAID: list[str] = []


@pytest.fixture(autouse=True)
def _refusals_read_as_agreed(request: pytest.FixtureRequest) -> Iterator[None]:
    """Hold each test to the very words in which its bundles are refused: whoever mends one has nothing else."""
    SAID.clear()
    yield
    if SAID:
        assert_agreed("refusals.json", request.node.name, SAID)


def refused(**changed: Change) -> tuple[Fault, ...]:
    """Return the faults for which the example, so changed, is refused."""
    with pytest.raises(BundleRefusedError) as raised:
        bundle(**changed)
    SAID.extend(f"{fault.rule} {fault}" for fault in raised.value.faults)
    return raised.value.faults


def rules(**changed: Change) -> set[tuple[str, str]]:
    """Return file and rule of each fault."""
    return {(fault.pointer.split(":")[0], fault.rule) for fault in refused(**changed)}


def permit(
    action: str, *, when: str = "", gate: str | None = None, principal: str = 'in Group::"operators"'
) -> Change:
    """Return a change that appends a permit of one action."""
    head = f'@gate("{gate}")\n' if gate is not None else ""
    tail = f" when {{ {when} }}" if when else ""
    return also(f'{head}permit (principal {principal}, action == Action::"{action}", resource){tail};')


# Whole


def test_the_example_is_accepted():
    """What a new user edits first must be right."""
    assert set(example().gates) == {"lead", "finance", "review", "policy"}
    assert set(example().templates) == {"web-small", "gpu-large"}
    assert example().people[LEAD].groups == ("leads",)


def test_the_digest_is_of_every_file():
    """A bundle is known by its text, and by nothing that was read into it."""
    assert example().digest == bundles.digest_of(policy_files())
    assert example().digest != bundle(gates=also("# a remark")).digest


@pytest.mark.parametrize("name", ["policies", "schema", "gates", "people", "prices"])
def test_every_file_is_needed(name: str):
    """No file means no rule, and no rule must never mean yes (CVE-2026-6883)."""
    faults = refused(**{name: None})
    assert [(fault.rule, fault.detail) for fault in faults] == [("required", "is missing")]


def test_a_template_is_needed():
    """A bundle by which nothing can be launched is a mistake."""
    assert rules(web_small=None, gpu_large=None) == {("templates/", "required")}


def test_all_faults_are_told_at_once():
    """Whoever mends a bundle sees every file that needs mending."""
    found = rules(gates="[lead", people="groups = 3", prices="", policies="permit (", web_small="title = 1")
    assert {where for where, _ in found} == {
        "gates.toml",
        "people.toml",
        "prices.toml",
        "policies.cedar",
        "templates/web-small.toml",
    }


@pytest.mark.parametrize(
    ("changed", "where", "rule"),
    [
        ({"gates": "[lead"}, "gates.toml", "toml"),
        ({"gates": replaced("quorum = 1", "quorum = true")}, "gates.toml", "shape"),
        ({"gates": replaced("quorum = 1", 'quorum = "1"')}, "gates.toml", "shape"),
        ({"gates": replaced("quorum = 1", "quorums = 1")}, "gates.toml", "shape"),
        (
            {"people": replaced('mail = "dev@example.com"', 'email = "dev@example.com"')},
            "people.toml",
            "shape",
        ),
        ({"people": replaced('groups = ["leads"]', 'groups = "leads"')}, "people.toml", "shape"),
        ({"prices": replaced("version =", "discount = 1\nversion =")}, "prices.toml", "shape"),
        ({"web_small": replaced("[spec]", "[lifetime]\nx = 1\n[spec]")}, "templates/web-small.toml", "shape"),
        ({"policies": "permit (principal, action"}, "policies.cedar", "cedar"),
        ({"schema": "entity"}, "schema.cedarschema", "cedar"),
    ],
)
def test_nothing_is_passed_over(changed: dict[str, Change], where: str, rule: str):
    """A setting with a typing mistake must not silently be none."""
    assert (where, rule) in rules(**changed)


@pytest.mark.parametrize(
    "changed",
    [
        {"policies": also("forbid (principal, action, resource) when { true" + " && true" * 3000 + " };")},
        {"gates": also("x = " + "[" * 3000 + "]" * 3000)},
    ],
    ids="".join,
)
def test_nesting_is_refused_by_name(changed: dict[str, Change]):
    """A bundle made to break its reader gets an answer like any other."""
    assert "depth" in {rule for _, rule in rules(**changed)}


# People


def test_two_people_are_not_one():
    """One who stands there twice would fill two seats, or hide that it is a service."""
    assert ("people.toml", "unique") in rules(people=also(somebody("lead", "finance")))


@pytest.mark.parametrize("who", ['issuer = ""', 'issuer = "http://x#y"'])
def test_an_issuer_has_no_fragment(who: str):
    """An actor is written issuer#subject, and must be read back as the same."""
    assert ("people.toml", "actor") in rules(
        people=replaced(f'issuer = "{ISSUER}"\nsubject = "dev"', f'{who}\nsubject = "dev"')
    )


def test_a_subject_is_needed():
    """Whoever has an issuer's empty subject would be somebody without having signed in."""
    assert ("people.toml", "actor") in rules(people=replaced('subject = "dev"', 'subject = ""'))


@pytest.mark.parametrize("name", ["issuer", "subject"])
def test_longer_than_a_code_holds(name: str):
    """A person whose link could not be read would wait at a gate for ever."""
    value = "x" * (bundles.LONGEST_NAME[name] + 1)
    person = {"issuer": ISSUER, "subject": "long", name: value}
    entry = f'[[people]]\nname = "long"\nissuer = "{person["issuer"]}"\nsubject = "{person["subject"]}"\n'
    assert ("people.toml", "maximum") in rules(people=also(entry))


def test_an_unknown_group_is_refused():
    """A person in a group that is not there was meant to be in another."""
    assert ("people.toml", "group") in rules(people=also(somebody("eve", "leaders")))


@pytest.mark.parametrize(
    "mail",
    ["lead", "a@b@c", "lead@example.com, eve@example.com", "Lead <lead@example.com>", "a@b\\r\\nBcc: c"],
)
def test_one_mail_address_each(mail: str):
    """A notice carries a code: it goes to one mailbox, and no header can be added to it."""
    assert ("people.toml", "mail") in rules(people=replaced('"lead@example.com"', f'"{mail}"'))


def test_a_claim_maps_to_a_group_that_is_there():
    """A mapping to nowhere would be filled later by whoever makes the group."""
    mapping = f'[[claims]]\nissuer = "{ISSUER}"\nclaim = "groups"\nvalue = "all"\ngroup = "everybody"'
    assert ("people.toml", "group") in rules(people=also(mapping))


# Gates


@pytest.mark.parametrize(
    ("changed", "rule"),
    [
        (replaced("quorum = 1", "quorum = 0"), "minimum"),
        (replaced("quorum = 1", "quorum = -1"), "minimum"),
        (replaced("stage = 2", "stage = 0"), "minimum"),
        (replaced('"3d"', '"8d"'), "maximum"),
        (replaced('"3d"', '"604801s"'), "maximum"),
        (replaced('"3d"', '"2w"'), "maximum"),
        (replaced('"3d"', '"soon"'), "duration"),
        (replaced('"3d"', '""'), "duration"),
        (replaced("stage = 1", 'kind = "timer"'), "timer"),
        (replaced("[finance]", f'["{"f" * 65}"]'), "maximum"),
    ],
)
def test_gates_that_cannot_hold(changed: Change, rule: str):
    """A gate needs somebody, in time: not nobody (0 of 0), not for ever, not of an unknown kind."""
    assert ("gates.toml", rule) in rules(gates=changed)


@pytest.mark.parametrize("length", ["7d", "1w", "604800s", "168h"])
def test_the_longest_gate(length: str):
    """A week is allowed in every way of writing it."""
    assert bundle(gates=replaced('"3d"', f'"{length}"')).gates["lead"].expires_after == length


def test_a_quorum_that_nobody_can_meet_is_refused():
    """Two leads where there is one: no launch could ever pass."""
    (fault,) = refused(gates=replaced("stage = 1\nquorum = 1", "stage = 1\nquorum = 2"))
    assert (fault.pointer, fault.rule) == ("gates.toml:9", "quorum")
    assert "'lead' asks for 2" in fault.detail


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        (also('[scan]\ntitle = "Scan"\nkind = "hook"\nexpires_after = "1h"'), "quorum"),
        (replaced("[lead]\n", "[lead]\nreject_quorum = 2\n"), "reject_quorum"),
        (also('[scan]\ntitle = "Scan"\nkind = "timer"\nwait = "1h"\nreject_quorum = 2'), "kind"),
    ],
)
def test_a_quorum_is_of_those_whom_the_gate_asks(change: Change, rule: str):
    """Systems decide what systems are asked, people what people are; whoever mends it must know which are too few."""
    assert rule in {found for _, found in rules(gates=change)}


def test_a_gate_that_nobody_may_decide_is_refused():
    """A gate in gates.toml without a permit of approve is a gate without a key."""
    assert rules(gates=also('[audit]\ntitle = "Audit"')) == {("gates.toml", "quorum")}


def test_a_service_fills_no_seat_of_a_quorum():
    """A pipeline in the approvers' group does not make two of one human (GitHub Actions as a reviewer)."""
    changed: dict[str, Change] = {"gates": replaced("stage = 1\nquorum = 1", "stage = 1\nquorum = 2")}
    robot = also(somebody("robot", "leads", more="service = true"))
    assert ("gates.toml", "quorum") in rules(**changed, people=robot)
    assert bundle(**changed, people=also(somebody("lead2", "leads"))).gates["lead"].quorum == 2


def test_an_empty_group_is_no_approver():
    """With the last lead gone from the group the bundle is refused, and what is in force stays so."""
    assert rules(people=replaced('groups = ["leads"]', "groups = []")) == {("gates.toml", "quorum")}


TIMER, HOOK = 'kind = "timer"\n', 'kind = "hook"\n'
HOURS = 'window = { time_zone = "Europe/Vienna", '


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        (TIMER, "timer"),
        (TIMER + 'wait = "1h"\n' + HOURS + 'days = ["mon"] }', "timer"),
        (TIMER + 'wait = "an hour"', "duration"),
        (TIMER + 'wait = "1h"\nquorum = 2', "kind"),
        (TIMER + 'wait = "1h"\nplace = "after_launch"', "place"),
        (TIMER + HOURS + "days = [] }", "window"),
        (TIMER + HOURS + 'from = "24:00" }', "window"),
        (TIMER + HOURS + 'from = "9:00" }', "window"),
        (TIMER + 'window = { time_zone = "Europe/Wien" }', "window"),
        (TIMER + HOURS + 'days = ["monday"] }', "shape"),
        (HOOK, "quorum"),
        (HOOK + 'place = "approval"', "place"),
        (HOOK + 'on_expiry = "escalate"', "escalate_to"),
        (HOOK + 'on_expiry = "escalate"\nescalate_to = "x"', "escalate_to"),
        (HOOK + 'on_expiry = "escalate"\nescalate_to = "leads"', "escalate_to"),
        (HOOK + 'escalate_to = "lead"', "escalate_to"),
        (HOOK + "login = true", "kind"),
        ('place = "before_launch"', "place"),
        ('on_expiry = "approve"', "kind"),
        ('wait = "1h"', "kind"),
        ('on_reject = "terminate"', "on_reject"),
        ('place = "after_launch"\nvalid_for = "1d"', "valid_for"),
        ('escalate_after = "1d"', "escalate_to"),
        ('escalate_to = "leads"', "escalate_to"),
        ('escalate_after = "1d"\nescalate_to = "bosses"', "group"),
        ('escalate_after = "1d"\nescalate_to = "empty"', "group"),
        ('escalate_after = "1d"\nescalate_to = "robots"', "group"),
        ('escalate_after = "3d"\nescalate_to = "leads"', "escalate_after"),
        ("reject_quorum = 0", "minimum"),
        ("reject_quorum = 2", "reject_quorum"),
        ('remind_every = "daily"', "duration"),
    ],
)
def test_gates_of_every_kind_that_promise_what_is_not_kept(text: str, rule: str):
    """Fewer than meant, or never, or nobody: a gate that cannot do what it says is refused."""
    decides = 'permit (principal in Group::"leads", action == Action::"approve", resource == Gate::"more");'
    people = 'empty = "Nobody"\nrobots = "Systems"\n'
    found = rules(
        gates=also(f'[more]\ntitle = "More"\n{text}'),
        policies=also(decides),
        people=lambda before: (
            before.replace("[groups]\n", "[groups]\n" + people)
            + "\n"
            + somebody("robot", "robots", more="service = true")
        ),
    )
    assert ("gates.toml", rule) in found


@pytest.mark.parametrize(
    "text", ['kind = "timer"\nwait = "1h"', 'place = "after_launch"'], ids=["clock", "too late"]
)
def test_people_approve_a_change_of_policy(text: str):
    """A change of policy that only time holds up, or that is looked at afterwards, is held up by nobody."""
    changed = replaced('title = "Policy"\nquorum = 1', f'title = "Policy"\n{text}')
    assert ("gates.toml", "policy") in rules(gates=changed)


@pytest.mark.parametrize(
    ("more", "holds"),
    [
        (f'service = true\nowner = "{ISSUER}#dev"', True),
        (f'owner = "{ISSUER}#dev"', False),
        (f'service = true\nowner = "{ISSUER}#robot"', False),
        (f'service = true\nowner = "{ISSUER}#gone"', False),
        ('service = true\nowner = "dev"', False),
    ],
)
def test_who_answers_for_a_service(more: str, holds: bool):  # noqa: FBT001 - a table of what holds
    """An owner who is nobody bars nobody: they would approve what their own robot asks for."""
    robot = also(somebody("robot", "developers", more=more))
    if holds:
        assert isinstance(bundle(people=robot), Bundle)
    else:
        assert ("people.toml", "owner") in rules(people=robot)


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ('[training.months]\n"2026-13" = "1"', "month"),
        ('[training.months]\n"december" = "1"', "month"),
        ('[training.months]\n"2026-12" = "-1"', "amount"),
        ('[more]\nmonthly = "NaN"', "amount"),
        ('[more]\nmonthly = "1000000000001"', "amount"),
        ('[more]\nyearly = "1"', "shape"),
    ],
)
def test_budgets_that_limit_nothing(text: str, rule: str):
    """A month that never comes has no limit of its own."""
    assert ("budgets.toml", rule) in rules(budgets=also(text))


# Where it stands


@pytest.mark.parametrize(
    ("name", "changed", "line"),
    [
        ("gates", replaced("stage = 2", "stage = 0"), "stage = 0"),
        ("gates", also('[a]\ntitle = "A"\n[b]\ntitle = 3'), "title = 3"),
        ("gates", also("[lead"), "[lead"),
        ("gates", also('[b]\ntitle = """\n[a]\n"""\nquorums = 1'), "quorums = 1"),
        ("people", replaced('groups = ["finance"]', 'groups = ["x"]'), 'groups = ["x"]'),
        ("people", replaced('mail = "ops@example.com"', "mail = 1"), "mail = 1"),
        ("prices", replaced('"0.0208"', '"-1"'), '"t3.small" = "-1"'),
        ("prices", replaced('"0.0208"', '"one"'), '"t3.small" = "one"'),
        ("budgets", also('[training.months]\n2026-13 = "1"'), '2026-13 = "1"'),
        (
            "web_small",
            replaced('{ parameter = "count" }', '{ parameter = "x" }'),
            'count = { parameter = "x" }',
        ),
        ("web_small", replaced('"us-east-1"', '"eu-west-1"'), 'region = "eu-west-1"'),
        ("policies", also('// permit;\n@id("a;b")\npermit (principal, action, resource);'), '@id("a;b")'),
        (
            "policies",
            also('\npermit (principal, action == Action::"launch", resource)\nwhenn {};'),
            "permit (",
        ),
        (
            "policies",
            also('forbid (principal, action == Action::"launch", resource) when { context.x == 1 };'),
            "forbid (",
        ),
        ("policies", also("forbid (principal == ?principal, action, resource);"), "forbid ("),
        ("schema", also("entity Robot;"), "entity Robot;"),
        ("schema", also("entity Robot in [Machine];"), "entity Robot in"),
        ("schema", also("entity Robot = ;"), "entity Robot"),
    ],
)
def test_a_fault_names_the_line(name: str, changed: Change, line: str):
    """Who mends two hundred lines wants to be led to the one that is wrong."""
    assert callable(changed)
    files = policy_files(**{name: changed})
    places = {fault.pointer for fault in refused(**{name: changed})}
    (place,) = {one for one in places if ":" in one}
    path, number = place.split(":")
    assert files[path].splitlines()[int(number) - 1].startswith(line)


# Policies


def test_without_policies_nothing_is_permitted():
    """An empty file is no policy, and no gate has a key."""
    assert rules(policies="") == {("gates.toml", "quorum")}


@pytest.mark.parametrize(
    "scope",
    [
        "action",
        'action in [Action::"launch"]',
        'action in [Action::"launch", Action::"request"]',
        'action in Action::"launch"',
    ],
)
def test_an_open_action_is_refused(scope: str):
    """A permit of every action, or of a list, would grant `launch` and `approve` as well."""
    text = f'permit (principal in Group::"operators", {scope}, resource);'
    assert ("policies.cedar", "action") in rules(policies=also(text))


def test_a_permit_of_an_action_that_there_is_not():
    """A permit of `lunch` was meant to permit something."""
    assert ("policies.cedar", "action") in rules(policies=permit("lunch"))


def test_a_forbid_may_be_of_every_action():
    """To forbid more than was meant is safe."""
    text = 'forbid (principal == Person::"http://gonogo.local#dev", action, resource);'
    assert isinstance(bundle(policies=also(text)), Bundle)


@pytest.mark.parametrize("action", ["launch", "approve", "act_for"])
def test_a_gate_stands_on_request_only(action: str):
    """`@gate` on a permit of launch looks as if there were a gate, and there is none."""
    assert ("policies.cedar", "gate") in rules(policies=permit(action, gate="lead"))


def test_a_gate_on_a_forbid_is_refused():
    """A forbid has no gate through which it could be passed."""
    text = '@gate("lead")\nforbid (principal in Group::"operators", action == Action::"request", resource);'
    assert ("policies.cedar", "gate") in rules(policies=also(text))


@pytest.mark.parametrize(
    "head", ["", "@gate\n", '@gate("")\n', '@gate("leads")\n', '@Gate("lead")\n', '@gates("lead")\n']
)
def test_a_permit_of_request_names_a_gate(head: str):
    """A permit of request without a gate, or with one that is not there, would be a launch without one."""
    text = head + 'permit (principal in Group::"operators", action == Action::"request", resource);'
    assert ("policies.cedar", "gate") in rules(policies=also(text))


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ('permit (principal in Group::"nobody", action == Action::"launch", resource);', "group"),
        ('forbid (principal in Group::"contractor", action == Action::"launch", resource);', "group"),
        ('permit (principal is Person in Group::"nobody", action == Action::"launch", resource);', "group"),
        (
            'permit (principal in Group::"leads", action == Action::"approve", resource == Gate::"leda");',
            "gate",
        ),
        (
            'permit (principal == Person::"http://gonogo.local#eve", action == Action::"launch", resource);',
            "person",
        ),
        ('forbid (principal == Person::"dev", action == Action::"launch", resource);', "person"),
        ('forbid (principal, action == Action::"launch", resource == Template::"gpu-big");', "template"),
        (
            'permit (principal, action == Action::"act_for", resource) when { principal in Group::"x" };',
            "group",
        ),
        (
            'permit (principal, action == Action::"act_for", resource) when { resource == Person::"eve" };',
            "person",
        ),
        (
            'permit (principal, action == Action::"act_for", resource) unless { [Group::"g"] == [] };',
            "group",
        ),
    ],
)
def test_whoever_and_whatever_is_named_must_be_there(text: str, rule: str):
    """A mistyped name in a permit grants nothing; in a forbid it forbids nothing, and nobody notices."""
    assert ("policies.cedar", rule) in rules(policies=also(text))


def test_a_policy_that_does_not_fit_the_schema():
    """An attribute that is not there errs at each evaluation: it is found before."""
    assert ("policies.cedar", "schema") in rules(policies=permit("launch", when='context.nothing == "x"'))


def test_a_decimal_of_five_places_is_refused():
    """Cedar skips a policy that errs: five places silently dropped the finance gate (tried)."""
    assert ("policies.cedar", "schema") in rules(
        policies=replaced('decimal("500.0")', 'decimal("500.00001")')
    )


def test_a_policy_with_a_slot_is_refused():
    """A Cedar template that nobody links decides nothing: a forbid of that kind would forbid nobody."""
    text = 'forbid (principal == ?principal, action == Action::"launch", resource);'
    assert ("policies.cedar", "slot") in rules(policies=also(text))


def test_a_fault_names_the_policy_as_people_know_it():
    """`policy7` means nothing to its writer; its @id does."""
    (fault,) = refused(policies=also('@id("my own") permit (principal, action, resource);'))
    assert fault.detail.startswith("my own: ")


def test_more_than_ten_policies_keep_their_names():
    """policy10 sorts before policy2: an annotation must not land on another policy."""
    filler = "\n".join(
        f'@id("filler {n}") permit (principal, action == Action::"act_for", resource) when {{ {n} == 0 }};'
        for n in range(12)
    )
    text = '@id("last") @gate("lead") permit (principal, action == Action::"request", resource);'
    made = bundle(policies=also(f"{filler}\n{text}"))
    gates = {one.label: one.annotations.get("gate") for one in made.policies.values()}
    assert (gates["last"], gates["above 500 a month finance says go too"]) == ("lead", "finance")
    assert gates["filler 7"] is None


GLASS = '@gate("review") @tell("operators") permit (principal, action == Action::"break_glass", resource)'
AT_ONCE = 'permit (principal, action == Action::"launch", resource)'
BREAKS = 'action == Action::"break_glass", resource'


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        (f'@tell("operators") permit (principal, {BREAKS});', "gate"),
        (f'@gate("lead") @tell("operators") permit (principal, {BREAKS});', "gate"),
        (f'@gate("nothing") @tell("operators") permit (principal, {BREAKS});', "gate"),
        (f'@gate("review") permit (principal, {BREAKS});', "tell"),
        (f'@gate("review") @tell("nobody") permit (principal, {BREAKS});', "tell"),
        (f'@gate("review") forbid (principal, {BREAKS});', "gate"),
        (f'@tell("operators") forbid (principal, {BREAKS});', "tell"),
        ('@tell("operators") permit (principal, action == Action::"launch", resource);', "tell"),
        (
            GLASS + ' when { context.claimed.reason like "*fire*" };',
            "claimed",
        ),
        (
            GLASS + " unless { context has budget && context.budget.overrun };",
            "claimed",
        ),
        (
            AT_ONCE + " when { !(context has budget) || !context.budget.overrun };",
            "claimed",
        ),
        ('forbid (principal, action == Action::"lunch", resource);', "action"),
        ('@id("leads decide lead") forbid (principal, action, resource) when { false };', "unique"),
        ('forbid (principal, action in [Action::"launch", Action::"lunch"], resource);', "action"),
    ],
)
def test_policies_that_promise_what_is_not_kept(text: str, rule: str):
    """A glass that is broken unseen, a limit that the client can lift, a forbid of nothing: each is refused."""
    assert ("policies.cedar", rule) in rules(policies=also(text))


def test_a_forbid_may_read_the_budget_and_list_actions():
    """To be stricter by what is known only from the client is no way around anything."""
    text = """
    forbid (principal, action in [Action::"launch", Action::"request"], resource)
      when { context has budget && context.budget.overrun } unless { principal in Group::"operators" };
    """
    assert isinstance(bundle(policies=also(text)), Bundle)


# The schema


@pytest.mark.parametrize(
    ("changed", "rule"),
    [
        (replaced("region: String,", "region?: String,"), "optional"),
        (replaced("region: String,", "region: String,\n    vetted?: Bool,"), "optional"),
        (replaced("service: Bool", "service: Bool, contractor?: Bool"), "optional"),
        (replaced("    region: String,\n", ""), "context"),
        (replaced("region: String,", "region: Long,"), "context"),
        (replaced("region: String,", "region: String,\n    ticket: String,"), "context"),
        (replaced("budget?: Budget", "budget: Budget"), "context"),
        (replaced("overrun: Bool };", "overrun: Bool, month: String };"), "budget"),
        (replaced("resource: [Gate],", "resource: [Gate, Template],"), "resource"),
        (replaced("principal: [Person],", "principal: [Person, Group],"), "principal"),
        (replaced("entity Template;", "entity Template;\nentity Robot in [Group];"), "entity"),
        (replaced("entity Gate;", 'entity Gate enum ["lead", "finance", "review", "policy"];'), "entity"),
        (replaced("entity Gate;", "entity Gate tags String;"), "entity"),
        (also("namespace Mine { entity Thing; }"), "namespace"),
        (replaced('action "launch", "request", "break_glass"', 'action "request", "break_glass"'), "action"),
    ],
)
def test_a_schema_says_what_gonogo_gives(changed: Change, rule: str):
    """What a schema promises and nobody gives is waited for in vain: a forbid by it would forbid nothing."""
    assert ("schema.cedarschema", rule) in rules(schema=changed)


def test_budgets_need_a_schema_that_takes_them():
    """A budget that no policy can read limits nothing."""
    without = replaced("    budget?: Budget,  // where the cost center has one: see budgets.toml\n", "")
    unread = replaced("context has budget && context.budget.overrun", "false")
    found = rules(schema=without, policies=unread)
    assert ("schema.cedarschema", "budget") in found


# What the client claims


READS = [
    'context.claimed.reason == "x"',
    'context["claimed"]["reason"] == "x"',
    'context["claimed"].reason == "x"',
    'context["cla\\u{69}med"].reason == "x"',
    "context has claimed",
    'context has "claimed"',
    "context has claimed.reason",
    "context has claimed && context.claimed has name",
    'context.claimed.reason like "*please*"',
    'true && (false || !(context.claimed.name == ""))',
    'if context.claimed.name == "x" then true else false',
    'if context.engine == "ec2" then context.claimed.name == "" else true',
    '(if true then context else context).claimed.name == "x"',
    '{"a": context}.a.claimed.name == "x"',
    '{"a": context.claimed}.a.name == "x"',
    '["x"].contains(context.claimed.name)',
    "[context].contains(context)",
    "context.units.contains(context.claimed.name)",
    "context == context",
    "context != context",
    'decimal(context.claimed.name).greaterThan(decimal("1.0"))',
    "context.hourly_cost.lessThan(decimal(context.claimed.reason))",
    "principal.subject == context.claimed.name",
    'resource == Template::"web-small" && context.claimed.cost_center == "4711"',
    '{"left": context}.left.claimed.name == "x"',
    '{".": context, "attr": "units"} == {".": context, "attr": "units"}',
]


@pytest.mark.parametrize("condition", READS)
@pytest.mark.parametrize("clause", ["when", "unless"])
def test_no_launch_permit_reads_what_the_client_claims(condition: str, clause: str):
    """Who could launch at once by what they give as a reason needs no approver: no form passes."""
    text = f'permit (principal, action == Action::"launch", resource) {clause} {{ {condition} }};'
    assert ("policies.cedar", "claimed") in rules(policies=also(text))


def test_a_second_condition_is_read_too():
    """The first clause of a policy is not the only one."""
    text = (
        'permit (principal in Group::"operators", action == Action::"launch", resource)'
        ' when { true } unless { context.claimed.name == "x" };'
    )
    assert ("policies.cedar", "claimed") in rules(policies=also(text))


@pytest.mark.parametrize(
    "condition",
    [
        'context.engine == "claimed"',
        'context.units.contains("claimed")',
        "context has units",
        'context.monthly_cost.lessThan(decimal("10.0")) && context.quantity < 3',
        '"claimed" == "claimed"',
        '{"claimed": 1}.claimed == 1',
        'principal.subject == "claimed"',
    ],
)
def test_a_launch_permit_reads_what_the_server_derived(condition: str):
    """A limit on cost, engine or quantity is just what such a permit is for."""
    assert isinstance(bundle(policies=permit("launch", when=condition)), Bundle)


def test_others_may_read_what_the_client_claims():
    """To ask for more gates, or to forbid, by what somebody writes is no way around anything."""
    text = """
    @gate("lead") permit (principal in Group::"developers", action == Action::"request", resource)
      when { context.claimed.reason like "*urgent*" };
    forbid (principal, action == Action::"launch", resource) when { context.claimed.cost_center == "" };
    """
    assert isinstance(bundle(policies=also(text)), Bundle)


# Templates and prices


@pytest.mark.parametrize(
    ("changed", "rule"),
    [
        (replaced('{ parameter = "count" }', '{ parameter = "counts" }'), "spec"),
        (replaced("[spec]", '[spec.tags]\nname = { parameter = "name" }\n[spec]'), "spec"),
        (replaced("[spec]", '[[spec.list]]\nname = [{ parameter = "name" }]\n[spec]'), "spec"),
        (lambda text: text[: text.index("[spec]")] + '[spec]\nparameter = "count"\n', "spec"),
        (replaced('default = "30d"', 'default = "91d"'), "lease"),
        (replaced('default = "30d"', 'default = "a while"'), "lease"),
        (replaced('max = "90d"', 'max = ""'), "lease"),
        (replaced('max = "90d"', 'max = "3651d"'), "lease"),
        (replaced('max = "90d"', 'max = "9999999w"'), "lease"),
        (replaced("us-east-1", "eu-west-1"), "price"),
        (replaced('engine = "ec2"', 'engine = "ec3"'), "price"),
        (replaced('type = "integer"', 'type = "number of"'), "parameters"),
        (replaced("minimum = 1", 'minimum = "1"'), "parameters"),
        (
            replaced("[parameters.properties", '[parameters]\ntype = "array"\n[parameters.properties'),
            "parameters",
        ),
        (
            lambda text: text[: text.index("[parameters")] + "[parameters]\nproperties = 3\n[spec]\n",
            "parameters",
        ),
    ],
)
def test_templates_that_cannot_be_launched(changed: Change, rule: str):
    """What could only fail when somebody asks, or worse, after it runs, is refused before."""
    assert ("templates/web-small.toml", rule) in rules(web_small=changed)


@pytest.mark.parametrize(
    "address",
    ["file:///etc/passwd", "http://169.254.169.254/latest/meta-data/", "https://example.com/x.json"],
)
@pytest.mark.parametrize("keyword", ["$ref", "$schema"])
def test_a_schema_fetches_nothing(keyword: str, address: str):
    """Whoever may publish a policy must not read this machine's files or network by it."""
    changed = replaced(
        "[parameters.properties.count]",
        f'[parameters]\n"{keyword}" = "{address}"\n[parameters.properties.count]',
    )
    (fault,) = refused(web_small=changed)
    assert fault.rule == "parameters"
    assert "Retrieval is disabled" in fault.detail or "Unknown meta-schema" in fault.detail


@pytest.mark.parametrize("price", ["-1", "-0.0001", "NaN", "sNaN", "Infinity", "-Infinity"])
def test_a_price_is_an_amount(price: str):
    """A price below nothing would bring a launch under the limit at which finance is asked."""
    assert rules(prices=replaced('"0.0208"', f'"{price}"')) == {("prices.toml", "price")}


def test_the_longest_lease_is_no_shorter_than_promised():
    """Ten years are allowed."""
    assert bundle(web_small=replaced('"90d"', '"3650d"')).templates["web-small"].lease.max == "3650d"


# Parameters


def faults_of(parameters: dict[str, Any], made: Bundle | None = None) -> list[tuple[str, str]]:
    """Return pointer and rule of what is wrong with parameters for web-small."""
    with pytest.raises(InvalidError) as raised:
        (made or example()).check_parameters("web-small", parameters)
    return sorted((fault.pointer, fault.rule) for fault in raised.value.faults)


def test_defaults_are_put_in():
    """The plan says all of what is launched, also what nobody asked for."""
    assert example().check_parameters("web-small", {}) == {"count": 1}
    assert example().check_parameters("web-small", {"count": 3}) == {"count": 3}


@pytest.mark.parametrize(
    ("parameters", "faults"),
    [
        ({"count": 5}, [("/parameters/count", "maximum")]),
        ({"count": 0}, [("/parameters/count", "minimum")]),
        ({"count": "1"}, [("/parameters/count", "type")]),
        ({"count": True}, [("/parameters/count", "type")]),
        ({"count": 1.5}, [("/parameters/count", "type")]),
        ({"user_data": "x"}, [("/parameters/user_data", "additionalProperties")]),
        (
            {"a/b~c": 1, "Count": 2},
            [("/parameters/Count", "additionalProperties"), ("/parameters/a~1b~0c", "additionalProperties")],
        ),
        ({"count": 9, "": 1}, [("/parameters/", "additionalProperties"), ("/parameters/count", "maximum")]),
    ],
)
def test_parameters_are_checked_each_at_its_place(parameters: dict[str, Any], faults: list[tuple[str, str]]):
    """What a template does not name is refused by default, and each fault has its pointer (RFC 6901)."""
    assert faults_of(parameters) == faults


def test_parameters_are_refused_in_words():
    """Whoever asks reads what is wrong, and not more of it than they sent."""
    with pytest.raises(InvalidError) as raised:
        bundle(web_small=with_disks).check_parameters("web-small", {"user": 1, "disks": [{"size": 10}, 3]})
    assert sorted(map(str, raised.value.faults)) == [
        "/parameters/disks/0/size: 10 is greater than the maximum of 9",
        '/parameters/disks/1: 3 is not of type "object"',
        "/parameters/owner: is missing",
        "/parameters/user: is not a parameter of this template",
    ]


def test_an_answer_stays_small_whatever_is_sent():
    """Twenty faults of two hundred characters tell enough; what is just as long is told whole."""
    names = ["n" * (length - len("/parameters/")) for length in (199, 200, 201)]
    with pytest.raises(InvalidError) as raised:
        example().check_parameters("web-small", dict.fromkeys(names, 1))
    assert sorted(one.pointer for one in raised.value.faults) == [
        f"/parameters/{names[0]}",
        f"/parameters/{names[1]}",
        f"/parameters/{names[1]}...",
    ]
    with pytest.raises(InvalidError) as raised:
        example().check_parameters("web-small", {f"more{number}": 1 for number in range(30)})
    assert len(raised.value.faults) == bundles.MOST_FAULTS


def test_a_template_may_take_no_parameters():
    """What is always launched in the same way asks for nothing."""
    always = '[parameters]\n[spec]\nimage_id = "ami-1"\n'
    made = bundle(web_small=lambda text: text[: text.index("[parameters")] + always)
    assert made.check_parameters("web-small", {}) == {}


def with_disks(text: str) -> str:
    """Return the template with an owner that must be named, and disks of a size each."""
    head = text[: text.index("[parameters")]
    return (
        head
        + """
[parameters]
required = ["owner"]
[parameters.properties.owner]
type = "string"
[parameters.properties.count]
default = 1
[parameters.properties.disks]
type = "array"
items = { type = "object", required = ["size"], properties = { size = { maximum = 9 } } }
[spec]
image_id = "ami-1"
instance_type = "t3.micro"
count = { parameter = "count" }
"""
    )


def test_nested_and_missing_parameters_have_pointers():
    """A fault deep inside, and one for what is not there, point to the very place."""
    made = bundle(web_small=with_disks)
    assert faults_of({"disks": [{"size": 1}, {"size": 10}, {}]}, made) == [
        ("/parameters/disks/1/size", "maximum"),
        ("/parameters/disks/2/size", "required"),
        ("/parameters/owner", "required"),
    ]


def test_a_template_may_open_itself():
    """`additionalProperties` is closed by default, and its writer may say otherwise."""
    made = bundle(
        web_small=replaced(
            "[parameters.properties.count]",
            "[parameters]\nadditionalProperties = true\n[parameters.properties.count]",
        )
    )
    assert made.check_parameters("web-small", {"more": 1}) == {"count": 1, "more": 1}


def test_a_property_may_be_anything():
    """`true` is a JSON Schema as well, and has no default."""
    made = bundle(
        web_small=replaced(
            "[parameters.properties.count]",
            "[parameters.properties]\nany = true\n[parameters.properties.count]",
        )
    )
    assert made.check_parameters("web-small", {"any": [1]}) == {"any": [1], "count": 1}


# Claims


def claiming() -> Bundle:
    """Return the example with a mapping of one issuer's claim to the operators."""
    mapping = f'[[claims]]\nissuer = "{ISSUER}"\nclaim = "groups"\nvalue = "cloud-ops"\ngroup = "operators"'
    return bundle(people=also(mapping))


@pytest.mark.parametrize(
    ("issuer", "claims", "groups"),
    [
        (ISSUER, {"groups": ("cloud-ops",)}, ("operators",)),
        (ISSUER, {"groups": ("staff", "cloud-ops", "cloud-ops")}, ("operators",)),
        (ISSUER, {"groups": ()}, ()),
        (ISSUER, {}, ()),
        (ISSUER, {"groups": ("staff,cloud-ops",)}, ()),
        (ISSUER, {"groups": ("staff cloud-ops",)}, ()),
        (ISSUER, {"groups": ("Cloud-Ops", "cloud-ops ", "cloud-op", "cloud-ops2")}, ()),
        (ISSUER, {"groups": ("operators",)}, ()),
        (ISSUER, {"roles": ("cloud-ops",)}, ()),
        (ISSUER + "/", {"groups": ("cloud-ops",)}, ()),
        ("https://other.example", {"groups": ("cloud-ops",)}, ()),
    ],
)
def test_claims_are_lists_of_one_issuer(
    issuer: str, claims: dict[str, tuple[str, ...]], groups: tuple[str, ...]
):
    """A group named `a,approvers` is one group (Cognito, 2022), and another issuer's claim is nothing."""
    assert claiming().groups_claimed(issuer, claims) == groups


# Reading policies


def test_entities_are_found_wherever_they_stand():
    """A name in a scope, a condition, a set or a record is a name."""
    node = {
        "principal": {"op": "in", "entity": {"type": "Group", "id": "a"}},
        "conditions": [{"body": {"Set": [{"Value": {"__entity": {"type": "Group", "id": "b"}}}]}}],
    }
    assert set(bundle_rules.entities(node)) == {("Group", "a"), ("Group", "b")}


def test_actors_are_read_back_as_they_were_written():
    """Cedar knows a person by one string, and no two people by the same."""
    for who in (LEAD, STRANGER, Actor("https://x/y", "a#b#c"), Actor("https://x", " ")):
        assert Actor.parse(who.key) == who
    for key in ("", "#", "x#", "#x", "x"):
        with pytest.raises(ValueError, match=r"^an actor is written issuer#subject$"):
            Actor.parse(key)


def test_every_person_is_an_actor():
    """The key in people.toml and the key in a policy are the same."""
    assert actor("dev").key == "http://gonogo.local#dev"
    assert re.fullmatch(r"[0-9a-f]{64}", example().digest)
    assert policy.accept(policy_files()).digest == example().digest
