"""A policy with every kind of gate: systems, people, clocks, budgets, break-glass, and its own change."""

from __future__ import annotations

from tests.functions.policy import person
from tests.functions.world import ISSUER, example
from tests.gated import GATES, RULES, SCAN, SCHEMA

SCANNER = person("scanner", mail=False, webhook="https://scanner.example.com/", service=True)
ORACLE = person("oracle", mail=False, service=True)


def gated(*more_people: str, gates: str = "", rules: str = "", budgets: str = "") -> dict[str, str]:
    """Return the example's people and templates, with these gates and rules on top of those above."""
    files = example()
    files.pop("tests.toml", None)
    files["people.toml"] += "".join(more_people)
    files["schema.cedarschema"] = SCHEMA
    files["policies.cedar"] = RULES + rules
    files["gates.toml"] = GATES + gates
    files["budgets.toml"] = budgets
    return files


def hooked(on_expiry: str = "", *, place: str = "before_approval", more: str = "") -> dict[str, str]:
    """Return that policy with a scanner that must pass, and what happens when it does not answer."""
    fallback = '\nescalate_to = "lead"' if on_expiry == "escalate" else ""
    answer = f'on_expiry = "{on_expiry}"{fallback}' if on_expiry else ""
    scan = f'\n[scan]\ntitle = "Scanner"\nkind = "hook"\nplace = "{place}"\nexpires_after = "10m"\n{answer}\n{more}'
    return gated(SCANNER, gates=scan, rules=SCAN)


def issuer_and(subject: str) -> dict[str, str]:
    """Return somebody as the API takes them."""
    return {"issuer": ISSUER, "subject": subject}
