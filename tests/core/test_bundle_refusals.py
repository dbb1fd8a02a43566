"""In which words a bundle is refused, and at which line: rule by rule, many faults of one file at once.

The words stand in tests/golden/refusals.json, as `assert_agreed` says.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import cedarpy
import msgspec
import pytest

from gonogo.core import bundle_rules, policy
from gonogo.core.actor import Actor
from gonogo.core.budget import BudgetRule
from gonogo.core.bundle import ACTIONS, LARGEST_STACK, MOST_CHOICES, ClaimGroup
from gonogo.core.errors import BundleRefusedError, Fault
from gonogo.core.plan import Lease, PriceTable
from tests.core.agreed import assert_agreed
from tests.core.builders import DEV, ISSUER, also, asked, bundle, policy_files, replaced, somebody

Change = str | Callable[[str], str] | None

STACKS = Path(__file__).parents[2] / "examples" / "stacks"
QUEUE = 'Resources: {Queue: {Type: "AWS::SQS::Queue"}}\n'


def refusal(files: dict[str, str]) -> list[str]:
    """Return rule, place and words of each fault for which a bundle is refused."""
    with pytest.raises(BundleRefusedError) as raised:
        policy.accept(files)
    return [f"{fault.rule} {fault}" for fault in raised.value.faults]


def every(*changes: Callable[[str], str]) -> Callable[[str], str]:
    """Return the change that makes all of these."""

    def change(text: str) -> str:
        for one in changes:
            text = one(text)
        return text

    return change


def with_stack(**more: str) -> dict[str, str]:
    """Return the example with the template of a stack, and its file."""
    site = (STACKS / "templates" / "site.toml").read_text()
    prices = also((STACKS / "prices.toml").read_text())
    return {**policy_files(prices=prices, site=site), "stacks/site.yaml": QUEUE, **more}


# Reading


def unseen() -> dict[str, str]:
    """Return the example without two files, and with characters in two others that nobody would see."""
    files = policy_files(people=None, schema=None, gates=also("# \x0b"), web_small=also("# a\rb"))
    return files | {"notes.txt": "\u2028"}


def test_what_is_not_there_or_not_seen_is_told_first(request: pytest.FixtureRequest):
    """Lines that an approver does not see as Cedar does could permit what nobody has approved."""
    assert_agreed("refusals.json", request.node.name, refusal(unseen()))


READING: dict[str, dict[str, Change]] = {
    "every file": {
        "gates": replaced("stage = 1", "stage = one"),
        "people": replaced('groups = ["finance"]', "groups = [3]"),
        "prices": replaced('"0.0104"', '"cheap"'),
        "budgets": also('monthly = "1"'),
        "web_small": replaced("title = ", "tittle = "),
        "gpu_large": replaced("[spec]", "[spec"),
        "policies": also("permit (principal, action, resource) when {{ 1 }};"),
        "schema": also("entity Robot in [Machine];"),
    },
    "no templates": {"web_small": None, "gpu_large": None},
    "an end that is none": {"gates": also('[more]\ntitle = """More'), "prices": also("x = [\n\n\n")},
    "declared twice": {"schema": also("entity Robot;\nentity Gate;")},
    "a statement of the schema": {"schema": also("\n// a remark;\nentity\nRobot ==;\nentity Other ==;")},
    "a type of itself": {"schema": also("type One = Set<One>;")},
    "a text without an end": {"schema": also('"')},
    "a policy is open": {"policies": also("permit (\n  principal, action\n")},
    "a policy has a slot": {"policies": also("\nforbid (principal == ?principal, action, resource);")},
    "people without what makes them one": {"schema": replaced(", service: Bool", "")},
    "people of another kind": {"schema": replaced("service: Bool", "service: String")},
    "people in no group": {
        "schema": replaced("entity Person in [Group] =", "entity Person ="),
        "policies": 'permit (principal, action == Action::"approve", resource);',
    },
    "policies that do not fit the schema": {
        "policies": also(
            'forbid (principal, action == Action::"launch", resource)\n'
            "when { context.policy0 == 1 || context.policy99 == 1 };\n"
            '@id("my own")\nforbid (principal, action == Action::"launch", resource) when { context.policy14 };'
        )
    },
}


@pytest.mark.parametrize("changed", READING.values(), ids=READING)
def test_what_cannot_be_read(request: pytest.FixtureRequest, changed: dict[str, Change]):
    """Whoever mends it is led to the line, in all files at once."""
    assert_agreed("refusals.json", request.node.name, refusal(policy_files(**changed)))


class Case(msgspec.Struct):
    """A table in a list of them, as in tests.toml: who decides each gate."""

    approvers: dict[str, tuple[str, ...]]


CASES = """
[[case]]
approvers = { finance = ["finance"] }

[[case]]
[case.approvers]
lead = ["lead"]
finance = [1]
review = "lead"

[[case]]
approvers = { lead = [2] }
"""


def test_a_fault_in_one_of_many_tables_is_led_to():
    """A reader does not say which key of a table is wrong: it is that one, and not its like in another table."""
    words = "Expected `str`, got `int` - at `$[...][1].approvers[...][0]`"
    read = bundle_rules.read_toml("tests.toml", CASES, dict[str, tuple[Case, ...]])
    assert read == (None, Fault("tests.toml:8", "shape", words))


# People

PEOPLE = f"""
[[people]]
name = "twice"
issuer = "{ISSUER}"
subject = "dev"
groups = ["nobody", "anybody", "leads"]
mail = "dev@example.com\\r"

[[people]]
name = "no subject"
issuer = "{ISSUER}"
subject = ""

[[people]]
name = "no issuer"
issuer = ""
subject = "x"

[[people]]
name = "fragment"
issuer = "http://x#y"
subject = "x"

[[people]]
name = "neither"
issuer = ""
subject = ""

[[people]]
name = "long subject"
issuer = "{ISSUER}"
subject = "{"s" * 256}"

[[people]]
name = "long issuer"
issuer = "{"i" * 513}"
subject = "x"

[[people]]
name = "owned person"
issuer = "{ISSUER}"
subject = "owned"
owner = "{ISSUER}#dev"

[[people]]
name = "owned by nobody"
issuer = "{ISSUER}"
subject = "robot"
service = true
owner = "{ISSUER}#gone"

[[people]]
name = "owned by a service"
issuer = "{ISSUER}"
subject = "robot2"
service = true
owner = "{ISSUER}#robot"

[[people]]
name = "owned by an empty word"
issuer = "{ISSUER}"
subject = "robot3"
service = true
owner = ""
"""
MAILS = [
    "x",
    "x@y@z",
    "x @y",
    "x@y,z",
    "x@y;z",
    "<x@y",
    "x@y>",
    "x@y\\n",
    "x@y\\r",
]
CLAIMS = "\n".join(
    f'[[claims]]\nissuer = "{ISSUER}"\nclaim = "groups"\nvalue = "all"\ngroup = "{group}"'
    for group in ("leads", "everybody", "anybody")
)


def test_people_who_are_not_who_they_are_said_to_be(request: pytest.FixtureRequest):
    """Each is told by name, at the line of what is wrong with them."""
    mails = "\n".join(somebody(f"mail{number}", more=f'mail = "{mail}"') for number, mail in enumerate(MAILS))
    said = refusal(policy_files(people=also(f"{PEOPLE}\n{mails}\n{CLAIMS}")))
    assert_agreed("refusals.json", request.node.name, said)


# Gates

BROKEN_GATES = {
    "human spans": 'remind_every = "daily"\nescalate_after = "soon"\nescalate_to = "leads"\nvalid_for = "1"\n'
    'expires_after = ""',
    "human fields": 'wait = "1h"\nwindow = { time_zone = "UTC" }\non_expiry = "reject"',
    "human before launch": 'place = "before_launch"',
    "human before approval": 'place = "before_approval"',
    "human rejected": 'on_reject = "terminate"',
    "human in time": 'place = "after_launch"\nvalid_for = "1d"\non_reject = "terminate"',
    "human numbers": "quorum = 0\nstage = 0\nreject_quorum = 0",
    "human for long": 'expires_after = "604801s"',
    "human escalates never": 'escalate_after = "1d"',
    "human escalates at once": 'escalate_to = "leads"',
    "human escalates to nobody": 'escalate_after = "1d"\nescalate_to = "bosses"',
    "human escalates to none": 'escalate_after = "1d"\nescalate_to = "empty"',
    "human escalates to robots": 'escalate_after = "1d"\nescalate_to = "robots"',
    "human escalates late": 'escalate_after = "3d"\nescalate_to = "leads"',
    "human escalates in time": 'escalate_after = "259199s"\nescalate_to = "robots"\nservices = true',
    "hook fields": 'kind = "hook"\nservices = true\nlogin = true\nremind_every = "1h"\nescalate_after = "1h"\n'
    'wait = "1h"\nwindow = { time_zone = "UTC" }',
    "hook in approval": 'kind = "hook"\nplace = "approval"',
    "hook rejected": 'kind = "hook"\nplace = "before_launch"\non_reject = "terminate"',
    "hook in time": 'kind = "hook"\nplace = "after_launch"\nvalid_for = "1d"\non_reject = "terminate"',
    "hook escalates to nobody": 'kind = "hook"\non_expiry = "escalate"',
    "hook escalates never": 'kind = "hook"\nescalate_to = "lead"',
    "hook escalates otherwise": 'kind = "hook"\non_expiry = "reject"\nescalate_to = "lead"',
    "hook escalates to none": 'kind = "hook"\non_expiry = "escalate"\nescalate_to = "leads"',
    "hook escalates to a hook": 'kind = "hook"\non_expiry = "escalate"\nescalate_to = "hook in time"',
    "hook escalates well": 'kind = "hook"\non_expiry = "escalate"\nescalate_to = "lead"',
    "timer fields": 'kind = "timer"\nwait = "1h"\nquorum = 2\nreject_quorum = 2\nservices = true\nlogin = true\n'
    'remind_every = "1h"\nescalate_after = "1h"\nescalate_to = "leads"\nvalid_for = "1h"\non_expiry = "reject"\n'
    'on_reject = "terminate"',
    "timer after launch": 'kind = "timer"\nwait = "1h"\nplace = "after_launch"',
    "timer of nothing": 'kind = "timer"',
    "timer of both": 'kind = "timer"\nwait = "1h"\nwindow = { time_zone = "UTC" }',
    "timer of no time": 'kind = "timer"\nwait = "an hour"',
    "timer nowhere": 'kind = "timer"\nwindow = { time_zone = "Europe/Wien" }',
    "g" * 65: "",
    "": "",
}


def test_gates_that_cannot_do_what_they_say(request: pytest.FixtureRequest):
    """Whoever writes a gate learns at its line what it would not do; whatever it does do is not told."""
    gates = "\n".join(f'["{name}"]\ntitle = "T"\n{text}\n' for name, text in BROKEN_GATES.items())
    people = every(
        replaced("[groups]\n", '[groups]\nempty = "Nobody"\nrobots = "Systems"\n'),
        also(somebody("robot", "robots", more="service = true")),
    )
    said = refusal(policy_files(gates=also(gates), people=people))
    assert_agreed("refusals.json", request.node.name, said)


POLICY_GATES = {
    "timer": 'kind = "timer"\nwait = "1h"',
    "hook": 'kind = "hook"',
    "afterwards": 'place = "after_launch"',
}


@pytest.mark.parametrize("text", POLICY_GATES.values(), ids=POLICY_GATES)
def test_a_change_of_policy_waits_for_people(request: pytest.FixtureRequest, text: str):
    """Its gate is held to more than others are."""
    changed = replaced('title = "Policy"\nquorum = 1', f'title = "Policy"\n{text}')
    assert_agreed("refusals.json", request.node.name, refusal(policy_files(gates=changed)))


def test_gates_that_nobody_may_decide(request: pytest.FixtureRequest):
    """Each is told with the line of the number that is too large, and with how many there are."""
    gates = every(
        replaced("[lead]\n", "[lead]\nreject_quorum = 2\n"),
        replaced("stage = 2\nquorum = 1", "stage = 2\nquorum = 2"),
        also('[audit]\ntitle = "Audit"\n[scan]\ntitle = "Scan"\nkind = "hook"\nreject_quorum = 3'),
        also('[cool]\ntitle = "Cool"\nkind = "timer"\nwait = "1h"'),
    )
    assert_agreed("refusals.json", request.node.name, refusal(policy_files(gates=gates)))


# Money

BUDGETS = """
[a]
monthly = "NaN"
[b]
monthly = "-0.01"
[c]
monthly = "1000000000000.01"
[d]
monthly = "1"
[d.months]
2026-00 = "0"
2026-13 = "0"
2026-1 = "0"
26-01 = "0"
"2026-01-01" = "0"
"\u0662\u0660\u0662\u0666-01" = "0"
2026-09 = "0"
2026-10 = "-1"
2026-12 = "Infinity"
"""


def test_budgets_and_prices_that_are_none(request: pytest.FixtureRequest):
    """An amount below nothing lets everything through, and a month that never comes limits nothing."""
    prices = every(
        replaced('ec2 = "60s"', 'ec2 = "a minute"\nlambda = "1s"\nrds = ""'),
        replaced('"0.0104"', '"NaN"'),
        replaced('"0.0208"', '"-0.0001"'),
        replaced('"21.957642"', '"Infinity"'),
    )
    said = refusal(policy_files(budgets=also(BUDGETS), prices=prices))
    assert_agreed("refusals.json", request.node.name, said)


# Policies

OPERATORS = 'principal in Group::"operators"'
POLICIES = f"""
permit (principal, action, resource);
permit (principal, action in [Action::"launch"], resource);
permit (principal, action == Action::"lunch", resource);
forbid (principal, action == Action::"dinner", resource);
forbid (principal, action in [Action::"launch", Action::"supper"], resource);
permit (principal in Group::"nobody", action == Action::"launch", resource == Template::"gpu-big");
forbid (principal == Person::"eve", action, resource == Gate::"leda");
forbid (principal, action, resource) when {{ resource in Gonogo::"x" }};
permit ({OPERATORS}, action == Action::"request", resource);
@gate("leads") permit ({OPERATORS}, action == Action::"request", resource);
@gate("lead") permit ({OPERATORS}, action == Action::"launch", resource);
@gate("lead") forbid ({OPERATORS}, action == Action::"request", resource);
@tell("leads") permit ({OPERATORS}, action == Action::"launch", resource);
@tell("leads") forbid ({OPERATORS}, action == Action::"break_glass", resource);
permit ({OPERATORS}, action == Action::"break_glass", resource);
@gate("lead") @tell("bosses") permit ({OPERATORS}, action == Action::"break_glass", resource);
@gate("late") @tell("leads") permit ({OPERATORS}, action == Action::"break_glass", resource);
@gate("review") @tell("leads") permit ({OPERATORS}, action == Action::"break_glass", resource)
  when {{ context.claimed.reason == "" }};
permit ({OPERATORS}, action == Action::"launch", resource) unless {{ context.budget.overrun }};
permit ({OPERATORS}, action == Action::"launch", resource) when {{ context has budget }};
permit ({OPERATORS}, action == Action::"extend", resource) when {{ context.claimed.name == "" }};
permit ({OPERATORS}, action == Action::"launch", resource) when {{ [context] == [] }};
permit ({OPERATORS}, action == Action::"launch", resource) when {{ {{"budget": context.units}}.budget == [""] }};
@gate("lead") permit ({OPERATORS}, action == Action::"request", resource) when {{ context.budget.overrun }};
@id("twice") forbid (principal, action, resource) when {{ false }};
@id("twice") forbid (principal, action, resource) when {{ false }};
@id("leads decide lead") forbid (principal, action, resource) when {{ false }};
@id permit (principal, action, resource);
"""


def test_policies_that_do_not_mean_what_they_say(request: pytest.FixtureRequest):
    """A typing mistake in a policy permits or forbids something else, and nothing tells of it later."""
    gates = also('[late]\ntitle = "Late"\nkind = "hook"\nplace = "after_launch"')
    said = [
        one
        for one in refusal(policy_files(policies=also(POLICIES), gates=gates))
        if not one.startswith("schema ")
    ]
    assert_agreed("refusals.json", request.node.name, said)


# The schema

SCHEMAS: dict[str, Callable[[str], str]] = {
    "nothing to judge": lambda _: (
        "entity Group; entity Person in [Group]; entity Template; entity Gate;\n"
        'action "delegate" appliesTo { principal: [Person], resource: [Person], context: {} };'
    ),
    "entities": also(
        'entity Robot in [Group];\nentity Colour enum ["red"];\nentity Thing tags String;\n'
        "// namespace Other\nnamespace Mine { entity Mine; }"
    ),
    "tags": replaced("entity Gate;", "entity Gate tags String;"),
    "enum": replaced("entity Template;", 'entity Template enum ["web-small", "gpu-large"];'),
    "of": every(
        replaced("resource: [Gate],", "resource: [Gate, Template],"),
        replaced("principal: [Person],", "principal: [Person, Group],"),
    ),
    "context": every(
        replaced("region: String,", "region: Long,"),
        replaced("budget?: Budget,", 'budget?: Budget, "a name"?: String, vetted?: Bool,'),
    ),
    "budget": replaced("overrun: Bool };", "overrun: Bool, month: String };"),
    "budget of another kind": replaced("budget?: Budget,", "budget?: String,"),
    "no budget": replaced("    budget?: Budget,", "    // budget?: Budget,"),
}


@pytest.mark.parametrize("changed", SCHEMAS.values(), ids=SCHEMAS)
def test_schemas_of_what_gonogo_does_not_give(request: pytest.FixtureRequest, changed: Callable[[str], str]):
    """Each is told at the line that promises what never comes."""
    said = [
        one
        for one in refusal(policy_files(schema=changed))
        if not one.startswith(("schema policies", "action policies"))
    ]
    assert_agreed("refusals.json", request.node.name, said)


# Templates

CHOICES = """
[[choices]]
instance_type = { parameter = "kind" }

[[choices]]
parameter = "count"

[[choices]]
tags = [[{ name = { parameter = "zone" } }, { parameter = "count" }]]
count = { parameter = "counts" }
"""


def broken_template() -> dict[str, str]:
    """Return templates with as many faults as can be told at once."""
    lengths = 'wait = "3651d"\nlaunch_within = "soon"\nengine = "ec3"'
    small = every(
        replaced('engine = "ec2"', lengths),
        replaced('default = "30d", max = "90d"', 'default = "91d", max = "90d", warn = "1d"'),
        replaced(
            "[parameters.properties.count]", '[parameters]\ntype = "array"\n[parameters.properties.count]'
        ),
        replaced('{ parameter = "count" }', '[{ parameter = "size" }, { a = { parameter = "colour" } }]'),
        also(CHOICES),
    )
    large = every(
        replaced('"us-east-1"', '"eu-west-1"\nlaunch_within = "3651d"\nwait = ""'),
        replaced('default = "3d", max = "14d"', 'default = "never", max = "14d"'),
        also("[[choices]]\n" * (MOST_CHOICES + 1)),
    )
    return policy_files(web_small=small, gpu_large=large)


def test_templates_that_can_never_be_launched(request: pytest.FixtureRequest):
    """Whoever asks for one would wait for a GO, and it would fail."""
    assert_agreed("refusals.json", request.node.name, refusal(broken_template()))


TEMPLATES: dict[str, dict[str, Change]] = {
    "one parameter": {
        "web_small": lambda text: text[: text.index("[spec]")] + '[spec]\nparameter = "count"\n'
    },
    "no schema": {"web_small": replaced('"integer"', '"number of"')},
    "a schema of elsewhere": {
        "web_small": replaced(
            "[parameters.properties.count]",
            '[parameters]\n"$ref" = "https://example.com/x.json"\n[parameters.properties.count]',
        )
    },
    "the policy's name": {
        "policy": (STACKS.parents[1] / "policy" / "templates" / "gpu-large.toml").read_text()
    },
    "a lease for ever": {
        "web_small": replaced('default = "30d", max = "90d"', 'default = "1d", max = "3651d"')
    },
    "leases as tables": {
        "web_small": every(
            replaced('lease = { default = "30d", max = "90d" }', ""),
            also('[lease]\nmax = "3651d"\ndefault = "3652d"'),
        )
    },
    "a lease for ever of ten years": {
        "web_small": replaced('default = "30d", max = "90d"', 'default = "never", max = "3650d"')
    },
    "a lease without a length": {"web_small": replaced('default = "30d"', 'default = "a while"')},
    "a warning without a length": {"web_small": replaced('max = "90d"', 'max = "90d", warn = "early"')},
    "gonogo's own engines": {
        "web_small": replaced('"ec2"', '"policy"'),
        "gpu_large": replaced('"ec2"', '"lease"'),
    },
}


@pytest.mark.parametrize("changed", TEMPLATES.values(), ids=TEMPLATES)
def test_templates_with_one_fault(request: pytest.FixtureRequest, changed: dict[str, Change]):
    """What hides the other faults of its file is told alone."""
    files = policy_files(**{name: change for name, change in changed.items() if name != "policy"})
    if isinstance(text := changed.get("policy"), str):
        files["templates/policy.toml"] = text
    assert_agreed("refusals.json", request.node.name, refusal(files))


# Stacks


def broken_stacks() -> dict[str, str]:
    """Return templates of engines that make all or nothing, and files of stacks/, with all their faults."""
    files = with_stack(
        **{
            "stacks/large.yaml": "\u00e4" * (LARGEST_STACK // 2) + "#",
            "stacks/readme.md": QUEUE,
            "stacks/sub/site.yaml": "#" * (LARGEST_STACK + 1),
            "more.yaml": "#" * (LARGEST_STACK + 1),
            "stacks/last.txt": QUEUE,
        }
    )
    site = files["templates/site.toml"]
    others = '\n[[choices]]\ntemplate = "stacks/none.yaml"\n[[choices]]\ntemplate = "policies.cedar"\n'
    others += '[[choices]]\ntemplate = "stacks/site.yaml"\n[[choices]]\ntemplate = { parameter = "site" }\n'
    partial = site.replace("engine =", "partial = true\nengine =")
    files["templates/site.toml"] = site.replace('"stacks/site.yaml"', '"stacks/gone.yaml"') + others
    files["templates/site-partial.toml"] = partial
    files["templates/report.toml"] = partial.replace('"cloudformation"', '"stepfunctions"').replace(
        '"stacks/site.yaml"', '"arn:aws:states:x"'
    )
    return files


def test_stacks_that_cannot_be_made(request: pytest.FixtureRequest):
    """Each is told at the line that names it, and each file by its name."""
    assert_agreed("refusals.json", request.node.name, refusal(broken_stacks()))


# What is not refused


def at_the_limits() -> dict[str, str]:
    """Return a bundle in which everything is as long, as large and as many as it may be."""
    lead = "l" * 64
    people = also(
        f'[[people]]\nname = "long"\nissuer = "{"i" * 512}"\nsubject = "{"s" * 255}"\nmail = "XX@EXAMPLE.com"\n'
        f'[[people]]\nname = "robot"\nissuer = "{ISSUER}"\nsubject = "robot"\nservice = true\nowner = "{ISSUER}#dev"\n'
    )
    gates = also(
        f'[{lead}]\ntitle = "Long"\nexpires_after = "7d"\n[g]\ntitle = "Short"\nplace = "after_launch"\n'
        'on_reject = "terminate"\nescalate_after = "2d"\nescalate_to = "leads"'
    )
    policies = also(
        'permit (principal in Group::"leads", action == Action::"approve", resource);\n'
        f'@gate("{lead}") permit (principal in Group::"leads", action == Action::"request", resource);\n'
        'forbid (principal, action == Action::"launch", resource) when { false };\n'
        'forbid (principal, action == Action::"launch", resource) when { false };'
    )
    small = every(
        replaced('default = "30d", max = "90d"', 'default = "3650d", max = "3650d", warn = "1d"'),
        replaced("title = ", 'wait = "3650d"\nlaunch_within = "3650d"\ntitle = '),
        also('[[choices]]\ninstance_type = "t3.small"\n' * MOST_CHOICES),
    )
    large = every(
        replaced('default = "3d", max = "14d"', 'default = "never", max = "never"'),
        replaced("title = ", "partial = true\ntitle = "),
        lambda text: text[: text.index("[parameters")] + '[parameters]\n[spec]\ninstance_type = "t3.micro"\n',
    )
    budgets = also(
        '[most]\nmonthly = "1000000000000"\n[least]\nmonthly = "0"\n[least.months]\n2026-12 = "0.5"'
    )
    changed: dict[str, Change] = {
        "people": people,
        "gates": gates,
        "policies": policies,
        "web_small": small,
        "gpu_large": large,
        "budgets": budgets,
        "prices": replaced('"0.0104"', '"0"'),
    }
    stacks = {"stacks/large.yaml": "#" * LARGEST_STACK, "stacks/a.json": "{}", "stacks/a.B_c-1.yml": QUEUE}
    return {"notes.txt": "x" * (LARGEST_STACK + 1)} | policy_files(**changed) | stacks


def test_the_limits_themselves_are_allowed():
    """What documentation calls the most that may be is not refused."""
    made = policy.accept(at_the_limits())
    assert len(made.templates["web-small"].choices) == MOST_CHOICES
    assert made.templates["gpu-large"].lease == Lease(default="never", max="never")
    assert set(made.gates) == {"lead", "finance", "review", "policy", "l" * 64, "g"}
    assert Actor("i" * 512, "s" * 255) in made.people


def test_a_bundle_needs_no_budgets():
    """Who limits nobody's spending need not write so."""
    assert bundle(budgets=None).budgets == {}


def test_a_bundle_says_what_its_files_say():
    """Whatever is judged is judged by all of them."""
    mapping = f'[[claims]]\nissuer = "{ISSUER}"\nclaim = "groups"\nvalue = "ops"\ngroup = "operators"'
    made = bundle(people=also(mapping), web_small=replaced("[spec]", "[spec]\nsize = 1"))
    assert made.files == policy_files(people=also(mapping), web_small=replaced("[spec]", "[spec]\nsize = 1"))
    assert made.prices == PriceTable(
        version="2026-11-01",
        currency="USD",
        hourly={
            "ec2": {
                "us-east-1": {
                    "t3.micro": Decimal("0.0104"),
                    "t3.small": Decimal("0.0208"),
                    "p4d.24xlarge": Decimal("21.957642"),
                }
            }
        },
        minimum={"ec2": "60s"},
    )
    assert made.budgets == {"training": BudgetRule(monthly=Decimal("20000.00"))}
    assert made.groups == {
        "developers": "May ask for launches",
        "leads": "Say go for their teams",
        "finance": "Say go for what is dear",
        "operators": "May launch at once",
    }
    assert made.claims == (ClaimGroup(issuer=ISSUER, claim="groups", value="ops", group="operators"),)
    budgeted = {f"{action}.budget" for action in ("launch", "request", "break_glass", "extend")}
    assert made.takes == {*ACTIONS, *budgeted}
    assert made.templates["web-small"].spec["size"] == 1
    assert made.templates["web-small"].parameters["type"] == "object"
    assert made.templates["web-small"].parameters["additionalProperties"] is False
    assert str(made.schema) == str(cedarpy.Schema.from_str(made.files["schema.cedarschema"]))
    assert set(made.validators) == {"web-small", "gpu-large"}
    judged = policy.judge(made, policy.Principal(DEV), asked(made))
    assert (judged.outcome, judged.gates) == ("gates", ("lead",))
