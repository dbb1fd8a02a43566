"""Launch what is cleared, once, exactly as approved; and change what is launched."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec

from gonogo.core import attempts, clock, event, glass, life, policy
from gonogo.core import watch as watches
from gonogo.core.actor import Actor
from gonogo.core.budget import Standing
from gonogo.core.bundle import Bundle
from gonogo.core.errors import (
    BusyError,
    FullError,
    GoneError,
    ItemExistsError,
    LaterError,
    MakingError,
    NotPermittedError,
    PartialError,
    RefusedError,
    UnreviewedError,
    VersionConflictError,
)
from gonogo.core.gates import Gate
from gonogo.core.glass import Glass, glass_id
from gonogo.core.launch import Launch
from gonogo.core.plan import Plan
from gonogo.core.policy import Principal
from gonogo.core.reconcile import LOST, NOT_ON_RECORD
from gonogo.core.states import State
from gonogo.ports import Outside
from gonogo.service import budgets, decide, saving, watch

NOT_APPROVED = "The plan is not the one that was approved."


def launch(outside: Outside, launch_id: str) -> None:
    """Do what the launch, read anew, waits for. Whoever sent the cue is trusted for nothing but the id.

    Coming again does no harm: what is done is not done twice, and what was begun is gone on with, under
    the same client token.

    Raises:
        LaterError: it is not known how the engine's call ended; the cue must come again.
    """
    item = outside.items.get(Launch, launch_id)
    if item is None:
        return
    if item.state in (State.PENDING, State.LAUNCHING):
        lost = outside.passed.lost()
        if lost is None:
            return  # its alarm gives the cue again
        if item.id in lost:
            _give_up(outside, item)
            return
    if item.state is State.PENDING:
        asked = _claim(outside, item)
        more_after = asked.state is State.PENDING and asked is not item  # nothing that was added holds it up
        item = _claim(outside, asked) if more_after else asked
    if item.state is State.LAUNCHING:
        _launch(outside, item)
    elif item.wanted is not None:
        _change(outside, item)


def _give_up(outside: Outside, item: Launch) -> None:
    """Fail a launch of which something was made in a time that a restore lost: it must not be launched twice."""

    def command(this: Launch) -> Launch:
        if this.state not in (State.PENDING, State.LAUNCHING):
            return this
        return attempts.record_failed(this, code=LOST, message=NOT_ON_RECORD, at=outside.now())

    failed = saving.change(outside.items, item, command)
    if failed.state not in budgets.HOLDING:
        budgets.release(outside, failed)


LAUNCH_TAG = "gonogo:launch"


def tags(launch: Launch) -> Mapping[str, str]:
    """Return the tags by which a resource is known as this launch's: part of what its client token covers."""
    return {
        LAUNCH_TAG: launch.id,
        "gonogo:requester": launch.question.requester.key[:256],
        "gonogo:cost-center": launch.question.cost_center,
        "gonogo:digest": launch.digest,
    }


def _claim(outside: Outside, item: Launch) -> Launch:
    """Judge the launch once more, hold its cost center's budget, and take it; or fail it, or let it wait again.

    The budget is held, and a glass broken, before the claim: that a launch which is claimed has both, is so
    whatever crashes. What is held by a launch that is not claimed after all is let go.
    """

    def command(this: Launch) -> Launch:
        if this.state is not State.PENDING:
            return this
        return _ready(outside, this, outside.policies.current())

    claimed = saving.change(outside.items, item, command)
    if claimed.state not in budgets.HOLDING:
        may_hold = budgets.may_hold(outside, claimed, outside.policies.current())
        budgets.release(outside, claimed.changed(holds=may_hold))
    return claimed


def _ready(outside: Outside, this: Launch, current: Bundle) -> Launch:
    """Return the launch claimed; or what it is otherwise, since it may not be launched now."""
    now = outside.now()
    late = clock.too_late(this, now)
    if late is not None:
        return attempts.expire(this, why=late, at=now)
    if not _is_what_was_approved(this):
        return attempts.record_failed(this, code="DigestMismatch", message=NOT_APPROVED, at=now)
    judged = _judged_and_held(outside, this, current)
    if judged is None:
        return this
    if judged != _Judged():
        return _otherwise(this, judged, now)
    ready = attempts.reopen(this, lost=_lost(outside, this, current), at=now)
    if ready.state is not State.PENDING:
        return ready
    return _claimed(outside, ready, current, now)


def _otherwise(this: Launch, judged: _Judged, now: datetime) -> Launch:
    """Return the launch failed, or behind more gates, as it is judged by now."""
    if judged.refused is not None:
        return attempts.record_failed(this, code="NotPermitted", message=judged.refused, at=now)
    return attempts.ask_more(this, gates=judged.more, at=now)


def _claimed(outside: Outside, this: Launch, current: Bundle, now: datetime) -> Launch:
    """Return the launch claimed, its glass broken if it is to be; or failed, if that may not be again."""
    try:
        if this.question.break_glass:
            _take_glass(outside, this)
    except UnreviewedError as error:
        return attempts.record_failed(this, code="Unreviewed", message=str(error), at=now)
    return attempts.claim(this, at=now, holds=budgets.may_hold(outside, this, current))


def _is_what_was_approved(item: Launch) -> bool:
    """Tell whether the plan is that of the digest, and every decision that counts is on that digest."""
    decided = {one.digest for gate in item.gates for one in gate.counting}
    return item.question.digest == item.digest and decided <= {item.digest}


class _Judged(msgspec.Struct, frozen=True):
    """Why the launch is refused by now, if it is, and what more policy asks of it by now."""

    refused: str | None = None
    more: tuple[Gate, ...] = ()


def _judged_and_held(outside: Outside, item: Launch, current: Bundle) -> _Judged | None:
    """Judge by both bundles as the budget stands, and hold what the launch costs of just that budget.

    None: the launch was changed by others meanwhile, so it holds nothing by this.

    Raises:
        BusyError: others kept changing the budget.
    """
    pinned = outside.policies.pinned(item.bundle)
    if not budgets.may_hold(outside, item, current):
        return _judged(item, pinned, current, None, None)
    for _ in range(saving.TRIES):
        now = outside.now()
        ledgers = budgets.read(outside, item.question, now)
        found = outside.items.get(Launch, item.id)
        if found is None or found.version != item.version:
            return None
        judged = _judged(
            item,
            pinned,
            current,
            budgets.stands(pinned, item.question, ledgers, now, item.id),
            budgets.stands(current, item.question, ledgers, now, item.id),
        )
        if judged != _Judged():
            return judged
        with contextlib.suppress(VersionConflictError, ItemExistsError):
            budgets.hold(outside, item, ledgers, now)
            return judged
    raise BusyError(f"the budget of {item.question.cost_center!r} kept changing; try again.")


def _judged(
    item: Launch, pinned: Bundle, current: Bundle, then: Standing | None, now: Standing | None
) -> _Judged:
    """Judge by the rules in force, and by those that the launch was judged by."""
    question = item.question
    asker = Principal(question.requester, item.groups)
    judgement = policy.judge(current, asker, question, now)
    if judgement.outcome == "refused":
        return _Judged(judgement.reason)
    if pinned is not current:
        by_current, judgement = judgement, policy.judge(pinned, asker, question, then)
        if judgement.outcome == "refused":
            return _Judged(judgement.reason)
        if not _is_held_up(item) and _holds_up(current, by_current) - {gate.name for gate in item.gates}:
            return _Judged("It was cleared without a gate that policy asks for.")
    missing = tuple(name for name in judgement.gates if name not in {gate.name for gate in item.gates})
    if not missing:
        return _Judged()
    try:
        asked = policy.Judgement(outcome=judgement.outcome, gates=missing)
        return _Judged(more=policy.gates_for(pinned, asked, question, item.barred - item.askers))
    except NotPermittedError as error:
        return _Judged(str(error))


def _is_held_up(item: Launch) -> bool:
    return any(not gate.is_after for gate in item.gates)


def _holds_up(bundle: Bundle, judgement: policy.Judgement) -> set[str]:
    return {name for name in judgement.gates if bundle.gates[name].stands != "after_launch"}


def _take_glass(outside: Outside, item: Launch) -> None:
    """Break the glass for this launch.

    Raises:
        UnreviewedError: the last time is not reviewed yet.
        BusyError: the same person kept breaking it.
    """
    for _ in range(saving.TRIES):
        before = outside.items.get(Glass, glass_id(item.question.requester))
        last = outside.items.get(Launch, before.launch) if before is not None else None
        after = glass.take(before, item, last, outside.now())
        with contextlib.suppress(VersionConflictError, ItemExistsError):
            if before is None:
                outside.items.add(after)
            elif after is not before:
                outside.items.save(before, after)
            return
    raise BusyError("The glass kept being broken; try again.")


def _lost(outside: Outside, item: Launch, current: Bundle) -> dict[str, frozenset[Actor]]:
    """Return, by gate, whose decisions count no longer: their right, or their being a person, is gone."""
    lost: dict[str, frozenset[Actor]] = {}
    for gate in item.gates:
        if gate.is_after or gate.kind == "timer":
            continue
        may = decide.eligible(outside, item, gate.name, current)
        gone = {one.seat for one in gate.counting if one.verdict == "approve" and one.seat not in may}
        gone |= {
            one.actor
            for one in gate.counting
            if one.instead_of is not None
            and (one.actor in item.barred or not decide.may_stand_in(outside, item, gate, one.actor, current))
        }
        if gone:
            lost[gate.name] = frozenset(gone)
    return lost


def _launch(outside: Outside, item: Launch) -> None:
    if not _is_what_was_approved(item):
        _record(
            outside,
            item,
            lambda this: attempts.record_failed(
                this,
                code="DigestMismatch",
                message=NOT_APPROVED,
                at=outside.now(),
            ),
        )
        return
    watch.begin(outside, item.plan)
    for _ in range(2 * len(item.question.plan.choices) + 2):  # each choice is made once, and undone once
        if item.state is not State.LAUNCHING:
            return
        command, made = (_undone(outside, item), ()) if item.undo is not None else _made(outside, item)
        if command is None:
            return
        before, item = item, _taken_back(outside, item.plan, _record(outside, item, command), made)
        if (item.attempt, item.choice, item.undo) == (before.attempt, before.choice, before.undo):
            return  # it is being made, and its alarm gives the cue again; or it is over


def _made(outside: Outside, item: Launch) -> tuple[saving.Command[Launch] | None, tuple[str, ...]]:
    """Let the engine make the choice whose turn it is; return what is to be recorded of that, and what was made.

    Raises:
        LaterError: it is not known how that ended.
    """
    plan = item.plan
    engine = outside.engine(plan.engine)
    try:
        made = engine.launch(
            plan,
            token=item.client_token(),
            tags=tags(item),
            files=lambda: outside.policies.pinned(item.bundle).files,
        )
    except MakingError as error:
        if error.told:
            return None, ()
        return lambda this: attempts.making(this, at=outside.now()), ()
    except PartialError as error:
        return _partly_made(outside, plan, error), error.made
    except RefusedError as error:
        code, message, full = error.code, error.message, isinstance(error, FullError)
        return lambda this: attempts.refused(
            this, code=code, message=message, full=full, at=outside.now()
        ), ()
    return lambda this: attempts.record_started(this, resources=made, at=outside.now()), made


def _taken_back(outside: Outside, plan: Plan, recorded: Launch, made: tuple[str, ...]) -> Launch:
    """Terminate what was made and is not on record: another launcher was refused meanwhile, and recorded that.

    Raises:
        LaterError: the engine does not do so now.
    """
    known = {one.id for one in recorded.resources} | {*recorded.rolled_back}
    left = tuple(one for one in made if one not in known)
    if not left:
        return recorded
    _terminated(outside, plan, left, outside.now())
    return saving.change(
        outside.items, recorded, lambda this: attempts.took_back(this, left, at=outside.now())
    )


def _partly_made(outside: Outside, plan: Plan, error: PartialError) -> saving.Command[Launch]:
    code, message, full, made = error.code, error.message, error.full, error.made
    if plan.partial:
        return lambda this: attempts.record_short(
            this, code=code, message=message, resources=made, at=outside.now()
        )
    return lambda this: attempts.refused(
        this, code=code, message=message, full=full, made=made, at=outside.now()
    )


def _undone(outside: Outside, item: Launch) -> saving.Command[Launch]:
    """Terminate what was made of a choice that the engine refused in part.

    Raises:
        LaterError: the engine does not do so now. Nothing else is tried before it has.
    """
    assert item.undo is not None  # noqa: S101 - the caller has looked
    refused_at = max(one.at for one in item.history if one.type == event.LaunchAttemptFailed.type)
    _terminated(outside, item.plan, item.undo.resources, refused_at)
    return lambda this: attempts.undone(this, at=outside.now())


def _terminated(outside: Outside, plan: Plan, resources: Sequence[str], made_at: datetime) -> None:
    """Terminate what was made by then.

    Raises:
        LaterError: the engine does not do so now.
    """
    try:
        outside.engine(plan.engine).terminate(plan, resources)
    except RefusedError as error:
        if not isinstance(error, GoneError) or outside.now() - made_at < watches.SHOWN:
            raise LaterError(f"what was made in part is not terminated yet: {error}") from error


def _record(outside: Outside, item: Launch, command: saving.Command[Launch]) -> Launch:
    """Save what the engine answered to this attempt and choice, unless it is on record already.

    What has failed, or has ended with its start, holds nothing of a budget any more.
    """
    what = (item.attempt, item.choice, item.undo)

    def unless_recorded(this: Launch) -> Launch:
        if this.state is not State.LAUNCHING or (this.attempt, this.choice, this.undo) != what:
            return this
        return command(this)

    recorded = saving.change(outside.items, item, unless_recorded)
    if recorded.state not in budgets.HOLDING:
        budgets.release(outside, recorded)
    return recorded


def _change(outside: Outside, item: Launch) -> None:
    plan, wanted = item.plan, item.wanted
    live = tuple(one.id for one in item.resources if one.state != "terminated")
    engine = outside.engine(plan.engine)
    try:
        if wanted == "stop":
            engine.stop(plan, live)
        elif wanted == "start":
            engine.start(plan, live)
        elif wanted == "terminate":
            engine.terminate(plan, live)
    except RefusedError as error:
        code, message = error.code, error.message

        def command(this: Launch) -> Launch:
            if this.wanted != wanted:
                return this
            return life.change_failed(this, code=code, message=message, at=outside.now())

        saving.change(outside.items, item, command)
