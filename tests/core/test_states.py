"""The table of states and commands, held against what the commands do."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest

from gonogo.core import attempts, clock, commands, life, reconcile, states
from gonogo.core.actor import Actor
from gonogo.core.errors import ConflictError
from gonogo.core.gates import Gate
from gonogo.core.launch import InstanceState, Launch, Wanted
from gonogo.core.states import TABLE, Command, State
from tests.core.builders import (
    AT,
    DAY,
    DEV,
    LEAD,
    LEAD2,
    LEAD3,
    OPS,
    SCANNER,
    approve,
    assert_well_told,
    gate,
    hook,
    launch,
    question,
    reject,
    review,
    revoke,
)

STARTED = (State.RUNNING, State.STOPPED, State.TERMINATED)
LESS = question(lease="2d")


def offered(this: Launch, by: Actor, lease: str) -> Launch:
    """Return the launch after somebody would say go to a shorter lease."""
    return commands.offer(
        this,
        gate="lead",
        actor=by,
        question=question(lease=lease),
        comment=None,
        eligible=frozenset({by}),
        at=AT,
    )


def awaiting() -> Launch:
    """Return a launch that people and a system look at, of which each has more to say."""
    gates: tuple[Gate, ...] = (
        gate(quorum=2),
        hook("scan", place="approval"),
        review(quorum=3),
        hook("watch", place="after_launch"),
    )
    return offered(approve(launch(*gates), LEAD), LEAD2, "2d")


def cleared() -> Launch:
    """Return it when all say go."""
    return approve(approve(awaiting(), LEAD2), SCANNER, "scan")


def launching() -> Launch:
    """Return it claimed."""
    return attempts.claim(cleared(), at=AT)


def seen(this: Launch, state: InstanceState) -> Launch:
    """Return it after its instance was seen."""
    return life.observe(this, resource="i-1", state=state, changed_at=AT, at=AT)


def running() -> Launch:
    """Return it running, with a review that has begun."""
    made = attempts.record_started(launching(), resources=("i-1",), at=AT)
    return approve(seen(made, "running"), LEAD, "review")


def failed(this: Launch) -> Launch:
    """Return it refused by the engine."""
    return attempts.record_failed(this, code="No", message="No.", at=AT)


LIVES: Mapping[State, Callable[[], Launch]] = {
    State.PENDING_APPROVAL: awaiting,
    State.PENDING: cleared,
    State.LAUNCHING: launching,
    State.RUNNING: running,
    State.STOPPED: lambda: seen(running(), "stopped"),
    State.TERMINATED: lambda: seen(running(), "terminated"),
    State.REJECTED: lambda: reject(awaiting(), LEAD2),
    State.EXPIRED: lambda: attempts.expire(cleared(), why="It is too late.", at=AT),
    State.CANCELLED: lambda: commands.cancel(awaiting(), actor=DEV, at=AT),
    State.FAILED: lambda: failed(launching()),
}


def people(this: Launch) -> str:
    """Return the gate at which people may have something to say."""
    return "review" if this.state in STARTED else "lead"


def noted(this: Launch) -> Launch:
    """Return the launch after a system says how far it is."""
    name = "watch" if this.state in STARTED else "scan"
    return commands.note(this, gate=name, actor=SCANNER, text="40 %", eligible=frozenset({SCANNER}), at=AT)


def amended(this: Launch) -> Launch:
    """Return the launch after whoever asked wants two."""
    return commands.amend(
        this, question=question(count=2), gates=(gate(),), bundle=this.bundle, groups=(), actor=DEV, at=AT
    )


def accepted(this: Launch) -> Launch:
    """Return the launch after whoever asked takes what LEAD2 offered."""
    return commands.accept(
        this, digest=LESS.digest, gates=(gate(),), bundle=this.bundle, groups=(), actor=DEV, at=AT
    )


def want(wanted: Wanted) -> Callable[[Launch], Launch]:
    """Return the command that wants this."""
    return lambda this: life.change(this, wanted=wanted, actor=OPS, at=AT)


def change_failed(this: Launch) -> Launch:
    """Return the launch after the engine refused a termination, if it may be wanted at all."""
    wanted = want("terminate")(this) if this.state in (State.RUNNING, State.STOPPED) else this
    return life.change_failed(wanted, code="No", message="No.", at=AT)


def observed(this: Launch) -> Launch:
    """Return the launch after its instance was seen otherwise."""
    return seen(this, "running" if this.state is State.STOPPED else "stopped")


def undone(this: Launch) -> Launch:
    """Return the launch after what was made of a refused choice is terminated, if anything may be made of it."""
    if this.state is State.LAUNCHING:
        this = attempts.refused(this, code="No", message="No.", made=("i-1",), at=AT)
    return attempts.undone(this, at=AT)


COMMANDS: Mapping[Command, Callable[[Launch], Launch]] = {
    Command.DECIDE: lambda this: approve(this, LEAD3, people(this)),
    Command.REVOKE: lambda this: revoke(this, LEAD, people(this)),
    Command.NOTE: noted,
    Command.AMEND: amended,
    Command.OFFER: lambda this: offered(this, LEAD3, "1d"),
    Command.ACCEPT: accepted,
    Command.CANCEL: lambda this: commands.cancel(this, actor=DEV, at=AT),
    Command.REOPEN: lambda this: attempts.reopen(this, lost={"lead": frozenset({LEAD})}, at=AT),
    Command.ASK_MORE: lambda this: attempts.ask_more(this, gates=(gate("more"),), at=AT),
    Command.CLAIM: lambda this: attempts.claim(this, at=AT),
    Command.ADOPT: lambda this: reconcile.adopt(
        this, attempt=this.attempt + 1, choice=1, made=("i-1",), at=AT
    ),
    Command.ASK_ANEW: lambda this: reconcile.ask_anew(this, epoch=2, at=AT),
    Command.GIVE_UP: lambda this: reconcile.give_up(this, at=AT),
    Command.EXPIRE: lambda this: attempts.expire(this, why="It is too late.", at=AT),
    Command.MAKING: lambda this: attempts.making(this, at=AT),
    Command.REFUSED: lambda this: attempts.refused(this, code="No", message="No.", at=AT),
    Command.UNDONE: undone,
    Command.EXTEND: lambda this: life.extend(this, until=AT + 40 * DAY, actor=DEV, at=AT),
    Command.RECORD_STARTED: lambda this: attempts.record_started(this, resources=("i-1",), at=AT),
    Command.RECORD_FAILED: failed,
    Command.RETRY: lambda this: attempts.retry(this, at=AT),
    Command.STOP: want("stop"),
    Command.START: want("start"),
    Command.TERMINATE: want("terminate"),
    Command.CHANGE_FAILED: change_failed,
    Command.OBSERVE: observed,
    Command.TICK: lambda this: clock.tick(this, at=this.due_at or AT + 999 * DAY),
}

CELLS = [(command, state) for command in Command for state in State]


@pytest.mark.parametrize(("command", "state"), CELLS)
def test_every_command_in_every_state(command: Command, state: State):
    """It leads where the table says, it changes nothing where it says so, and is refused everywhere else."""
    before = LIVES[state]()
    assert before.state is state
    if command is Command.RETRY and state in TABLE[command].vain:
        before = before.changed(attempt=2)
    match states.cell(command, state):
        case "refused":
            with pytest.raises(ConflictError):
                COMMANDS[command](before)
        case "changes nothing":
            assert COMMANDS[command](before) is before
        case _:
            after = COMMANDS[command](before)
            assert after.version > before.version
            assert after.state in TABLE[command].leads[state]
            assert_well_told(after)


def test_the_table_knows_every_command():
    """A command without a row would be in no document, and allowed nowhere."""
    assert set(TABLE) == set(Command)
    assert all(set(one.leads).isdisjoint(one.vain) for one in TABLE.values())


def test_what_is_printed_is_the_table():
    """Who reads docs/states.md sees a row a command, a column a state, and no cell left out."""
    head, line, *rows = states.markdown().splitlines()
    assert head.startswith("| command | by | ")
    assert line == "|---" * (len(State) + 2) + "|"
    assert [cell.strip() for cell in head.split("|")[3:-1]] == list(State)
    assert [row.split("|")[1].strip(" `") for row in rows] == list(Command)
    assert {row.count("|") for row in rows} == {len(State) + 3}
    claim = next(row for row in rows if row.startswith("| `claim`"))
    assert claim == "| `claim` | the launcher | - | LAUNCHING |" + " - |" * 8
    cancel = next(row for row in rows if row.startswith("| `cancel`"))
    assert cancel == "| `cancel` | whoever asked | CANCELLED | CANCELLED | - | - | - | - | - | - | · | - |"
    assert states.cell(Command.TICK, State.PENDING) == "stays or EXPIRED"
    assert states.cell(Command.TICK, State.FAILED) == "changes nothing"
    assert states.cell(Command.TICK, State.RUNNING) == "stays"
    assert states.cell(Command.CLAIM, State.RUNNING) == "refused"
