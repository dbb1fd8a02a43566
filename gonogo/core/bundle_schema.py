"""What a bundle's schema must say: what gonogo gives to policies, and nothing that it never gives."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from enum import Enum
from typing import Any

import cedarpy

from gonogo.core.budget import BudgetRule
from gonogo.core.bundle import ACTIONS
from gonogo.core.bundle_lines import CedarFile
from gonogo.core.errors import Fault

FILE = "schema.cedarschema"

_OF: dict[str, str] = {
    "launch": "Template",
    "request": "Template",
    "break_glass": "Template",
    "extend": "Template",
    "approve": "Gate",
    "change_policy": "Gate",
    "act_for": "Person",
    "delegate": "Person",
}
"""What each action is done to."""
_ENTITIES = ("Group", "Person", "Template", "Gate")
_BUDGETED = ("launch", "request", "break_glass", "extend")
_NEEDED = ("launch", "request", "approve")
_ZERO = {"__extn": {"fn": "decimal", "arg": "0.0"}}
_COSTS = {"hourly_cost": _ZERO, "monthly_cost": _ZERO, "worst_case_cost": _ZERO}
_ASKED = {
    **_COSTS,
    "engine": "",
    "region": "",
    "units": [""],
    "quantity": 0,
    "lease_hours": 0,
    "claimed": {"cost_center": "", "reason": "", "name": ""},
}
_CONTEXTS: dict[str, dict[str, Any]] = {"Template": _ASKED, "Gate": _COSTS, "Person": {}}
_BUDGET = {"limit": _ZERO, "estimate": _ZERO, "committed": _ZERO, "remaining": _ZERO, "overrun": False}


def _context_of(action: str) -> dict[str, Any]:
    """Return a context of the shape in which gonogo puts the question."""
    return {} if action == "change_policy" else _CONTEXTS[_OF[action]]


def faults(
    text: str, schema: Any, takes: frozenset[str], budgets: Mapping[str, BudgetRule]
) -> Iterator[Fault]:
    """Yield where the schema takes what gonogo never gives, or does not take what it gives.

    A policy that waits for something that never comes is skipped without a word: a forbid would forbid nothing.
    """
    file = CedarFile(FILE, text)
    for action in ACTIONS:
        if action in takes:
            for rule, detail in _action_faults(schema, action, takes):
                yield Fault(file.at_word("action", action), rule, detail)
        elif action in _NEEDED:
            yield Fault(FILE, "action", f"has no action {action!r}, so nothing could be judged")
    # what Cedar prints of a schema is without comments, one declaration or attribute a line, a context for each action
    for line in dict.fromkeys(str(schema).splitlines()):
        yield from _line_faults(file, line)
    if budgets and "request.budget" not in takes:
        yield Fault(
            file.at_word("action", "request"),
            "budget",
            "the context of request takes no budget, so nothing could be judged by budgets.toml: see policy/",
        )


def _action_faults(schema: Any, action: str, takes: frozenset[str]) -> Iterator[tuple[str, str]]:
    """Yield (rule, words) of how the schema's action differs from what gonogo asks with it."""
    context = _context_of(action)
    if (error := _tried(schema, action, context)) is not None:
        yield "context", f"does not take what gonogo gives for {action!r}: {error}"
        return
    if action in _BUDGETED and f"{action}.budget" not in takes:
        error = _tried(schema, action, {**context, "budget": _BUDGET}) or ""
        if _Unknown.BUDGET.value not in error:
            yield "budget", f"has another budget than gonogo gives for {action!r}: {error}"
    for kind in _ENTITIES:
        if kind != _OF[action] and _tried(schema, action, context, of=kind) is None:
            yield "resource", f"{action!r} is done to a {_OF[action]}, and never to a {kind}"
        if kind != "Person" and _tried(schema, action, context, by=kind) is None:
            yield "principal", f"{action!r} is done by a Person, and never by a {kind}"


def _line_faults(file: CedarFile, line: str) -> Iterator[Fault]:
    words = line.split()
    if words[:1] == ["namespace"]:
        yield Fault(file.at_word("namespace"), "namespace", "gonogo's entities and actions are in none")
    if words[:1] == ["entity"]:
        name = words[1].rstrip(";")
        if name not in _ENTITIES or "enum" in words:
            yield Fault(
                file.at_word("entity", name),
                "entity",
                f"{line.strip()!r}: gonogo gives {', '.join(_ENTITIES)} and no other",
            )
        if "tags" in words:
            yield Fault(file.at_word("entity", name), "entity", f"{name}: gonogo gives no tags")
    for quoted, bare in re.findall(r'(?:"([^"]+)"|(\w+))\?:', line):
        name = quoted or bare
        if name != "budget":
            yield Fault(
                file.at_word(name),
                "optional",
                f"{name} is optional: gonogo gives all but `budget` always, or never",
            )


def takes_of(schema: Any) -> frozenset[str]:
    """Return what the schema takes, by trying: the actions it knows, and whose context may have a budget.

    What a schema does not know is never asked with it, so that bundles that came before stay valid.
    """
    found = {action for action in ACTIONS if _Unknown.ACTION.value not in (_tried(schema, action, {}) or "")}
    for action in _BUDGETED:
        if action in found and _tried(schema, action, {**_ASKED, "budget": _BUDGET}) is None:
            found.add(f"{action}.budget")
    return frozenset(found)


class _Unknown(Enum):
    ACTION = "does not exist in the supplied schema"
    BUDGET = "`budget` should not exist according to the schema"


def _tried(
    schema: Any, action: str, context: dict[str, Any], *, of: str | None = None, by: str = "Person"
) -> str | None:
    """Put a question to a policy that permits nothing, and return what the schema has against it."""
    question = {
        "principal": {"type": by, "id": "x#x"},
        "action": {"type": "Action", "id": action},
        "resource": {"type": of or _OF[action], "id": "x"},
        "context": context,
    }
    try:
        errors = cedarpy.is_authorized(question, "", [], schema).diagnostics.errors
    except ValueError as error:
        errors = [str(error)]
    return "; ".join(errors) or None
