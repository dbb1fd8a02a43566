"""Engine `cloudformation`: one new stack, of a template that is a file of the policy."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal, NoReturn

import msgspec
from msgspec import Meta

from gonogo.aws.accounts import Clients
from gonogo.aws.clients import FULL, call
from gonogo.aws.engines import specs, stack_template
from gonogo.aws.engines.priced import Priced, units_of
from gonogo.aws.engines.stack_template import Made, StackTemplate, TemplateError
from gonogo.core.errors import Fault, InvalidError, LaterError, MakingError, PartialError, RefusedError
from gonogo.core.launch import InstanceState
from gonogo.core.plan import Place, Plan, Unit
from gonogo.ports import Files, Seen

Capability = Literal["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND"]
_NAMED = re.compile(r"\{\{resolve:[^{}]+\}\}")
"""A value that is nothing but a dynamic reference (CloudFormation user guide, "Dynamic references")."""
_FOR_IAM = {"CAPABILITY_IAM", "CAPABILITY_NAMED_IAM"}
_FOR_TRANSFORMS = "CAPABILITY_AUTO_EXPAND"


class Spec(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """What CreateStack is called with (CloudFormation API reference), and what of the template is shown.

    `sha256`, `makes` and `transforms` are put in when it is resolved; a `sha256` that a template of the policy
    has already must be that of the file.
    """

    template: Annotated[str, Meta(pattern=r"^stacks/[^\n]+\Z")]
    units: Annotated[tuple[Priced, ...], Meta(min_length=1, max_length=20)]
    parameters: dict[
        Annotated[str, Meta(pattern=r"^[A-Za-z0-9]{1,255}\Z")], Annotated[str, Meta(max_length=4096)]
    ] = {}
    capabilities: tuple[Capability, ...] = ()
    role_arn: Annotated[str, Meta(pattern=r"^arn:aws[a-z-]*:iam::[0-9]{12}:role/.+\Z")] | None = None
    sha256: str | None = None
    makes: tuple[Made, ...] = ()
    transforms: tuple[str, ...] = ()


class CloudFormationResolver:
    """`ports.Resolver` of cloudformation: the template's file is held fast by its digest, and read."""

    def __init__(self, clients: Clients) -> None:
        """Take what makes clients; nothing is called yet."""
        self._clients = clients

    def resolve(
        self, spec: Mapping[str, Any], place: Place, files: Mapping[str, str]
    ) -> tuple[dict[str, Any], tuple[Unit, ...]]:
        """Return the spec with the digest of its file and what that makes; AWS is not asked."""
        del place
        asked = specs.read(spec, Spec, "cloudformation")
        text = files.get(asked.template)
        if text is None:
            raise _wrong("template", "file", f"the policy has no file {asked.template!r}")
        digest = _digest(text)
        if asked.sha256 not in (None, digest):
            raise _wrong("sha256", "digest", f"{asked.template} has the SHA-256 {digest}")
        try:
            read = stack_template.read(text)
        except TemplateError as error:
            where = asked.template if error.line is None else f"{asked.template}:{error.line}"
            raise InvalidError(Fault(where, "stack", f"{asked.template} {error.why}")) from error
        faults = tuple(_faults(asked, read))
        if faults:
            raise InvalidError(*faults)
        whole = msgspec.structs.replace(asked, sha256=digest, makes=read.makes, transforms=read.transforms)
        plain: dict[str, Any] = msgspec.to_builtins(whole)
        return plain, units_of(whole.units)


class CloudFormation(CloudFormationResolver):
    """`ports.Engine` on CloudFormation. A stack that fails rolls back, is reported as made, and then deleted.

    CloudFormation is never told to delete it by itself: then the name would be free, and the same call that
    comes again would make another one. So why it failed is on record before it is deleted.
    """

    def launch(self, plan: Plan, *, token: str, tags: Mapping[str, str], files: Files) -> tuple[str, ...]:
        """Make the plan's stack, or see what became of it; the same token adopts it.

        Raises:
            MakingError: it is being made, or rolled back.
            PartialError: it was rolled back, and is there still.
            RefusedError, LaterError: as for `ports.Engine`.
        """
        spec = msgspec.convert(plan.spec, Spec)
        body = files().get(spec.template, "")
        if _digest(body) != spec.sha256:
            raise RefusedError("NotThePlan", f"{spec.template} is not the file that was approved")
        if plan.partial:
            raise RefusedError("NotPartial", "a stack is made whole, or not at all")
        cloud = self._clients("cloudformation", plan.place)
        try:
            made = call(cloud.create_stack, **create_stack(plan, token, tags, body))
        except RefusedError as error:
            if error.code not in _TAKEN:
                raise
            stack = self._adopted(cloud, plan, token, tags, body, error)
        else:
            found = _described(cloud, made["StackId"])
            if found is None:
                raise LaterError(f"stack {made['StackId']} cannot be seen yet")
            stack = _compared(plan, tags, found)
        return self._outcome(cloud, stack)

    def find(self, plan: Plan, *, token: str) -> tuple[str, ...]:
        """Return the token's stack once it is made."""
        stack = _described(self._clients("cloudformation", plan.place), token)
        if stack is None or _STATES.get(stack["StackStatus"]) != "running":
            return ()
        return (str(_compared(plan, {}, stack)["StackId"]),)

    def stop(self, plan: Plan, resources: Sequence[str]) -> NoReturn:
        """Refuse: what runs in a stack is none of gonogo's."""
        del plan, resources
        raise RefusedError("NotStoppable", "a stack is not stopped: it is terminated, or left as it is")

    def start(self, plan: Plan, resources: Sequence[str]) -> NoReturn:
        """Refuse, as `stop`."""
        del plan, resources
        raise RefusedError("NotStoppable", "a stack is not started: it runs until it is terminated")

    def terminate(self, plan: Plan, resources: Sequence[str]) -> None:
        """Delete stacks, by their ids; one that is gone already is no error."""
        for one in resources:
            call(self._clients("cloudformation", plan.place).delete_stack, StackName=one)

    @staticmethod
    def _adopted(
        cloud: Any, plan: Plan, token: str, tags: Mapping[str, str], body: str, error: RefusedError
    ) -> Mapping[str, Any]:
        """Return the stack that has the name already, if it is the one that the token made of this plan.

        Raises:
            RefusedError: it is somebody else's.
        """
        stack = _described(cloud, token)
        if stack is None:
            raise LaterError(f"{error}; the stack cannot be seen now")
        _compared(plan, tags, stack)
        kept = call(cloud.get_template, StackName=stack["StackId"], TemplateStage="Original")["TemplateBody"]
        same = stack_template.parse(kept) if isinstance(kept, str) else kept
        if same != stack_template.parse(body) or _token_of(cloud, stack) != token:
            raise _not_the_plan(stack)
        return stack

    @staticmethod
    def _outcome(cloud: Any, stack: Mapping[str, Any]) -> tuple[str, ...]:
        id_, status = str(stack["StackId"]), str(stack["StackStatus"])
        if _STATES.get(status) == "running":
            return (id_,)
        if status in _FAILED:
            why = _why(cloud, stack)
            raise PartialError(status, why, [id_], full=any(code in why for code in FULL))
        if status == "DELETE_COMPLETE":
            raise RefusedError(status, f"stack {id_} was deleted before it was on record")
        raise MakingError(f"stack {id_} is {status}")


class CloudFormationObserver:
    """`ports.Observer` on CloudFormation. Stacks are looked at one by one; there is no survey of them."""

    def __init__(self, clients: Clients) -> None:
        """Take what makes clients; nothing is called yet."""
        self._clients = clients

    def look(self, resource: str, place: Place) -> Seen | None:
        """Describe one stack; by its id it is shown for 90 days after it was deleted."""
        try:
            stack = _described(self._clients("cloudformation", place), resource)
        except RefusedError as error:
            raise LaterError(str(error)) from error
        if stack is None:
            return None
        status = str(stack["StackStatus"])
        state = _STATES.get(status)
        return Seen(
            id=str(stack["StackId"]),
            kind="stack",
            state=state,
            client_token=str(stack["StackName"]),
            launch=_tags_of(stack).get("gonogo:launch"),
            ending=state is None and status not in ("CREATE_IN_PROGRESS", "REVIEW_IN_PROGRESS"),
            began_at=stack["CreationTime"] if state is not None else None,
            changed_at=stack.get("DeletionTime") if state == "terminated" else None,
        )

    def survey(self, place: Place, *, ours: bool) -> Iterator[Sequence[Seen]]:
        """Return nothing: stacks that nobody approved are not looked for."""
        del place, ours
        return iter(())


_TAKEN = ("AlreadyExistsException", "TokenAlreadyExistsException")
_FAILED = ("CREATE_FAILED", "ROLLBACK_COMPLETE", "ROLLBACK_FAILED")
_STATES: dict[str, InstanceState] = {
    "CREATE_COMPLETE": "running",
    "DELETE_FAILED": "running",
    "DELETE_COMPLETE": "terminated",
    **{
        f"{operation}_{state}": "running"
        for operation in ("UPDATE", "UPDATE_ROLLBACK", "IMPORT", "IMPORT_ROLLBACK")
        for state in ("IN_PROGRESS", "COMPLETE", "COMPLETE_CLEANUP_IN_PROGRESS", "FAILED")
    },
}
"""What lasts, or goes on while it changes (CloudFormation user guide, "Stack status codes"). What could not be
deleted is there still, and costs."""


def create_stack(plan: Plan, token: str, tags: Mapping[str, str], body: str) -> dict[str, Any]:
    """Return the arguments of CreateStack: what the plan says, and nothing that it does not say.

    The token is the name too: it begins with a letter, and has letters, digits and hyphens only.
    """
    spec = msgspec.convert(plan.spec, Spec)
    arguments: dict[str, Any] = {
        "StackName": token,
        "ClientRequestToken": token,
        "TemplateBody": body,
        "Parameters": [
            {"ParameterKey": key, "ParameterValue": value} for key, value in sorted(spec.parameters.items())
        ],
        "Capabilities": list(spec.capabilities) or None,
        "RoleARN": spec.role_arn,
        "OnFailure": "ROLLBACK",
        "Tags": [{"Key": key, "Value": value} for key, value in sorted(tags.items())],
    }
    return {name: value for name, value in arguments.items() if value is not None}


def _faults(asked: Spec, read: StackTemplate) -> Iterator[Fault]:
    """Yield what CloudFormation would refuse at the launch, or what nobody could judge."""
    for name in sorted(set(asked.parameters) - set(read.parameters)):
        yield _fault("parameters", "parameter", f"{asked.template} has no parameter {name!r}")
    for name, parameter in sorted(read.parameters.items()):
        value = asked.parameters.get(name)
        if value is None and parameter.needed:
            yield _fault("parameters", "parameter", f"{asked.template} needs the parameter {name!r}")
        if value is None:
            continue
        if parameter.secret and not _NAMED.fullmatch(value):
            yield _fault(
                "parameters", "secret", f"{name!r} is a secret (NoEcho): name it as {{{{resolve:...}}}}"
            )
        try:
            stack_template.require_pinned(value)
        except TemplateError as error:
            yield _fault("parameters", "version", f"{name!r} {error.why}")
    if read.makes_iam and not _FOR_IAM & set(asked.capabilities):
        yield _fault(
            "capabilities",
            "capability",
            f"{asked.template} makes {', '.join(read.makes_iam)}, which needs CAPABILITY_IAM",
        )
    if read.transforms and _FOR_TRANSFORMS not in asked.capabilities:
        yield _fault(
            "capabilities",
            "capability",
            f"{asked.template} is rewritten by {', '.join(read.transforms)} when it is launched, which needs "
            f"{_FOR_TRANSFORMS}",
        )


def _fault(field: str, rule: str, words: str) -> Fault:
    return Fault(f"/template/{field}", rule, words)


def _wrong(field: str, rule: str, words: str) -> InvalidError:
    return InvalidError(_fault(field, rule, words))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _described(cloud: Any, name: str) -> Mapping[str, Any] | None:
    """Return a stack by its id, or one that is not deleted by its name; None where there is none."""
    try:
        (stack,) = call(cloud.describe_stacks, StackName=name)["Stacks"]
    except RefusedError as error:
        if error.code == "ValidationError" and any(words in error.message for words in _NONE):
            return None
        raise
    found: Mapping[str, Any] = stack
    return found


_NONE = ("does not exist", "failed to satisfy constraint")
"""How CloudFormation says that there is no such stack, or that none could have such a name."""


def _compared(plan: Plan, tags: Mapping[str, str], stack: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the stack after holding it against the plan: whose it is, what it was filled with, by which role."""
    spec = msgspec.convert(plan.spec, Spec)
    ours = ("gonogo:launch", "gonogo:digest")
    has, filled = _tags_of(stack), {one["ParameterKey"]: one for one in stack.get("Parameters", ())}
    same = (
        all(has.get(key) == tags[key] for key in ours if key in tags)
        and stack.get("RoleARN") == spec.role_arn
        and all(
            key in filled and filled[key].get("ParameterValue") in (value, "****")
            for key, value in spec.parameters.items()
        )
    )
    if not same:
        raise _not_the_plan(stack)
    return stack


def _not_the_plan(stack: Mapping[str, Any]) -> RefusedError:
    return RefusedError("NotThePlan", f"{stack['StackId']} has this name, and is not what the plan says")


def _tags_of(stack: Mapping[str, Any]) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in stack.get("Tags", ())}


def _events(cloud: Any, stack: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield what happened in a stack, newest first."""
    more: dict[str, Any] = {}
    while True:
        answer = call(cloud.describe_stack_events, StackName=stack["StackId"], **more)
        yield from answer["StackEvents"]
        if not answer.get("NextToken"):
            return
        more["NextToken"] = answer["NextToken"]


def _token_of(cloud: Any, stack: Mapping[str, Any]) -> str | None:
    """Return the token that the stack was made with, which each of its first events has."""
    first = [
        one.get("ClientRequestToken")
        for one in _events(cloud, stack)
        if one.get("PhysicalResourceId") == stack["StackId"]
        and one.get("ResourceStatus") == "CREATE_IN_PROGRESS"
    ]
    return first[-1] if first else None


def _why(cloud: Any, stack: Mapping[str, Any]) -> str:
    """Return why a stack was not made: what the first of its resources that failed said."""
    said = stack.get("StackStatusReason") or str(stack["StackStatus"])
    for one in _events(cloud, stack):
        reason = one.get("ResourceStatusReason")
        if one.get("ResourceStatus") != "CREATE_FAILED" or not reason or _CANCELLED in reason:
            continue
        if one.get("PhysicalResourceId") != stack["StackId"]:
            said = f"{one['LogicalResourceId']} ({one['ResourceType']}): {reason}"
    return str(said)


_CANCELLED = "Resource creation cancelled"
"""What CloudFormation says of those that it gave up because another had failed."""
