"""Engine `ec2`: n equal instances, all or none, of one image."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from gonogo.aws.accounts import Clients
from gonogo.aws.clients import FULL, call
from gonogo.core.errors import Fault, FullError, InvalidError, LaterError, RefusedError
from gonogo.core.launch import InstanceState
from gonogo.core.plan import Place, Plan, Unit
from gonogo.ports import Files, Seen

ALIAS = "resolve:ssm:"


class MetadataOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """How the instance may ask for its own metadata; tokens are IMDSv2."""

    http_tokens: Literal["required", "optional"]
    http_endpoint: Literal["enabled", "disabled"] | None = None
    http_put_response_hop_limit: Annotated[int, Meta(ge=1, le=64)] | None = None


class Volume(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One EBS volume at a device name. What a template leaves open stands in the plan: it is approved too."""

    device: str
    size_gib: Annotated[int, Meta(ge=1, le=65536)]
    type: str = "gp3"
    encrypted: bool = True
    delete_on_termination: bool = True


class Spec(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What RunInstances is called with, by this module's names (EC2 API reference, RunInstances)."""

    image_id: Annotated[str, Meta(pattern=r"^(ami-[0-9a-f]{8,17}|resolve:ssm:/[A-Za-z0-9_./-]{1,200})\Z")]
    instance_type: Annotated[str, Meta(pattern=r"^[a-z0-9-]{1,30}\.[a-z0-9-]{1,30}\Z")]
    count: Annotated[int, Meta(ge=1, le=100)] = 1
    subnet_id: Annotated[str, Meta(pattern=r"^subnet-[0-9a-f]{8,17}\Z")] | None = None
    security_group_ids: tuple[Annotated[str, Meta(pattern=r"^sg-[0-9a-f]{8,17}\Z")], ...] = ()
    instance_profile_arn: (
        Annotated[str, Meta(pattern=r"^arn:aws[a-z-]*:iam::[0-9]{12}:instance-profile/.+\Z")] | None
    ) = None
    key_name: Annotated[str, Meta(max_length=255)] | None = None
    user_data: Annotated[str, Meta(max_length=16384)] | None = None
    ebs_optimized: bool | None = None
    metadata_options: MetadataOptions | None = None
    volumes: tuple[Volume, ...] = ()
    tags: dict[
        Annotated[str, Meta(pattern=r"^(?!gonogo:|aws:).{1,128}\Z")], Annotated[str, Meta(max_length=256)]
    ] = {}


class Ec2Resolver:
    """`ports.Resolver` of ec2: an image alias becomes the image that it names today."""

    def __init__(self, clients: Clients) -> None:
        """Take what makes clients; nothing is called yet."""
        self._clients = clients

    def resolve(
        self, spec: Mapping[str, Any], place: Place, files: Mapping[str, str]
    ) -> tuple[dict[str, Any], tuple[Unit, ...]]:
        """Return the spec with an image id in it, and its instances as units."""
        del files
        try:
            whole = msgspec.convert(dict(spec), Spec)
        except msgspec.ValidationError as error:
            raise InvalidError(
                Fault("/template", "spec", f"the filled template is no ec2 spec: {error}")
            ) from error
        if whole.image_id.startswith(ALIAS):
            whole = msgspec.structs.replace(
                whole, image_id=self._image(whole.image_id.removeprefix(ALIAS), place.region)
            )
        plain: dict[str, Any] = msgspec.to_builtins(whole)
        return {**plain, "count": whole.count}, (Unit(whole.instance_type, whole.count),)

    def _image(self, name: str, region: str) -> str:
        try:
            answer = call(self._clients("ssm", Place(region)).get_parameter, Name=name)
        except RefusedError as error:
            raise InvalidError(
                Fault("/template", "image", f"no image by the alias {name!r}: {error}")
            ) from error
        return str(answer["Parameter"]["Value"])


class Ec2(Ec2Resolver):
    """`ports.Engine` on EC2."""

    def launch(self, plan: Plan, *, token: str, tags: Mapping[str, str], files: Files) -> tuple[str, ...]:
        """Run the plan's instances, all or none; the same token adopts them."""
        del files
        arguments = run_instances(plan, token, tags)
        try:
            answer = call(self._clients("ec2", plan.place).run_instances, **arguments)
        except RefusedError as error:
            if error.code == "IdempotentParameterMismatch":
                found = self.find(plan, token=token)
                if found:
                    return found
                raise LaterError(f"{error}; what the token made cannot be seen yet") from error
            if error.code in FULL:
                raise FullError(error.code, error.message) from error
            raise
        return self._compared(plan, answer["Instances"])

    def find(self, plan: Plan, *, token: str) -> tuple[str, ...]:
        """Return what the token made, once DescribeInstances shows all of it."""
        answer = call(
            self._clients("ec2", plan.place).describe_instances,
            Filters=[{"Name": "client-token", "Values": [token]}],
        )
        made = [one for reservation in answer["Reservations"] for one in reservation["Instances"]]
        if len(made) < msgspec.convert(plan.spec, Spec).count:
            return ()
        return self._compared(plan, made)

    def stop(self, plan: Plan, resources: Sequence[str]) -> None:
        """Stop instances; one that is stopped already is no error."""
        call(self._clients("ec2", plan.place).stop_instances, InstanceIds=list(resources))

    def start(self, plan: Plan, resources: Sequence[str]) -> None:
        """Start instances; one that runs already is no error."""
        call(self._clients("ec2", plan.place).start_instances, InstanceIds=list(resources))

    def terminate(self, plan: Plan, resources: Sequence[str]) -> None:
        """Terminate instances; one that is gone already is no error."""
        call(self._clients("ec2", plan.place).terminate_instances, InstanceIds=list(resources))

    @staticmethod
    def _compared(plan: Plan, made: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
        """Return the ids of what was made, after holding it against the plan."""
        spec = msgspec.convert(plan.spec, Spec)
        if len(made) != spec.count or any(
            (one["ImageId"], one["InstanceType"]) != (spec.image_id, spec.instance_type) for one in made
        ):
            ids = ", ".join(sorted(one["InstanceId"] for one in made))
            raise RefusedError(
                "NotThePlan", f"{ids} came under this client token, and is not what the plan says"
            )
        return tuple(sorted(one["InstanceId"] for one in made))


class Ec2Observer:
    """`ports.Observer` on EC2."""

    def __init__(self, clients: Clients) -> None:
        """Take what makes clients; nothing is called yet."""
        self._clients = clients

    def look(self, resource: str, place: Place) -> Seen | None:
        """Describe one instance."""
        try:
            answer = call(self._clients("ec2", place).describe_instances, InstanceIds=[resource])
        except RefusedError as error:
            if error.code in ("InvalidInstanceID.NotFound", "InvalidInstanceID.Malformed"):
                return None
            raise LaterError(str(error)) from error
        return next(iter(_seen(answer)), None)

    def survey(self, place: Place, *, ours: bool) -> Iterator[Sequence[Seen]]:
        """Describe all instances of the place, a thousand at a time (EC2 API reference, DescribeInstances)."""
        more: dict[str, Any] = {"Filters": [{"Name": "tag-key", "Values": ["gonogo:launch"]}]} if ours else {}
        while True:
            try:
                answer = call(self._clients("ec2", place).describe_instances, MaxResults=1000, **more)
            except RefusedError as error:
                raise LaterError(str(error)) from error
            yield _seen(answer)
            if not answer.get("NextToken"):
                return
            more["NextToken"] = answer["NextToken"]


def _seen(answer: Mapping[str, Any]) -> list[Seen]:
    made = (one for reservation in answer["Reservations"] for one in reservation["Instances"])
    return [_one_seen(one) for one in made]


def _one_seen(one: Mapping[str, Any]) -> Seen:
    tags = {tag["Key"]: tag["Value"] for tag in one.get("Tags", ())}
    said = _TRANSITION.search(one.get("StateTransitionReason", ""))
    return Seen(
        id=one["InstanceId"],
        kind=one["InstanceType"],
        state=_STATES.get(one["State"]["Name"]),
        client_token=one.get("ClientToken", ""),
        launch=tags.get("gonogo:launch"),
        ending=one["State"]["Name"] == "shutting-down",
        image=one.get("ImageId"),
        began_at=None if one.get("StateReason", {}).get("Code") in _NEVER_RAN else one.get("LaunchTime"),
        changed_at=datetime.strptime(said[1], "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC) if said else None,
    )


_TRANSITION = re.compile(r"\((\d{4}-\d\d-\d\d \d\d:\d\d:\d\d) (?:GMT|UTC)\)")
"""When an instance was stopped or ended, as in "User initiated (2026-11-27 03:00:00 GMT)"."""

_NEVER_RAN = frozenset(
    {
        "Client.InternalError",
        "Client.InvalidSnapshot.NotFound",
        "Client.VolumeLimitExceeded",
        "Server.InsufficientInstanceCapacity",
        "Server.InternalError",
    }
)
"""Why an instance ended, or is stopped again, without having run since it was launched or started last (EC2 API
reference, StateReason)."""

_STATES: dict[str, InstanceState] = {
    "pending": "pending",
    "running": "running",
    "stopped": "stopped",
    "terminated": "terminated",
}


def run_instances(plan: Plan, token: str, tags: Mapping[str, str]) -> dict[str, Any]:
    """Return the arguments of RunInstances: what the plan says, and nothing that it does not say."""
    spec = msgspec.convert(plan.spec, Spec)
    all_tags = [{"Key": key, "Value": value} for key, value in sorted({**spec.tags, **tags}.items())]
    arguments: dict[str, Any] = {
        "ImageId": spec.image_id,
        "InstanceType": spec.instance_type,
        "MinCount": spec.count,
        "MaxCount": spec.count,
        "ClientToken": token,
        "TagSpecifications": [{"ResourceType": kind, "Tags": all_tags} for kind in ("instance", "volume")],
        "SubnetId": spec.subnet_id,
        "SecurityGroupIds": list(spec.security_group_ids) or None,
        "IamInstanceProfile": {"Arn": spec.instance_profile_arn} if spec.instance_profile_arn else None,
        "KeyName": spec.key_name,
        "UserData": spec.user_data,
        "EbsOptimized": spec.ebs_optimized,
        "MetadataOptions": _metadata(spec.metadata_options),
        "BlockDeviceMappings": [_mapping(volume) for volume in spec.volumes] or None,
    }
    return {name: value for name, value in arguments.items() if value is not None}


def _metadata(options: MetadataOptions | None) -> dict[str, Any] | None:
    if options is None:
        return None
    given = {
        "HttpTokens": options.http_tokens,
        "HttpEndpoint": options.http_endpoint,
        "HttpPutResponseHopLimit": options.http_put_response_hop_limit,
    }
    return {name: value for name, value in given.items() if value is not None}


def _mapping(volume: Volume) -> dict[str, Any]:
    return {
        "DeviceName": volume.device,
        "Ebs": {
            "VolumeSize": volume.size_gib,
            "VolumeType": volume.type,
            "Encrypted": volume.encrypted,
            "DeleteOnTermination": volume.delete_on_termination,
        },
    }
