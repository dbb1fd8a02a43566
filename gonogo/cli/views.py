"""How launches, gates and templates read: all that is asked about, who may decide it, and who did."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from gonogo.cli.screen import actor, block, columns, fields, line, state, under, when
from gonogo.client import Json
from gonogo.core.plan import LEASE_ENGINE, NEVER, POLICY_ENGINE

WORDS = {"approve": "GO", "reject": "NO-GO"}
KINDS = {"hook": ", a system's", "timer": ", the clock's"}
PLACES = {
    "before_approval": ", before approval",
    "before_launch": ", before the launch",
    "after_launch": ", after the launch",
}
AT_EXPIRY = {"reject": "NO-GO", "approve": "GO", "escalate": "for people to decide"}
"""What becomes of a gate that nobody answers in time, where that is more than to expire."""
UNDECIDED = ("OPEN", "WAITING")


def cost(price: Mapping[str, Any], lease: str) -> str:
    """Return what it costs, in one line."""
    whole = "ten years, for it has no end" if lease == NEVER else f"its whole lease of {lease}"
    return (
        f"{price['hourly']} {price['currency']} an hour, {price['monthly']} a month,"
        f" {price['worst_case']} if it runs for {whole}"
    )


def _costs(launch: Mapping[str, Any]) -> str:
    """Return what it costs, or what an extension costs more."""
    if not extends_lease(launch):
        return cost(launch["price"], launch["lease"])
    price = launch["price"]
    return f"{price['worst_case']} {price['currency']} more, at {price['hourly']} an hour"


def brief(launch: Json) -> RenderableType:
    """Show where a launch stands and what it waits for."""
    head = Text.assemble(line(launch["id"], "bold"), "  ", state(launch["state"]))
    if launch["wanted"]:
        head.append_text(line(f"  ({launch['wanted']} is under way)"))
    what = f"{launch['template']}, {launch['price']['monthly']} {launch['price']['currency']} a month"
    if changes_policy(launch):
        what = _policy_files(launch)
    if extends_lease(launch):
        what = extension(launch)
    rows = [line(what), *(row for gate in launch["gates"] for row in _gate(gate, launch["state"]))]
    for one in launch.get("offers") or ():
        command = shlex.join(["gonogo", "accept", launch["id"], str(one["digest"])])
        rows.append(line(f"{actor(one['actor'])} would say GO to less: {command}"))
    rows += [_failure(launch)] if launch["failure"] else []
    return Group(head, under(*rows))


def _policy_files(launch: Mapping[str, Any]) -> str:
    return f"change of policy: {', '.join(map(str, launch['plan']['spec'].get('files', ())))}"


def changes_policy(launch: Mapping[str, Any]) -> bool:
    """Tell whether it is policy that is to be launched."""
    return (launch.get("plan") or {}).get("engine") == POLICY_ENGINE


def extends_lease(launch: Mapping[str, Any]) -> bool:
    """Tell whether it asks that another launch may run for longer."""
    return (launch.get("plan") or {}).get("engine") == LEASE_ENGINE


def extension(launch: Mapping[str, Any]) -> str:
    """Return which lease it extends, from when until when."""
    spec = launch["plan"]["spec"]
    until = "no end" if spec.get("until") == NEVER else when(spec.get("until"))
    return (
        f"extends the lease of {spec.get('name')} ({spec.get('launch')}) from {when(spec.get('previous'))}"
        f" to {until}"
    )


def takes_decisions(gate: Json) -> bool:
    """Tell whether somebody can say something of the gate now: it is open, and not the clock's."""
    return gate["state"] == "OPEN" and gate.get("kind") != "timer"


def whole(launch: Json, policy: Mapping[str, str] | None = None) -> RenderableType:
    """Show all that an approver is asked about, all that was decided, and what was made.

    `policy` is what a change of policy changes: by file, a unified diff.
    """
    head = Text.assemble(line(launch["id"], "bold"), "  ", state(launch["state"]))
    rows = _fields(launch)
    rows += [("file", Group(line(name, "bold"), under(block(text)))) for name, text in (policy or {}).items()]
    rows += [("asked at", line(when(launch["created_at"])))]
    if launch.get("groups"):
        rows.append(("groups", line(", ".join(launch["groups"]))))
    if launch.get("amended_by"):
        rows.append(("amended by", line(", ".join(map(actor, launch["amended_by"])))))
    if launch.get("changes"):
        rows.append(("amended", changes(launch["changes"])))
    if launch.get("waits_until"):
        rows.append(("waits until", line(when(launch["waits_until"]))))
    if launch["lease_ends_at"]:
        rows.append(("ends at", line(when(launch["lease_ends_at"]))))
    if launch["wanted"]:
        rows.append(("wanted", line(launch["wanted"])))
    if launch["failure"]:
        rows.append(("failure", _failure(launch)))
    rows += [("gate", Group(*_gate(gate, launch["state"]))) for gate in launch["gates"]]
    rows += [("offer", offer(one)) for one in launch.get("offers") or ()]
    rows += [("made", line(f"{one['id']}  {one['state']}")) for one in launch["resources"]]
    return Group(head, fields(rows))


def changes(found: Iterable[Mapping[str, Any]]) -> RenderableType:
    """Show what differs: what it is of, what it was and what it becomes, side by side."""
    rows = [
        (line(one["path"]), _value(one.get("before")), Text("->"), _value(one.get("after"))) for one in found
    ]
    return columns(rows) if rows else line("nothing")


def _value(text: object) -> Text:
    return line(text) if text is not None else Text("none", style="dim")


def offer(one: Json) -> RenderableType:
    """Show to what less somebody would say go."""
    return Group(
        line(f"of {actor(one['actor'])}, gate {one['gate']}, {when(one['at'])}"),
        *([under(block(one["comment"]))] if one.get("comment") else []),
        line(cost(one["price"], one["lease"])),
        changes(one["changes"]),
        line(f"digest {one['digest']}"),
    )


def budget(one: Mapping[str, Any]) -> RenderableType:
    """Show how a launch would stand to its cost center's budget."""
    text = (
        f"{one['cost_center']}, {one['month']}: {one['committed']} of {one['limit']} are committed,"
        f" {one['remaining']} are left, and this takes {one['estimate']}"
    )
    return line(f"{text}: too much", "red") if one.get("overrun") else line(text)


def why(answer: Json) -> RenderableType:
    """Show what a launch waits for, and for each gate who can, who did, what is missing, and why not you."""
    head = Text.assemble(line(answer["id"], "bold"), "  ", state(answer["state"]))
    rows: list[tuple[str, RenderableType]] = []
    for label, name in (("waits until", "waits_until"), ("launch by", "launch_by")):
        if answer.get(name):
            rows.append((label, line(when(answer[name]))))
    you = {one["gate"]: one for one in answer.get("you") or ()}
    rows += [("gate", Group(*_why(answer["id"], one, you))) for one in answer["gates"]]
    if not answer["gates"]:
        rows.append(("gate", line("It waits for nobody's go.")))
    rows += [("because", line(one)) for one in answer.get("policies") or ()]
    if answer.get("budget"):
        rows.append(("budget", budget(answer["budget"])))
    return Group(head, fields(rows))


def _why(launch_id: str, one: Json, you: Mapping[str, Json]) -> Iterator[RenderableType]:
    gate = one["gate"]
    yield _head(gate)
    yield under(line(one["waits_for"]))
    if one.get("until") and one["until"] not in (gate.get("expires_at"), gate.get("goes_at")):
        yield under(line(f"the clock acts next at {when(one['until'])}"))
    reader = None
    if gate["state"] in UNDECIDED and gate.get("kind") != "timer":
        reader = you.get(gate["name"])
        yield under(line(f"can: {', '.join(map(actor, one['can'])) or 'nobody in their own right'}"))
    for other in one.get("instead") or ():
        whom = ", ".join(map(actor, other["instead_of"]))
        yield under(line(f"can: {actor(other['actor'])}, in the place of {whom}"))
    yield from map(under, _told(gate))
    if reader is not None and reader["can"]:
        command = shlex.join(["gonogo", "decide", launch_id, "--gate", gate["name"]])
        yield under(line(f"you can: {command}", "green"))
    elif reader is not None and reader.get("why_not"):
        yield under(line(f"not you: {reader['why_not']}"))


def delegation(one: Json) -> RenderableType:
    """Show who decides in whose place, and from when until when."""
    stands = Text("in force", style="green") if one["in_force"] else Text("not in force", style="red")
    rows = [
        ("in place of", line(actor(one["actor"]))),
        ("from", line(when(one["since"]))),
        ("until", line(when(one["until"]))),
        ("said by", line(actor(one["by"]))),
    ]
    return Group(Text.assemble(line(actor(one["to"]), "bold"), "  ", stands), fields(rows))


def waiting(gate: Json, launch: Json) -> RenderableType:
    """Show a gate that waits for whoever reads, and the command that answers it."""
    head = Text.assemble(line(launch["id"], "bold"), "  ", line(f"gate {gate['name']}", "yellow"))
    command = shlex.join(["gonogo", "decide", launch["id"], "--gate", gate["name"]])
    rows: list[tuple[str, RenderableType]] = [
        ("template", line(launch["template"])),
        ("asked by", line(actor(launch["requester"]))),
        ("why", block(launch["reason"])),
    ]
    if changes_policy(launch):
        rows.append(("what", line(_policy_files(launch))))
    else:
        rows += [("what", line(extension(launch)))] if extends_lease(launch) else []
        rows.append(("cost", line(_costs(launch))))
    if launch.get("break_glass"):
        rows.append(("glass", _glass()))
    if launch.get("changes"):
        rows.append(("amended", changes(launch["changes"])))
    if said := [*_told(gate)]:
        rows.append(("so far", Group(*said)))
    if launch.get("launch_by"):
        rows.append(("launch by", line(when(launch["launch_by"]))))
    rows += [("until", line(when(gate["expires_at"]) + _at_expiry(gate))), ("decide", line(command))]
    return Group(head, fields(rows), Text())


def dry_run(answer: Json, asked: Mapping[str, Any]) -> RenderableType:
    """Show what would become of a request."""
    outcomes = {
        "direct": "It would be launched at once.",
        "gates": "It would wait for these gates.",
        "break_glass": "It would be launched at once, with these gates after it.",
    }
    rows = _fields({**asked, **answer, "template": answer["plan"]["template"]})
    rows += [("gate", Group(*_gate(gate, "PENDING_APPROVAL"))) for gate in answer["gates"]]
    rows += [("tells", line(one)) for one in answer.get("tells") or ()]
    rows += [("because", line(one)) for one in answer["policies"]]
    if answer.get("budget"):
        rows.append(("budget", budget(answer["budget"])))
    return Group(line(outcomes.get(answer["outcome"], answer["outcome"]), "bold"), fields(rows))


def template(one: Json) -> RenderableType:
    """Show what may be asked for."""
    head = Text.assemble(line(one["name"], "bold"), "  ", line(one["title"]))
    rows: list[tuple[str, RenderableType]] = []
    if one["description"]:
        rows.append(("", block(one["description"])))
    rows += [
        ("where", line(f"{one['engine']}, {one['region']}")),
        ("lease", line(_lease(one["lease"]))),
    ]
    needed = one["parameters"].get("required", ())
    for name, rule in one["parameters"].get("properties", {}).items():
        about = " ".join(f"{key}={json.dumps(value, ensure_ascii=False)}" for key, value in _rules(rule))
        rows.append(("parameter", line(f"{name}{' (required)' if name in needed else ''}  {about}")))
    return Group(head, fields(rows), Text())


def _lease(lease: Json) -> str:
    default, most = (
        "without an end" if lease[name] == NEVER else lease[name] + suffix
        for name, suffix in (("default", ""), ("max", " at most"))
    )
    return f"{default} unless you ask, {most}"


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
    if launch.get("break_glass"):
        rows.append(("glass", _glass()))
    if launch.get("launch_by"):
        rows.append(("launch by", line(when(launch["launch_by"]))))
    if changes_policy(launch):
        spec = ("plan", block(json.dumps(plan["spec"], indent=2, ensure_ascii=False)))
        return [*rows, ("what", line(_policy_files(launch))), spec, ("digest", line(launch["digest"]))]
    units = ", ".join(f"{unit['quantity']} x {unit['kind']}" for unit in plan["units"])
    rows += [("what", line(extension(launch)))] if extends_lease(launch) else []
    rows += [
        ("template", line(f"{launch['template']} ({plan['engine']}, {plan['region']}): {units}")),
        ("parameters", line(json.dumps(plan["parameters"], ensure_ascii=False))),
        ("cost", line(_costs(launch))),
        ("plan", block(json.dumps(plan["spec"], indent=2, ensure_ascii=False))),
        ("digest", line(launch["digest"])),
    ]
    return rows


def _glass() -> Text:
    return Text("is broken: it is launched at once, and reviewed after it", style="red")


def _head(gate: Json) -> Text:
    """Return where a gate stands, in one line."""
    kind, place = KINDS.get(gate.get("kind", ""), ""), PLACES.get(gate.get("place", ""), "")
    text = Text.assemble(
        line(f"{gate['name']} ({gate['title']}){kind}, stage {gate['stage']}{place}: "), state(gate["state"])
    )
    if gate.get("kind") == "timer":
        return text.append_text(line(f", until {when(gate.get('goes_at'))}" if gate.get("goes_at") else ""))
    text.append(f", {gate['approvals']} of {gate['quorum']}")
    if gate.get("reject_quorum", 1) > 1:
        text.append(f", {gate['rejections']} of {gate['reject_quorum']} against")
    if gate["state"] == "OPEN":
        text.append_text(line(f", until {when(gate['expires_at'])}{_at_expiry(gate)}"))
    return text


def _at_expiry(gate: Json) -> str:
    after = AT_EXPIRY.get(gate.get("on_expiry", ""))
    return f", then {after}" if after else ""


def _gate(gate: Json, launch_state: str) -> Iterator[RenderableType]:
    yield _head(gate)
    is_after = gate.get("place") == "after_launch" and gate["state"] == "OPEN"
    waits = gate["state"] in UNDECIDED and (launch_state == "PENDING_APPROVAL" or is_after)
    if waits and gate.get("kind") != "timer":
        signed_in = ", signed in" if gate["login"] else ""
        yield under(line(f"may decide{signed_in}: {', '.join(map(actor, gate['approvers']))}"))
    if waits and gate.get("remind_at"):
        yield under(line(f"reminds them at {when(gate['remind_at'])}"))
    if waits and gate.get("escalate_at"):
        yield under(line(f"is escalated at {when(gate['escalate_at'])}"))
    yield from map(under, _told(gate, standing=waits or launch_state == "PENDING_APPROVAL"))


def _told(gate: Json, *, standing: bool = True) -> Iterator[RenderableType]:
    """Show what happened to a gate: why it opened again or is GO by itself, its notes and its decisions."""
    if gate.get("escalated"):
        yield line("is escalated: more people may decide it")
    if gate.get("why"):
        yield line(f"again, because {gate['why']}")
    if gate.get("passed"):
        yield line(f"GO, because {gate['passed']}")
    for one in gate.get("notes") or ():
        yield Group(line(f"note of {actor(one['actor'])}, {when(one['at'])}"), under(block(one["text"])))
    for one in gate["decisions"]:
        said = f"{WORDS.get(one['verdict'], one['verdict'])} by {actor(one['actor'])}"
        said += f" in the place of {actor(one['instead_of'])}" if one.get("instead_of") else ""
        said += f", {when(one['at'])}"
        if one["void"]:
            said += f", counts no longer: {one['void']}"
        elif standing and one.get("valid_until"):
            said += f", stands until {when(one['valid_until'])}"
        yield Group(line(said), *([under(block(one["comment"]))] if one["comment"] else []))


def _failure(launch: Json) -> Text:
    failure = launch["failure"]
    return line(f"attempt {failure['attempt']}: {failure['code']}: {failure['message']}", "red")
