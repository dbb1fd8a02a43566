"""Parameters as they are typed, `count=2`, become values of the types that the template names."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

import typer

from gonogo.client import Client

Given = tuple[str, str, bool]
"""A parameter's name, what was typed, and whether that is JSON."""


def split(text: str) -> Given:
    """Read NAME=VALUE or NAME:=JSON.

    Raises:
        typer.BadParameter: it is neither.
    """
    name, mark, value = text.partition("=")
    if not mark or not name.removesuffix(":"):
        raise typer.BadParameter(f"{text!r} is not NAME=VALUE")
    return name.removesuffix(":"), value, name.endswith(":")


def typed(client: Client, template: str, given: Sequence[Given]) -> dict[str, Any]:
    """Return the parameters with the types that the template's JSON Schema gives them.

    The template is read only if there is something to learn from it; what does not fit is sent as text, so
    that the deployment says what is wrong with it.
    """
    rules: Mapping[str, Any] = {}
    if not all(is_json for _, _, is_json in given):
        schemas = [one["parameters"] for one in client.templates() if one["name"] == template]
        rules = schemas[0].get("properties", {}) if schemas else {}
    found: dict[str, Any] = {}
    for name, value, is_json in given:
        if name in found:
            raise typer.BadParameter(f"the parameter {name!r} is given twice")
        found[name] = _json(name, value) if is_json else _as(rules.get(name), value)
    return found


def _json(name: str, text: str) -> Any:
    try:
        return _strict(text)
    except ValueError as error:
        raise typer.BadParameter(f"the parameter {name!r} is not JSON: {error}") from error


def _as(rule: Any, text: str) -> Any:
    """Return the text as the schema's type; as text where the schema takes text or it fits none."""
    kinds = rule.get("type", ()) if isinstance(rule, dict) else ()
    if kinds and "string" in ([kinds] if isinstance(kinds, str) else kinds):
        return text
    try:
        return _strict(text)
    except ValueError:
        return text


def _strict(text: str) -> Any:
    return json.loads(text, parse_constant=_no_number, parse_float=_finite)


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a number")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text} is beyond all numbers")
    return value
