"""Engine ec2: a spec made whole, RunInstances with just what the plan says, once, and what EC2 may answer.

The second engine ignores client tokens, and the filter by them: what is once only is asked of moto, which is mended
here, and of test_one_winner.py's line to the second engine, which honours them. What is done to instances afterwards,
and how they are seen, is asked of both.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from tests.contract.stubs import PASSING, REGION, SILENCES, shared, silent, stubbed

import moto  # isort: skip - after the environment that it reads
from gonogo.aws import clients
from gonogo.aws.engines.ec2 import Ec2, Ec2Observer, Ec2Resolver, Spec, parts, run_instances
from gonogo.core import canonical
from gonogo.core.errors import (
    FullError,
    GoneError,
    InvalidError,
    LaterError,
    PartialError,
    RefusedError,
)
from gonogo.core.plan import Account, Place, Plan, Unit
from gonogo.ports import Seen
from gonogo.service.launch import tags as tags_of
from local import moto_faithful
from local.aws import client
from tests.core.builders import launching
from tests.functions.quick import image, quick

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


HOME = Place(REGION)
SUBNETS = ("subnet-0123456789abcdef0", "subnet-0123456789abcdef1", "subnet-0123456789abcdef2")
SPREAD: Mapping[str, Any] = {**SMALL, "count": 3, "subnet_ids": list(SUBNETS[:2])}


def plan(spec: Mapping[str, Any] = SMALL, region: str = REGION) -> Plan:
    """Return a plan as it is when it comes to the launch: resolved."""
    whole, units = resolved(spec, Place(region))
    return Plan(template="web", engine="ec2", region=region, parameters={}, spec=whole, units=units)


def resolved(spec: Mapping[str, Any], place: Place = HOME) -> tuple[dict[str, Any], tuple[Unit, ...]]:
    """Return what becomes of a spec."""
    return Ec2Resolver(over_shared).resolve(spec, place, {})


def over_shared(service: str, place: Place) -> Any:
    """Return a client that all tests share."""
    del place
    return shared(service)


def connected() -> Ec2:
    """Return the engine, over a client that all tests share."""
    return Ec2(over_shared)


def asked(plan: Plan, tags: Mapping[str, str] = TAGS, token: str = TOKEN) -> list[dict[str, Any]]:
    """Return the calls of RunInstances that a plan makes."""
    spec = msgspec.convert(plan.spec, Spec)
    return [run_instances(spec, part, tags) for part in parts(spec, token)]


def launch(engine: Ec2, this: Plan, token: str = TOKEN, tags: Mapping[str, str] = TAGS) -> tuple[str, ...]:
    """Launch a plan; the engine asks for no file of the bundle."""
    return engine.launch(this, token=token, tags=tags, files=dict)


def shown(
    *ids: str, spec: Mapping[str, Any] = SMALL, token: str = TOKEN, **more: Any
) -> list[dict[str, Any]]:
    """Return instances as EC2 shows them."""
    return [
        {
            "InstanceId": one,
            "ImageId": spec["image_id"],
            "InstanceType": spec["instance_type"],
            "ClientToken": token,
            **more,
        }
        for one in ids
    ]


def described(*instances: Mapping[str, Any]) -> dict[str, Any]:
    """Return what DescribeInstances answers."""
    return {"Reservations": [{"Instances": list(instances)}] if instances else []}


# Made whole


def test_a_spec_that_names_an_image_is_whole_as_it_is() -> None:
    """Nothing is asked of AWS for it."""
    spec, units = resolved(SMALL)
    assert spec == {**SMALL, "count": 1}
    assert units == (Unit("t3.micro", 1),)


def test_resolving_again_changes_nothing() -> None:
    """What was approved is what is launched."""
    spec, units = resolved(EVERYTHING)
    assert resolved(spec) == (spec, units)


def test_what_a_template_leaves_open_of_a_volume_is_approved_too() -> None:
    """A default that were put in at the launch would change with the code, and no digest would tell."""
    spec, _ = resolved(EVERYTHING)
    (volume,) = spec["volumes"]
    assert volume == {
        "device": "/dev/xvda",
        "size_gib": 8,
        "type": "gp3",
        "encrypted": True,
        "delete_on_termination": True,
    }


ELSEWHERE = Place(
    "eu-central-1",
    Account(
        role="arn:aws:iam::210987654321:role/launcher",
        observer="arn:aws:iam::210987654321:role/observer",
        external_id="gonogo-1",
    ),
)


def asked_where(call: Any) -> list[tuple[str, Place]]:
    """Return of which service and place a client was wanted."""
    wanted: list[tuple[str, Place]] = []

    def nobody(service: str, place: Place) -> Any:
        wanted.append((service, place))
        raise LaterError("nobody is there")

    with pytest.raises(LaterError):
        call(nobody)
    return wanted


def test_an_alias_becomes_the_image_that_it_names_today() -> None:
    """Images are added by the week; the one that was approved is launched."""
    name = "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64"
    with stubbed(shared("ssm")) as stub:
        stub.add_response("get_parameter", {"Parameter": {"Value": IMAGE}}, {"Name": name})
        spec, _ = resolved({**SMALL, "image_id": f"resolve:ssm:{name}"})
    assert spec["image_id"] == IMAGE


@pytest.mark.parametrize("place", [HOME, Place("eu-north-1"), ELSEWHERE])
def test_the_region_of_the_plan_is_asked_for_an_alias(place: Place) -> None:
    """The same alias names another image there; and whoever owns another account does not say what it names."""
    alias = {**SMALL, "image_id": "resolve:ssm:/aws/service/x"}
    assert asked_where(lambda clients: Ec2Resolver(clients).resolve(alias, place, {})) == [
        ("ssm", Place(place.region))
    ]


@pytest.mark.parametrize("place", [HOME, ELSEWHERE])
def test_the_place_of_the_plan_is_asked_for_all_else(place: Place) -> None:
    """A launch template of another account, or an instance, is to be found there only."""
    this = msgspec.structs.replace(plan(), region=place.region, account=place.account)
    for call in (
        lambda clients: Ec2Resolver(clients).resolve({"launch_template": LATEST}, place, {}),
        lambda clients: launch(Ec2(clients), this),
        lambda clients: Ec2(clients).find(this, token=TOKEN),
        lambda clients: Ec2(clients).stop(this, ["i-1"]),
        lambda clients: Ec2(clients).start(this, ["i-1"]),
        lambda clients: Ec2(clients).terminate(this, ["i-1"]),
        lambda clients: Ec2Observer(clients).look("i-1", place),
        lambda clients: list(Ec2Observer(clients).survey(place, ours=True)),
    ):
        assert asked_where(call) == [("ec2", place)]


@pytest.mark.parametrize("code", ["ParameterNotFound", "AccessDeniedException", "ValidationException"])
def test_an_alias_of_nothing_is_the_requesters_to_hear(code: str) -> None:
    """The template names what is not there."""
    with stubbed(shared("ssm")) as stub:
        stub.add_client_error("get_parameter", code, http_status_code=400)
        with pytest.raises(InvalidError):
            resolved({**SMALL, "image_id": "resolve:ssm:/aws/service/none"})


@pytest.mark.parametrize("value", ["", "hello", "resolve:ssm:/aws/service/x", f"{IMAGE}\n"])
def test_an_alias_of_what_is_no_image_is_refused(value: str) -> None:
    """Whoever may write a parameter must not put into a plan what nobody can read."""
    with stubbed(shared("ssm")) as stub:
        stub.add_response("get_parameter", {"Parameter": {"Value": value}})
        with pytest.raises(InvalidError, match="names no image"):
            resolved({**SMALL, "image_id": "resolve:ssm:/aws/service/x"})


@pytest.mark.parametrize(("code", "status"), PASSING)
def test_an_alias_that_cannot_be_looked_up_now_may_be_later(code: str, status: int) -> None:
    """That is no fault of the request."""
    with stubbed(shared("ssm")) as stub:
        stub.add_client_error("get_parameter", code, http_status_code=status)
        with pytest.raises(LaterError):
            resolved({**SMALL, "image_id": "resolve:ssm:/aws/service/x"})


LATEST: Mapping[str, Any] = {"id": "lt-0123456789abcdef0", "version": "$Latest"}
SAID: Mapping[str, Any] = {
    "ImageId": IMAGE,
    "InstanceType": "t3.small",
    "UserData": "c2VjcmV0",
    "InstanceMarketOptions": {"SpotOptions": {"ValidUntil": datetime(2027, 1, 1, tzinfo=UTC)}},
}


def of_template(
    said: Mapping[str, Any] = SAID, named: Mapping[str, Any] = LATEST, number: int = 7, **spec: Any
) -> tuple[dict[str, Any], tuple[Unit, ...]]:
    """Return what becomes of a spec that names a launch template whose version says this."""
    with stubbed(shared("ec2")) as stub:
        stub.add_response(
            "describe_launch_template_versions",
            {"LaunchTemplateVersions": [{"VersionNumber": number, "LaunchTemplateData": said}]},
            {"LaunchTemplateId": named["id"], "Versions": [named["version"]]},
        )
        return resolved({"launch_template": named, **spec})


@pytest.mark.parametrize("version", ["$Latest", "$Default", "7"])
def test_a_launch_template_is_pinned_to_the_number_of_its_version(version: str) -> None:
    """What is latest today is not what is latest when it is launched."""
    named = {**LATEST, "version": version}
    spec, units = of_template(named=named)
    assert spec == {
        "launch_template": {**named, "version": "7", "digest": canonical.digest(SAID)},
        "image_id": IMAGE,
        "instance_type": "t3.small",
        "count": 1,
    }
    assert units == (Unit("t3.small", 1),)


def test_what_may_be_secret_in_a_launch_template_is_not_in_the_plan() -> None:
    """A plan is shown to approvers and told on the bus; its digest fixes what is not shown."""
    spec, _ = of_template()
    other, _ = of_template({**SAID, "UserData": "YW5vdGhlcg=="})
    assert "c2VjcmV0" not in str(spec)
    assert spec["launch_template"]["digest"] != other["launch_template"]["digest"]


def test_what_stands_beside_a_launch_template_counts() -> None:
    """A template may give one launch template in two sizes."""
    spec, units = of_template(image_id=ANOTHER, instance_type="t3.micro", count=2)
    assert (spec["image_id"], spec["instance_type"]) == (ANOTHER, "t3.micro")
    assert units == (Unit("t3.micro", 2),)


def test_resolving_a_pinned_launch_template_again_changes_nothing() -> None:
    """As for all else."""
    spec, units = of_template()
    assert of_template(named=spec["launch_template"], **{k: spec[k] for k in SMALL}) == (spec, units)


def test_an_alias_in_a_launch_template_is_resolved_where_the_launch_template_is() -> None:
    """EC2 would take the newest at the launch, from the parameters of that account."""
    wanted: list[tuple[str, Place]] = []

    def clients(service: str, place: Place) -> Any:
        wanted.append((service, place))
        return shared(service)

    said = {**SAID, "ImageId": "resolve:ssm:/golden:3"}
    with stubbed(shared("ec2")) as ec2, stubbed(shared("ssm")) as ssm:
        version = {"VersionNumber": 7, "LaunchTemplateData": said}
        ec2.add_response("describe_launch_template_versions", {"LaunchTemplateVersions": [version]})
        ssm.add_response("get_parameter", {"Parameter": {"Value": ANOTHER}}, {"Name": "/golden:3"})
        spec, _ = Ec2Resolver(clients).resolve({"launch_template": LATEST}, ELSEWHERE, {})
    assert wanted == [("ec2", ELSEWHERE), ("ssm", ELSEWHERE)]
    assert spec["image_id"] == ANOTHER
    assert spec["launch_template"]["digest"] == canonical.digest(said)


@pytest.mark.parametrize(
    ("said", "spec", "why"),
    [
        ({"InstanceType": "t3.small"}, {}, "has no image"),
        ({"ImageId": IMAGE}, {}, "has no instance type"),
        ({**SAID, "NetworkInterfaces": [{"DeviceIndex": 0}]}, {"subnet_id": SUBNETS[0]}, "interfaces"),
        ({**SAID, "NetworkInterfaces": [{"DeviceIndex": 0}]}, {"subnet_ids": [SUBNETS[0]]}, "interfaces"),
        (SAID, {"launch_template": {**LATEST, "digest": "0" * 64}}, "not the one of digest"),
    ],
)
def test_a_launch_template_that_could_not_be_launched_is_refused_before_anybody_is_asked(
    said: Mapping[str, Any], spec: Mapping[str, Any], why: str
) -> None:
    """And the requester reads what is missing, or what contradicts what."""
    with pytest.raises(InvalidError, match=why):
        of_template(said, **{"named": spec.get("launch_template", LATEST), **spec} if spec else {})


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("InvalidLaunchTemplateId.NotFound", InvalidError),
        ("InvalidLaunchTemplateId.VersionNotFound", InvalidError),
        ("UnauthorizedOperation", InvalidError),
        ("RequestLimitExceeded", LaterError),
    ],
)
def test_a_launch_template_that_cannot_be_read_is_refused_or_asked_for_later(
    code: str, expected: type[Exception]
) -> None:
    """As for an alias."""
    with stubbed(shared("ec2")) as stub:
        stub.add_client_error("describe_launch_template_versions", code, http_status_code=400)
        with pytest.raises(expected):
            resolved({"launch_template": LATEST})


def test_a_launch_template_without_that_version_is_refused() -> None:
    """EC2 answers with an empty list to some."""
    with stubbed(shared("ec2")) as stub:
        stub.add_response("describe_launch_template_versions", {"LaunchTemplateVersions": []})
        with pytest.raises(InvalidError, match="has no version"):
            resolved({"launch_template": LATEST})


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
        {"launch_template": {"id": "lt-1", "version": "1"}},
        {"launch_template": {"id": LATEST["id"]}},
        {"launch_template": {"id": LATEST["id"], "version": "latest"}},
        {"launch_template": {"id": LATEST["id"], "version": "0"}},
        {"launch_template": {**LATEST, "name": "web"}},
        {"subnet_ids": [SUBNETS[0], SUBNETS[0]]},
        {"subnet_ids": [SUBNETS[0]], "subnet_id": SUBNETS[1]},
        {"subnet_ids": ["subnet-x"]},
        {"subnet_ids": [f"subnet-{one:017x}" for one in range(17)]},
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
        resolved({**SMALL, **wrong})


@pytest.mark.parametrize("field", SMALL)
def test_without_a_launch_template_the_spec_names_image_and_type(field: str) -> None:
    """The requester is told which of them is missing."""
    with pytest.raises(InvalidError, match=f"`{field}` is missing"):
        resolved({name: value for name, value in SMALL.items() if name != field})


# Just what the plan says


def test_every_argument_of_run_instances_comes_from_the_plan() -> None:
    """The golden call: what is not in the plan was not approved."""
    all_tags = [
        {"Key": "env", "Value": "fair"},
        {"Key": "gonogo:digest", "Value": "d" * 64},
        {"Key": "gonogo:launch", "Value": "l-1"},
        {"Key": "team", "Value": "web"},
    ]
    (call,) = asked(plan(EVERYTHING))
    assert call == {
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
    (call,) = asked(plan(), tags={})
    assert call == {
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
    spec = plan(EVERYTHING).spec
    other = {name: value for name, value in spec.items() if name != field}
    instead: dict[str, dict[str, Any]] = {
        "image_id": {field: ANOTHER},
        "instance_type": {field: "t3.small"},
        "launch_template": {field: {**LATEST, "version": "7"}},
        "subnet_ids": {field: list(SUBNETS[1:]), "subnet_id": None},
    }
    other |= instead.get(field, {})
    before, after = (msgspec.structs.replace(plan(), spec=one) for one in (spec, other))
    assert asked(before) != asked(after)


def test_all_or_none() -> None:
    """Fewer than were approved is not what was approved."""
    for count in (1, 2, 100):
        (call,) = asked(plan({**SMALL, "count": count}))
        assert (call["MinCount"], call["MaxCount"]) == (count, count)


def test_a_launch_template_is_launched_by_the_number_that_was_approved() -> None:
    """With image and type beside it, as they were shown."""
    spec, units = of_template()
    (call,) = asked(msgspec.structs.replace(plan(), spec=spec, units=units))
    assert call["LaunchTemplate"] == {"LaunchTemplateId": LATEST["id"], "Version": "7"}
    assert (call["ImageId"], call["InstanceType"]) == (IMAGE, "t3.small")


@pytest.mark.parametrize(
    "left_open",
    [
        {"image_id": "resolve:ssm:/aws/service/x", "instance_type": "t3.micro"},
        {**SMALL, "launch_template": LATEST},
        {"image_id": IMAGE, "launch_template": {**LATEST, "version": "7"}},
        {"instance_type": "t3.micro", "launch_template": {**LATEST, "version": "7"}},
    ],
)
def test_a_plan_that_leaves_anything_open_is_not_launched(left_open: Mapping[str, Any]) -> None:
    """EC2 would take what is newest then; nothing is asked of it."""
    this = msgspec.structs.replace(plan(), spec={**left_open, "count": 1})
    with stubbed(shared("ec2")), pytest.raises(RefusedError, match="NotResolved"):
        launch(connected(), this)


@pytest.mark.parametrize(
    ("count", "subnets", "expected"),
    [
        (1, 0, [(1, None)]),
        (5, 0, [(5, None)]),
        (4, 2, [(2, SUBNETS[0]), (2, SUBNETS[1])]),
        (5, 3, [(2, SUBNETS[0]), (2, SUBNETS[1]), (1, SUBNETS[2])]),
        (2, 3, [(1, SUBNETS[0]), (1, SUBNETS[1])]),
        (3, 1, [(3, SUBNETS[0])]),
    ],
)
def test_instances_are_spread_evenly_over_the_subnets(
    count: int, subnets: int, expected: Sequence[tuple[int, str | None]]
) -> None:
    """In their order, so that whoever reads the plan knows which gets one more; all, and no more."""
    spec = Spec(image_id=IMAGE, instance_type="t3.micro", count=count, subnet_ids=SUBNETS[:subnets])
    made = parts(spec, TOKEN)
    assert [(part.count, part.subnet_id) for part in made] == expected
    assert [part.token for part in made] == [TOKEN, f"{TOKEN}-2", f"{TOKEN}-3"][: len(made)]


def test_each_part_has_a_token_that_its_launch_knows_and_ec2_takes() -> None:
    """By it an instance is known as the launch's before the launcher has recorded it."""
    this = launching()
    subnets = tuple(f"subnet-{one:017x}" for one in range(16))
    spec = Spec(image_id=IMAGE, instance_type="t3.micro", count=100, subnet_ids=subnets)
    made = parts(spec, this.client_token())
    assert len({part.token for part in made}) == len(made) == 16
    assert sum(part.count for part in made) == 100
    assert all(this.made_with(part.token) and len(part.token) <= 64 for part in made)


def test_no_tag_of_a_template_can_pass_for_ours() -> None:
    """By these tags an instance is known as a launch's; the launch's own word is the last."""
    spec = {**plan(EVERYTHING).spec, "tags": {"team": "web"}}
    (call,) = asked(msgspec.structs.replace(plan(), spec=spec), {**TAGS, "team": "ours"})
    tags = {one["Key"]: one["Value"] for one in call["TagSpecifications"][0]["Tags"]}
    assert tags == {**TAGS, "team": "ours"}


def test_aws_itself_would_take_the_call() -> None:
    """Checked against AWS's model of RunInstances, with the token and tags of a real launch."""
    this, engine = launching(), connected()
    token = this.client_token()
    spec, units = of_template(**{name: value for name, value in EVERYTHING.items() if name != "volumes"})
    whole = msgspec.structs.replace(plan(), spec=spec, units=units)
    made = shown("i-2", "i-1", spec=spec, SubnetId=EVERYTHING["subnet_id"])
    (call,) = asked(whole, tags_of(this), token)
    with stubbed(shared("ec2")) as stub:
        stub.add_response("run_instances", {"Instances": made}, call)
        assert launch(engine, whole, token, tags_of(this)) == ("i-1", "i-2")
    assert len(token) <= 64
    assert token.isascii()
    tags = {one["Key"]: one["Value"] for one in call["TagSpecifications"][0]["Tags"]}
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
def any_ec2(aws: str) -> Ec2:
    """Give the engine on moto, and on the second engine."""
    del aws
    return Ec2(over_moto)


@pytest.fixture
def any_eyes(aws: str) -> Ec2Observer:
    """Give the observer on moto, and on the second engine."""
    del aws
    return Ec2Observer(over_moto)


def over_moto(service: str, place: Place) -> Any:
    """Return a client of gonogo's own account."""
    return clients.client(service, place.region)


@pytest.fixture
def ec2(cloud: None) -> Ec2:
    """Give the engine on moto."""
    del cloud
    return Ec2(over_moto)


@pytest.fixture
def eyes(cloud: None) -> Ec2Observer:
    """Give the observer on moto."""
    del cloud
    return Ec2Observer(over_moto)


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
    made = launch(ec2, three, token)
    assert len(made) == 3
    assert launch(Ec2(over_moto), three, token) == made
    assert ec2.find(three, token=token) == made
    assert list(made) == made_by(token)


def test_another_token_makes_others(ec2: Ec2, token: str) -> None:
    """A retry after a definite failure is another attempt."""
    first = launch(ec2, plan(), token)
    second = launch(ec2, plan(), f"{token}b", TAGS)
    assert len({*first, *second}) == 2
    assert sorted([*first, *second]) == made_by(token, f"{token}b")


def test_a_token_that_came_with_other_words_adopts_what_it_made_if_that_is_the_plan(
    ec2: Ec2, token: str
) -> None:
    """Newer code may tag otherwise than the older code that died before it could record."""
    made = launch(ec2, plan(), token)
    assert launch(ec2, plan(), token, {**TAGS, "gonogo:new": "1"}) == made
    assert list(made) == made_by(token)


@pytest.mark.parametrize("other", [{**SMALL, "instance_type": "t3.small"}, {**SMALL, "image_id": ANOTHER}])
def test_a_token_that_made_something_else_is_never_taken_for_the_plan(
    ec2: Ec2, token: str, other: Mapping[str, Any]
) -> None:
    """Neither by launching nor by looking; nothing more is made, and the launch ends with the reason."""
    made = launch(ec2, plan(), token)
    with pytest.raises(RefusedError, match="NotThePlan"):
        launch(ec2, plan(other), token)
    with pytest.raises(RefusedError, match="NotThePlan"):
        ec2.find(plan(other), token=token)
    assert list(made) == made_by(token)


def test_a_token_whose_instances_are_not_all_to_be_seen_proves_nothing_yet(ec2: Ec2, token: str) -> None:
    """DescribeInstances may show one of two before the other."""
    made = launch(ec2, plan(), token)
    with pytest.raises(LaterError):
        launch(ec2, plan({**SMALL, "count": 2}), token)
    assert ec2.find(plan({**SMALL, "count": 2}), token=token) == ()
    assert list(made) == made_by(token)


def subnets() -> list[str]:
    """Return the subnets that every account of moto's has from the beginning."""
    return [str(one["SubnetId"]) for one in client("ec2").describe_subnets()["Subnets"]]


def test_parts_are_made_once_each_and_adopted_after(ec2: Ec2, token: str) -> None:
    """However far the first launcher came: each part has its own token, in its own subnet."""
    spread = plan({**SMALL, "count": 5, "subnet_ids": subnets()[:3]})
    (first, *_) = asked(spread, token=token)
    before = client("ec2").run_instances(**first)["Instances"]
    made = launch(ec2, spread, token)
    assert launch(ec2, spread, token) == made == ec2.find(spread, token=token)
    assert list(made) == made_by(token, f"{token}-2", f"{token}-3")
    assert {one["InstanceId"] for one in before} < set(made)
    found = client("ec2").describe_instances(InstanceIds=list(made))["Reservations"]
    where = [one["SubnetId"] for each in found for one in each["Instances"]]
    assert sorted(where.count(one) for one in subnets()[:3]) == [1, 2, 2]


def test_parts_of_which_one_is_not_to_be_seen_are_not_found(ec2: Ec2, token: str) -> None:
    """As above."""
    spread = plan({**SMALL, "count": 2, "subnet_ids": subnets()[:2]})
    client("ec2").run_instances(**asked(spread, token=token)[1])
    assert ec2.find(spread, token=token) == ()
    assert len(launch(ec2, spread, token)) == 2


def test_a_launch_template_is_launched_as_it_was_when_it_was_asked_for(ec2: Ec2, token: str) -> None:
    """Somebody made a newer version while it waited for approval."""
    make: Any = client("ec2")
    said = {"ImageId": IMAGE, "InstanceType": "t3.small", "KeyName": "ops"}
    made = make.create_launch_template(LaunchTemplateName=token, LaunchTemplateData=said)["LaunchTemplate"]
    named = {"id": made["LaunchTemplateId"], "version": "$Latest"}
    spec, units = ec2.resolve({"launch_template": named}, HOME, {})
    later = {**said, "InstanceType": "t3.micro", "KeyName": "other"}
    make.create_launch_template_version(LaunchTemplateId=named["id"], LaunchTemplateData=later)
    this = msgspec.structs.replace(plan(), spec=spec, units=units)
    (one,) = launch(ec2, this, token)
    (found,) = make.describe_instances(InstanceIds=[one])["Reservations"]
    assert (spec["launch_template"]["version"], units) == ("1", (Unit("t3.small", 1),))
    assert (found["Instances"][0]["InstanceType"], found["Instances"][0]["KeyName"]) == ("t3.small", "ops")
    assert ec2.resolve({"launch_template": named}, HOME, {})[0]["launch_template"]["version"] == "2"
    with pytest.raises(InvalidError, match="cannot be read"):
        ec2.resolve({"launch_template": {**named, "id": "lt-0123456789abcdef0"}}, HOME, {})


def test_finding_nothing_proves_nothing() -> None:
    """DescribeInstances lags behind RunInstances: a mismatch whose instances cannot be seen is asked again."""
    engine = connected()
    with stubbed(shared("ec2")) as stub:
        stub.add_client_error("run_instances", "IdempotentParameterMismatch", http_status_code=400)
        stub.add_response(
            "describe_instances",
            {"Reservations": []},
            {"Filters": [{"Name": "client-token", "Values": [TOKEN]}]},
        )
        with pytest.raises(LaterError):
            launch(engine, plan())


@pytest.mark.parametrize(
    "made",
    [
        shown("i-1", spec={**SMALL, "instance_type": "p4d.24xlarge"}),
        shown("i-1", spec={**SMALL, "image_id": ANOTHER}),
        shown("i-1", "i-2"),
    ],
)
def test_an_answer_that_is_not_the_plan_is_not_recorded(made: list[dict[str, Any]]) -> None:
    """Whatever EC2 made, it is held against the plan first; one too many was not approved either."""
    engine = connected()
    with stubbed(shared("ec2")) as stub:
        stub.add_response("run_instances", {"Instances": made})
        with pytest.raises(RefusedError, match="NotThePlan"):
            launch(engine, plan())


FULL = (
    ("InsufficientInstanceCapacity", 500),
    ("InsufficientCapacity", 503),
    ("InsufficientCapacityOnHost", 500),
    ("InsufficientHostCapacity", 500),
    ("InsufficientReservedInstanceCapacity", 500),
    ("InsufficientVolumeCapacity", 500),
    ("InsufficientFreeAddressesInSubnet", 400),
    ("ReservationCapacityExceeded", 400),
)
REFUSALS = (
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


@pytest.mark.parametrize(("code", "status"), FULL + REFUSALS)
def test_a_definite_no_is_a_failure_in_ec2s_own_words(code: str, status: int) -> None:
    """The requester reads it, and may retry; where there is no room for just this, another choice may do."""
    with stubbed(shared("ec2")) as stub:
        stub.add_client_error("run_instances", code, "In its own words.", http_status_code=status)
        stub.add_response("describe_instances", described(), under(TOKEN))
        with pytest.raises(RefusedError) as caught:
            launch(connected(), plan())
    assert (caught.value.code, caught.value.message) == (code, "In its own words.")
    assert isinstance(caught.value, FullError) is ((code, status) in FULL)


def under(*tokens: str) -> dict[str, Any]:
    """Return how it is asked what these tokens made."""
    return {"Filters": [{"Name": "client-token", "Values": list(tokens)}]}


def test_a_refusal_that_may_not_be_looked_behind_stands() -> None:
    """Who has lost all rights would otherwise be asked for ever."""
    with stubbed(shared("ec2")) as stub:
        for operation in ("run_instances", "describe_instances"):
            stub.add_client_error(operation, "UnauthorizedOperation", http_status_code=403)
        with pytest.raises(RefusedError, match="UnauthorizedOperation"):
            launch(connected(), plan())


def test_a_refusal_that_cannot_be_looked_behind_now_is_none_yet() -> None:
    """It would say that nothing was made, which nobody knows."""
    with stubbed(shared("ec2")) as stub:
        stub.add_client_error("run_instances", "UnauthorizedOperation", http_status_code=403)
        stub.add_client_error("describe_instances", "RequestLimitExceeded", http_status_code=503)
        with pytest.raises(LaterError):
            launch(connected(), plan())


TWO = {**SMALL, "count": 2}


def test_what_was_made_before_the_right_was_lost_is_adopted() -> None:
    """The answer was lost, then the right to ask again: it was made as approved, while we had it."""
    with stubbed(shared("ec2")) as stub:
        stub.add_client_error("run_instances", "UnauthorizedOperation", http_status_code=403)
        stub.add_response("describe_instances", described(*shown("i-2", "i-1")), under(TOKEN))
        assert launch(connected(), plan(TWO)) == ("i-1", "i-2")


def test_of_what_was_made_before_the_right_was_lost_a_part_is_taken_back() -> None:
    """It is not the plan's whole, and must not run on unknown."""
    second = shown("i-3", spec=SMALL, token=f"{TOKEN}-2", SubnetId=SUBNETS[1])
    with stubbed(shared("ec2")) as stub:
        stub.add_client_error("run_instances", "UnauthorizedOperation", "No.", http_status_code=403)
        stub.add_response("describe_instances", described(*second), under(TOKEN, f"{TOKEN}-2"))
        with pytest.raises(PartialError) as caught:
            launch(connected(), plan(SPREAD))
    assert (caught.value.code, caught.value.made, caught.value.full) == (
        "UnauthorizedOperation",
        ("i-3",),
        False,
    )


def test_what_stands_under_the_token_and_is_not_the_plan_is_not_taken_back() -> None:
    """Anybody may choose a token: what nobody approved is not the launch's to terminate."""
    other = shown("i-1", spec={**SMALL, "image_id": ANOTHER})
    with stubbed(shared("ec2")) as stub:
        stub.add_client_error("run_instances", "UnauthorizedOperation", "No.", http_status_code=403)
        stub.add_response("describe_instances", described(*other), under(TOKEN))
        with pytest.raises(RefusedError, match="UnauthorizedOperation") as caught:
            launch(connected(), plan())
    assert type(caught.value) is RefusedError


@pytest.mark.parametrize(("code", "status"), [*FULL[:1], *REFUSALS[:1]])
@pytest.mark.parametrize("seen", [(), ("i-1", "i-2")])
def test_when_a_part_is_refused_it_is_said_what_the_others_made(
    code: str, status: int, seen: Sequence[str]
) -> None:
    """All or none: whoever launches takes it back. EC2 need not show what it just made."""
    first = shown("i-1", "i-2", SubnetId=SUBNETS[0])
    with stubbed(shared("ec2")) as stub:
        stub.add_response("run_instances", {"Instances": first})
        stub.add_client_error("run_instances", code, "In its own words.", http_status_code=status)
        shows = described(*(one for one in first if one["InstanceId"] in seen))
        stub.add_response("describe_instances", shows, under(TOKEN, f"{TOKEN}-2"))
        with pytest.raises(PartialError) as caught:
            launch(connected(), plan(SPREAD))
    error = caught.value
    assert (error.code, error.message, error.made) == (code, "In its own words.", ("i-1", "i-2"))
    assert error.full is ((code, status) in FULL)


@pytest.mark.parametrize(("code", "status"), PASSING)
def test_when_a_part_passes_all_is_asked_again(code: str, status: int) -> None:
    """The parts that were made are adopted then."""
    with stubbed(shared("ec2")) as stub:
        stub.add_response("run_instances", {"Instances": shown("i-1", "i-2", SubnetId=SUBNETS[0])})
        stub.add_client_error("run_instances", code, http_status_code=status)
        with pytest.raises(LaterError):
            launch(connected(), plan(SPREAD))


def test_a_part_in_another_subnet_than_approved_is_not_the_plan() -> None:
    """It would stand in another network; what the parts before it made is taken back."""
    with stubbed(shared("ec2")) as stub:
        stub.add_response("run_instances", {"Instances": shown("i-1", "i-2", SubnetId=SUBNETS[0])})
        stub.add_response("run_instances", {"Instances": shown("i-3", SubnetId=SUBNETS[2])})
        with pytest.raises(PartialError, match="NotThePlan") as caught:
            launch(connected(), plan(SPREAD))
    assert caught.value.made == ("i-1", "i-2")


@pytest.mark.parametrize("code", ["IdempotentInstanceTerminated", None])
def test_what_was_made_and_has_ended_is_the_launchs_all_the_same(code: str | None) -> None:
    """It ran, and is billed. Its end is noted by whoever observes it; EC2 shows no subnet of it any more."""
    ended = shown("i-1", "i-2", State={"Name": "terminated"})
    one = {**SPREAD, "count": 2, "subnet_ids": [SUBNETS[0]]}
    with stubbed(shared("ec2")) as stub:
        if code is None:
            stub.add_response("run_instances", {"Instances": ended})
        else:
            stub.add_client_error("run_instances", code, http_status_code=400)
            stub.add_response("describe_instances", described(*ended), under(TOKEN))
        assert launch(connected(), plan(one)) == ("i-1", "i-2")


def test_what_has_ended_and_is_forgotten_makes_it_a_failure() -> None:
    """EC2 says that it is over, and shows nothing: it would say so for ever."""
    with stubbed(shared("ec2")) as stub:
        stub.add_client_error("run_instances", "IdempotentInstanceTerminated", http_status_code=400)
        for _ in range(2):
            stub.add_response("describe_instances", described(), under(TOKEN))
        with pytest.raises(RefusedError, match="IdempotentInstanceTerminated"):
            launch(connected(), plan())


CALLS = {
    "run_instances": lambda engine: launch(engine, plan()),
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
    with stubbed(shared("ec2")) as stub:
        stub.add_client_error(operation, code, http_status_code=status)
        with pytest.raises(LaterError):
            CALLS[operation](engine)


@pytest.mark.parametrize("operation", CALLS)
@pytest.mark.parametrize("silence", SILENCES)
def test_no_answer_is_asked_again(operation: str, silence: Exception) -> None:
    """As above: a time-out least of all."""
    engine = connected()
    name = "".join(part.capitalize() for part in operation.split("_"))
    with silent(shared("ec2"), name, silence), pytest.raises(LaterError):
        CALLS[operation](engine)


# Afterwards


def state(instance: str) -> str:
    """Return the state that EC2 has an instance in."""
    (found,) = client("ec2").describe_instances(InstanceIds=[instance])["Reservations"]
    return str(found["Instances"][0]["State"]["Name"])


def test_stopping_starting_and_terminating_may_be_repeated(any_ec2: Ec2, token: str) -> None:
    """A cue may come twice, and finds it done."""
    (made,) = launch(any_ec2, plan(), token)
    for call, expected in (
        (any_ec2.stop, "stopped"),
        (any_ec2.start, "running"),
        (any_ec2.terminate, "terminated"),
    ):
        for _ in range(2):
            call(plan(), [made])
            assert state(made) == expected


def test_what_cannot_be_changed_is_refused_in_ec2s_own_words(any_ec2: Ec2) -> None:
    """An instance that is gone is not stopped."""
    with pytest.raises(RefusedError) as caught:
        any_ec2.stop(plan(), ["i-0123456789abcdef0"])
    assert caught.value.code == "InvalidInstanceID.NotFound"


GONE = ("terminate_instances", "InvalidInstanceID.NotFound", "None by that id.")


def test_what_is_there_is_terminated_though_another_is_not(any_ec2: Ec2, token: str) -> None:
    """EC2 terminates none of a list where it does not know one: the others would run on past their lease."""
    made = launch(any_ec2, plan(TWO), token)
    with pytest.raises(GoneError):
        any_ec2.terminate(plan(), [*made, "i-0123456789abcdef0"])
    assert [state(one) for one in made] == ["terminated", "terminated"]


def test_what_ec2_shows_and_does_not_know_at_once_is_not_gone() -> None:
    """Too new for one call, and not for the other: it is asked again, nothing is taken for ended."""
    with stubbed(shared("ec2")) as stub:
        stub.add_client_error(*GONE)
        wanted = {"Filters": [{"Name": "instance-id", "Values": ["i-1"]}]}
        stub.add_response("describe_instances", described(*shown("i-1")), wanted)
        with pytest.raises(LaterError, match="yet all of them are there"):
            connected().terminate(plan(), ["i-1"])


def test_an_instance_is_seen_with_what_makes_it_ours(
    ec2: Ec2, eyes: Ec2Observer, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Anybody may set a tag; only the launcher's token with it proves anything."""
    at = datetime(2026, 11, 27, 9, tzinfo=UTC)
    monkeypatch.setattr(moto_faithful.hooks, "now", lambda: at)
    (made,) = launch(ec2, plan(), token)
    began_at, seen = at, eyes.look(made, HOME)
    assert seen is not None
    whole = Seen(
        id=made,
        kind="t3.micro",
        state="running",
        client_token=token,
        launch="l-1",
        image=IMAGE,
        began_at=at,
    )
    assert seen == whole
    for call, expected in (
        (ec2.stop, "stopped"),
        (ec2.stop, "stopped"),
        (ec2.start, "running"),
        (ec2.start, "running"),
        (ec2.terminate, "terminated"),
        (ec2.terminate, "terminated"),
    ):
        changes, at = seen.state != expected, at + timedelta(hours=1)
        call(plan(), [made])
        began_at = at if changes and expected == "running" else began_at
        ended_at = None if expected == "running" else at if changes else seen.changed_at
        seen = eyes.look(made, HOME)
        assert seen is not None
        assert seen == msgspec.structs.replace(whole, state=expected, began_at=began_at, changed_at=ended_at)


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        ("User initiated (2026-11-27 03:04:05 GMT)", datetime(2026, 11, 27, 3, 4, 5, tzinfo=UTC)),
        ("Service initiated (2026-11-27 03:04:05 GMT)", datetime(2026, 11, 27, 3, 4, 5, tzinfo=UTC)),
        ("User initiated", None),
        ("Server.InternalError", None),
        ("", None),
    ],
)
def test_when_it_ended_is_known_if_ec2_says_so(reason: str, expected: datetime | None) -> None:
    """Whoever stopped it; and what EC2 does not say is not made up."""
    one = shown("i-1", State={"Name": "stopped"}, StateTransitionReason=reason)
    with stubbed(shared("ec2")) as stub:
        stub.add_response("describe_instances", described(*one))
        seen = Ec2Observer(over_shared).look("i-1", HOME)
    assert seen is not None
    assert seen.changed_at == expected


def test_a_strangers_instance_is_seen_as_a_strangers(any_eyes: Ec2Observer) -> None:
    """EC2 tells of every instance of the account."""
    run = client("ec2").run_instances(ImageId=IMAGE, InstanceType="t3.micro", MinCount=1, MaxCount=1)
    seen = any_eyes.look(run["Instances"][0]["InstanceId"], HOME)
    assert seen is not None
    assert (seen.launch, seen.client_token) == (None, "") or not seen.client_token.startswith("g-")


@pytest.mark.parametrize("instance", ["i-0123456789abcdef0", "nonsense"])
def test_an_instance_that_is_not_there_is_none(any_eyes: Ec2Observer, instance: str) -> None:
    """A forged message names what it likes."""
    assert any_eyes.look(instance, HOME) is None


@pytest.mark.parametrize("ours", [True, False])
def test_a_place_is_looked_over_whole(any_ec2: Ec2, any_eyes: Ec2Observer, token: str, ours: bool) -> None:  # noqa: FBT001
    """What runs unknown is found by it, what has ended is shown, and only what has our tag where that is wanted."""
    far = Place("eu-west-1")
    this = plan({**SMALL, "image_id": image(far.region)}, far.region)
    made = [launch(any_ec2, this, f"{token}{one}")[0] for one in range(2)]
    any_ec2.terminate(this, made[:1])
    run = client("ec2", far.region).run_instances(
        ImageId=image(far.region), InstanceType="t3.micro", MinCount=1, MaxCount=1
    )
    stranger = run["Instances"][0]["InstanceId"]
    found = {one.id: one.state for page in any_eyes.survey(far, ours=ours) for one in page}
    expected = {made[0]: "terminated", made[1]: "running"} | ({} if ours else {stranger: "running"})
    assert {one: found.get(one) for one in expected} == expected
    assert ours is (stranger not in found)


def test_a_place_is_looked_over_page_by_page() -> None:
    """A thousand at a time; a page that is left out would be taken for instances that vanished."""
    ours = [{"Name": "tag-key", "Values": ["gonogo:launch"]}]
    pages = [
        ({**described(*shown("i-1", "i-2", State={"Name": "running"})), "NextToken": "2"}, {}),
        ({**described(), "NextToken": "3"}, {"NextToken": "2"}),
        (described(*shown("i-3", State={"Name": "stopped"})), {"NextToken": "3"}),
    ]
    with stubbed(shared("ec2")) as stub:
        for answer, more in pages:
            stub.add_response("describe_instances", answer, {"Filters": ours, "MaxResults": 1000, **more})
        found = [[one.id for one in page] for page in Ec2Observer(over_shared).survey(HOME, ours=True)]
    assert found == [["i-1", "i-2"], [], ["i-3"]]


@pytest.mark.parametrize(("code", "status"), [*PASSING, ("UnauthorizedOperation", 403)])
def test_a_place_that_cannot_be_looked_over_now_is_looked_over_later(code: str, status: int) -> None:
    """Half a look says nothing of what was not seen."""
    with stubbed(shared("ec2")) as stub:
        stub.add_response("describe_instances", {**described(), "NextToken": "2"})
        stub.add_client_error("describe_instances", code, http_status_code=status)
        with pytest.raises(LaterError):
            list(Ec2Observer(over_shared).survey(HOME, ours=False))


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
    one = {"InstanceId": "i-1", "InstanceType": "t3.micro", "State": {"Name": said}}
    with stubbed(shared("ec2")) as stub:
        stub.add_response(
            "describe_instances", {"Reservations": [{"Instances": [one]}]}, {"InstanceIds": ["i-1"]}
        )
        seen = Ec2Observer(over_shared).look("i-1", HOME)
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
    with stubbed(shared("ec2")) as stub:
        stub.add_client_error("describe_instances", code, http_status_code=status)
        with pytest.raises(LaterError):
            Ec2Observer(over_shared).look("i-1", HOME)
