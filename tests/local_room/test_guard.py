"""What the house makes of roles before and besides the calls that are judged."""

from __future__ import annotations

import msgspec
import pytest

from gonogo.core.bundle import Template
from local.aws import ACCOUNT, pretend

pretend()

from local import template as templates  # noqa: E402 - after the environment that moto reads at import
from local.asked import Where, asked  # noqa: E402
from local.house import ROOT, WiringError, _let_lambda_do_its_part  # noqa: E402
from local.iam import ANYTHING  # noqa: E402
from local.roles import Rights, parameters_for  # noqa: E402
from tests.roles import undeployed  # noqa: E402

ELSEWHERE = "arn:aws:iam::210987654321:role/"


def launchable(region: str = "us-east-1", account: object = None, **spec: object) -> Template:
    """Return a template of a policy."""
    said = {"title": "x", "engine": "x", "region": region, "lease": {"default": "1d", "max": "1d"}}
    return msgspec.convert({**said, "account": account, "parameters": {}, "spec": spec}, Template)


def test_the_stack_is_as_if_deployed_for_the_policy():
    """Who tries a policy of their own must not be refused for want of parameters that they would have set."""
    account = {"role": f"{ELSEWHERE}launch", "observer": f"{ELSEWHERE}look", "external_id": "said-by-us"}
    machine = f"arn:aws:states:us-east-1:{ACCOUNT}:stateMachine:nightly"
    found = parameters_for(
        [
            launchable(instance_profile_arn=f"arn:aws:iam::{ACCOUNT}:instance-profile/web"),
            launchable("eu-west-1", account),
            launchable(role_arn=f"arn:aws:iam::{ACCOUNT}:role/stacks"),
            launchable(state_machine_arn=f"{machine}:live"),
        ]
    )
    assert found == {
        "InstanceRoleArns": f"arn:aws:iam::{ACCOUNT}:role/web",
        "LaunchRegions": "eu-west-1,us-east-1",
        "LaunchRoleArns": f"{ELSEWHERE}launch",
        "ObserverRoleArns": f"{ELSEWHERE}look",
        "StackRoleArns": f"arn:aws:iam::{ACCOUNT}:role/stacks",
        "StateMachineArns": machine,
    }
    assert parameters_for([launchable()]) == {}


def test_lambda_must_be_able_to_do_its_part():
    """AWS makes no event-source mapping whose function's role cannot read the queue: then nothing starts here either."""
    template = templates.read(ROOT / "infra" / "template.yaml")
    for name, one in template["Resources"].items():
        one.setdefault("Type", "AWS::IAM::Role" if name.endswith("Role") else "AWS::Serverless::Function")
    parameters = dict.fromkeys(("MailFrom", "OidcIssuer", "OidcAudience", "OidcJwksUri"), "x@example.com")
    _let_lambda_do_its_part(Rights(undeployed(template, parameters), {}))
    document = template["Resources"]["NotifyRole"]["Properties"]["Policies"][0]["PolicyDocument"]
    (feeds,) = [one for one in document["Statement"] if one["Sid"] == "IsFedByItsQueue"]
    feeds["Action"] = [one for one in feeds["Action"] if one != "sqs:DeleteMessage"]
    with pytest.raises(
        WiringError, match=r"Lambda may not sqs:DeleteMessage on .*:NotifyQueue for Notify because"
    ):
        _let_lambda_do_its_part(Rights(undeployed(template, parameters), {}))


@pytest.mark.parametrize(
    ("service", "operation", "action"),
    [("sqs", "CreateQueue", "sqs:CreateQueue"), ("stepfunctions", "ListExecutions", "states:ListExecutions")],
)
def test_what_is_not_known_is_judged_by_its_action(service, operation, action):
    """An engine of one's own calls what gonogo does not."""
    (call,) = asked(service, operation, {}, Where("eu-west-1", ACCOUNT))
    assert (call.action, call.resource) == (action, ANYTHING)
    assert call.facts == {"aws:requestedregion": ("eu-west-1",)}
