"""Engine ec2: a spec made whole, RunInstances with just what the plan says, once, and what EC2 may answer."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
import pytest

from tests.contract.stubs import PASSING, REGION, SILENCES, shared, silent, stubbed

import moto  # isort: skip - after the environment that it reads
from gonogo.aws.engines.ec2 import Ec2, Ec2Resolver, Spec, run_instances
from gonogo.core.errors import InvalidError, LaterError, RefusedError
from gonogo.core.plan import Plan, Unit
from gonogo.ports import Seen
from gonogo.service.launch import tags as tags_of
from local import moto_faithful
from local.aws import client
from tests.core.builders import launching
from tests.functions.quick import quick

IMAGE, ANOTHER = "ami-0ec9fb22458dddf3d", "ami-08a311a6aaa3cd94a"  # two that moto knows
TOKEN = "g-" + "a" * 50
TAGS = {"gonogo:launch": "l-1", "gonogo:digest": "d" * 64}
EVERYTHING: Mapping[str, Any] = {
    "image_id": IMAGE,
    "instance_type": "t3.micro",
    "count": 2,
    "subnet_id": "subnet-0123456789abcdef0",
    "security_group_ids": ["sg-0123456789abcdef0", "sg-0123456789abcdef1"],
    "instance_profile_arn": "arn:aws:iam::123456789012:instance-profile/web",
    "key_name": "ops",
    "user_data": "#!/bin/sh\necho go",
    "ebs_optimized": True,
    "metadata_options": {
        "http_tokens": "required",
        "http_endpoint": "enabled",
        "http_put_response_hop_limit": 1,
    },
    "volumes": [{"device": "/dev/xvda", "size_gib": 8}],
    "tags": {"team": "web", "env": "fair"},
}
SMALL: Mapping[str, Any] = {"image_id": IMAGE, "instance_type": "t3.micro"}


def plan(spec: Mapping[str, Any] = SMALL, region: str = REGION) -> Plan:
    """Return a plan as it is when it comes to the launch: resolved."""
    whole, units = Ec2Resolver().resolve(spec, region)
    return Plan(template="web", engine="ec2", region=region, parameters={}, spec=whole, units=units)


def connected() -> Ec2:
    """Return the engine, over a client that all tests share."""
    made = Ec2()
    made._clients[REGION] = shared("ec2")
    return made


# Made whole


def test_a_spec_that_names_an_image_is_whole_as_it_is() -> None:
    """Nothing is asked of AWS for it."""
    spec, units = Ec2Resolver().resolve(SMALL, REGION)
    assert spec == {**SMALL, "count": 1}
    assert units == (Unit("t3.micro", 1),)


def test_resolving_again_changes_nothing() -> None:
    """What was approved is what is launched."""
    spec, units = Ec2Resolver().resolve(EVERYTHING, REGION)
    assert Ec2Resolver().resolve(spec, REGION) == (spec, units)


def test_what_a_template_leaves_open_of_a_volume_is_approved_too() -> None:
    """A default that were put in at the launch would change with the code, and no digest would tell."""
    spec, _ = Ec2Resolver().resolve(EVERYTHING, REGION)
    (volume,) = spec["volumes"]
    assert volume == {
        "device": "/dev/xvda",
        "size_gib": 8,
        "type": "gp3",
        "encrypted": True,
        "delete_on_termination": True,
    }


@pytest.mark.parametrize("region", ["us-east-1", "eu-central-1"])
def test_an_alias_becomes_the_image_that_it_names_today(region: str) -> None:
    """Looked up where the instance will run: the same alias names another image there."""
    resolver = Ec2Resolver()
    name = "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64"
    resolver._clients[region] = shared("ssm")
    with stubbed(resolver._clients[region]) as stub:
        stub.add_response("get_parameter", {"Parameter": {"Value": IMAGE}}, {"Name": name})
        spec, _ = resolver.resolve({**SMALL, "image_id": f"resolve:ssm:{name}"}, region)
    assert spec["image_id"] == IMAGE


def test_the_region_of_the_plan_is_asked() -> None:
    """A client made for another region would look up another image."""
    resolver, engine = Ec2Resolver(), Ec2()
    with pytest.MonkeyPatch.context() as patch:
        made: list[tuple[str, str]] = []
        patch.setattr("gonogo.aws.engines.ec2.client", lambda service, region: made.append((service, region)))
        for call in (
            lambda: resolver.resolve({**SMALL, "image_id": "resolve:ssm:/aws/service/x"}, "eu-north-1"),
            lambda: engine.stop(plan(region="eu-north-1"), ["i-1"]),
            lambda: engine.look("i-1", "eu-west-3"),
        ):
            with pytest.raises(AttributeError):
                call()
    assert made == [("ssm", "eu-north-1"), ("ec2", "eu-north-1"), ("ec2", "eu-west-3")]


@pytest.mark.parametrize("code", ["ParameterNotFound", "AccessDeniedException", "ValidationException"])
def test_an_alias_of_nothing_is_the_requesters_to_hear(code: str) -> None:
    """The template names what is not there."""
    resolver = Ec2Resolver()
    resolver._clients[REGION] = shared("ssm")
    with stubbed(resolver._clients[REGION]) as stub:
        stub.add_client_error("get_parameter", code, http_status_code=400)
        with pytest.raises(InvalidError):
            resolver.resolve({**SMALL, "image_id": "resolve:ssm:/aws/service/none"}, REGION)


@pytest.mark.parametrize(("code", "status"), PASSING)
def test_an_alias_that_cannot_be_looked_up_now_may_be_later(code: str, status: int) -> None:
    """That is no fault of the request."""
    resolver = Ec2Resolver()
    resolver._clients[REGION] = shared("ssm")
    with stubbed(resolver._clients[REGION]) as stub:
        stub.add_client_error("get_parameter", code, http_status_code=status)
        with pytest.raises(LaterError):
            resolver.resolve({**SMALL, "image_id": "resolve:ssm:/aws/service/x"}, REGION)


@pytest.mark.parametrize(
    "wrong",
    [
        {"image_id": "resolve:launch-template:$Latest"},
        {"image_id": "ami-latest"},
        {"image_id": f"{IMAGE}\n"},
        {"instance_type": "t3.micro\n"},
        {"subnet_id": "subnet-0123456789abcdef0\n"},
        {"image_id": None},
        {"instance_type": "t3"},
        {"instance_type": "t3.micro; rm"},
        {"count": 0},
        {"count": 101},
        {"count": True},
        {"count": "1"},
        {"count": 1.5},
        {"launch_template": "lt-1"},
        {"min_count": 1},
        {"network_interfaces": []},
        {"ImageId": IMAGE},
        {"subnet_id": "subnet-x"},
        {"security_group_ids": "sg-0123456789abcdef0"},
        {"instance_profile_arn": "web"},
        {"user_data": "x" * 16385},
        {"ebs_optimized": 1},
        {"metadata_options": {"http_tokens": "maybe"}},
        {"metadata_options": {"http_tokens": "required", "instance_metadata_tags": "enabled"}},
        {"volumes": [{"device": "/dev/xvda"}]},
        {"volumes": [{"device": "/dev/xvda", "size_gib": 8, "snapshot_id": "snap-1"}]},
        {"tags": {"gonogo:launch": "l-2"}},
        {"tags": {"aws:x": "1"}},
        {"tags": {"": "1"}},
        {"tags": {"a": 1}},
    ],
)
def test_what_is_no_spec_is_refused_before_anybody_is_asked(wrong: Mapping[str, Any]) -> None:
    """A field that is not known might have been meant to matter, and could not be shown or priced."""
    with pytest.raises(InvalidError):
        Ec2Resolver().resolve({**SMALL, **wrong}, REGION)


# Just what the plan says


def test_every_argument_of_run_instances_comes_from_the_plan() -> None:
    """The golden call: what is not in the plan was not approved."""
    all_tags = [
        {"Key": "env", "Value": "fair"},
        {"Key": "gonogo:digest", "Value": "d" * 64},
        {"Key": "gonogo:launch", "Value": "l-1"},
        {"Key": "team", "Value": "web"},
    ]
    assert run_instances(plan(EVERYTHING), TOKEN, TAGS) == {
        "ImageId": IMAGE,
        "InstanceType": "t3.micro",
        "MinCount": 2,
        "MaxCount": 2,
        "ClientToken": TOKEN,
        "TagSpecifications": [
            {"ResourceType": "instance", "Tags": all_tags},
            {"ResourceType": "volume", "Tags": all_tags},
        ],
        "SubnetId": "subnet-0123456789abcdef0",
        "SecurityGroupIds": ["sg-0123456789abcdef0", "sg-0123456789abcdef1"],
        "IamInstanceProfile": {"Arn": "arn:aws:iam::123456789012:instance-profile/web"},
        "KeyName": "ops",
        "UserData": "#!/bin/sh\necho go",
        "EbsOptimized": True,
        "MetadataOptions": {
            "HttpTokens": "required",
            "HttpEndpoint": "enabled",
            "HttpPutResponseHopLimit": 1,
        },
        "BlockDeviceMappings": [
            {
                "DeviceName": "/dev/xvda",
                "Ebs": {"VolumeSize": 8, "VolumeType": "gp3", "Encrypted": True, "DeleteOnTermination": True},
            }
        ],
    }


def test_what_the_plan_does_not_say_is_not_asked_for() -> None:
    """No default of ours slips in."""
    assert run_instances(plan(), TOKEN, {}) == {
        "ImageId": IMAGE,
        "InstanceType": "t3.micro",
        "MinCount": 1,
        "MaxCount": 1,
        "ClientToken": TOKEN,
        "TagSpecifications": [
            {"ResourceType": "instance", "Tags": []},
            {"ResourceType": "volume", "Tags": []},
        ],
    }


@pytest.mark.parametrize("field", Spec.__struct_fields__)
def test_every_field_of_a_spec_reaches_ec2(field: str) -> None:
    """A field that were approved and then dropped would launch something else."""
    without = {name: value for name, value in EVERYTHING.items() if name != field}
    if field in SMALL:
        without[field] = {"image_id": ANOTHER, "instance_type": "t3.small"}[field]
    assert run_instances(plan(EVERYTHING), TOKEN, TAGS) != run_instances(plan(without), TOKEN, TAGS)


def test_all_or_none() -> None:
    """Fewer than were approved is not what was approved."""
    for count in (1, 2, 100):
        asked = run_instances(plan({**SMALL, "count": count}), TOKEN, TAGS)
        assert (asked["MinCount"], asked["MaxCount"]) == (count, count)


def test_no_tag_of_a_template_can_pass_for_ours() -> None:
    """By these tags an instance is known as a launch's; the launch's own word is the last."""
    spec = {**plan(EVERYTHING).spec, "tags": {"team": "web"}}
    asked = run_instances(msgspec.structs.replace(plan(), spec=spec), TOKEN, {**TAGS, "team": "ours"})
    tags = {one["Key"]: one["Value"] for one in asked["TagSpecifications"][0]["Tags"]}
    assert tags == {**TAGS, "team": "ours"}


def test_aws_itself_would_take_the_call() -> None:
    """Checked against AWS's model of RunInstances, with the token and tags of a real launch."""
    launch = launching()
    engine = connected()
    token = launch.client_token()
    whole = plan(EVERYTHING)
    made = [{"InstanceId": f"i-{n}", "ImageId": IMAGE, "InstanceType": "t3.micro"} for n in (2, 1)]
    asked = run_instances(whole, token, tags_of(launch))
    with stubbed(engine._ec2(REGION)) as stub:
        stub.add_response("run_instances", {"Instances": made}, asked)
        assert engine.launch(whole, token=token, tags=tags_of(launch)) == ("i-1", "i-2")
    assert len(token) <= 64
    assert token.isascii()
    tags = {one["Key"]: one["Value"] for one in asked["TagSpecifications"][0]["Tags"]}
    assert all(len(key) <= 128 and len(value) <= 256 for key, value in tags.items())


# Once


@pytest.fixture(scope="module")
def cloud() -> Iterator[None]:
    """Give moto, where client tokens are honoured as on AWS."""
    moto_faithful.install()
    client.cache_clear()
    with quick(), moto.mock_aws():
        yield
    client.cache_clear()


@pytest.fixture
def ec2(cloud: None) -> Ec2:
    """Give the engine on moto."""
    del cloud
    return Ec2()


@pytest.fixture
def token() -> str:
    """Give a client token that nobody has used."""
    return f"g-{next(NUMBERS):050}"


NUMBERS = itertools.count()


def made_by(*tokens: str) -> list[str]:
    """Return the ids of all instances that these tokens made."""
    found = client("ec2").describe_instances()["Reservations"]
    everything = [one for reservation in found for one in reservation["Instances"]]
    return sorted(one["InstanceId"] for one in everything if one.get("ClientToken") in tokens)


def test_the_same_token_makes_them_once_and_adopts_them_after(ec2: Ec2, token: str) -> None:
    """A launcher that died, or got no answer, is followed by one that asks the very same."""
    three = plan({**SMALL, "count": 3})
    made = ec2.launch(three, token=token, tags=TAGS)
    assert len(made) == 3
    assert Ec2().launch(three, token=token, tags=TAGS) == made
    assert ec2.find(three, token=token) == made
    assert list(made) == made_by(token)


def test_another_token_makes_others(ec2: Ec2, token: str) -> None:
    """A retry after a definite failure is another attempt."""
    first = ec2.launch(plan(), token=token, tags=TAGS)
    second = ec2.launch(plan(), token=f"{token}b", tags=TAGS)
    assert len({*first, *second}) == 2
    assert sorted([*first, *second]) == made_by(token, f"{token}b")


def test_a_token_that_came_with_other_words_adopts_what_it_made_if_that_is_the_plan(
    ec2: Ec2, token: str
) -> None:
    """Newer code may tag otherwise than the older code that died before it could record."""
    made = ec2.launch(plan(), token=token, tags=TAGS)
    assert ec2.launch(plan(), token=token, tags={**TAGS, "gonogo:new": "1"}) == made
    assert list(made) == made_by(token)


@pytest.mark.parametrize("other", [{**SMALL, "instance_type": "t3.small"}, {**SMALL, "image_id": ANOTHER}])
def test_a_token_that_made_something_else_is_never_taken_for_the_plan(
    ec2: Ec2, token: str, other: Mapping[str, Any]
) -> None:
    """Neither by launching nor by looking; nothing more is made, and the launch ends with the reason."""
    made = ec2.launch(plan(), token=token, tags=TAGS)
    with pytest.raises(RefusedError, match="NotThePlan"):
        ec2.launch(plan(other), token=token, tags=TAGS)
    with pytest.raises(RefusedError, match="NotThePlan"):
        ec2.find(plan(other), token=token)
    assert list(made) == made_by(token)


def test_a_token_whose_instances_are_not_all_to_be_seen_proves_nothing_yet(ec2: Ec2, token: str) -> None:
    """DescribeInstances may show one of two before the other."""
    made = ec2.launch(plan(), token=token, tags=TAGS)
    with pytest.raises(LaterError):
        ec2.launch(plan({**SMALL, "count": 2}), token=token, tags=TAGS)
    assert ec2.find(plan({**SMALL, "count": 2}), token=token) == ()
    assert list(made) == made_by(token)


def test_finding_nothing_proves_nothing() -> None:
    """DescribeInstances lags behind RunInstances: a mismatch whose instances cannot be seen is asked again."""
    engine = connected()
    with stubbed(engine._ec2(REGION)) as stub:
        stub.add_client_error("run_instances", "IdempotentParameterMismatch", http_status_code=400)
        stub.add_response(
            "describe_instances",
            {"Reservations": []},
            {"Filters": [{"Name": "client-token", "Values": [TOKEN]}]},
        )
        with pytest.raises(LaterError):
            engine.launch(plan(), token=TOKEN, tags=TAGS)


def test_an_answer_that_is_not_the_plan_is_not_recorded() -> None:
    """Whatever EC2 made, it is held against the plan first."""
    engine = connected()
    with stubbed(engine._ec2(REGION)) as stub:
        other = {"InstanceId": "i-1", "ImageId": IMAGE, "InstanceType": "p4d.24xlarge"}
        stub.add_response("run_instances", {"Instances": [other]})
        with pytest.raises(RefusedError, match="NotThePlan"):
            engine.launch(plan(), token=TOKEN, tags=TAGS)


REFUSALS = (
    ("InsufficientInstanceCapacity", 500),
    ("InsufficientCapacity", 503),
    ("InsufficientHostCapacity", 500),
    ("InsufficientReservedInstanceCapacity", 500),
    ("InsufficientVolumeCapacity", 500),
    ("InstanceLimitExceeded", 400),
    ("VcpuLimitExceeded", 400),
    ("UnauthorizedOperation", 403),
    ("AuthFailure", 401),
    ("OptInRequired", 401),
    ("InvalidAMIID.NotFound", 400),
    ("InvalidParameterCombination", 400),
    ("Unsupported", 400),
    ("PendingVerification", 400),
)
"""EC2 says no, and nothing was made (EC2 API reference, "Error codes")."""


@pytest.mark.parametrize(("code", "status"), REFUSALS)
def test_a_definite_no_is_a_failure_in_ec2s_own_words(code: str, status: int) -> None:
    """The requester reads it, and may retry; to go on asking would leave the launch between two states."""
    engine = connected()
    with stubbed(engine._ec2(REGION)) as stub:
        stub.add_client_error("run_instances", code, "In its own words.", http_status_code=status)
        with pytest.raises(RefusedError) as caught:
            engine.launch(plan(), token=TOKEN, tags=TAGS)
    assert (caught.value.code, caught.value.message) == (code, "In its own words.")


CALLS = {
    "run_instances": lambda engine: engine.launch(plan(), token=TOKEN, tags=TAGS),
    "describe_instances": lambda engine: engine.find(plan(), token=TOKEN),
    "stop_instances": lambda engine: engine.stop(plan(), ["i-1"]),
    "start_instances": lambda engine: engine.start(plan(), ["i-1"]),
    "terminate_instances": lambda engine: engine.terminate(plan(), ["i-1"]),
}


@pytest.mark.parametrize("operation", CALLS)
@pytest.mark.parametrize(("code", "status"), PASSING)
def test_what_passes_is_asked_again(operation: str, code: str, status: int) -> None:
    """What may have been done is never called a failure."""
    engine = connected()
    with stubbed(engine._ec2(REGION)) as stub:
        stub.add_client_error(operation, code, http_status_code=status)
        with pytest.raises(LaterError):
            CALLS[operation](engine)


@pytest.mark.parametrize("operation", CALLS)
@pytest.mark.parametrize("silence", SILENCES)
def test_no_answer_is_asked_again(operation: str, silence: Exception) -> None:
    """As above: a time-out least of all."""
    engine = connected()
    name = "".join(part.capitalize() for part in operation.split("_"))
    with silent(engine._ec2(REGION), name, silence), pytest.raises(LaterError):
        CALLS[operation](engine)


# Afterwards


def state(instance: str) -> str:
    """Return the state that EC2 has an instance in."""
    (found,) = client("ec2").describe_instances(InstanceIds=[instance])["Reservations"]
    return str(found["Instances"][0]["State"]["Name"])


def test_stopping_starting_and_terminating_may_be_repeated(ec2: Ec2, token: str) -> None:
    """A cue may come twice, and finds it done."""
    (made,) = ec2.launch(plan(), token=token, tags=TAGS)
    for call, expected in ((ec2.stop, "stopped"), (ec2.start, "running"), (ec2.terminate, "terminated")):
        for _ in range(2):
            call(plan(), [made])
            assert state(made) == expected


def test_what_cannot_be_changed_is_refused_in_ec2s_own_words(ec2: Ec2) -> None:
    """An instance that is gone is not stopped."""
    with pytest.raises(RefusedError) as caught:
        ec2.stop(plan(), ["i-0123456789abcdef0"])
    assert caught.value.code == "InvalidInstanceID.NotFound"


def test_an_instance_is_seen_with_what_makes_it_ours(ec2: Ec2, token: str) -> None:
    """Anybody may set a tag; only the launcher's token with it proves anything."""
    (made,) = ec2.launch(plan(), token=token, tags=TAGS)
    assert ec2.look(made, REGION) == Seen(
        id=made, kind="t3.micro", state="running", client_token=token, launch="l-1"
    )
    ec2.terminate(plan(), [made])
    seen = ec2.look(made, REGION)
    assert seen is not None
    assert seen.state == "terminated"


def test_a_strangers_instance_is_seen_as_a_strangers(ec2: Ec2) -> None:
    """EC2 tells of every instance of the account."""
    run = client("ec2").run_instances(ImageId=IMAGE, InstanceType="t3.micro", MinCount=1, MaxCount=1)
    seen = ec2.look(run["Instances"][0]["InstanceId"], REGION)
    assert seen is not None
    assert (seen.launch, seen.client_token) == (None, "") or not seen.client_token.startswith("g-")


@pytest.mark.parametrize("instance", ["i-0123456789abcdef0", "nonsense"])
def test_an_instance_that_is_not_there_is_none(ec2: Ec2, instance: str) -> None:
    """A forged message names what it likes."""
    assert ec2.look(instance, REGION) is None


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("pending", "pending"),
        ("running", "running"),
        ("stopping", None),
        ("stopped", "stopped"),
        ("shutting-down", None),
        ("terminated", "terminated"),
    ],
)
def test_a_state_on_the_way_is_none(said: str, expected: Any) -> None:
    """What lasts is recorded, and billed; what passes is not."""
    engine = connected()
    one = {"InstanceId": "i-1", "InstanceType": "t3.micro", "State": {"Name": said}}
    with stubbed(engine._ec2(REGION)) as stub:
        stub.add_response(
            "describe_instances", {"Reservations": [{"Instances": [one]}]}, {"InstanceIds": ["i-1"]}
        )
        seen = engine.look("i-1", REGION)
    ending = said == "shutting-down"
    assert seen == Seen(
        id="i-1",
        kind="t3.micro",
        state=expected,
        client_token="",
        launch=None,
        ending=ending,  # type: ignore[arg-type]
    )


@pytest.mark.parametrize(("code", "status"), [*PASSING, ("UnauthorizedOperation", 403)])
def test_an_instance_that_cannot_be_looked_at_now_is_looked_at_later(code: str, status: int) -> None:
    """Not to see it is not to know that it is gone."""
    engine = connected()
    with stubbed(engine._ec2(REGION)) as stub:
        stub.add_client_error("describe_instances", code, http_status_code=status)
        with pytest.raises(LaterError):
            engine.look("i-1", REGION)
