"""What is packaged is deployed to an engine written by others, and goes from request to instance."""

from __future__ import annotations

import json
import platform
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from typing import Any

import httpx
import pytest

from gonogo.aws.table import Table
from gonogo.bootstrap import https_only
from gonogo.core import anchors
from gonogo.service import policies
from infra.package import PROJECT
from tests import packaged
from tests.deployed import engine as engines
from tests.deployed import issuer as issuers
from tests.deployed.engine import ACCOUNT, REGION, Engine, Stack, eventually
from tests.deployed.issuer import AUDIENCE, Issuer

pytestmark = pytest.mark.deployed

UNKNOWN_THERE = {"AWS::Events::EventBusPolicy"}
"""Types that this engine does not make; tests/package holds what they say."""

JUDGED_OTHERWISE_THERE = {"AnchorBucketPolicy"}
"""It takes a role's session for aws:PrincipalArn, which on AWS is the role (IAM guide, "Global condition keys")."""

NAMED_OTHERWISE_THERE = {
    # It checks SendEmail, and no identity, where AWS checks SendRawEmail on the identity.
    "NotifyRole": [{"Action": "ses:SendEmail", "Resource": "*"}],
    # It gives AWS's own parameters and images an account; on AWS they have none.
    "ApiHandlerRole": [
        {"Action": "ssm:GetParameter", "Resource": f"arn:aws:ssm:{REGION}:{ACCOUNT}:parameter/aws/service/*"}
    ],
    # It checks RunInstances on the image alone, and does not see the tags that are asked for.
    "LaunchRole": [
        {"Action": "ec2:RunInstances", "Resource": f"arn:aws:ec2:{REGION}:{ACCOUNT}:image/*"},
        {"Action": "ec2:DescribeInstances", "Resource": "*"},
    ],
    # It does not tell which region is asked (aws:RequestedRegion).
    "ObserveRole": [{"Action": "ec2:DescribeInstances", "Resource": "*"}],
    "WakeRole": [{"Action": "ec2:DescribeInstances", "Resource": "*"}],
}
"""What the engine calls otherwise than AWS does, and so what each role needs there on top, and only there."""


class Deployed:
    """A gonogo that is deployed, and a subscriber to its bus."""

    def __init__(self, engine: Engine, stack: Stack, issuer: Issuer) -> None:
        """Attach a queue to the bus, as any billing pipeline would."""
        self.engine, self.stack, self._issuer = engine, stack, issuer
        self.told: list[dict[str, Any]] = []
        sqs, events = engine.client("sqs"), engine.client("events")
        self._queue = sqs.create_queue(QueueName="subscriber")["QueueUrl"]
        arn = f"arn:aws:sqs:{REGION}:{ACCOUNT}:subscriber"
        bus = stack.outputs["BusName"]
        rule = events.put_rule(Name="all", EventBusName=bus, EventPattern='{"source":["gonogo"]}')["RuleArn"]
        sqs.set_queue_attributes(QueueUrl=self._queue, Attributes={"Policy": _only(rule, arn)})
        events.put_targets(Rule="all", EventBusName=bus, Targets=[{"Id": "queue", "Arn": arn}])

    def call(self, method: str, path: str, body: Any = None, who: str | None = None) -> httpx.Response:
        """Send a request to the API."""
        headers = {"authorization": f"Bearer {self._issuer.token(who)}"} if who else {}
        return httpx.request(method, f"{self.stack.api}{path}", json=body, headers=headers, timeout=60)

    def event(self, kind: str) -> dict[str, Any]:
        """Return the first event of a kind, as the subscriber gets it."""
        return eventually(lambda: self._heard(kind), f"an event {kind}", self._story)

    def _heard(self, kind: str) -> dict[str, Any] | None:
        sqs = self.engine.client("sqs")
        for message in sqs.receive_message(QueueUrl=self._queue, MaxNumberOfMessages=10).get("Messages", ()):
            self.told.append(json.loads(message["Body"])["detail"])
            sqs.delete_message(QueueUrl=self._queue, ReceiptHandle=message["ReceiptHandle"])
        return next((one for one in self.told if one["type"] == kind), None)

    def _story(self) -> str:
        """Tell what happened so far: the events, and what the functions logged."""
        return f"{json.dumps(self.told, indent=1)}\n{self.engine.log()}"

    def code(self, to: str) -> str:
        """Return the code from the newest mail to somebody."""

        def look() -> str | None:
            for mail in reversed(self.engine.mails()):
                if any(to in address for address in mail["To"]):
                    found = re.search(r"gng_[A-Za-z0-9_-]+", mail["BodyText"])
                    if found:
                        return found[0]
            return None

        return eventually(look, f"a mail to {to} with a code", self._story)

    def run(self, function: str) -> str | None:
        """Run a function with an empty event; return what kind of error it ended with, or None."""
        answer = self.engine.client("lambda").invoke(FunctionName=self.stack.names[function], Payload=b"{}")
        error: str | None = answer.get("FunctionError")
        return error

    def empty(self, queue: str) -> bool:
        """Tell whether no message is in one of the stack's queues, nor on its way through a function."""
        attributes = self.engine.client("sqs").get_queue_attributes(
            QueueUrl=self.stack.names[queue],
            AttributeNames=["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"],
        )["Attributes"]
        return not any(map(int, attributes.values()))


def _only(rule: str, queue: str) -> str:
    """Return a queue policy that lets one rule fill the queue."""
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": "events.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": queue,
        "Condition": {"ArnEquals": {"aws:SourceArn": rule}},
    }
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def policy_of(issuer: str) -> dict[str, str]:
    """Return the example policy, for people of another issuer."""
    folder = PROJECT / "policy"
    return {
        str(path.relative_to(folder)): path.read_text().replace("http://gonogo.local", issuer)
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.fixture(scope="module")
def deployed(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    """Deploy the package for this machine's processor, and put the example policy in force."""
    if not engines.PYTHON.exists():
        pytest.skip("the second engine is not installed: `make test` installs it into .venv-ministack")
    assert pytestconfig.cache is not None
    architecture = packaged.LAMBDA_ARCHITECTURES[platform.machine()]
    package = packaged.build(pytestconfig.cache.mkdir("gonogo-package"), architecture)
    template = package.cloudformation()
    unknown = {name for name, one in template["Resources"].items() if one["Type"] in UNKNOWN_THERE}
    for name in unknown | JUDGED_OTHERWISE_THERE:
        del template["Resources"][name]
    folder = tmp_path_factory.mktemp("engine")
    with issuers.running(folder) as issuer, engines.running(folder, folder / "ca.pem") as engine:
        engine.client("sesv2").create_email_identity(EmailIdentity="example.com")
        stack = engines.deploy(
            engine,
            template,
            package.zip,
            {
                "MailFrom": "gonogo@example.com",
                "OidcIssuer": issuer.address,
                "OidcAudience": AUDIENCE,
                "OidcJwksUri": issuer.jwks_uri,
                "Anchors": "on",
            },
        )
        for role, statements in NAMED_OTHERWISE_THERE.items():
            document = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", **s} for s in statements]}
            engine.client("iam").put_role_policy(
                RoleName=stack.names[role], PolicyName="named-otherwise", PolicyDocument=json.dumps(document)
            )
        with pytest.MonkeyPatch.context() as patch:
            for name, value in engine.environment.items():
                patch.setenv(name, value)
            table = Table(stack.outputs["TableName"], REGION, 1)
            policies.publish(table, policy_of(issuer.address), https_only, datetime.now(UTC))
        yield Deployed(engine, stack, issuer)


@pytest.fixture(scope="module")
def launched(deployed: Deployed) -> dict[str, Any]:
    """Ask, let the lead say go by the code from the mail, wait for the launch, and return it."""
    asked = deployed.call(
        "POST",
        "/v1/launches",
        {"template": "web-small", "reason": "a page for the fair", "cost_center": "marketing"},
        who="dev",
    )
    assert asked.status_code == 201, asked.text + deployed.engine.log()
    deployed.event("gate.opened")
    decided = deployed.call(
        "POST", "/v1/decisions", {"token": deployed.code("lead@example.com"), "verdict": "approve"}
    )
    assert decided.status_code == 200, decided.text + deployed.engine.log()
    deployed.event("launch.started")
    launch: dict[str, Any] = deployed.call("GET", f"/v1/launches/{asked.json()['id']}", who="dev").json()
    return launch


def test_deployed_launch_runs_exactly_as_approved(deployed: Deployed, launched: dict[str, Any]) -> None:
    """The zip, the template and the roles together do what the code does in the tests of its parts."""
    assert launched["state"] == "RUNNING"
    found = deployed.engine.client("ec2").describe_instances(
        Filters=[{"Name": "tag:gonogo:launch", "Values": [launched["id"]]}]
    )
    (instance,) = (one for reservation in found["Reservations"] for one in reservation["Instances"])
    assert instance["InstanceType"] == "t3.micro"
    assert [instance["InstanceId"]] == [one["id"] for one in launched["resources"]]


def test_a_stranger_on_the_bus_hears_it_all(deployed: Deployed, launched: dict[str, Any]) -> None:
    """A billing pipeline or rule engine needs nothing but a rule and a queue."""
    deployed.event("launch.started")
    ours = {one["seq"]: one for one in deployed.told if one["subject"] == launched["id"]}
    assert [ours[seq]["type"] for seq in sorted(ours)] == [
        "launch.requested",
        "launch.awaiting_approval",
        "gate.opened",
        "gate.decided",
        "gate.closed",
        "launch.cleared",
        "launch.started",
    ]


def test_what_ec2_tells_reaches_the_launch(deployed: Deployed, launched: dict[str, Any]) -> None:
    """The engine tells of no state change, so the test puts EC2's own message in the queue."""
    (resource,) = launched["resources"]
    deployed.engine.client("sqs").send_message(
        QueueUrl=deployed.stack.names["ObserveQueue"],
        MessageBody=json.dumps(
            {
                "version": "0",
                "id": "7bf73129-1428-4cd3-a780-95db273d1602",
                "detail-type": "EC2 Instance State-change Notification",
                "source": "aws.ec2",
                "account": ACCOUNT,
                "time": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
                "region": REGION,
                "resources": [f"arn:aws:ec2:{REGION}:{ACCOUNT}:instance/{resource['id']}"],
                "detail": {"instance-id": resource["id"], "state": "running"},
            }
        ),
    )
    deployed.event("instance.started")


def test_nothing_is_left_behind(deployed: Deployed, launched: dict[str, Any]) -> None:
    """A message that fails quietly is tried for an hour and then lies among the dead letters."""
    assert launched["state"] == "RUNNING"
    for queue in ("NotifyQueue", "DeliverQueue", "LaunchQueue", "ObserveQueue", "AnchorQueue"):
        eventually(partial(deployed.empty, queue), f"{queue} is empty")
    for dead in ("PublishDead", "NotifyDead", "DeliverDead", "LaunchDead", "ObserveDead", "AnchorDead"):
        assert deployed.empty(dead), dead


def test_what_happened_is_anchored(deployed: Deployed, launched: dict[str, Any]) -> None:
    """A function that only an option makes must come with all that it needs, its rights among it."""
    s3, bucket = deployed.engine.client("s3"), deployed.stack.names["AnchorBucket"]
    told = {(one["subject"], one["seq"], one["hash"]) for one in deployed.told}
    assert launched["id"] in {subject for subject, _, _ in told}

    def anchored() -> bool:
        listed = s3.list_objects_v2(Bucket=bucket, Prefix="anchors/").get("Contents", ())
        files = [(one["Key"], s3.get_object(Bucket=bucket, Key=one["Key"])["Body"].read()) for one in listed]
        found = {(it.subject, it.seq, it.hash) for key, lines in files for it in anchors.read(key, lines)}
        return told <= found

    eventually(anchored, "every event that was told is anchored", deployed.engine.log)


def test_no_log_holds_a_code(deployed: Deployed, launched: dict[str, Any]) -> None:
    """Whoever may read logs must not thereby be able to approve."""
    assert launched["state"] == "RUNNING"
    log = deployed.engine.log()
    assert "RequestId" in log
    assert "gng_" not in log


def test_pages_are_served(deployed: Deployed) -> None:
    """The templates and styles are in the zip, too, and found from where it is unpacked."""
    page = deployed.call("GET", "/decide")
    assert page.status_code == 200
    assert page.headers["content-type"].startswith("text/html")
    assert "<form" in page.text


def test_a_stranger_is_refused(deployed: Deployed) -> None:
    """The API is open to the network, and nothing but a token of the issuer opens it."""
    assert deployed.call("GET", "/v1/launches").status_code == 401


def test_roles_were_enough_and_are_enforced(deployed: Deployed, launched: dict[str, Any]) -> None:
    """Each function did its part with its own role; and the engine does refuse what a role does not allow."""
    assert launched["state"] == "RUNNING"
    assert deployed.run("Wake") is None
    assert "not authorized to perform" not in deployed.engine.log()
    iam, role = deployed.engine.client("iam"), deployed.stack.names["WakeRole"]
    denied = {"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Action": "*", "Resource": "*"}]}
    iam.put_role_policy(RoleName=role, PolicyName="denied", PolicyDocument=json.dumps(denied))
    assert deployed.run("Wake") is not None
    assert "not authorized to perform: dynamodb:Query" in deployed.engine.log()
    iam.delete_role_policy(RoleName=role, PolicyName="denied")
