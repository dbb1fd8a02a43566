"""How launches, gates and templates read: all that is asked about, who may decide it, and who did."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from gonogo.cli.screen import actor, block, fields, line, state, under, when
from gonogo.client import Json

WORDS = {"approve": "GO", "reject": "NO-GO"}


def cost(price: Mapping[str, Any], lease: str) -> str:
    """Return what it costs, in one line."""
    return (
        f"{price['hourly']} {price['currency']} an hour, {price['monthly']} a month,"
        f" {price['worst_case']} if it runs for its whole lease of {lease}"
    )


def brief(launch: Json) -> RenderableType:
    """Show where a launch stands and what it waits for."""
    head = Text.assemble(line(launch["id"], "bold"), "  ", state(launch["state"]))
    if launch["wanted"]:
        head.append_text(line(f"  ({launch['wanted']} is under way)"))
    what = f"{launch['template']}, {launch['price']['monthly']} {launch['price']['currency']} a month"
    rows = [line(what), *(row for gate in launch["gates"] for row in _gate(gate, launch["state"]))]
    rows += [_failure(launch)] if launch["failure"] else []
    return Group(head, under(*rows))


def whole(launch: Json) -> RenderableType:
    """Show all that an approver is asked about, all that was decided, and what was made."""
    head = Text.assemble(line(launch["id"], "bold"), "  ", state(launch["state"]))
    rows = _fields(launch)
    rows += [("asked at", line(when(launch["created_at"])))]
    if launch["lease_ends_at"]:
        rows.append(("ends at", line(when(launch["lease_ends_at"]))))
    if launch["wanted"]:
        rows.append(("wanted", line(launch["wanted"])))
    if launch["failure"]:
        rows.append(("failure", _failure(launch)))
    rows += [("gate", Group(*_gate(gate, launch["state"]))) for gate in launch["gates"]]
    rows += [("made", line(f"{one['id']}  {one['state']}")) for one in launch["resources"]]
    return Group(head, fields(rows))


def waiting(gate: Json, launch: Json) -> RenderableType:
    """Show a gate that waits for whoever reads, and the command that answers it."""
    head = Text.assemble(line(launch["id"], "bold"), "  ", line(f"gate {gate['name']}", "yellow"))
    command = shlex.join(["gonogo", "decide", launch["id"], "--gate", gate["name"]])
    rows = [
        ("template", line(launch["template"])),
        ("asked by", line(actor(launch["requester"]))),
        ("why", block(launch["reason"])),
        ("cost", line(cost(launch["price"], launch["lease"]))),
        ("until", line(when(gate["expires_at"]))),
        ("decide", line(command)),
    ]
    return Group(head, fields(rows), Text())


def dry_run(answer: Json, asked: Mapping[str, Any]) -> RenderableType:
    """Show what would become of a request."""
    outcomes = {"direct": "It would be launched at once.", "gates": "It would wait for these gates."}
    rows = _fields({**asked, **answer, "template": answer["plan"]["template"]})
    rows += [("gate", Group(*_gate(gate, "PENDING_APPROVAL"))) for gate in answer["gates"]]
    rows += [("because", line(one)) for one in answer["policies"]]
    return Group(line(outcomes.get(answer["outcome"], answer["outcome"]), "bold"), fields(rows))


def template(one: Json) -> RenderableType:
    """Show what may be asked for."""
    head = Text.assemble(line(one["name"], "bold"), "  ", line(one["title"]))
    rows: list[tuple[str, RenderableType]] = []
    if one["description"]:
        rows.append(("", block(one["description"])))
    rows += [
        ("where", line(f"{one['engine']}, {one['region']}")),
        ("lease", line(f"{one['lease']['default']} unless you ask, {one['lease']['max']} at most")),
    ]
    needed = one["parameters"].get("required", ())
    for name, rule in one["parameters"].get("properties", {}).items():
        about = " ".join(f"{key}={json.dumps(value, ensure_ascii=False)}" for key, value in _rules(rule))
        rows.append(("parameter", line(f"{name}{' (required)' if name in needed else ''}  {about}")))
    return Group(head, fields(rows), Text())


def _rules(rule: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(rule, dict):
        yield from ((key, value) for key, value in rule.items() if key not in ("title", "description"))


def _fields(launch: Mapping[str, Any]) -> list[tuple[str, RenderableType]]:
    """Return what the digest covers, as far as it is there, and the digest."""
    plan = launch["plan"]
    rows: list[tuple[str, RenderableType]] = []
    for label, name in (("name", "name"), ("why", "reason"), ("cost center", "cost_center")):
        if launch.get(name):
            rows.append((label, block(launch[name])))
    for label, name in (("asked by", "requester"), ("on behalf of", "on_behalf_of")):
        if launch.get(name):
            rows.append((label, line(actor(launch[name]))))
    units = ", ".join(f"{unit['quantity']} x {unit['kind']}" for unit in plan["units"])
    rows += [
        ("template", line(f"{launch['template']} ({plan['engine']}, {plan['region']}): {units}")),
        ("parameters", line(json.dumps(plan["parameters"], ensure_ascii=False))),
        ("cost", line(cost(launch["price"], launch["lease"]))),
        ("plan", block(json.dumps(plan["spec"], indent=2, ensure_ascii=False))),
        ("digest", line(launch["digest"])),
    ]
    return rows


def _gate(gate: Json, launch_state: str) -> Iterator[RenderableType]:
    text = Text.assemble(
        line(f"{gate['name']} ({gate['title']}), stage {gate['stage']}: "), state(gate["state"])
    )
    text.append(f", {gate['approvals']} of {gate['quorum']}")
    if gate["state"] == "OPEN":
        text.append_text(line(f", until {when(gate['expires_at'])}"))
    yield text
    if launch_state == "PENDING_APPROVAL" and gate["state"] in ("OPEN", "WAITING"):
        signed_in = ", signed in" if gate["login"] else ""
        yield under(line(f"may decide{signed_in}: {', '.join(map(actor, gate['approvers']))}"))
    for one in gate["decisions"]:
        said = f"{WORDS.get(one['verdict'], one['verdict'])} by {actor(one['actor'])}, {when(one['at'])}"
        said += f", counts no longer: {one['void']}" if one["void"] else ""
        yield under(line(said), *([under(block(one["comment"]))] if one["comment"] else []))


def _failure(launch: Json) -> Text:
    failure = launch["failure"]
    return line(f"attempt {failure['attempt']}: {failure['code']}: {failure['message']}", "red")
