"""Engine `ec2`: n equal instances, all or none, of one image, in one subnet or spread over several."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, NoReturn

import msgspec
from msgspec import Meta

from gonogo.aws.accounts import Clients
from gonogo.aws.clients import FULL, call
from gonogo.aws.engines import specs
from gonogo.core import canonical
from gonogo.core.errors import (
    Fault,
    FullError,
    GoneError,
    InvalidError,
    LaterError,
    PartialError,
    RefusedError,
)
from gonogo.core.launch import InstanceState
from gonogo.core.plan import Place, Plan, Unit
from gonogo.ports import Files, Seen

ALIAS = "resolve:ssm:"
NO_ROOM = FULL | {"InsufficientFreeAddressesInSubnet", "ReservationCapacityExceeded"}
"""Codes that say that just here is no room for it, so that another type or subnet may do (EC2 API, "Error codes")."""
GONE = "InvalidInstanceID.NotFound"


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


class Template(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A launch template's version. In a plan it is a number, with the digest of all that the version says.

    AWS never changes a version, nor gives its number to another (EC2 user guide, "Modify a launch template").
    """

    id: Annotated[str, Meta(pattern=r"^lt-[0-9a-f]{8,17}\Z")]
    version: Annotated[str, Meta(pattern=r"^(\$Latest|\$Default|[1-9][0-9]{0,17})\Z")]
    digest: Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")] | None = None


Subnet = Annotated[str, Meta(pattern=r"^subnet-[0-9a-f]{8,17}\Z")]


class Spec(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What RunInstances is called with, by this module's names (EC2 API reference, RunInstances).

    Image and type may be left to a launch template; in a plan they stand here. Over several `subnet_ids` the
    instances are spread evenly, the first of them getting one more where that does not come out even.
    """

    image_id: (
        Annotated[str, Meta(pattern=r"^(ami-[0-9a-f]{8,17}|resolve:ssm:/[A-Za-z0-9_./-]{1,200})\Z")] | None
    ) = None
    instance_type: Annotated[str, Meta(pattern=r"^[a-z0-9-]{1,30}\.[a-z0-9-]{1,30}\Z")] | None = None
    count: Annotated[int, Meta(ge=1, le=100)] = 1
    launch_template: Template | None = None
    subnet_id: Subnet | None = None
    subnet_ids: Annotated[tuple[Subnet, ...], Meta(max_length=16)] = ()
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

    def __post_init__(self) -> None:
        """Hold the fields against each other; msgspec makes a ValidationError of it."""
        for name in ("image_id", "instance_type"):
            if getattr(self, name) is None and self.launch_template is None:
                raise ValueError(f"`{name}` is missing, and there is no `launch_template` that may have it")
        if self.subnet_id is not None and self.subnet_ids:
            raise ValueError("has both `subnet_id` and `subnet_ids`")
        if len(set(self.subnet_ids)) < len(self.subnet_ids):
            raise ValueError("`subnet_ids` has a subnet twice")


class Part(msgspec.Struct, frozen=True):
    """What one call of RunInstances makes: so many of the instances, in one subnet, under a token of its own."""

    token: str
    count: int
    subnet_id: str | None


def parts(spec: Spec, token: str) -> tuple[Part, ...]:
    """Return the calls that make a spec: the first under the launch's token, the nth under `TOKEN-n`."""
    subnets = spec.subnet_ids or (spec.subnet_id,)
    each, more = divmod(spec.count, len(subnets))
    counts = (each + (number < more) for number in range(len(subnets)))
    return tuple(
        Part(token if number == 1 else f"{token}-{number}", count, subnet)
        for number, (subnet, count) in enumerate(zip(subnets, counts, strict=True), 1)
        if count
    )


class Ec2Resolver:
    """`ports.Resolver` of ec2: an image alias, and a launch template's version, become what they name today."""

    def __init__(self, clients: Clients) -> None:
        """Take what makes clients; nothing is called yet."""
        self._clients = clients

    def resolve(
        self, spec: Mapping[str, Any], place: Place, files: Mapping[str, str]
    ) -> tuple[dict[str, Any], tuple[Unit, ...]]:
        """Return the spec with image, type and a numbered version in it, and its instances as units."""
        del files
        whole = specs.read(spec, Spec, "ec2")
        if whole.launch_template is not None:
            whole = self._pinned(whole, whole.launch_template, place)
        if whole.image_id is not None and whole.image_id.startswith(ALIAS):
            # by gonogo's own account, whoever's the instances are: who writes policy says what an alias names
            image = self._image(whole.image_id.removeprefix(ALIAS), Place(place.region))
            whole = msgspec.structs.replace(whole, image_id=image)
        plain: dict[str, Any] = msgspec.to_builtins(whole)
        assert whole.instance_type is not None  # noqa: S101 - the spec has it, or its launch template
        return {**plain, "count": whole.count}, (Unit(whole.instance_type, whole.count),)

    def _image(self, name: str, place: Place) -> str:
        try:
            answer = call(self._clients("ssm", place).get_parameter, Name=name)
        except RefusedError as error:
            raise InvalidError(
                Fault("/template", "image", f"no image by the alias {name!r}: {error}")
            ) from error
        image = str(answer["Parameter"]["Value"])
        if not re.fullmatch(r"ami-[0-9a-f]{8,17}", image):
            raise InvalidError(
                Fault("/template", "image", f"the alias {name!r} names no image: {image[:80]!r}")
            )
        return image

    def _pinned(self, spec: Spec, named: Template, place: Place) -> Spec:
        """Return the spec with the number of the version, its digest, and the image and type that it says.

        Nothing else of the version is copied: its user data may have secrets. The digest fixes all of it.
        """
        try:
            answer = call(
                self._clients("ec2", place).describe_launch_template_versions,
                LaunchTemplateId=named.id,
                Versions=[named.version],
            )
        except RefusedError as error:
            _refuse(f"{named.id} version {named.version} cannot be read: {error}")
        if not answer["LaunchTemplateVersions"]:
            _refuse(f"{named.id} has no version {named.version}")
        version = answer["LaunchTemplateVersions"][0]
        said = version["LaunchTemplateData"]
        pinned = Template(named.id, str(version["VersionNumber"]), canonical.digest(said))
        where = f"{pinned.id} version {pinned.version}"
        if named.digest not in (None, pinned.digest):
            _refuse(f"{where} is not the one of digest {named.digest}")
        if said.get("NetworkInterfaces") and (spec.subnet_id or spec.subnet_ids or spec.security_group_ids):
            _refuse(
                f"{where} has network interfaces, so that no subnets or security groups can be named here"
            )
        image = spec.image_id or said.get("ImageId")
        kind = spec.instance_type or said.get("InstanceType")
        if image is None or kind is None:
            _refuse(f"{where} has no {'image' if image is None else 'instance type'}, and none is named here")
        if spec.image_id is None and image.startswith(ALIAS):
            image = self._image(image.removeprefix(ALIAS), place)
        return msgspec.structs.replace(spec, launch_template=pinned, image_id=image, instance_type=kind)


def _refuse(detail: str) -> NoReturn:
    raise InvalidError(Fault("/template", "launch_template", detail))


class Ec2(Ec2Resolver):
    """`ports.Engine` on EC2."""

    def launch(self, plan: Plan, *, token: str, tags: Mapping[str, str], files: Files) -> tuple[str, ...]:
        """Run the plan's instances, all or none; the same token adopts them.

        What is adopted may have ended meanwhile. It was made all the same, ran, and is billed: it is the
        launch's, and whoever observes it notes its end.
        """
        del files
        spec = _of_plan(plan)
        asked = parts(spec, token)
        made: list[str] = []
        for part in asked:
            try:
                made += self._made(plan, spec, part, tags)
            except RefusedError as error:
                stands = {*made, *self._stands(plan, spec, asked, error)}
                if len(stands) == spec.count:
                    return tuple(sorted(stands))
                full = error.code in NO_ROOM
                if stands:
                    raise PartialError(error.code, error.message, sorted(stands), full=full) from error
                if full:
                    raise FullError(error.code, error.message) from error
                raise
        return tuple(sorted(made))

    def _made(self, plan: Plan, spec: Spec, part: Part, tags: Mapping[str, str]) -> tuple[str, ...]:
        """Run one part's instances, or adopt them."""
        try:
            answer = call(self._clients("ec2", plan.place).run_instances, **run_instances(spec, part, tags))
        except RefusedError as error:
            if error.code not in ("IdempotentParameterMismatch", "IdempotentInstanceTerminated"):
                raise
            found = self._under(plan, [part.token])
            if len(found) >= part.count:
                return _compared(spec, part, found)
            if error.code == "IdempotentInstanceTerminated":
                raise
            raise LaterError(f"{error}; what the token made cannot be seen yet") from error
        return _compared(spec, part, answer["Instances"])

    def _stands(self, plan: Plan, spec: Spec, asked: Sequence[Part], error: RefusedError) -> tuple[str, ...]:
        """Return what of the plan was made under these tokens, as far as we may see it.

        A refusal says nothing of calls that came before it: an earlier one may have made this very part, and
        its answer been lost, before we lost the right to ask.
        """
        if error.code == NOT_THE_PLAN:
            return ()
        try:
            found = self._under(plan, [part.token for part in asked])
        except RefusedError:
            return ()  # whoever looks over the place tells of what is there with our tag
        return tuple(one["InstanceId"] for one in found if _is_planned(spec, one))

    def _under(self, plan: Plan, tokens: Sequence[str]) -> list[Mapping[str, Any]]:
        """Return the instances that these tokens made, those that have ended too, as long as EC2 shows them."""
        answer = call(
            self._clients("ec2", plan.place).describe_instances,
            Filters=[{"Name": "client-token", "Values": list(tokens)}],
        )
        return [one for reservation in answer["Reservations"] for one in reservation["Instances"]]

    def find(self, plan: Plan, *, token: str) -> tuple[str, ...]:
        """Return what the token made, once DescribeInstances shows all of it."""
        spec = _of_plan(plan)
        asked = parts(spec, token)
        found = self._under(plan, [part.token for part in asked])
        if len(found) < spec.count:
            return ()
        made = [
            _compared(spec, part, [one for one in found if one["ClientToken"] == part.token])
            for part in asked
        ]
        return tuple(sorted(one for some in made for one in some))

    def stop(self, plan: Plan, resources: Sequence[str]) -> None:
        """Stop instances; one that is stopped already is no error."""
        call(self._clients("ec2", plan.place).stop_instances, InstanceIds=list(resources))

    def start(self, plan: Plan, resources: Sequence[str]) -> None:
        """Start instances; one that runs already is no error."""
        call(self._clients("ec2", plan.place).start_instances, InstanceIds=list(resources))

    def terminate(self, plan: Plan, resources: Sequence[str]) -> None:
        """Terminate instances; one that is terminated already is no error.

        EC2 terminates none where it does not know one of them (EC2 API reference, TerminateInstances): those
        that it shows are terminated all the same.

        Raises:
            GoneError: some are not there: EC2 has forgotten them, or does not show them yet.
        """
        ec2 = self._clients("ec2", plan.place)
        try:
            call(ec2.terminate_instances, InstanceIds=list(resources))
        except RefusedError as error:
            if error.code != GONE:
                raise
            # by filter, since a list of ids fails as a whole too
            filters = [{"Name": "instance-id", "Values": list(resources)}]
            answer = call(ec2.describe_instances, Filters=filters)
            there = {one["InstanceId"] for each in answer["Reservations"] for one in each["Instances"]}
            if there == set(resources):
                raise LaterError(f"{error}; yet all of them are there") from error
            if there:
                call(ec2.terminate_instances, InstanceIds=sorted(there))
            raise GoneError(error.code, error.message) from error


NOT_THE_PLAN = "NotThePlan"


def _of_plan(plan: Plan) -> Spec:
    """Return the spec of a plan, in which nothing is left open."""
    spec = msgspec.convert(plan.spec, Spec)
    template = spec.launch_template
    if (
        spec.image_id is None
        or spec.image_id.startswith(ALIAS)
        or spec.instance_type is None
        or (template is not None and not template.version.isdecimal())
    ):
        raise RefusedError("NotResolved", "the plan leaves open what is launched")
    return spec


def _is_planned(spec: Spec, one: Mapping[str, Any]) -> bool:
    return (one["ImageId"], one["InstanceType"]) == (spec.image_id, spec.instance_type)


def _compared(spec: Spec, part: Part, made: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """Return the ids of what was made, after holding it against the plan."""
    if len(made) != part.count or not all(
        _is_planned(spec, one) and part.subnet_id in (None, one.get("SubnetId", part.subnet_id))
        for one in made
    ):
        ids = ", ".join(sorted(one["InstanceId"] for one in made))
        raise RefusedError(NOT_THE_PLAN, f"{ids} came under this client token, and is not what the plan says")
    return tuple(one["InstanceId"] for one in made)


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


def run_instances(spec: Spec, part: Part, tags: Mapping[str, str]) -> dict[str, Any]:
    """Return the arguments of RunInstances: what the plan says, and nothing that it does not say.

    Image and type stand beside the launch template that may have them too: what was approved is what counts.
    """
    all_tags = [{"Key": key, "Value": value} for key, value in sorted({**spec.tags, **tags}.items())]
    template = spec.launch_template
    arguments: dict[str, Any] = {
        "ImageId": spec.image_id,
        "InstanceType": spec.instance_type,
        "MinCount": part.count,
        "MaxCount": part.count,
        "ClientToken": part.token,
        "TagSpecifications": [{"ResourceType": kind, "Tags": all_tags} for kind in ("instance", "volume")],
        "LaunchTemplate": {"LaunchTemplateId": template.id, "Version": template.version}
        if template
        else None,
        "SubnetId": part.subnet_id,
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
