"""What each function asked of AWS on a walk through all of them, held against its role; and what an attacker would ask.

The walk is made with the roles enforced. Each call is by a function's own role, or by one that it took in another
account: infra/account.yaml makes those.
"""

from __future__ import annotations

import copy
import subprocess
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import msgspec
import pytest
from botocore.exceptions import ClientError

from gonogo.aws.clients import assumed
from gonogo.core import event as events
from infra.package import PROJECT
from local import template as templates
from local.aws import ACCOUNT, REGION, client
from local.guard import CODES
from local.iam import ANYTHING, Call, Statement, refusal
from local.roles import ROLES, Rights
from tests.functions.world import World, world
from tests.package.walk import ABROAD, ACCOUNT_STACK, ELSEWHERE, LAUNCHES, LOOKS, SECRET, STACK, files, walk
from tests.recording import Recorder
from tests.roles import undeployed


class Walked(NamedTuple):
    """A world that was walked through, what was asked on the way, and the names that its resources have."""

    world: World
    calls: Mapping[str, set[Call]]
    names: Mapping[str, str]


@pytest.fixture(scope="module")
def walked() -> Iterator[Walked]:
    """Return the world after the walk, its roles still enforced."""
    with pytest.MonkeyPatch.context() as patch, world(files(), Anchors="on") as made:
        # An item puts old events aside when it has more than 64; here a few are enough.
        patch.setattr(events, "KEEP", 2)
        walk(made)
        settings = made.gonogo.settings
        names = {
            "Table": settings.table,
            "AnchorBucket": settings.anchors,
            "Bus": settings.bus,
            "PublishDead": settings.publish_dead.rsplit("/", 1)[-1],
            "PeopleKey": settings.people_keys[0].rsplit("/", 1)[-1],
            "HookKey": settings.hook_keys[0].rsplit("/", 1)[-1],
        }
        yield Walked(made, copy.deepcopy(made.recorder.calls), names)


def test_nothing_was_refused(walked: Walked) -> None:
    """A refusal that somebody swallows is an action that is missing, and is found in production."""
    assert walked.world.recorder.refused == []
    assert walked.calls.keys() == {*ROLES, LAUNCHES, LOOKS}


def test_it_is_known_what_iam_checks(walked: Walked) -> None:
    """What local/asked.py does not know is checked by its action alone, which shows little."""
    assert {
        call.action for calls in walked.calls.values() for call in calls if call.resource == ANYTHING
    } == set()


@pytest.mark.parametrize("function", ROLES)
def test_role_allows_all_that_the_function_asks(
    template: dict[str, Any], walked: Walked, function: str
) -> None:
    """What is deployed is the package, whose roles Chalice makes and ours are merged into."""
    statements = undeployed(template, STACK | ABROAD, walked.names).statements(function)
    refused = {call for call in walked.calls[function] if not any(one.allows(call) for one in statements)}
    assert refused == set()


@pytest.mark.parametrize("function", ROLES)
def test_each_part_of_a_role_is_needed(
    template: dict[str, Any], walked: Walked, function: str, record_property: Callable[[str, object], None]
) -> None:
    """Without any action, resource or kind of item something would be refused; what nobody needs helps attackers only."""
    roles = undeployed(template, STACK, walked.names)
    parts = [part for one in roles.statements(function) for part in one.parts()]
    needed: set[Statement] = set()
    for call in walked.calls[function] | set(roles.made_by_lambda(function)):
        allowing = [part for part in parts if part.allows(call)]
        if len(allowing) == 1:
            needed.update(allowing)
    assert {part for part in parts if part not in needed and part.sid not in EITHER} == set()
    actions = {(one.sid, action) for one in roles.statements(function) for action in one.actions}
    assert {(part.sid, part.actions[0]) for part in needed} | {
        (part.sid, part.actions[0]) for part in parts if part.sid in EITHER
    } == actions
    record_property("actions taken from a role", len(actions))


EITHER = {"Mails"}
"""Statements of which one part is enough: SES has verified either the sender's address or its domain."""


@pytest.mark.parametrize(("role", "logical_id"), [(LAUNCHES, "LaunchRole"), (LOOKS, "ObserverRole")])
def test_another_accounts_role_allows_what_is_asked_there(walked: Walked, role: str, logical_id: str) -> None:
    """Whoever deploys infra/account.yaml must not find out launch by launch what it lacks."""
    account = templates.read(PROJECT / "infra" / "account.yaml")
    statements = undeployed(account, ACCOUNT_STACK, {}, ELSEWHERE).statements_of(logical_id)
    asked = walked.calls[role]
    assert asked, "it was taken"
    assert {call for call in asked if not any(one.allows(call) for one in statements)} == set()


# ------------------------------------------------------------------------------------ each restriction restricts


@pytest.mark.parametrize("function", ROLES)
def test_each_condition_refuses_what_would_pass_without_it(
    template: dict[str, Any], walked: Walked, function: str, record_property: Callable[[str, object], None]
) -> None:
    """A condition that refuses nothing, or that another statement undoes, is only written down."""
    roles = undeployed(template, STACK, walked.names)
    statements = roles.statements(function)
    tried = 0
    for one in statements:
        for condition in one.conditions:
            forged = _forged(_asked(walked.calls[function], one), condition)
            lifted = _without(one, condition)
            assert lifted.allows(forged), (one.sid, condition)
            assert not any(each.allows(forged) for each in statements), (one.sid, condition)
            tried += 1
    record_property("conditions taken from a role", tried)


def _asked(calls: Iterable[Call], statement: Statement) -> Call:
    return next(call for call in sorted(calls, key=str) if statement.allows(call))


def _forged(call: Call, condition: tuple[str, str, tuple[str, ...]]) -> Call:
    """Return the call as somebody sends it who does not meet the condition: without the key, or with another value."""
    operator, key, _ = condition
    kept = tuple(pair for pair in call.context if pair[0] != key)
    said = () if operator == "Null" else ((key, ("forged",)),)
    return msgspec.structs.replace(call, context=kept + said)


def _without(statement: Statement, condition: tuple[str, str, tuple[str, ...]]) -> Statement:
    kept = tuple(one for one in statement.conditions if one != condition)
    return msgspec.structs.replace(statement, conditions=kept)


@pytest.mark.second_engine
def test_others_judge_as_we_do(template: dict[str, Any], walked: Walked) -> None:
    """What decides here whether roles are enough is our own code, so another's is asked of the same calls."""
    roles = undeployed(template, STACK | ABROAD, walked.names)
    cases: list[tuple[Statement, Call]] = []
    for function in ROLES:
        calls = sorted(walked.calls[function], key=str)[::7]
        for one in roles.statements(function):
            forged = [_forged(_asked(walked.calls[function], one), condition) for condition in one.conditions]
            cases += [(one, call) for call in (*calls, *forged)]
    told = [
        {
            "statement": {
                "Effect": "Allow",
                "Action": one.actions,
                "Resource": one.resources,
                "Condition": _by_operator(one),
            },
            "action": call.action,
            "resource": call.resource,
            "facts": {key: values[0] if len(values) == 1 else values for key, values in call.facts.items()},
        }
        for one, call in cases
    ]
    python = PROJECT / ".venv-ministack" / "bin" / "python"
    done = subprocess.run(
        [python, "-c", JUDGE], input=msgspec.json.encode(told), capture_output=True, check=True
    )
    theirs = msgspec.json.decode(done.stdout)
    ours = [one.allows(call) for one, call in cases]
    assert [case for case, mine, other in zip(cases, ours, theirs, strict=True) if mine != other] == []
    assert {True, False} == set(ours)


def _by_operator(statement: Statement) -> dict[str, dict[str, tuple[str, ...]]]:
    found: dict[str, dict[str, tuple[str, ...]]] = {}
    for operator, key, wanted in statement.conditions:
        found.setdefault(operator, {})[key] = wanted
    return found


JUDGE = """
import json, sys
from ministack.core.iam_evaluator import EvalContext, evaluate, parse_policy_document
said = []
for one in json.load(sys.stdin):
    facts = one["facts"]
    context = EvalContext(
        principal_arn="arn:aws:iam::123456789012:role/r", principal_type="AssumedRole", principal_account="123456789012",
        action=one["action"], resource_arn=one["resource"], region=facts.get("aws:requestedregion", ""),
        service_context=facts,
    )
    document = {"Version": "2012-10-17", "Statement": [one["statement"]]}
    said.append(evaluate(context, [parse_policy_document(document)]).decision == "Allow")
print(json.dumps(said))
"""
"""What another process runs, with what others wrote."""


class Attack(NamedTuple):
    """What somebody tries who runs code in a function, and what stands in the way.

    That is a condition (`sid`, `key`) of its role; or the role says nothing of it at all; or, `whatever` the role
    says, the policy of what is asked about.
    """

    what: str
    function: str
    service: str
    operation: str
    arguments: Mapping[str, Any]
    sid: str = ""
    key: str = ""
    whatever: bool = False
    region: str = REGION
    taking: str = ""


LEADING = "dynamodb:LeadingKeys"
ITEM = {"sk": {"S": "forged"}}


def attacks(made: World) -> list[Attack]:
    """Return what is tried in a world that was walked through."""
    settings = made.gonogo.settings
    people, hook = settings.people_keys[0], settings.hook_keys[0]

    def write(what: str, function: str, kind: str, sid: str) -> Attack:
        arguments = {"TableName": settings.table, "Item": {"pk": {"S": kind}, **ITEM}}
        return Attack(what, function, "dynamodb", "put_item", arguments, sid, LEADING)

    def read(what: str, function: str, kind: str) -> Attack:
        arguments = {"TableName": settings.table, "Key": {"pk": {"S": kind}, **ITEM}}
        return Attack(what, function, "dynamodb", "get_item", arguments, "ReadsWhatIsTold", LEADING)

    def sign(what: str, function: str, key: str) -> Attack:
        arguments = {"KeyId": key, "Message": b"forged", "MacAlgorithm": "HMAC_SHA_256"}
        return Attack(what, function, "kms", "generate_mac", arguments, whatever=True)

    def put(what: str, function: str) -> Attack:
        entry = {
            "EventBusName": settings.bus,
            "Source": "gonogo",
            "DetailType": "launch.cleared",
            "Detail": "{}",
        }
        return Attack(what, function, "events", "put_events", {"Entries": [entry]}, whatever=True)

    stranger = client("ec2").run_instances(**INSTANCE)["Instances"][0]["InstanceId"]
    tagged = INSTANCE | {"TagSpecifications": TAGGED}
    stack = {"StackName": "g-forged", "TemplateBody": "{}", "RoleARN": STACK["StackRoleArns"], "Tags": TAGS}
    mail = {"Content": {"Raw": {"Data": b"forged"}}, "Destination": {"ToAddresses": ["a@example.com"]}}
    taken = {"RoleSessionName": "forged", "ExternalId": SECRET}
    feed = {
        "TableName": settings.table,
        "IndexName": "feed",
        "KeyConditionExpression": "feed = :f",
        "ExpressionAttributeValues": {":f": {"S": "bill#marketing#2026-11"}},
    }
    batch = {
        "RequestItems": {
            settings.table: {"Keys": [{"pk": {"S": "launch#1"}, **ITEM}, {"pk": {"S": "budget#1"}, **ITEM}]}
        }
    }
    return [
        write(
            "the API invents an instance, and a bill",
            "APIHandler",
            "instance#i-1",
            "WritesLaunchesDelegationsAndNotices",
        ),
        write(
            "the API puts a policy in force",
            "APIHandler",
            "policy#current",
            "WritesLaunchesDelegationsAndNotices",
        ),
        write("the API invents a bill", "APIHandler", "usage#u-1", "HoldsBudgets"),
        write("deliver approves a launch by writing it", "Deliver", "launch#l-1", "WritesDeliveries"),
        write("notify lends somebody a right to decide", "Notify", "delegation#d-1", "WritesDeliveries"),
        write("the launcher stores a policy", "Launch", "bundle#b-1", "WritesLaunchesAndWhatTheyHold"),
        write(
            "the launcher writes another policy than the one in force",
            "Launch",
            "policy#other",
            "WritesLaunchesAndWhatTheyHold",
        ),
        write(
            "observe lends somebody a right to decide",
            "Observe",
            "delegation#d-1",
            "WritesInstancesUsageLaunchesAndBudgets",
        ),
        write("wake puts a policy in force", "Wake", "policy#current", "WritesWhatTimeChanges"),
        Attack(
            "publish writes",
            "Publish",
            "dynamodb",
            "put_item",
            {"TableName": settings.table, "Item": {"pk": {"S": "launch#1"}, **ITEM}},
        ),
        read("notify reads what is spent", "Notify", "budget#b-1"),
        read("deliver, which dials strangers, reads what is billed", "Deliver", "usage#u-1"),
        Attack(
            "deliver reads bills among other things",
            "Deliver",
            "dynamodb",
            "batch_get_item",
            batch,
            "ReadsManyAtOnce",
            LEADING,
        ),
        Attack(
            "deliver lists bills", "Deliver", "dynamodb", "query", feed, "FindsWhatWaitsForSomebody", LEADING
        ),
        Attack("the API reads everything", "APIHandler", "dynamodb", "scan", {"TableName": settings.table}),
        Attack(
            "wake deletes",
            "Wake",
            "dynamodb",
            "delete_item",
            {"TableName": settings.table, "Key": {"pk": {"S": "launch#1"}, **ITEM}},
        ),
        sign("notify decides in the name of systems", "Notify", hook),
        sign("deliver decides in the name of people", "Deliver", people),
        sign("the API signs what it verifies", "APIHandler", people),
        sign("the launcher approves what it launches", "Launch", people),
        *(put(f"{name} tells the world what never happened", name) for name in ROLES if name != "Publish"),
        Attack(
            "the launcher runs what nobody can find",
            "Launch",
            "ec2",
            "run_instances",
            INSTANCE,
            "LaunchesTaggedInstances",
            "aws:RequestTag/gonogo:launch",
        ),
        Attack(
            "the launcher runs where nobody looks",
            "Launch",
            "ec2",
            "run_instances",
            tagged,
            region="ap-south-1",
        ),
        Attack(
            "the launcher ends what is not its own",
            "Launch",
            "ec2",
            "terminate_instances",
            {"InstanceIds": [stranger]},
            "ChangesOnlyWhatItLaunched",
            "aws:ResourceTag/gonogo:launch",
        ),
        Attack(
            "the launcher makes what is not its own its own",
            "Launch",
            "ec2",
            "create_tags",
            {"Resources": [stranger], "Tags": TAGS},
        ),
        Attack(
            "the launcher gives an instance an administrator's rights",
            "Launch",
            "ec2",
            "run_instances",
            tagged
            | {"IamInstanceProfile": {"Arn": f"arn:aws:iam::{ACCOUNT}:instance-profile/administrator"}},
        ),
        Attack(
            "the launcher makes a stack by its own rights",
            "Launch",
            "cloudformation",
            "create_stack",
            {name: stack[name] for name in stack if name != "RoleARN"},
            "MakesStacksByListedRoles",
            "cloudformation:RoleArn",
        ),
        Attack(
            "the launcher makes a stack that nobody can find",
            "Launch",
            "cloudformation",
            "create_stack",
            {name: stack[name] for name in stack if name != "Tags"},
            "MakesStacksByListedRoles",
            "aws:RequestTag/gonogo:launch",
        ),
        Attack(
            "the launcher makes a stack by an administrator's rights",
            "Launch",
            "cloudformation",
            "create_stack",
            stack | {"RoleARN": f"arn:aws:iam::{ACCOUNT}:role/administrator"},
        ),
        Attack(
            "the launcher ends somebody's stack",
            "Launch",
            "cloudformation",
            "delete_stack",
            {"StackName": "payroll"},
        ),
        Attack(
            "the launcher ends somebody's execution",
            "Launch",
            "stepfunctions",
            "stop_execution",
            {
                "executionArn": STACK["StateMachineArns"].replace(":stateMachine:", ":execution:")
                + ":somebodys"
            },
        ),
        Attack(
            "observe ends what it looks at",
            "Observe",
            "ec2",
            "terminate_instances",
            {"InstanceIds": [stranger]},
        ),
        Attack(
            "notify mails in another's name",
            "Notify",
            "sesv2",
            "send_email",
            mail | {"FromEmailAddress": "ceo@example.com"},
        ),
        Attack(
            "deliver mails",
            "Deliver",
            "sesv2",
            "send_email",
            mail | {"FromEmailAddress": "gonogo@example.com"},
        ),
        Attack(
            "deliver reads other secrets", "Deliver", "ssm", "get_parameter", {"Name": "/payroll/password"}
        ),
        Attack(
            "the API launches elsewhere",
            "APIHandler",
            "sts",
            "assume_role",
            taken | {"RoleArn": LAUNCHES},
            whatever=True,
        ),
        Attack(
            "the launcher takes a role that nobody listed",
            "Launch",
            "sts",
            "assume_role",
            taken | {"RoleArn": f"arn:aws:iam::{ELSEWHERE}:role/administrator"},
            whatever=True,
        ),
        Attack(
            "somebody else's gonogo is talked into it",
            "Launch",
            "sts",
            "assume_role",
            taken | {"RoleArn": LAUNCHES, "ExternalId": "guessed"},
            whatever=True,
        ),
        Attack("who only looks launches elsewhere", "Observe", "ec2", "run_instances", tagged, taking=LOOKS),
        Attack(
            "the launcher writes the table from elsewhere",
            "Launch",
            "dynamodb",
            "put_item",
            {"TableName": settings.table, "Item": {"pk": {"S": "launch#1"}, **ITEM}},
            taking=LAUNCHES,
        ),
    ]


TAGS = [{"Key": "gonogo:launch", "Value": "l-forged"}]
TAGGED = [{"ResourceType": "instance", "Tags": TAGS}]
INSTANCE: dict[str, Any] = {
    "ImageId": "ami-0123456789abcdef0",
    "InstanceType": "t3.micro",
    "MinCount": 1,
    "MaxCount": 1,
}


def test_what_an_attacker_tries_is_refused(
    walked: Walked, record_property: Callable[[str, object], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each restriction has somebody who would gain by its absence; each is refused as AWS does, and changes nothing."""
    made = walked.world
    image = client("ec2").describe_images(Owners=["amazon"])["Images"][0]["ImageId"]
    monkeypatch.setitem(INSTANCE, "ImageId", image)
    tried = attacks(made)
    rows, instances = made.rows(), made.instances()
    for attack in tried:
        heard = Recorder()
        monkeypatch.setattr(made.guard, "heard", heard.heard)
        with made.guard.acting(attack.function), pytest.raises(ClientError) as refused:
            getattr(_client(attack), attack.operation)(**attack.arguments)
        code = CODES.get(attack.service, "AccessDeniedException")
        assert refused.value.response["Error"]["Code"] == code, attack.what
        ((who, call, _),) = heard.refused
        role = attack.taking or made.guard.rights.role_of[attack.function]
        assert who == (attack.taking or attack.function)
        _stands_in_the_way(attack, made.guard.rights, role, call)
    assert (made.rows(), made.instances()) == (rows, instances)
    record_property("attacks by a function's role", len(tried))


def _client(attack: Attack) -> Any:
    if not attack.taking:
        return client(attack.service, attack.region)
    taken = client("sts").assume_role(RoleArn=attack.taking, RoleSessionName="forged", ExternalId=SECRET)
    return assumed(attack.service, attack.region, taken["Credentials"])


def _stands_in_the_way(attack: Attack, rights: Rights, role: str, call: Call) -> None:
    """See that it is what is named that refuses a call: without it, it would be allowed."""
    own, policy = rights.own[role], rights.policies.get(call.resource, ())
    if attack.sid:
        (one,) = [each for each in own if each.sid == attack.sid]
        (condition,) = [each for each in one.conditions if each[1] == attack.key]
        own = [_without(each, condition) if each is one else each for each in own]
        assert refusal(call, role, own, policy) is None, attack.what
    everything = Statement("Everything", ("*",), ("*",))
    assert (refusal(call, role, [everything], policy) is not None) is attack.whatever, attack.what
