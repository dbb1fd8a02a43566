"""The states of a launch, and which command leads from which to which: the table that commands obey.

`docs/states.md` is printed from it by `make docs`.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec


class State(StrEnum):
    """Where a launch stands; the last five are final, but for a retry of FAILED."""

    PENDING_APPROVAL = "PENDING_APPROVAL"
    PENDING = "PENDING"
    LAUNCHING = "LAUNCHING"
    RUNNING = "RUNNING"
    STOPPED = "STOPPED"
    TERMINATED = "TERMINATED"
    REJECTED = "REJECTED"
    EXPIRED = "EXPIRED"
    CANCELLED = "CANCELLED"
    FAILED = "FAILED"


class Command(StrEnum):
    """What can be done to a launch."""

    DECIDE = "decide"
    REVOKE = "revoke"
    NOTE = "note"
    AMEND = "amend"
    OFFER = "offer"
    ACCEPT = "accept"
    CANCEL = "cancel"
    REOPEN = "reopen"
    ASK_MORE = "ask_more"
    CLAIM = "claim"
    ADOPT = "adopt"
    ASK_ANEW = "ask_anew"
    GIVE_UP = "give_up"
    EXPIRE = "expire"
    MAKING = "making"
    REFUSED = "refused"
    UNDONE = "undone"
    RECORD_STARTED = "record_started"
    RECORD_FAILED = "record_failed"
    RETRY = "retry"
    STOP = "stop"
    START = "start"
    TERMINATE = "terminate"
    EXTEND = "extend"
    CHANGE_FAILED = "change_failed"
    OBSERVE = "observe"
    TICK = "tick"


class Rule(msgspec.Struct, frozen=True):
    """One command: who gives it, how it reads in "Cannot ... a launch", and where it leads.

    `leads` has each state that allows the command, with those in which the launch may be afterwards. In a
    state of `vain` the command changes nothing and is no error; in every other it is refused.
    """

    by: str
    words: str
    leads: dict[State, tuple[State, ...]]
    vain: tuple[State, ...] = ()


S = State
_STAY_AFTER: dict[State, tuple[State, ...]] = {one: (one,) for one in (S.RUNNING, S.STOPPED, S.TERMINATED)}
_AWAITING: dict[State, tuple[State, ...]] = {S.PENDING_APPROVAL: (S.PENDING_APPROVAL,)}
_RUNS: dict[State, tuple[State, ...]] = {S.RUNNING: (S.RUNNING,)}
_STANDS: dict[State, tuple[State, ...]] = {S.STOPPED: (S.STOPPED,)}

TABLE: dict[Command, Rule] = {
    Command.DECIDE: Rule(
        "an approver or a system",
        "decide",
        {S.PENDING_APPROVAL: (S.PENDING_APPROVAL, S.PENDING, S.REJECTED), **_STAY_AFTER},
    ),
    Command.REVOKE: Rule("whoever decided", "revoke a decision on", {**_AWAITING, **_STAY_AFTER}),
    Command.NOTE: Rule("a system", "leave a note on", {**_AWAITING, **_RUNS, **_STANDS}),
    Command.AMEND: Rule("whoever asked", "amend", {S.PENDING_APPROVAL: (S.PENDING_APPROVAL, S.PENDING)}),
    Command.OFFER: Rule("an approver", "make an offer on", _AWAITING),
    Command.ACCEPT: Rule(
        "whoever asked", "accept an offer on", {S.PENDING_APPROVAL: (S.PENDING_APPROVAL, S.PENDING)}
    ),
    Command.CANCEL: Rule(
        "whoever asked",
        "cancel",
        {S.PENDING_APPROVAL: (S.CANCELLED,), S.PENDING: (S.CANCELLED,)},
        vain=(S.CANCELLED,),
    ),
    Command.REOPEN: Rule("the launcher", "reopen", {S.PENDING: (S.PENDING_APPROVAL,)}),
    Command.ASK_MORE: Rule("the launcher", "ask more of", {S.PENDING: (S.PENDING, S.PENDING_APPROVAL)}),
    Command.CLAIM: Rule("the launcher", "launch", {S.PENDING: (S.LAUNCHING,)}),
    Command.ADOPT: Rule(
        "the pass after a restore",
        "adopt what was made for",
        {
            S.PENDING_APPROVAL: (S.LAUNCHING,),
            S.PENDING: (S.LAUNCHING,),
            S.LAUNCHING: (S.LAUNCHING,),
            S.FAILED: (S.FAILED, S.LAUNCHING),
        },
    ),
    Command.ASK_ANEW: Rule(
        "the pass after a restore",
        "ask anew for",
        {
            S.PENDING_APPROVAL: (S.PENDING_APPROVAL,),
            S.PENDING: (S.PENDING, S.PENDING_APPROVAL),
            **_RUNS,
            **_STANDS,
        },
    ),
    Command.GIVE_UP: Rule(
        "the pass after a restore",
        "give up",
        dict.fromkeys((S.PENDING_APPROVAL, S.PENDING, S.LAUNCHING), (S.FAILED,)),
        vain=(S.FAILED,),
    ),
    Command.EXPIRE: Rule("the launcher", "expire", {S.PENDING: (S.EXPIRED,)}, vain=(S.EXPIRED,)),
    Command.MAKING: Rule("the launcher", "go on making", {S.LAUNCHING: (S.LAUNCHING,)}),
    Command.REFUSED: Rule(
        "the launcher", "record a refused attempt of", {S.LAUNCHING: (S.LAUNCHING, S.FAILED)}
    ),
    Command.UNDONE: Rule("the launcher", "undo an attempt of", {S.LAUNCHING: (S.LAUNCHING, S.FAILED)}),
    Command.RECORD_STARTED: Rule(
        "the launcher", "record the start of", {S.LAUNCHING: (S.RUNNING, S.TERMINATED)}
    ),
    Command.RECORD_FAILED: Rule(
        "the launcher", "record the failure of", {S.PENDING: (S.FAILED,), S.LAUNCHING: (S.FAILED,)}
    ),
    Command.RETRY: Rule(
        "whoever asked", "retry", {S.FAILED: (S.PENDING,)}, vain=(S.PENDING, S.LAUNCHING, S.RUNNING)
    ),
    Command.STOP: Rule("whoever asked, or may launch it", "stop", _RUNS, vain=(S.STOPPED,)),
    Command.START: Rule("whoever asked, or may launch it", "start", _STANDS, vain=(S.RUNNING,)),
    Command.TERMINATE: Rule(
        "whoever asked, or may launch it", "terminate", {**_RUNS, **_STANDS}, vain=(S.TERMINATED,)
    ),
    Command.EXTEND: Rule("whoever asked, or may launch it", "extend the lease of", {**_RUNS, **_STANDS}),
    Command.CHANGE_FAILED: Rule(
        "the launcher",
        "record a failed change of",
        {**_RUNS, **_STANDS},
        vain=tuple(one for one in S if one not in (S.RUNNING, S.STOPPED)),
    ),
    Command.OBSERVE: Rule(
        "EC2",
        "observe",
        {
            S.RUNNING: (S.RUNNING, S.STOPPED, S.TERMINATED),
            S.STOPPED: (S.STOPPED, S.RUNNING, S.TERMINATED),
        },
        vain=tuple(one for one in S if one not in (S.RUNNING, S.STOPPED)),
    ),
    Command.TICK: Rule(
        "the clock",
        "tick",
        {
            S.PENDING_APPROVAL: (S.PENDING_APPROVAL, S.PENDING, S.REJECTED, S.EXPIRED),
            S.PENDING: (S.PENDING, S.EXPIRED),
            S.LAUNCHING: (S.LAUNCHING,),
            **_STAY_AFTER,
        },
        vain=(S.REJECTED, S.EXPIRED, S.CANCELLED, S.FAILED),
    ),
}
"""Every command in every state: what is not in `leads` or `vain` of a rule is refused."""


def cell(command: Command, state: State) -> str:
    """Return what the command makes of a launch in this state, in words: for the table in the docs."""
    rule = TABLE[command]
    if state in rule.leads:
        return " or ".join("stays" if one is state else one for one in rule.leads[state])
    return "changes nothing" if state in rule.vain else "refused"


def markdown() -> str:
    """Return the whole table, a row a command and a column a state."""
    states = list(State)
    rows = [
        "| command | by | " + " | ".join(states) + " |",
        "|---" * (len(states) + 2) + "|",
        *(
            f"| `{command}` | {TABLE[command].by} | "
            + " | ".join(_shown(command, state) for state in states)
            + " |"
            for command in Command
        ),
    ]
    return "\n".join(rows) + "\n"


def _shown(command: Command, state: State) -> str:
    found = cell(command, state)
    return {"refused": "-", "changes nothing": "·"}.get(found, found)
