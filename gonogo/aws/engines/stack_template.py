"""A CloudFormation template as text: read strictly, and what it makes and runs, in a form that people can read."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from gonogo.core.bundle import LARGEST_STACK

MOST_RESOURCES = 500
"""Resources of a template (CloudFormation user guide, "Understand CloudFormation quotas")."""

_IAM = frozenset(
    f"AWS::IAM::{one}"
    for one in (
        "AccessKey", "Group", "GroupPolicy", "InstanceProfile", "ManagedPolicy", "Policy", "Role", "RolePolicy",
        "ServiceLinkedRole", "User", "UserPolicy", "UserToGroupAddition",
    )
)  # fmt: skip
_LOGICAL_ID = re.compile(r"[A-Za-z0-9]{1,255}\Z", re.ASCII)
_TYPE = re.compile(r"[A-Za-z0-9_@:-]{1,200}\Z", re.ASCII)
_LOOP = "Fn::ForEach"
_NESTED = "AWS::CloudFormation::Stack"
_FROM_SSM = "AWS::SSM::Parameter::Value<"
_DYNAMIC = re.compile(r"\{\{\s*resolve:([a-z-]+):(.*?)\}\}", re.DOTALL)


class TemplateError(Exception):
    """The text is no template that is taken; `line` is where, from 1, where that can be said."""

    def __init__(self, why: str, line: int | None = None) -> None:
        """Keep why, in words, and the line."""
        self.why, self.line = why, line
        super().__init__(why if line is None else f"line {line}: {why}")


class Made(msgspec.Struct, frozen=True, order=True, omit_defaults=True):
    """One resource of a template: its logical id, its type, and the condition under which it is made."""

    id: str
    type: str
    condition: str | None = None


class Parameter(msgspec.Struct, frozen=True):
    """A parameter of a template: whether it must be filled, and whether its value is a secret."""

    needed: bool
    secret: bool


class StackTemplate(msgspec.Struct, frozen=True, kw_only=True):
    """What of a template is looked at: all that it makes, what transforms run first, and its parameters."""

    makes: tuple[Made, ...]
    transforms: tuple[str, ...]
    parameters: dict[str, Parameter]

    @property
    def makes_iam(self) -> tuple[str, ...]:
        """The types of which CloudFormation asks an IAM capability (user guide, "Acknowledging IAM resources")."""
        return tuple(sorted({one.type for one in self.makes} & _IAM))


def read(text: str) -> StackTemplate:
    """Read a template of JSON or YAML.

    Raises:
        TemplateError: it is too large, cannot be read, says a thing twice, or names what may change unseen.
    """
    try:
        return _read(text)
    except RecursionError:
        raise TemplateError("is nested too deeply") from None


def _read(text: str) -> StackTemplate:
    size = len(text.encode())
    if size > LARGEST_STACK:
        raise TemplateError(f"has {size:,} bytes; CloudFormation takes {LARGEST_STACK:,}")
    whole = parse(text)
    resources = _table(whole, "Resources")
    if not resources:
        raise TemplateError("has no Resources")
    if len(resources) > MOST_RESOURCES:
        raise TemplateError(f"has {len(resources)} resources; CloudFormation takes {MOST_RESOURCES}")
    parameters = {name: _parameter(name, said) for name, said in _table(whole, "Parameters").items()}
    for text_inside in _texts(whole):
        require_pinned(text_inside)
    return StackTemplate(
        makes=tuple(sorted(_made(name, said) for name, said in resources.items() if name != "Fn::Transform")),
        transforms=tuple(sorted(set(_transforms(whole)))),
        parameters=parameters,
    )


def parse(text: str) -> dict[str, Any]:
    """Return a template's text as values, short tags such as !Ref in their long form.

    A text that begins with a brace is JSON, any other YAML. What CloudFormation does not take of YAML is not
    taken (user guide, "CloudFormation template formats": no aliases, no merges); nor is a key that stands twice,
    of which one would be shown and perhaps the other made.

    Raises:
        TemplateError: it cannot be read.
    """
    try:
        whole = _json(text) if text.lstrip().startswith("{") else _yaml(text)
    except RecursionError:
        raise TemplateError("is nested too deeply") from None
    if not isinstance(whole, dict):
        raise TemplateError("is not a table")
    return whole


def require_pinned(text: str) -> None:
    """Raise TemplateError where a text has a dynamic reference whose value may change after it is approved.

    A reference names a version (CloudFormation user guide, "Get values stored in other services").
    """
    for service, rest in _DYNAMIC.findall(text):
        said = f"{{{{resolve:{service}:{rest}}}}}"
        if service in ("ssm", "ssm-secure"):
            pinned = re.search(r":[0-9]+\s*\Z", rest, re.ASCII) is not None
        elif service == "secretsmanager":
            pinned = bool(rest.partition(":SecretString:")[2].split(":")[2:3] not in ([], [""]))
        else:
            pinned = False
        if not pinned:
            raise TemplateError(f"has {said}, whose value may change: name its version")


def _json(text: str) -> Any:
    try:
        return json.loads(text, object_pairs_hook=_once)
    except json.JSONDecodeError as error:
        raise TemplateError(f"is no JSON: {error.msg}", error.lineno) from error


def _once(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise TemplateError(f"has {key!r} twice")
        found[key] = value
    return found


def _yaml(text: str) -> Any:
    import yaml

    try:
        return yaml.load(text, Loader=_loader())  # noqa: S506 - it is a SafeLoader
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        raise TemplateError(
            f"is no YAML: {error.problem or error.context}", mark.line + 1 if mark is not None else None
        ) from error
    except (yaml.YAMLError, ValueError) as error:
        raise TemplateError(f"is no YAML: {error}") from error


def _loader() -> Any:
    """Return a SafeLoader that takes CloudFormation's short tags and refuses what CloudFormation refuses."""
    import yaml

    class Loader(yaml.SafeLoader):
        def compose_node(self, parent: Any, index: Any) -> Any:
            event = self.peek_event()  # type: ignore[no-untyped-call]
            if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) is not None:
                raise TemplateError(
                    "has an alias or an anchor, which CloudFormation does not take",
                    event.start_mark.line + 1,
                )
            return super().compose_node(parent, index)

        def construct_mapping(self, node: Any, deep: bool = True) -> Any:  # noqa: FBT001, FBT002 - PyYAML's
            seen: set[str] = set()
            for key, _ in node.value:
                line = key.start_mark.line + 1
                if key.tag == "tag:yaml.org,2002:merge":
                    raise TemplateError("has a merge key, which CloudFormation does not take", line)
                if not isinstance(key, yaml.ScalarNode):
                    raise TemplateError("has a key that is no text", line)
                if key.value in seen:
                    raise TemplateError(f"has {key.value!r} twice", line)
                seen.add(key.value)
            return {key.value: self.construct_object(value, deep=deep) for key, value in node.value}

    made: Any = Loader
    made.add_constructor("tag:yaml.org,2002:map", lambda loader, node: loader.construct_mapping(node))
    # a date stays the text that it is: AWSTemplateFormatVersion is one
    made.add_constructor("tag:yaml.org,2002:timestamp", lambda loader, node: loader.construct_scalar(node))
    made.add_multi_constructor("!", _short)
    return made


def _short(loader: Any, suffix: str, node: Any) -> dict[str, Any]:
    """Return a short tag in its long form: `!Ref A` is {"Ref": "A"}, `!GetAtt A.B` {"Fn::GetAtt": ["A", "B"]}."""
    import yaml

    value: Any
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        value = loader.construct_mapping(node, deep=True)
    if suffix == "GetAtt" and isinstance(value, str):
        value = value.split(".", 1)
    return {suffix if suffix in ("Ref", "Condition") else f"Fn::{suffix}": value}


def _table(whole: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = whole.get(name, {})
    if not isinstance(found, dict):
        raise TemplateError(f"has {name} that are no table")
    return found


def _made(name: str, said: Any) -> Made:
    if name.startswith(f"{_LOOP}::"):
        return Made(name, _LOOP)
    if not _LOGICAL_ID.match(name):
        raise TemplateError(f"has a resource {name[:300]!r}, which is no logical id")
    kind = said.get("Type") if isinstance(said, dict) else None
    if not isinstance(kind, str) or not _TYPE.match(kind):
        raise TemplateError(f"has the resource {name!r} without a type")
    condition = said.get("Condition")
    return Made(name, kind, condition if isinstance(condition, str) else None)


def _parameter(name: str, said: Any) -> Parameter:
    kind = said.get("Type") if isinstance(said, dict) else None
    if not isinstance(kind, str):
        raise TemplateError(f"has the parameter {name!r} without a type")
    if kind.startswith(_FROM_SSM):
        raise TemplateError(
            f"has the parameter {name!r} of type {kind}: what it names may change after it is approved, so take "
            "the value itself as a parameter"
        )
    return Parameter(needed="Default" not in said, secret=str(said.get("NoEcho", "")).lower() == "true")


def _transforms(node: Any, top: bool = True) -> Iterator[str]:  # noqa: FBT001, FBT002 - the root is another place
    """Yield the name of each macro that is to work on the template: of all of it, or of a part of it."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key == "Fn::Transform" or (top and key == "Transform"):
                yield from _named(value)
            else:
                yield from _transforms(value, top=False)
    elif isinstance(node, list):
        for value in node:
            yield from _transforms(value, top=False)


def _named(said: Any) -> Iterator[str]:
    for one in said if isinstance(said, list) else [said]:
        name = one.get("Name") if isinstance(one, dict) else one
        yield name if isinstance(name, str) else "Fn::Transform"


def _texts(node: Any) -> Iterator[str]:
    if isinstance(node, str):
        yield node
    elif isinstance(node, dict):
        for key, value in node.items():
            yield key
            yield from _texts(value)
    elif isinstance(node, list):
        for value in node:
            yield from _texts(value)
