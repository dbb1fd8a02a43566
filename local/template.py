"""Reads a CloudFormation template in YAML and works out its intrinsic functions, with nothing but the file.

Known are Ref, Fn::GetAtt, Fn::Sub, Fn::Join, Fn::Select, Fn::Split, Fn::FindInMap, Fn::Base64, Fn::If,
Fn::Equals, Fn::And, Fn::Or, Fn::Not and Condition, in both spellings. Anything else is a TemplateError.
"""

import base64
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml

Look = Callable[[str, str | None], Any]
"""Answers (logical id, attribute or None for Ref)."""

REMOVED = object()
SUBSTITUTE = re.compile(r"\$\{(!?)([^}]+)\}")
SHORT = (
    "Base64",
    "FindInMap",
    "GetAtt",
    "If",
    "Equals",
    "And",
    "Or",
    "Not",
    "Join",
    "Select",
    "Split",
    "Sub",
)


class TemplateError(ValueError):
    """A template that cannot be worked out; the text says where it went wrong."""


class _Loader(yaml.SafeLoader):
    """YAML with the tags that CloudFormation adds."""


def _tagged(loader: _Loader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    if isinstance(node, yaml.ScalarNode):
        value: Any = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    elif isinstance(node, yaml.MappingNode):
        value = loader.construct_mapping(node, deep=True)
    else:
        message = f"!{suffix} stands before something that is not a value"
        raise TemplateError(message)
    if suffix == "GetAtt" and isinstance(value, str):
        value = value.split(".", 1)
    return {suffix if suffix in ("Ref", "Condition") else f"Fn::{suffix}": value}


_Loader.add_multi_constructor("!", _tagged)


def read(path: Path) -> dict[str, Any]:
    """Return the template at `path` with every tag in its long spelling."""
    loaded = yaml.load(path.read_text(), Loader=_Loader)  # noqa: S506  a SafeLoader with CloudFormation's tags
    if not isinstance(loaded, dict):
        message = f"{path} is not a template"
        raise TemplateError(message)
    return loaded


class Values:
    """Works out the values of one template for one set of parameters."""

    def __init__(self, template: Mapping[str, Any], parameters: Mapping[str, str], look: Look) -> None:
        """Take the template, the parameters that differ from its defaults, and who knows its resources."""
        self._mappings: Mapping[str, Any] = template.get("Mappings", {})
        self._conditions: Mapping[str, Any] = template.get("Conditions", {})
        self._look = look
        self._parameters: dict[str, Any] = {}
        for name, declared in template.get("Parameters", {}).items():
            value = parameters.get(name, declared.get("Default"))
            if value is None:
                message = f"parameter {name} has no value"
                raise TemplateError(message)
            is_list = "List" in declared["Type"]
            self._parameters[name] = [v for v in str(value).split(",") if v] if is_list else str(value)

    def holds(self, condition: str) -> bool:
        """Tell whether a named condition of the template is true."""
        if condition not in self._conditions:
            message = f"there is no condition {condition}"
            raise TemplateError(message)
        return bool(self.of(self._conditions[condition]))

    def wanted(self, resource: Mapping[str, Any]) -> bool:
        """Tell whether a resource is to be made: its condition is true, or it has none."""
        condition = resource.get("Condition")
        return condition is None or self.holds(condition)

    def of(self, value: Any) -> Any:
        """Return `value` with every intrinsic function worked out; what is AWS::NoValue is gone."""
        if isinstance(value, list):
            found = [self.of(element) for element in value]
            return [element for element in found if element is not REMOVED]
        if not isinstance(value, dict):
            return value
        if len(value) == 1:
            ((name, argument),) = value.items()
            if name == "Ref":
                return self._ref(argument)
            if name == "Condition" and isinstance(argument, str):
                return self.holds(argument)
            if name.startswith("Fn::"):
                return self._function(name.removeprefix("Fn::"), argument)
        found_by_key = {key: self.of(element) for key, element in value.items()}
        return {key: element for key, element in found_by_key.items() if element is not REMOVED}

    def _ref(self, name: str) -> Any:
        if name == "AWS::NoValue":
            return REMOVED
        if name in self._parameters:
            return self._parameters[name]
        return self._look(name, None)

    def _function(self, name: str, argument: Any) -> Any:
        if name == "If":
            condition, then, otherwise = argument
            return self.of(then if self.holds(condition) else otherwise)
        if name == "GetAtt":
            logical_id, attribute = argument
            return self._look(logical_id, attribute)
        if name == "Sub":
            return self._sub(argument)
        if name not in FUNCTIONS:
            message = f"Fn::{name} is not played here"
            raise TemplateError(message)
        if name == "FindInMap":
            first, second, third = self.of(argument)
            return self.of(self._mappings[first][second][third])
        return FUNCTIONS[name](self.of(argument))

    def _sub(self, argument: Any) -> str:
        text, extra = argument if isinstance(argument, list) else (argument, {})

        def value(match: re.Match[str]) -> str:
            literal, name = match[1], match[2].strip()
            if literal:
                return f"${{{name}}}"
            if name in extra:
                return str(self.of(extra[name]))
            if "." in name:
                logical_id, attribute = name.split(".", 1)
                return str(self._look(logical_id, attribute))
            return str(self._ref(name))

        return SUBSTITUTE.sub(value, text)


FUNCTIONS: Mapping[str, Callable[[Any], Any]] = {
    "And": all,
    "Base64": lambda text: base64.b64encode(str(text).encode()).decode(),
    "Equals": lambda pair: pair[0] == pair[1],
    "FindInMap": lambda found: found,
    "Join": lambda pair: pair[0].join(str(part) for part in pair[1]),
    "Not": lambda one: not one[0],
    "Or": any,
    "Select": lambda pair: pair[1][int(pair[0])],
    "Split": lambda pair: pair[1].split(pair[0]),
}
