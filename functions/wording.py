"""How launches, money, times and people read, in pages and mails alike."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec

from gonogo.core.actor import Actor
from gonogo.core.bundle import Person
from gonogo.core.event import Change
from gonogo.core.gates import LAPSED, LOST, Gate, GateState, Place
from gonogo.core.launch import Launch
from gonogo.core.lease import Extension, extension_of
from gonogo.core.plan import LEASE_ENGINE, NEVER, POLICY_ENGINE, Plan, Question, cost_of
from gonogo.core.states import State
from gonogo.core.unseen import is_unseen

VERDICTS = {"approve": "GO", "reject": "NO-GO", "revoke": "REVOKE"}
"""What people read and type for a verdict."""

GATE_STATES = {
    GateState.WAITING: "waits for its turn",
    GateState.OPEN: "open",
    GateState.GO: "GO",
    GateState.NO_GO: "NO-GO",
    GateState.EXPIRED: "expired",
    GateState.CANCELLED: "cancelled",
}

PLACES: dict[Place, str] = {
    "before_approval": "before people are asked",
    "approval": "approval",
    "before_launch": "before the launch",
    "after_launch": "after the launch",
}
"""Where a gate stands, as people read it."""

_STANDING = {
    State.PENDING: "Every gate is GO, and it is being launched.",
    State.LAUNCHING: "Every gate is GO, and it is being launched.",
    State.RUNNING: "It is running.",
    State.STOPPED: "It was launched, and is stopped.",
    State.TERMINATED: "It was launched, and is terminated.",
    State.REJECTED: "It is rejected, and will not be launched.",
    State.EXPIRED: "It has expired: a gate was not decided in time. It will not be launched.",
    State.CANCELLED: "Whoever asked for it has cancelled it. It will not be launched.",
    State.FAILED: "Every gate was GO, but the launch failed.",
}
_UNGATED = {
    State.PENDING: "It is being launched.",
    State.LAUNCHING: "It is being launched.",
    State.EXPIRED: "It has expired: it came too late. It will not be launched.",
    State.FAILED: "The launch failed.",
}
"""Where a launch stands that nothing held up."""
_LATE = "It has expired: it waited too long. It will not be launched."
_POLICY = {
    State.PENDING: "The gate is GO, and it is being put in force.",
    State.LAUNCHING: "The gate is GO, and it is being put in force.",
    State.TERMINATED: "It was put in force.",
    State.REJECTED: "It is rejected, and will not come into force.",
    State.EXPIRED: "It has expired: the gate was not decided in time. It will not come into force.",
    State.CANCELLED: "Whoever asked for it has cancelled it. It will not come into force.",
    State.FAILED: "The gate was GO, but it could not be put in force.",
}
"""Where a change of policy stands."""
_EXTENSION = {
    State.PENDING: "Every gate is GO, and the lease is being extended.",
    State.LAUNCHING: "Every gate is GO, and the lease is being extended.",
    State.TERMINATED: "The lease is extended.",
    State.REJECTED: "It is rejected, and the lease ends when it did.",
    State.EXPIRED: "It has expired: the lease ended, or a gate was not decided in time.",
    State.CANCELLED: "Whoever asked for it has cancelled it, and the lease ends when it did.",
    State.FAILED: "Every gate was GO, but the lease could not be extended.",
}
"""Where the extension of a lease stands."""
_WHY = {
    LOST: "somebody who decided it may do so no longer",
    LAPSED: "it was decided too long ago",
}
"""Why a gate opens again, where that reads otherwise than it is kept."""

_UNITS = {"s": "second", "m": "minute", "h": "hour", "d": "day", "w": "week"}
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def visible(text: str) -> str:
    """Return the text on one line with every character that would not be seen written as ⟨U+202E⟩."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(f"⟨U+{ord(one):04X}⟩" if is_unseen(one) else one for one in text)


def lines(text: str) -> list[str]:
    """Return a text that may have several lines, as lines."""
    return text.replace("\r\n", "\n").replace("\t", "    ").split("\n")


def money(amount: Decimal, currency: str) -> str:
    """Return an amount such as 16,029.08 USD."""
    return f"{amount:,f} {currency}"


def moment(at: datetime) -> str:
    """Return a time to the minute such as Thu 26 Nov 2026, 05:15 UTC."""
    at = at.astimezone(UTC)
    return f"{_DAYS[at.weekday()]} {at.day} {_MONTHS[at.month - 1]} {at.year}, {at:%H:%M} UTC"


def length(text: str) -> str:
    """Return a length of time as words: 30d is 30 days."""
    if text == NEVER:
        return "10 years, for it has no end"
    number, unit = text[:-1], _UNITS[text[-1]]
    return f"{number} {unit}" if number == "1" else f"{number} {unit}s"


def wait(seconds: int) -> str:
    """Say for how long to wait: never for less."""
    if seconds < 2 * 60:
        return "a second" if seconds == 1 else f"{seconds} seconds"
    return f"{-(-seconds // 60)} minutes"


def what(plan: Plan) -> str:
    """Return what is launched, such as 2 of t3.micro in us-east-1, with a sign for `of`."""
    if plan.engine == POLICY_ENGINE:
        return f"the policy: {', '.join(plan.spec['files'])}"
    if plan.engine == LEASE_ENGINE:
        one = extension_of(plan)
        return f"extends the lease of {one.name} ({one.launch}) from {moment(one.previous)} to {_end(one)}"
    units = ", ".join(f"{unit.quantity} \N{MULTIPLICATION SIGN} {unit.kind}" for unit in plan.units)
    return f"{units or plan.template} in {plan.region}"


MOST_KINDS = 12
MOST_NAMES = 6
"""How many kinds of resource, and names of one kind, are shown before the rest is only counted."""
_CAPABILITIES = {
    "CAPABILITY_IAM": "may make roles and rights",
    "CAPABILITY_NAMED_IAM": "may make roles and rights by names of its own",
    "CAPABILITY_AUTO_EXPAND": "may be rewritten by code when it is launched",
}


def makes(plan: Plan) -> list[str]:
    """Return what a stack makes, such as 2 of AWS::S3::Bucket (Logs, Site), with a sign for `of`; long lists cut.

    What rewrites the template, and so may make more, is said first.
    """
    kinds = _kinds(plan)
    transforms = [
        f"rewritten by {one} when it is launched"
        for one in (plan.spec.get("transforms", ()) if kinds else ())
    ]
    shown = [_kind(one, names, MOST_NAMES) for one, names in list(kinds.items())[:MOST_KINDS]]
    more = len(kinds) - len(shown)
    return [*transforms, *shown, *([f"{more} more kinds, which the whole plan names"] if more > 0 else [])]


def makes_whole(plan: Plan) -> list[str]:
    """Return all that a stack makes, nothing cut."""
    return [_kind(one, names, len(names)) for one, names in _kinds(plan).items()]


def capabilities(plan: Plan) -> list[str]:
    """Return what a stack may do besides making things, in words, with CloudFormation's own name for it."""
    if plan.engine != "cloudformation":
        return []
    return [f"{_CAPABILITIES.get(one, 'may')} ({one})" for one in plan.spec.get("capabilities", ())]


def _kinds(plan: Plan) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    if plan.engine == "cloudformation":
        for one in plan.spec.get("makes", ()):
            condition = f" if {one['condition']}" if one.get("condition") else ""
            found.setdefault(one["type"], []).append(f"{one['id']}{condition}")
    return dict(sorted(found.items()))


def _kind(kind: str, names: list[str], most: int) -> str:
    more = f", and {len(names) - most} more" if len(names) > most else ""
    return f"{len(names)} \N{MULTIPLICATION SIGN} {kind} ({', '.join(names[:most])}{more})"


def title(question: Question) -> str:
    """Return what the launch is called: its name if it has one, and its template."""
    if question.changes_policy:
        return "Change of policy"
    template = question.plan.template
    called = f"{question.name} ({template})" if question.name else template
    return f"Longer lease of {called}" if question.extends_lease else called


def deed(question: Question) -> str:
    """Return what is done with it once every gate is GO."""
    if question.extends_lease:
        return "extended"
    return "put in force" if question.changes_policy else "launched"


def at_most(question: Question) -> str:
    """Return what it costs at most, and over which time."""
    cost = money(question.price.worst_case, question.price.currency)
    if question.extends_lease:
        return f"at most {cost} more, until {_end(extension_of(question.plan))}"
    return f"at most {cost} in {length(question.lease)}"


def runs(question: Question) -> str:
    """Return how long it may run."""
    if question.lease == NEVER:
        return "without an end"
    whole = length(question.lease)
    return f"{whole} in all, from its start on" if question.extends_lease else f"at most {whole}"


def so_far(launch: Launch, at: datetime) -> str:
    """Return what a launch has cost by then, if all of it ran all the time."""
    price, began_at = launch.question.price, launch.started_at or at
    return money(cost_of(price.hourly, at - began_at), price.currency)


def _end(extension: Extension) -> str:
    return moment(extension.until) if extension.until is not None else "no end"


class Named(msgspec.Struct, frozen=True):
    """Somebody as people read them: by the policy's name for them if it has one, and by what they are."""

    name: str | None
    actor: Actor

    @property
    def short(self) -> str:
        """The name, or the subject for want of one."""
        return self.name or self.actor.subject

    @property
    def exact(self) -> str:
        """What tells them from everybody else."""
        subject = "" if self.short == self.actor.subject else f"{self.actor.subject}, "
        return f"{subject}{self.actor.issuer}"

    def __str__(self) -> str:
        """Read in one line."""
        return f"{self.short} ({self.exact})"


def named(actor: Actor, people: Mapping[Actor, Person]) -> Named:
    """Return somebody with the name that policy has for them; none is made up."""
    person = people.get(actor)
    return Named(person.name if person else None, actor)


def gate_state(gate: Gate) -> str:
    """Return how a gate stands, such as open, 0 of 1 say GO."""
    state = GATE_STATES[gate.state]
    if gate.state is GateState.OPEN:
        if gate.kind == "timer":
            return f"waits for the clock{_until(gate)}"
        state = f"{'waits for the system' if gate.kind == 'hook' else state}, {count(gate)}"
    if gate.state is GateState.GO and gate.passed is not None:
        state = f"{state}, because {gate.passed}"
    again = anew(gate)
    return f"{state}; opened again because {again}" if again and gate.state is GateState.OPEN else state


def anew(gate: Gate) -> str | None:
    """Return why a gate is decided anew; None where it is not."""
    return None if gate.why is None else _WHY.get(gate.why, gate.why)


def _until(gate: Gate) -> str:
    return f" until {moment(gate.goes_at)}" if gate.goes_at else ""


def count(gate: Gate) -> str:
    """Return how many said go, of how many must."""
    return f"{gate.approvals} of {gate.quorum} say GO"


def kind(gate: Gate) -> str:
    """Return who decides a gate, and where it stands."""
    whom = {"human": "people decide", "hook": "a system decides", "timer": "the clock decides"}[gate.kind]
    return whom if gate.place == "approval" else f"{whom}, {PLACES[gate.place]}"


def standing(launch: Launch) -> str:
    """Return one sentence of where the launch stands, and what it waits for."""
    waits = [_waits_for(gate) for gate in launch.gates if gate.state is GateState.OPEN]
    if launch.state is State.PENDING_APPROVAL:
        return f"It waits for {' and '.join(waits) or 'its gates'}."
    said = _said_of(launch)
    return f"{said} After the launch, it waits for {' and '.join(waits)}." if waits else said


def _said_of(launch: Launch) -> str:
    if launch.question.changes_policy and launch.state in _POLICY:
        return _POLICY[launch.state]
    if launch.question.extends_lease and launch.state in _EXTENSION:
        return _EXTENSION[launch.state]
    if all(gate.is_after for gate in launch.gates):
        return _UNGATED.get(launch.state, _STANDING[launch.state])
    if launch.state is State.EXPIRED and not any(one.state is GateState.EXPIRED for one in launch.gates):
        return _LATE
    return _STANDING[launch.state]


def _waits_for(gate: Gate) -> str:
    if gate.kind == "timer":
        return f"the clock{_until(gate)} ({gate.title})"
    whom = f"the system {gate.title}" if gate.kind == "hook" else gate.title
    return f"{whom} ({count(gate)})"


class Differs(msgspec.Struct, frozen=True):
    """One thing that was changed, each side on one line."""

    what: str
    before: str
    after: str


_COSTS = {
    "price.monthly": "Cost a month",
    "price.worst_case": "Cost at most",
    "price.hourly": "Cost an hour",
    "lease": "Lease",
    "launch_by": "Launch by",
    "reason": "Why",
    "cost_center": "Paid by",
    "name": "Name",
}
"""What is named in words, in the order in which it is read; all else by its path, after these."""
_PARAMETERS = "plan.parameters."
_IMPLIED = "plan.units["
"""What follows of the rest of the plan: `what` says it."""
_SPEC = "plan.spec."
LONGEST_SIDE = 200


def differences(changes: Iterable[Change]) -> list[Differs]:
    """Return what differs, cost first and parameters by their names; a long text is cut.

    What a parameter fills into the spec is said once.
    """
    changes, order = tuple(changes), list(_COSTS)
    filled = {(one.before, one.after) for one in changes if one.path.startswith(_PARAMETERS)}

    def rank(change: Change) -> tuple[int, int]:
        if change.path in _COSTS:
            return (0 if change.path.startswith("price.") else 2, order.index(change.path))
        return (1 if change.path.startswith(_PARAMETERS) else 3, 0)

    return [
        Differs(
            _COSTS.get(one.path, one.path.removeprefix(_PARAMETERS)),
            _side(one.path, one.before),
            _side(one.path, one.after),
        )
        for one in sorted(changes, key=rank)
        if not one.path.startswith(_IMPLIED)
        and not (one.path.startswith(_SPEC) and (one.before, one.after) in filled)
    ]


def _side(path: str, value: str | None) -> str:
    if value is None:
        return "none"
    if path == "lease":
        return "without an end" if value == NEVER else length(value)
    if path == "launch_by":
        return moment(datetime.fromisoformat(value))
    if path in _COSTS and path.startswith("price."):
        return f"{Decimal(value):,f}"
    text = " ".join(lines(value))
    return text if len(text) <= LONGEST_SIDE else f"{text[:LONGEST_SIDE]}\N{HORIZONTAL ELLIPSIS}"


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Yield each value inside a plan's spec or parameters, with its path such as volumes[1].size_gib."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from leaves(inner, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list | tuple):
        for number, inner in enumerate(value):
            yield from leaves(inner, f"{path}[{number}]")
    elif isinstance(value, str):
        yield path, value
    else:
        yield path, msgspec.json.encode(value).decode()
