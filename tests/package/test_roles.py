"""What each function's role allows: no more than the function uses, and no less."""

from __future__ import annotations

from typing import Any

import pytest

from infra.package import PROJECT
from local import template as templates
from local.iam import Call, Statement
from local.roles import ROLES, Roles
from tests.roles import undeployed

PARAMETERS = {
    "MailFrom": "gonogo@example.com",
    "OidcIssuer": "https://login.example.com",
    "OidcAudience": "gonogo",
    "OidcJwksUri": "https://login.example.com/jwks.json",
    "InstanceRoleArns": "arn:aws:iam::123456789012:role/web",
}

WITHOUT_RESOURCE = {"ec2:DescribeInstances", "ec2:DescribeLaunchTemplateVersions"}
"""Actions that take no resource (Service Authorization Reference)."""

WRITES = {"dynamodb:DeleteItem", "dynamodb:PutItem", "dynamodb:UpdateItem"}


@pytest.fixture(scope="module")
def roles(template: dict[str, Any]) -> Roles:
    """Return what each role allows, as if nothing were deployed yet."""
    return undeployed(template, PARAMETERS, {})


def granted(roles: Roles, action: str) -> set[str]:
    """Return the functions whose role allows an action on anything."""
    return {name for name in ROLES if any(action in one.actions for one in roles.statements(name))}


def writable(statement: Statement) -> tuple[str, ...]:
    """Return the kinds of item that a statement lets a function write."""
    return next(
        wanted
        for operator, key, wanted in statement.conditions
        if (operator, key) == ("ForAllValues:StringLike", "dynamodb:LeadingKeys")
    )


@pytest.mark.parametrize("function", ROLES)
def test_no_role_names_anything_by_a_star(roles: Roles, function: str) -> None:
    """A star in an action or a resource grants what nobody thought of."""
    for statement in roles.statements(function):
        assert not [action for action in statement.actions if "*" in action], statement.sid
        if not WITHOUT_RESOURCE.issuperset(statement.actions):
            named = [one.split(":", 5)[5] for one in statement.resources]
            assert not [one for one in named if one.startswith("*")], statement.sid


@pytest.mark.parametrize("role", ROLES.values())
def test_only_lambda_takes_a_role(template: dict[str, Any], role: str) -> None:
    """Whoever can take notify's role can approve in anybody's name."""
    (statement,) = template["Resources"][role]["Properties"]["AssumeRolePolicyDocument"]["Statement"]
    assert statement["Effect"] == "Allow"
    assert statement["Principal"] == {"Service": "lambda.amazonaws.com"}
    assert statement["Action"] == "sts:AssumeRole"


@pytest.mark.parametrize("function", ROLES)
def test_each_role_is_one_functions_own(template: dict[str, Any], function: str) -> None:
    """A shared role would give each function what any of them needs."""
    assert template["Resources"][function]["Properties"]["Role"] == {"Fn::GetAtt": [ROLES[function], "Arn"]}


@pytest.mark.parametrize("function", ROLES)
def test_lambda_may_do_its_part(roles: Roles, function: str) -> None:
    """Lambda reads queues and the stream, and writes logs, in the name of the function."""
    statements = roles.statements(function)
    for call in roles.made_by_lambda(function):
        assert any(one.allows(call) for one in statements), call


def test_writes_are_limited_to_kinds_of_item(roles: Roles) -> None:
    """A function that is taken over must not be able to write what another one answers for."""
    kinds = {
        name: {kind for one in roles.statements(name) if WRITES & set(one.actions) for kind in writable(one)}
        for name in ROLES
    }
    assert kinds == {
        "APIHandler": {"budget#*", "bundle#*", "delegation#*", "delivery#*", "launch#*"},
        "Anchor": set(),
        "Publish": set(),
        "Notify": {"delivery#*"},
        "Deliver": {"delivery#*"},
        "Launch": {"budget#*", "glass#*", "launch#*", "policy#current", "watch#*"},
        "Observe": {"budget#*", "instance#*", "launch#*", "usage#*"},
        "Wake": {
            "budget#*",
            "delegation#*",
            "delivery#*",
            "instance#*",
            "launch#*",
            "pass#*",
            "stray#*",
            "usage#*",
            "watch#*",
        },
    }


def test_nobody_scans_or_deletes(roles: Roles) -> None:
    """No list of gonogo needs a scan, and nothing that happened is deleted."""
    for action in ("dynamodb:Scan", "dynamodb:DeleteItem", "dynamodb:BatchWriteItem"):
        assert granted(roles, action) == set()


def test_power_is_in_few_hands(roles: Roles) -> None:
    """Only publish tells the world, only launch changes it, only notify and deliver sign."""
    assert granted(roles, "events:PutEvents") == {"Publish"}
    for action in ("RunInstances", "CreateTags", "StartInstances", "StopInstances", "TerminateInstances"):
        assert granted(roles, f"ec2:{action}") == {"Launch"}
    assert granted(roles, "iam:PassRole") == {"Launch"}
    assert granted(roles, "kms:GenerateMac") == {"Notify", "Deliver"}
    assert granted(roles, "kms:VerifyMac") == {"APIHandler"}
    assert granted(roles, "ses:SendRawEmail") == {"Notify"}


def test_who_anchors_can_neither_read_nor_undo(roles: Roles) -> None:
    """Whoever takes it over must not be able to say for how long something is kept, or to take it away."""
    own = [one for one in roles.statements("Anchor") if one.sid not in {"Logs", "IsFedByItsQueue"}]
    assert [(one.actions, one.resources) for one in own] == [
        (("s3:PutObject",), (f"{roles.arn('AnchorBucket')}/anchors/*",))
    ]
    for function in set(ROLES) - {"Anchor"}:
        assert not [one for one in roles.statements(function) if any("s3:" in it for it in one.actions)]


def test_each_signs_with_its_own_key(roles: Roles) -> None:
    """Deliver dials strangers: what it signs must never decide a gate that people decide."""
    for function, own, other in (("Notify", "PeopleKey", "HookKey"), ("Deliver", "HookKey", "PeopleKey")):
        statements = roles.statements(function)
        assert any(one.allows(Call("kms:GenerateMac", roles.arn(own))) for one in statements)
        assert not any(one.allows(Call("kms:GenerateMac", roles.arn(other))) for one in statements)


@pytest.mark.parametrize("key", ["PeopleKey", "HookKey"])
def test_no_iam_policy_can_sign(template: dict[str, Any], key: str) -> None:
    """GenerateMac is the power to approve: who runs the account has it only by rewriting the key policy."""
    properties = template["Resources"][key]["Properties"]
    assert (properties["KeySpec"], properties["KeyUsage"]) == ("HMAC_256", "GENERATE_VERIFY_MAC")
    account, *functions = properties["KeyPolicy"]["Statement"]
    assert account["Principal"]["AWS"]["Fn::Sub"].endswith(":root")
    assert not [action for action in account["Action"] if "*" in action]
    assert not {"kms:GenerateMac", "kms:VerifyMac", "kms:CreateGrant"} & set(account["Action"])
    # Without these the key could neither be mended nor deleted (KMS refuses such a policy).
    assert {"kms:PutKeyPolicy", "kms:DescribeKey", "kms:ScheduleKeyDeletion"} <= set(account["Action"])
    assert [(one["Action"], one["Principal"]["AWS"]["Fn::GetAtt"][1]) for one in functions] == [
        ("kms:GenerateMac", "Arn"),
        ("kms:VerifyMac", "Arn"),
    ]


def test_roles_are_passed_only_if_they_are_listed(template: dict[str, Any]) -> None:
    """Whoever may pass any role to an instance has the rights of every role."""
    passing = Call(
        "iam:PassRole",
        "arn:aws:iam::123456789012:role/web",
        (("iam:PassedToService", ("ec2.amazonaws.com",)),),
    )
    for listed, expected in ((PARAMETERS["InstanceRoleArns"], True), ("", False)):
        roles = undeployed(template, PARAMETERS | {"InstanceRoleArns": listed}, {})
        assert any(one.allows(passing) for one in roles.statements("Launch")) is expected


HERE = ("aws:RequestedRegion", ("us-east-1",))
ABROAD = ("aws:RequestedRegion", ("eu-west-1",))
MACHINE = "arn:aws:states:us-east-1:123456789012:stateMachine:batch"
STACKS = "arn:aws:iam::123456789012:role/stacks"
ELSEWHERE = "arn:aws:iam::210987654321:role/"
ALL = PARAMETERS | {
    "StackRoleArns": STACKS,
    "StateMachineArns": f"{MACHINE},{MACHINE}-too",
    "LaunchRoleArns": f"{ELSEWHERE}launch",
    "ObserverRoleArns": f"{ELSEWHERE}observer",
}


def allowed(roles: Roles, function: str, action: str, resource: str, *context: Any) -> bool:
    """Tell whether a function's role allows a call."""
    return any(one.allows(Call(action, resource, context)) for one in roles.statements(function))


def test_launcher_changes_only_what_it_launched(roles: Roles) -> None:
    """An instance that is not gonogo's must not be stopped by it, whatever a message says."""
    ours = ("aws:ResourceTag/gonogo:launch", ("some-launch",))
    instance = "arn:aws:ec2:us-east-1:123456789012:instance/i-1"
    for action in ("StartInstances", "StopInstances", "TerminateInstances"):
        assert allowed(roles, "Launch", f"ec2:{action}", instance, ours, HERE)
        assert not allowed(roles, "Launch", f"ec2:{action}", instance, HERE)
    assert not allowed(roles, "Launch", "ec2:RunInstances", instance, HERE)
    assert not allowed(roles, "Launch", "ec2:CreateTags", instance, HERE)


def test_nothing_is_launched_or_looked_at_in_a_region_that_is_not_listed(template: dict[str, Any]) -> None:
    """A template with a misspelt region must not make anything where nobody looks."""
    ours = ("aws:ResourceTag/gonogo:launch", ("some-launch",))
    calls = (
        ("Launch", "ec2:TerminateInstances", "arn:aws:ec2:eu-west-1:123456789012:instance/i-1"),
        ("Launch", "ec2:RunInstances", "arn:aws:ec2:eu-west-1::image/ami-1"),
        ("Launch", "ec2:DescribeInstances", "*"),
        ("Observe", "ec2:DescribeInstances", "*"),
        ("Wake", "ec2:DescribeInstances", "*"),
        ("APIHandler", "ssm:GetParameter", "arn:aws:ssm:eu-west-1::parameter/aws/service/image"),
        ("APIHandler", "ec2:DescribeLaunchTemplateVersions", "*"),
    )
    for listed, region, expected in (
        ("", HERE, True),
        ("", ABROAD, False),
        ("eu-west-1,eu-north-1", ABROAD, True),
        ("eu-west-1,eu-north-1", HERE, False),
    ):
        roles = undeployed(template, PARAMETERS | {"LaunchRegions": listed}, {})
        for function, action, resource in calls:
            assert allowed(roles, function, action, resource, ours, region) is expected, (action, listed)


def test_an_engine_that_no_parameter_enables_has_no_rights(template: dict[str, Any], roles: Roles) -> None:
    """What nobody asked for is not there to be misused; each parameter lists what may be."""
    services = {"cloudformation", "states", "sts"}
    for function in ROLES:
        for one in roles.statements(function):
            assert not services & {action.split(":")[0] for action in one.actions}, one.sid
    found = {
        action.split(":")[0]
        for one in undeployed(template, ALL, {}).statements("Launch")
        for action in one.actions
    }
    assert services <= found


def test_stacks_are_made_by_listed_roles_only(template: dict[str, Any]) -> None:
    """By the launcher's own rights, or by any other role, a stack could make what nobody bounded."""
    roles = undeployed(template, ALL, {})
    stack = "arn:aws:cloudformation:us-east-1:123456789012:stack/g-token/id"
    by_listed = ("cloudformation:RoleArn", (STACKS,))
    by_another = ("cloudformation:RoleArn", (f"{STACKS}-of-others",))
    ours = ("aws:RequestTag/gonogo:launch", ("some-launch",))
    create = "cloudformation:CreateStack"
    assert allowed(roles, "Launch", create, stack, by_listed, ours, HERE)
    assert not allowed(roles, "Launch", create, stack, by_listed, HERE)
    assert not allowed(roles, "Launch", create, stack, by_another, ours, HERE)
    assert not allowed(roles, "Launch", create, stack, ours, HERE)
    assert not allowed(roles, "Launch", create, stack.replace("g-token", "payroll"), by_listed, ours, HERE)
    assert not allowed(roles, "Launch", "cloudformation:DeleteStack", stack.replace("g-", "not-g-"), HERE)
    to_stacks = ("iam:PassedToService", ("cloudformation.amazonaws.com",))
    assert allowed(roles, "Launch", "iam:PassRole", STACKS, to_stacks)
    assert not allowed(
        roles, "Launch", "iam:PassRole", STACKS, ("iam:PassedToService", ("ec2.amazonaws.com",))
    )
    assert not allowed(roles, "Launch", "iam:PassRole", PARAMETERS["InstanceRoleArns"], to_stacks)


def test_executions_are_of_listed_machines_only(template: dict[str, Any]) -> None:
    """What one machine does is bounded by its own role, which whoever listed it has read."""
    roles = undeployed(template, ALL, {})
    execution = MACHINE.replace(":stateMachine:", ":execution:")
    for machine in ("", "-too"):
        assert allowed(roles, "Launch", "states:StartExecution", f"{MACHINE}{machine}")
        for function in ("Launch", "Observe", "Wake"):
            assert allowed(roles, function, "states:DescribeExecution", f"{execution}{machine}:g-token")
    assert not allowed(roles, "Launch", "states:StartExecution", f"{MACHINE}-not-listed")
    assert not allowed(roles, "Launch", "states:StopExecution", f"{execution}-not-listed:g-token")
    assert not allowed(roles, "Launch", "states:StopExecution", f"{execution}:somebodys")


def test_each_takes_only_the_roles_listed_for_it(template: dict[str, Any]) -> None:
    """Who only looks must not be able to launch in another account, nor anybody take an unlisted role."""
    roles = undeployed(template, ALL, {})
    takers = {
        role: {one for one in ROLES if allowed(roles, one, "sts:AssumeRole", f"{ELSEWHERE}{role}")}
        for role in ("launch", "observer", "administrator")
    }
    assert takers == {
        "launch": {"Launch"},
        "observer": {"APIHandler", "Observe", "Wake"},
        "administrator": set(),
    }


@pytest.fixture(scope="module")
def account() -> dict[str, Any]:
    """Return the template that is deployed in another account."""
    return templates.read(PROJECT / "infra" / "account.yaml")


ACCOUNT = {
    "GonogoLaunchRoleArn": "arn:aws:iam::123456789012:role/LaunchRole",
    "GonogoObserverRoleArns": "arn:aws:iam::123456789012:role/ObserveRole",
    "ExternalId": "said-by-nobody-else",
} | {name: ALL[name] for name in ("InstanceRoleArns", "StackRoleArns", "StateMachineArns")}


@pytest.mark.parametrize(
    ("role", "at_home"), [("LaunchRole", {"Launch"}), ("ObserverRole", {"Observe", "Wake", "APIHandler"})]
)
def test_another_account_allows_no_more_than_home_does(
    template: dict[str, Any], account: dict[str, Any], role: str, at_home: set[str]
) -> None:
    """What is mended in one of the two templates must not be forgotten in the other."""
    home = undeployed(template, ALL, {})
    known = {_plain(one) for name in at_home for one in home.statements(name)}
    there = undeployed(account, ACCOUNT, {}).statements_of(role)
    assert {_plain(one) for one in there} <= known
    if role == "LaunchRole":
        own = {one.sid for one in home.statements("Launch")}
        at_home_only = {"Logs", "IsFedByItsQueue", "ReadsItems", "WritesLaunchesAndWhatTheyHold"}
        assert {one.sid for one in there} == own - at_home_only - {"LaunchesInListedAccounts"}


def _plain(one: Statement) -> Any:
    """Return what a statement allows, whatever it is called and in whichever order it is written."""
    return frozenset(one.actions), frozenset(one.resources), frozenset(one.conditions)


@pytest.mark.parametrize(
    ("role", "trusted"),
    [("LaunchRole", "GonogoLaunchRoleArn"), ("ObserverRole", "GonogoObserverRoleArns")],
)
def test_only_gonogo_takes_another_accounts_role(account: dict[str, Any], role: str, trusted: str) -> None:
    """An external id is what keeps somebody else's gonogo from being talked into it (the confused deputy)."""
    (statement,) = account["Resources"][role]["Properties"]["AssumeRolePolicyDocument"]["Statement"]
    assert (statement["Effect"], statement["Action"]) == ("Allow", "sts:AssumeRole")
    assert statement["Principal"] == {"AWS": {"Ref": trusted}}
    assert statement["Condition"] == {"StringEquals": {"sts:ExternalId": {"Ref": "ExternalId"}}}


def test_replay_may_read_history_and_publish_it_only(template: dict[str, Any]) -> None:
    """A role that publishes could tell of launches that never were; that it can write them must not be added."""
    document = template["Resources"]["ReplayPolicy"]["Properties"]["PolicyDocument"]
    actions = {action for one in document["Statement"] for action in _listed(one["Action"])}
    assert actions == {"dynamodb:Query", "dynamodb:Scan", "events:PutEvents"}
    assert template["Resources"]["ReplayPolicy"]["Condition"] == "HasReplayRole"


def _listed(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value
