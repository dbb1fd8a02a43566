"""What each function's role allows: no more than the function uses, and no less."""

from __future__ import annotations

from typing import Any

import pytest

from tests.roles import ROLES, Call, Roles, Statement

PARAMETERS = {
    "MailFrom": "gonogo@example.com",
    "OidcIssuer": "https://login.example.com",
    "OidcAudience": "gonogo",
    "OidcJwksUri": "https://login.example.com/jwks.json",
    "InstanceRoleArns": "arn:aws:iam::123456789012:role/web",
}

WITHOUT_RESOURCE = {"ec2:DescribeInstances"}
"""Actions that take no resource (Service Authorization Reference)."""

WRITES = {"dynamodb:DeleteItem", "dynamodb:PutItem", "dynamodb:UpdateItem"}


@pytest.fixture(scope="module")
def roles(template: dict[str, Any]) -> Roles:
    """Return what each role allows, as if nothing were deployed yet."""
    return Roles(template, PARAMETERS, {})


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
        "APIHandler": {"bundle#*", "delegation#*", "launch#*"},
        "Publish": set(),
        "Notify": {"delivery#*"},
        "Deliver": {"delivery#*"},
        "Launch": {"budget#*", "glass#*", "launch#*", "policy#*"},
        "Observe": {"budget#*", "instance#*", "launch#*"},
        "Wake": {"budget#*", "delegation#*", "delivery#*", "launch#*"},
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
        roles = Roles(template, PARAMETERS | {"InstanceRoleArns": listed}, {})
        assert any(one.allows(passing) for one in roles.statements("Launch")) is expected


def test_launcher_changes_only_what_it_launched(roles: Roles) -> None:
    """An instance that is not gonogo's must not be stopped by it, whatever a message says."""
    ours = (("aws:ResourceTag/gonogo:launch", ("some-launch",)),)
    instance = "arn:aws:ec2:us-east-1:123456789012:instance/i-1"
    statements = roles.statements("Launch")
    for action in ("StartInstances", "StopInstances", "TerminateInstances"):
        assert any(one.allows(Call(f"ec2:{action}", instance, ours)) for one in statements)
        assert not any(one.allows(Call(f"ec2:{action}", instance)) for one in statements)
    assert not any(one.allows(Call("ec2:RunInstances", instance)) for one in statements)
    assert not any(one.allows(Call("ec2:CreateTags", instance)) for one in statements)
