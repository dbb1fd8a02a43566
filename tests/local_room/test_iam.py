"""Policies are judged as IAM's documentation says, by examples of it."""

from __future__ import annotations

from typing import Any

import pytest

from local.iam import ANYTHING, Call, Statement, refusal

ROLE = "arn:aws:iam::123456789012:role/widgets"
ROOT = "arn:aws:iam::123456789012:root"
KEY = "arn:aws:kms:us-east-1:123456789012:key/k-1"
BUS = "arn:aws:events:us-east-1:123456789012:event-bus/b"
TABLE = "arn:aws:dynamodb:us-east-1:123456789012:table/GameScores"


def allow(action: Any, resource: Any = "*", **more: Any) -> Statement:
    """Return an Allow."""
    return Statement.read({"Effect": "Allow", "Action": action, "Resource": resource, **more})


def deny(action: Any, resource: Any = "*", **more: Any) -> Statement:
    """Return a Deny."""
    return Statement.read({"Effect": "Deny", "Action": action, "Resource": resource, **more})


@pytest.mark.parametrize(
    ("actions", "resources", "action", "resource", "expected"),
    [
        # IAM JSON policy elements: Action - "not case-sensitive", wildcards anywhere
        ("iam:*AccessKey*", "*", "iam:UpdateAccessKey", "*", True),
        ("IAM:listaccesskeys", "*", "iam:ListAccessKeys", "*", True),
        ("s3:GetObject", "*", "s3:GetObjectAcl", "*", False),
        (["sqs:SendMessage", "sqs:ReceiveMessage"], "*", "sqs:ReceiveMessage", "*", True),
        # IAM JSON policy elements: Resource - ? is one character, ARNs are case-sensitive
        (
            "sqs:*",
            "arn:aws:sqs:us-east-1:123456789012:q?",
            "sqs:X",
            "arn:aws:sqs:us-east-1:123456789012:q1",
            True,
        ),
        (
            "sqs:*",
            "arn:aws:sqs:us-east-1:123456789012:q?",
            "sqs:X",
            "arn:aws:sqs:us-east-1:123456789012:q12",
            False,
        ),
        (
            "sqs:*",
            "arn:aws:sqs:us-east-1:123456789012:Q1",
            "sqs:X",
            "arn:aws:sqs:us-east-1:123456789012:q1",
            False,
        ),
        # a wildcard stays within its part of the ARN, but for the last one
        (
            "ec2:*",
            "arn:aws:ec2:*:123456789012:instance/*",
            "ec2:X",
            "arn:aws:ec2:eu-west-1:123456789012:instance/i-1",
            True,
        ),
        (
            "ec2:*",
            "arn:aws:ec2:*:instance/i-1",
            "ec2:X",
            "arn:aws:ec2:eu-west-1:123456789012:instance/i-1",
            False,
        ),
        (
            "states:*",
            "arn:aws:states:us-east-1:1:execution:m:g-*",
            "states:X",
            "arn:aws:states:us-east-1:1:execution:m:g-a:b",
            True,
        ),
        (
            "states:*",
            "arn:aws:states:us-east-1:1:execution:m:g-*",
            "states:X",
            "arn:aws:states:us-east-1:1:execution:m:other",
            False,
        ),
        ("ec2:*", "arn:aws:ec2:*::image/*", "ec2:X", "arn:aws:ec2:eu-west-1::image/ami-1", True),
        # what takes no resource is asked of all
        ("ec2:DescribeInstances", "*", "ec2:DescribeInstances", "*", True),
        ("ec2:DescribeInstances", "arn:aws:ec2:us-east-1:1:instance/*", "ec2:DescribeInstances", "*", False),
        # what is not known in local/asked.py
        ("sqs:CreateQueue", "arn:aws:sqs:us-east-1:1:g-*", "sqs:CreateQueue", ANYTHING, True),
        ("sqs:CreateQueue", "*", "sqs:DeleteQueue", ANYTHING, False),
    ],
)
def test_actions_and_resources(actions, resources, action, resource, expected):
    """A pattern that is read too widely would let a role pass here that AWS refuses."""
    why = refusal(Call(action, resource), ROLE, [allow(actions, resources)])
    assert (why is None) is expected


@pytest.mark.parametrize(
    ("operator", "wanted", "values", "expected"),
    [
        ("StringEquals", "a", "a", True),
        ("StringEquals", ["a", "b"], "b", True),
        ("StringEquals", "a", "A", False),
        ("StringEquals", "a*", "ab", False),
        ("StringEquals", "a", None, False),
        ("StringEqualsIfExists", "a", None, True),
        ("StringEqualsIfExists", "a", "b", False),
        ("StringLike", "launch#*", "launch#1", True),
        ("StringLike", ["a*", "b?"], "bc", True),
        ("StringLike", "launch#*", "xlaunch#1", False),
        # "If the key is not present ... and the condition requires that the key is not matched, it is true"
        ("StringNotEquals", "a", None, True),
        ("StringNotEquals", ["a", "b"], "b", False),
        ("StringNotEquals", ["a", "b"], "c", True),
        ("StringNotLike", "a*", "ab", False),
        ("ArnEquals", "arn:aws:iam::1:role/*", "arn:aws:iam::1:role/x", True),
        ("ArnLike", "arn:aws:iam::*:role/x", "arn:aws:iam::1:role/x", True),
        ("ArnNotEquals", ["arn:aws:iam::1:role/x", "arn:aws:iam::1:role/y"], "arn:aws:iam::1:role/y", False),
        ("ArnNotEquals", ["arn:aws:iam::1:role/x", "arn:aws:iam::1:role/y"], "arn:aws:iam::1:role/z", True),
        ("Null", "true", None, True),
        ("Null", "true", "a", False),
        ("Null", "false", "a", True),
        ("Null", "false", None, False),
        # a key that is missing meets ForAllValues, and never ForAnyValue
        ("ForAllValues:StringLike", ["a#*", "b#*"], ["a#1", "b#2"], True),
        ("ForAllValues:StringLike", ["a#*", "b#*"], ["a#1", "c#2"], False),
        ("ForAllValues:StringLike", ["a#*"], None, True),
        ("ForAllValues:StringNotLike", ["a#*"], ["b", "a#1"], False),
        ("ForAnyValue:StringEquals", ["a"], ["b", "a"], True),
        ("ForAnyValue:StringEquals", ["a"], ["b", "c"], False),
        ("ForAnyValue:StringEquals", ["a"], None, False),
    ],
)
def test_conditions(operator, wanted, values, expected):
    """A missing key, several values and opposites are where conditions are got wrong."""
    rule = allow("s3:GetObject", Condition={operator: {"Some:Key": wanted}})
    found = () if values is None else (("some:key", (values,) if isinstance(values, str) else tuple(values)),)
    assert (refusal(Call("s3:GetObject", "*", found), ROLE, [rule]) is None) is expected


def test_every_condition_must_hold():
    """Conditions of one statement are joined by AND."""
    rule = allow("a:B", Condition={"StringEquals": {"x:one": "1", "x:two": "2"}, "Null": {"x:three": "true"}})
    both = (("x:one", ("1",)), ("x:two", ("2",)))
    assert refusal(Call("a:B", "*", both), ROLE, [rule]) is None
    assert refusal(Call("a:B", "*", both[:1]), ROLE, [rule]) is not None
    assert refusal(Call("a:B", "*", (*both, ("x:three", ("3",)))), ROLE, [rule]) is not None


LEADING = allow(
    ["dynamodb:GetItem", "dynamodb:Query"],
    TABLE,
    Condition={"ForAllValues:StringEquals": {"dynamodb:LeadingKeys": ["widgets-user"]}},
)
"""After the example of the DynamoDB developer guide, "Fine-grained access control"."""


@pytest.mark.parametrize(
    ("action", "resource", "own", "policy", "expected"),
    [
        ("s3:GetObject", "*", [], [], "because no identity-based policy allows the s3:GetObject action"),
        ("s3:GetObject", "*", [allow("s3:*")], [], None),
        (
            "s3:GetObject",
            "*",
            [allow("s3:*"), deny("s3:GetObject")],
            [],
            "with an explicit deny in an identity-based policy",
        ),
        # a resource's policy of the same account adds to what a role allows, and its deny wins
        ("events:PutEvents", BUS, [], [allow("events:*", BUS, Principal={"AWS": ROLE})], None),
        (
            "events:PutEvents",
            BUS,
            [],
            [allow("events:*", BUS, Principal={"AWS": ROLE + "s"})],
            "because no identity-based policy allows the events:PutEvents action",
        ),
        (
            "events:PutEvents",
            BUS,
            [allow("*")],
            [deny("events:*", BUS, Principal="*")],
            "with an explicit deny in a resource-based policy",
        ),
        (
            "events:PutEvents",
            BUS,
            [allow("*")],
            [deny("events:*", BUS, Principal="*", Condition={"ArnNotEquals": {"aws:PrincipalArn": ROLE}})],
            None,
        ),
        (
            "events:PutEvents",
            BUS,
            [allow("*")],
            [
                deny(
                    "events:*",
                    BUS,
                    Principal="*",
                    Condition={"ArnNotEquals": {"aws:PrincipalArn": ROLE + "s"}},
                )
            ],
            "with an explicit deny in a resource-based policy",
        ),
        # KMS developer guide, "Key policies": unless the key policy allows it, IAM policies have no effect
        (
            "kms:GenerateMac",
            KEY,
            [allow("kms:*")],
            [],
            "because no resource-based policy allows the kms:GenerateMac action",
        ),
        ("kms:GenerateMac", KEY, [], [allow("kms:*", KEY, Principal={"AWS": ROLE})], None),
        (
            "kms:GenerateMac",
            KEY,
            [],
            [allow("kms:*", KEY, Principal={"AWS": ROOT})],
            "because no resource-based policy allows the kms:GenerateMac action",
        ),
        ("kms:GenerateMac", KEY, [allow("kms:*")], [allow("kms:*", KEY, Principal={"AWS": ROOT})], None),
        (
            "kms:GenerateMac",
            KEY,
            [allow("kms:*")],
            [allow("kms:DescribeKey", KEY, Principal={"AWS": ROOT})],
            "because no resource-based policy allows the kms:GenerateMac action",
        ),
        # across accounts both must allow
        (
            "sts:AssumeRole",
            "arn:aws:iam::2:role/there",
            [allow("sts:AssumeRole")],
            [allow("sts:AssumeRole", Principal={"AWS": ROLE})],
            None,
        ),
        (
            "sts:AssumeRole",
            "arn:aws:iam::2:role/there",
            [],
            [allow("sts:AssumeRole", Principal={"AWS": ROLE})],
            "because no identity-based policy allows the sts:AssumeRole action",
        ),
        (
            "sts:AssumeRole",
            "arn:aws:iam::2:role/there",
            [allow("sts:AssumeRole")],
            [],
            "because no resource-based policy allows the sts:AssumeRole action",
        ),
        (
            "events:PutEvents",
            BUS.replace("123456789012", "210987654321"),
            [],
            [allow("events:*", Principal={"AWS": ROLE})],
            "because no identity-based policy allows the events:PutEvents action",
        ),
        # neither missing keys nor another's
        ("dynamodb:GetItem", TABLE, [LEADING], [], None),
        (
            "dynamodb:PutItem",
            TABLE,
            [LEADING],
            [],
            "because no identity-based policy allows the dynamodb:PutItem action",
        ),
    ],
)
def test_who_decides(action, resource, own, policy, expected):
    """A deny wins, no allow means no, and keys and roles of others have their own say."""
    assert refusal(Call(action, resource), ROLE, own, policy) == expected


def test_leading_keys_are_compared():
    """What makes one table safe for many functions is this one condition."""
    for key, expected in (("widgets-user", True), ("another", False)):
        call = Call("dynamodb:GetItem", TABLE, (("dynamodb:LeadingKeys", (key,)),))
        assert (refusal(call, ROLE, [LEADING]) is None) is expected


@pytest.mark.parametrize(
    "statement",
    [
        {"Effect": "Allow", "NotAction": "s3:*", "Resource": "*"},
        {"Effect": "Allow", "Action": "s3:*", "NotResource": "*"},
        {
            "Effect": "Allow",
            "Action": "s3:*",
            "Resource": "*",
            "Condition": {"DateLessThan": {"aws:CurrentTime": "x"}},
        },
        {
            "Effect": "Allow",
            "Action": "s3:*",
            "Resource": "*",
            "Condition": {"ForSome:StringLike": {"a:b": "x"}},
        },
    ],
)
def test_what_is_not_known_is_an_error(statement):
    """A guess would show a policy to be safe that is not."""
    with pytest.raises(NotImplementedError):
        refusal(Call("s3:GetObject", "*", (("a:b", ("x",)),)), ROLE, [Statement.read(statement)])
