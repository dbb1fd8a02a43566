"""How launches, money, times and people read, in pages and mails alike."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec

from gonogo.core.actor import Actor
from gonogo.core.bundle import Person
from gonogo.core.gates import Gate, GateState
from gonogo.core.launch import Launch
from gonogo.core.plan import Plan, Question
from gonogo.core.states import State

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

_UNITS = {"s": "second", "m": "minute", "h": "hour", "d": "day", "w": "week"}
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

_UNSEEN = frozenset(("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"))
_IGNORABLE = (
    (0x034F, 0x034F),
    (0x115F, 0x1160),
    (0x17B4, 0x17B5),
    (0x180B, 0x180F),
    (0x2800, 0x2800),
    (0x3164, 0x3164),
    (0xFE00, 0xFE0D),
    (0xFFA0, 0xFFA0),
    (0xE0100, 0xE01EF),
)
"""Characters that draw nothing though their category does not say so (Unicode, Default_Ignorable_Code_Point,
and the blank Braille pattern). U+FE0E and U+FE0F, which only choose how a sign is drawn, are let through."""


def visible(text: str) -> str:
    """Return the text on one line with every character that would not be seen written as ⟨U+202E⟩."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(f"⟨U+{ord(one):04X}⟩" if _unseen(one) else one for one in text)


def _unseen(character: str) -> bool:
    code = ord(character)
    return unicodedata.category(character) in _UNSEEN or any(low <= code <= high for low, high in _IGNORABLE)


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
    number, unit = text[:-1], _UNITS[text[-1]]
    return f"{number} {unit}" if number == "1" else f"{number} {unit}s"


def what(plan: Plan) -> str:
    """Return what is launched, such as 2 of t3.micro in us-east-1, with a sign for `of`."""
    units = ", ".join(f"{unit.quantity} \N{MULTIPLICATION SIGN} {unit.kind}" for unit in plan.units)
    return f"{units or plan.template} in {plan.region}"


def title(question: Question) -> str:
    """Return what the launch is called: its name if it has one, and its template."""
    template = question.plan.template
    return f"{question.name} ({template})" if question.name else template


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
    return f"{state}, {count(gate)}" if gate.state is GateState.OPEN else state


def count(gate: Gate) -> str:
    """Return how many said go, of how many must."""
    return f"{gate.approvals} of {gate.quorum} say GO"


def standing(launch: Launch) -> str:
    """Return one sentence of where the launch stands."""
    if launch.state is State.PENDING_APPROVAL:
        waits = [f"{gate.title} ({count(gate)})" for gate in launch.gates if gate.state is GateState.OPEN]
        return f"It waits for {' and '.join(waits)}."
    return _STANDING[launch.state]


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
