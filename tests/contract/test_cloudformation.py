"""Engine cloudformation: a template read strictly, CreateStack with just what the plan says, and what it may answer.

The second engine ignores ClientRequestToken, and tells of no event by it, so that it knows no stack as one's own:
all of this is asked of moto and the stub. That it makes what we package is shown in tests/deployed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from tests.contract.stubs import PASSING, REGION, SILENCES, shared, silent, stubbed

from gonogo.aws.engines import stack_template  # isort: skip - after the environment that it reads
from gonogo.aws.engines.cloudformation import (
    CloudFormation,
    CloudFormationObserver,
    CloudFormationResolver,
    create_stack,
)
from gonogo.aws.engines.stack_template import MOST_RESOURCES, Made, TemplateError
from gonogo.core.errors import InvalidError, LaterError, MakingError, PartialError, RefusedError
from gonogo.core.plan import Place, Plan, Unit
from local.aws import client
from tests.contract.engines import bundle, clients, cloud

HERE = Place(REGION)
TOKEN = "g-" + "a" * 50
TAGS = {"gonogo:launch": "l-1", "gonogo:digest": "d" * 64}
ID = f"arn:aws:cloudformation:{REGION}:123456789012:stack/{TOKEN}/1"
ROLE = "arn:aws:iam::123456789012:role/deployer"
FILES = bundle()
SITE: Mapping[str, Any] = {
    "template": "stacks/site.yaml",
    "parameters": {"Site": "fair"},
    "capabilities": ["CAPABILITY_IAM"],
    "units": [{"kind": "site"}],
}
QUEUE = 'Resources: {Queue: {Type: "AWS::SQS::Queue"}}'


def nobody(service: str, place: Place) -> Any:
    """Fail: nothing outside is to be asked."""
    raise AssertionError((service, place))


def resolved(
    spec: Mapping[str, Any] = SITE, files: Mapping[str, str] = FILES
) -> tuple[dict[str, Any], tuple[Unit, ...]]:
    """Return a spec made whole; AWS is not asked for that."""
    return CloudFormationResolver(nobody).resolve(spec, HERE, files)


def of(text: str, **spec: Any) -> dict[str, Any]:
    """Return the spec of a template with this text, made whole."""
    asked = {"template": "stacks/x.yaml", "units": [{"kind": "site"}], **spec}
    return resolved(asked, {"stacks/x.yaml": text})[0]


def plan(spec: Mapping[str, Any] = SITE) -> Plan:
    """Return a plan as it is when it comes to the launch: resolved."""
    whole, units = resolved(spec)
    return Plan(
        template="site", engine="cloudformation", region=REGION, parameters={}, spec=whole, units=units
    )


def tagged(tags: Mapping[str, str]) -> list[dict[str, str]]:
    """Return tags as CloudFormation has them."""
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def stack(status: str = "CREATE_COMPLETE", **more: Any) -> dict[str, Any]:
    """Return a stack as DescribeStacks shows it."""
    return {
        "StackId": ID,
        "StackName": TOKEN,
        "StackStatus": status,
        "CreationTime": datetime(2026, 11, 27, 3, tzinfo=UTC),
        "Parameters": [{"ParameterKey": "Site", "ParameterValue": "fair"}],
        "Tags": tagged(TAGS),
        **more,
    }


def launched(**more: Any) -> tuple[str, ...]:
    """Launch the plan by a client that answers as it is told to."""
    engine = CloudFormation(lambda service, _place: shared(service))
    return engine.launch(plan(), token=TOKEN, tags=TAGS, files=lambda: FILES, **more)


# Made whole


def test_a_spec_is_held_fast_by_the_digest_of_its_file() -> None:
    """Bytes that change after the approval are another plan; and what they make can be read."""
    spec, units = resolved()
    assert spec["sha256"] == hashlib.sha256(FILES["stacks/site.yaml"].encode()).hexdigest()
    assert list(spec["makes"]) == [
        {"id": "Logs", "type": "AWS::S3::Bucket"},
        {"id": "Pages", "type": "AWS::S3::Bucket"},
        {"id": "Renderer", "type": "AWS::IAM::Role"},
        {"id": "ToRender", "type": "AWS::SQS::Queue"},
    ]
    assert units == (Unit("site", 1),)


def test_resolving_again_changes_nothing() -> None:
    """What was approved is what is launched."""
    spec, units = resolved()
    assert resolved(spec) == (spec, units)
    assert resolved(json.loads(json.dumps(spec)))[0] == spec


def test_what_a_policy_says_of_a_file_is_never_taken_for_what_it_makes() -> None:
    """A summary that somebody wrote into a template would be shown to whoever approves."""
    claimed = {**SITE, "makes": [{"id": "Nothing", "type": "AWS::SNS::Topic"}], "transforms": ["None"]}
    assert resolved(claimed) == resolved()


def test_a_digest_that_the_policy_gives_must_be_the_files() -> None:
    """Whoever pins a file hears of it when the file is another."""
    with pytest.raises(InvalidError, match="SHA-256"):
        resolved({**SITE, "sha256": "0" * 64})


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"template": "stacks/none.yaml"}, "has no file"),
        ({"template": "policies.cedar"}, "spec"),
        ({"template": "https://bucket.s3.amazonaws.com/site.yaml"}, "spec"),
        ({"units": []}, "units"),
        ({"units": [{"kind": "site", "quantity": 0}]}, "quantity"),
        ({"parameters": {"Site": 5}}, "str"),
        ({"parameters": {"Site": "fair", "Size": "2"}}, "no parameter 'Size'"),
        ({"parameters": {}}, "needs the parameter 'Site'"),
        ({"parameters": {"Site": "{{resolve:ssm:/site}}"}}, "name its version"),
        *(
            ({"capabilities": some}, "AWS::IAM::Role, which needs CAPABILITY_IAM")
            for some in ([], ["CAPABILITY_AUTO_EXPAND"])
        ),
        ({"capabilities": ["CAPABILITY_EVERYTHING"]}, "capabilities"),
        ({"role_arn": "deployer"}, "role_arn"),
        ({"disable_rollback": True}, "disable_rollback"),
        ({"on_failure": "DELETE"}, "on_failure"),
    ],
)
def test_what_is_no_spec_is_refused_before_anybody_is_asked(wrong: Mapping[str, Any], words: str) -> None:
    """CloudFormation would say so only after people have approved it."""
    with pytest.raises(InvalidError, match=words):
        resolved({**SITE, **wrong})


def test_a_secret_is_named_and_never_said() -> None:
    """Everybody who may approve reads the plan; what is pinned there is a reference."""
    text = "Parameters: {Password: {Type: String, NoEcho: true}}\n" + QUEUE
    for said in (
        "hunter2",
        "{{hunter2}}",
        "{{resolve:hunter2",
        "hunter2{{resolve:ssm:/a:1}}",
        "{{resolve:}}",
    ):
        for written in ("true", "'true'", "'True'"):
            with pytest.raises(InvalidError, match="secret"):
                of(text.replace("true", written), parameters={"Password": said})
    named = "{{resolve:secretsmanager:db:SecretString:password::1f2e}}"
    assert of(text, parameters={"Password": named})["parameters"] == {"Password": named}


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("Transform: AWS::Serverless-2016-10-31\n" + QUEUE, "AWS::Serverless-2016-10-31"),
        (f"Transform: [AWS::LanguageExtensions, Ours]\n{QUEUE}", "AWS::LanguageExtensions, Ours"),
        (
            "Resources: {Queue: {Type: AWS::SQS::Queue, Fn::Transform: {Name: Tagger}}}",
            "Tagger",
        ),
        ("Resources:\n  Fn::Transform: {Name: AWS::Include}\n  Q: {Type: AWS::SQS::Queue}", "AWS::Include"),
        ("Resources: {Queue: {Type: AWS::SQS::Queue, Properties: !Transform {Name: Tagger}}}", "Tagger"),
    ],
)
def test_code_that_rewrites_a_template_needs_a_capability(text: str, named: str) -> None:
    """What is made then is not what is shown; that it is so must be said by policy, and is shown."""
    with pytest.raises(InvalidError, match="CAPABILITY_AUTO_EXPAND"):
        of(text)
    assert ", ".join(of(text, capabilities=["CAPABILITY_AUTO_EXPAND"])["transforms"]) == named


# The template


def test_json_and_yaml_say_the_same() -> None:
    """Both are templates, and short tags are their long forms."""
    written = {
        "Resources": {
            "Queue": {
                "Type": "AWS::SQS::Queue",
                "Condition": "Big",
                "Properties": {"QueueName": {"Ref": "Q"}},
            },
            "Net": {
                "Type": "AWS::CloudFormation::Stack",
                "Properties": {"A": {"Fn::GetAtt": ["Queue", "A.B"]}},
            },
            "Code": {"Type": "Custom::Thing"},
        }
    }
    text = """
    Resources:
      Queue: {Type: "AWS::SQS::Queue", Condition: Big, Properties: {QueueName: !Ref Q}}
      Net: {Type: "AWS::CloudFormation::Stack", Properties: {A: !GetAtt Queue.A.B}}
      Code: {Type: "Custom::Thing"}
    """
    assert stack_template.parse(json.dumps(written)) == stack_template.parse(text) == written
    assert stack_template.read(text).makes == (
        Made("Code", "Custom::Thing"),
        Made("Net", "AWS::CloudFormation::Stack"),
        Made("Queue", "AWS::SQS::Queue", "Big"),
    )


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("", None, "not a table"),
        ("a: 1\nb: [", 2, "no YAML"),
        ("{\n'a': 1}", 2, "no JSON"),
        (QUEUE + "\n---\n" + QUEUE, 2, "no YAML"),
        ("Resources: {}", None, "no Resources"),
        ("Resources: []", None, "no table"),
        ("Resources: {Queue: {}}", None, "without a type"),
        ("Resources: {Queue: {Type: 5}}", None, "without a type"),
        ("Resources: {'Qu eue': {Type: AWS::SQS::Queue}}", None, "logical id"),
        ("Resources: {Queue: {Type: 'AWS::SQS::Queue\\n'}}", None, "without a type"),
        ("Resources:\n  A: {Type: AWS::S3::Bucket}\n  A: {Type: AWS::SQS::Queue}", 3, "'A' twice"),
        ('{"Resources": {"A": {"Type": "AWS::S3::Bucket", "Type": "AWS::IAM::User"}}}', None, "'Type' twice"),
        ("A: &a {Type: AWS::S3::Bucket}\nResources: {B: *a}", 1, "alias"),
        ("Resources:\n  A:\n    <<: {Type: AWS::S3::Bucket}", 3, "merge"),
        ("? [a]\n: 1", 1, "key"),
        ("Resources: {A: {Type: !!python/name:os.system }}", 1, "no YAML"),
        (
            "Parameters: {Image: {Type: 'AWS::SSM::Parameter::Value<AWS::EC2::Image::Id>'}}\n" + QUEUE,
            None,
            "SSM",
        ),
        ("Parameters: {Image: 5}\n" + QUEUE, None, "without a type"),
        ("Resources: {A: {Type: AWS::SQS::Queue, Name: '{{resolve:ssm:/a}}'}}", None, "name its version"),
        (
            "Resources: {A: {Type: X::Y::Z, P: '{{resolve:secretsmanager:db:SecretString:p}}'}}",
            None,
            "version",
        ),
        *(
            (f"Resources: {{A: {{Type: X::Y::Z, P: {{'{{{{resolve:{said}}}}}': 1}}}}}}", None, "version")
            for said in (
                "ssm:/a",
                "ssm:/a:3x",
                "ssm:/a:3/b",
                "secretsmanager:d:SecretString:p:AWSCURRENT",
                "secretsmanager:d:SecretString:p:AWSCURRENT:",
            )
        ),
        ("Resources: {A: {Type: X::Y::Z, P: '{{resolve:elsewhere:a:1}}'}}", None, "version"),
        (
            "Resources:\n" + "".join(f"  A{one}: {{Type: X::Y::Z}}\n" for one in range(MOST_RESOURCES + 1)),
            None,
            "501 resources",
        ),
        ("Resources: " + "{a: " * 5000 + "}" * 5000, None, "nested"),
        ('{"Resources": ' + '{"a": ' * 5000 + "1" + "}" * 5000, None, "nested"),
        ("Resources: {Q: {Type: AWS::SQS::Queue}}\n#" + "x" * 51_200, None, "bytes"),
    ],
)
def test_a_template_that_could_be_read_otherwise_is_refused(text: str, line: int | None, words: str) -> None:
    """What is shown must be what is made: so nothing stands twice, nothing is merged, and nothing may change."""
    with pytest.raises(TemplateError, match=words) as caught:
        stack_template.read(text)
    assert caught.value.line == line


@pytest.mark.parametrize(
    "text",
    [
        "{{resolve:ssm:/a:3}}",
        "{{resolve:ssm-secure:/a:3}}",
        "{{resolve:secretsmanager:d:SecretString:p::v1}}",
    ],
)
def test_what_names_its_version_is_taken(text: str) -> None:
    """It says the same tomorrow."""
    stack_template.require_pinned(text)


def test_a_fault_of_a_template_names_file_and_line() -> None:
    """Whoever wrote it finds it."""
    with pytest.raises(InvalidError) as caught:
        of("Resources:\n  A: {")
    (fault,) = caught.value.faults
    assert fault.pointer.startswith("stacks/x.yaml:")


# Just what the plan says


def test_every_argument_of_create_stack_comes_from_the_plan() -> None:
    """The golden call: what is not in the plan was not approved."""
    body = FILES["stacks/site.yaml"]
    assert create_stack(plan({**SITE, "role_arn": ROLE}), TOKEN, TAGS, body) == {
        "StackName": TOKEN,
        "ClientRequestToken": TOKEN,
        "TemplateBody": body,
        "Parameters": [{"ParameterKey": "Site", "ParameterValue": "fair"}],
        "Capabilities": ["CAPABILITY_IAM"],
        "RoleARN": ROLE,
        "OnFailure": "ROLLBACK",
        "Tags": [
            {"Key": "gonogo:digest", "Value": "d" * 64},
            {"Key": "gonogo:launch", "Value": "l-1"},
        ],
    }


def test_what_the_plan_does_not_say_is_not_asked_for() -> None:
    """No capability and no role slips in."""
    whole = of(QUEUE)
    asked = create_stack(msgspec.structs.replace(plan(), spec=whole), TOKEN, {}, QUEUE)
    assert sorted(asked) == [
        "ClientRequestToken",
        "OnFailure",
        "Parameters",
        "StackName",
        "Tags",
        "TemplateBody",
    ]


def test_aws_itself_would_take_the_call() -> None:
    """Checked against AWS's model of CreateStack, with a token as long as they are."""
    with stubbed(shared("cloudformation")) as stub:
        stub.add_response(
            "create_stack", {"StackId": ID}, create_stack(plan(), TOKEN, TAGS, FILES["stacks/site.yaml"])
        )
        stub.add_response("describe_stacks", {"Stacks": [stack()]}, {"StackName": ID})
        assert launched() == (ID,)


def test_a_file_that_is_not_the_approved_one_is_not_launched() -> None:
    """The bundle is read anew at the launch, and the digest holds it to what was approved."""
    engine = CloudFormation(nobody)
    for files in ({}, {"stacks/site.yaml": FILES["stacks/site.yaml"] + " "}):
        with pytest.raises(RefusedError, match="NotThePlan"):
            engine.launch(plan(), token=TOKEN, tags=TAGS, files=lambda files=files: files)  # type: ignore[misc]


# What it may answer


@pytest.mark.parametrize("status", ["CREATE_IN_PROGRESS", "ROLLBACK_IN_PROGRESS", "DELETE_IN_PROGRESS"])
def test_a_stack_on_its_way_is_asked_for_again(status: str) -> None:
    """It takes minutes; nothing is called made or failed before it is."""
    with stubbed(shared("cloudformation")) as stub:
        stub.add_response("create_stack", {"StackId": ID})
        stub.add_response("describe_stacks", {"Stacks": [stack(status)]})
        with pytest.raises(MakingError):
            launched()


@pytest.mark.parametrize(
    "other",
    [
        {"Tags": []},
        {"RoleARN": ROLE},
        {"Parameters": []},
        {"Parameters": [{"ParameterKey": "Site"}]},
        {"Parameters": [{"ParameterKey": "Site", "ParameterValue": "other"}]},
    ],
)
def test_what_was_made_is_held_against_the_plan(other: Mapping[str, Any]) -> None:
    """The answer to our own call too may be about what an earlier one made."""
    with stubbed(shared("cloudformation")) as stub:
        stub.add_response("create_stack", {"StackId": ID})
        stub.add_response("describe_stacks", {"Stacks": [stack(**other)]})
        with pytest.raises(RefusedError, match="NotThePlan"):
            launched()


def test_a_stack_is_whose_who_began_it() -> None:
    """A token that came into its events later has made nothing."""
    events = [
        {
            **failed(TOKEN, "", "CREATE_IN_PROGRESS"),
            "PhysicalResourceId": ID,
            "ClientRequestToken": token,
        }
        for token in (TOKEN, "theirs")  # the newest first
    ]
    with stubbed(shared("cloudformation")) as stub:
        stub.add_client_error("create_stack", "AlreadyExistsException")
        stub.add_response("describe_stacks", {"Stacks": [stack()]}, {"StackName": TOKEN})
        stub.add_response("get_template", {"TemplateBody": FILES["stacks/site.yaml"]})
        stub.add_response("describe_stack_events", {"StackEvents": events})
        with pytest.raises(RefusedError, match="NotThePlan"):
            launched()


def failed(resource: str, reason: str, status: str = "CREATE_FAILED") -> dict[str, Any]:
    """Return one event of a stack."""
    return {
        "StackId": ID,
        "EventId": resource,
        "StackName": TOKEN,
        "Timestamp": datetime(2026, 11, 27, tzinfo=UTC),
        "LogicalResourceId": resource,
        "PhysicalResourceId": "",
        "ResourceType": "AWS::EC2::Instance",
        "ResourceStatus": status,
        "ResourceStatusReason": reason,
    }


@pytest.mark.parametrize("status", ["ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "CREATE_FAILED"])
@pytest.mark.parametrize(
    ("reason", "full"), [("No such image.", False), ("(Error Code: InsufficientInstanceCapacity)", True)]
)
def test_a_stack_that_failed_is_reported_as_made_with_the_first_reason(
    status: str, reason: str, *, full: bool
) -> None:
    """It is there, so it must be deleted; for want of capacity another choice may do."""
    with stubbed(shared("cloudformation")) as stub:
        stub.add_response("create_stack", {"StackId": ID})
        stub.add_response("describe_stacks", {"Stacks": [stack(status)]})
        stub.add_response(
            "describe_stack_events",
            {"StackEvents": [failed("B", "Resource creation cancelled")], "NextToken": "t"},
            {"StackName": ID},
        )
        stub.add_response(
            "describe_stack_events",
            {"StackEvents": [failed("A", reason)]},
            {"StackName": ID, "NextToken": "t"},
        )
        with pytest.raises(PartialError) as caught:
            launched()
    assert (caught.value.code, caught.value.message) == (status, f"A (AWS::EC2::Instance): {reason}")
    assert (caught.value.made, caught.value.full) == ((ID,), full)


REFUSALS = (
    ("InsufficientCapabilitiesException", 400),
    ("LimitExceededException", 400),
    ("ValidationError", 400),
    ("AccessDenied", 403),
)
"""CloudFormation says no, and nothing was made (API reference, CreateStack, "Errors")."""


@pytest.mark.parametrize(("code", "status"), REFUSALS)
def test_a_definite_no_is_a_failure_in_its_own_words(code: str, status: int) -> None:
    """The requester reads it, and may retry."""
    with stubbed(shared("cloudformation")) as stub:
        stub.add_client_error("create_stack", code, "In its own words.", http_status_code=status)
        with pytest.raises(RefusedError) as caught:
            launched()
    assert type(caught.value) is RefusedError
    assert (caught.value.code, caught.value.message) == (code, "In its own words.")


CALLS = {
    "create_stack": lambda engine: engine.launch(plan(), token=TOKEN, tags=TAGS, files=lambda: FILES),
    "describe_stacks": lambda engine: engine.find(plan(), token=TOKEN),
    "delete_stack": lambda engine: engine.terminate(plan(), [ID]),
}


@pytest.mark.parametrize("operation", CALLS)
@pytest.mark.parametrize(("code", "status"), PASSING)
def test_what_passes_is_asked_again(operation: str, code: str, status: int) -> None:
    """What may have been done is never called a failure."""
    with stubbed(shared("cloudformation")) as stub:
        stub.add_client_error(operation, code, http_status_code=status)
        with pytest.raises(LaterError):
            CALLS[operation](CloudFormation(lambda service, _place: shared(service)))


@pytest.mark.parametrize("operation", CALLS)
@pytest.mark.parametrize("silence", SILENCES)
def test_no_answer_is_asked_again(operation: str, silence: Exception) -> None:
    """As above: a time-out least of all."""
    name = "".join(part.capitalize() for part in operation.split("_"))
    with silent(shared("cloudformation"), name, silence), pytest.raises(LaterError):
        CALLS[operation](CloudFormation(lambda service, _place: shared(service)))


# Once


@pytest.fixture(scope="module", name="made_here")
def moto_for_all() -> Iterator[None]:
    """Give moto, where tokens are honoured as on AWS."""
    with cloud():
        yield


@pytest.fixture
def engine(made_here: None) -> CloudFormation:
    """Give the engine on moto."""
    del made_here
    return CloudFormation(clients)


def test_the_same_token_makes_it_once_and_adopts_it_after(engine: CloudFormation) -> None:
    """A launcher that died, or got no answer, is followed by one that asks the very same."""
    asked: Any = {"token": f"{TOKEN}1", "tags": TAGS, "files": lambda: FILES}
    made = engine.launch(plan(), **asked)
    assert CloudFormation(clients).launch(plan(), **asked) == made
    assert engine.find(plan(), token=f"{TOKEN}1") == made
    assert engine.find(plan(), token=f"{TOKEN}none") == ()


@pytest.mark.parametrize(
    "other",
    [
        {"TemplateBody": "Parameters: {Site: {Type: String}}\n" + QUEUE},
        {"Tags": tagged({**TAGS, "gonogo:launch": "l-2"})},
        {"Tags": tagged({**TAGS, "gonogo:digest": "e" * 64})},
        {"Tags": []},
        {"Parameters": [{"ParameterKey": "Site", "ParameterValue": "other"}]},
        {"RoleARN": ROLE},
        {"ClientRequestToken": "theirs"},
    ],
)
def test_a_name_that_somebody_else_took_is_not_ours(
    engine: CloudFormation, other: Mapping[str, Any], request: pytest.FixtureRequest
) -> None:
    """Whatever of it is as we would have made it, and be it all but the token: the rest is not what was approved."""
    name = hashlib.sha256(request.node.name.encode()).hexdigest()[:12]
    mine, token = plan({**SITE, "parameters": {"Site": name}}), f"{TOKEN}{name}"
    usual = create_stack(mine, token, TAGS, FILES["stacks/site.yaml"])
    client("cloudformation").create_stack(**{**usual, **other})
    with pytest.raises(RefusedError, match="NotThePlan"):
        engine.launch(mine, token=token, tags=TAGS, files=lambda: FILES)


def test_a_stack_is_terminated_again_without_harm_and_seen_to_its_end(engine: CloudFormation) -> None:
    """A cue may come twice; by its id the stack is shown when it is deleted too."""
    mine = plan({**SITE, "parameters": {"Site": "seen"}})
    (made,) = engine.launch(mine, token=f"{TOKEN}2", tags=TAGS, files=lambda: FILES)
    eyes = CloudFormationObserver(clients)
    seen = eyes.look(made, HERE)
    assert seen is not None
    assert (seen.state, seen.launch, seen.client_token) == ("running", "l-1", f"{TOKEN}2")
    for _ in range(2):
        engine.terminate(mine, [made])
    seen = eyes.look(made, HERE)
    assert seen is not None
    assert (seen.state, seen.began_at is not None, seen.changed_at is not None) == ("terminated", True, True)
    assert list(eyes.survey(HERE, ours=True)) == []


def test_nothing_in_a_stack_is_stopped_or_started() -> None:
    """What that would mean is the stack's own business; the requester reads that it cannot be."""
    for call in (CloudFormation(nobody).stop, CloudFormation(nobody).start):
        with pytest.raises(RefusedError, match="NotStoppable"):
            call(plan(), [ID])


@pytest.mark.parametrize(
    ("status", "expected", "ending"),
    [
        ("CREATE_IN_PROGRESS", None, False),
        ("CREATE_COMPLETE", "running", False),
        ("UPDATE_IN_PROGRESS", "running", False),
        ("UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS", "running", False),
        ("IMPORT_COMPLETE", "running", False),
        ("ROLLBACK_IN_PROGRESS", None, True),
        ("ROLLBACK_COMPLETE", None, True),
        ("DELETE_IN_PROGRESS", None, True),
        ("DELETE_FAILED", "running", False),
        ("DELETE_COMPLETE", "terminated", False),
    ],
)
def test_a_status_says_whether_it_is_there(status: str, expected: str | None, *, ending: bool) -> None:
    """What lasts is recorded, and billed: a stack that could not be deleted too."""
    with stubbed(shared("cloudformation")) as stub:
        stub.add_response("describe_stacks", {"Stacks": [stack(status)]}, {"StackName": ID})
        seen = CloudFormationObserver(lambda service, _place: shared(service)).look(ID, HERE)
    assert seen is not None
    assert (seen.state, seen.ending) == (expected, ending)


@pytest.mark.parametrize("name", ["nonsense", "no stack!", ID])
def test_a_stack_that_is_not_there_is_none(engine: CloudFormation, name: str) -> None:
    """A forged message names what it likes."""
    assert CloudFormationObserver(clients).look(name, HERE) is None


@pytest.mark.parametrize(("code", "status"), [*PASSING, ("AccessDenied", 403), ("ValidationError", 400)])
def test_a_stack_that_cannot_be_looked_at_now_is_looked_at_later(code: str, status: int) -> None:
    """Not to see it is not to know that it is gone."""
    with stubbed(shared("cloudformation")) as stub:
        stub.add_client_error("describe_stacks", code, http_status_code=status)
        with pytest.raises(LaterError):
            CloudFormationObserver(lambda service, _place: shared(service)).look(ID, HERE)
