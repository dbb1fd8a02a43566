"""Launch what is cleared, once, exactly as approved; and change what is launched."""

from __future__ import annotations

from collections.abc import Mapping

from gonogo.core import commands, policy
from gonogo.core.actor import Actor
from gonogo.core.bundle import Bundle
from gonogo.core.errors import RefusedError
from gonogo.core.launch import Launch
from gonogo.core.policy import Principal
from gonogo.core.states import State
from gonogo.ports import Outside
from gonogo.service import decide, saving


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
    if item.state is State.PENDING:
        item = _claim(outside, item)
    if item.state is State.LAUNCHING:
        _launch(outside, item)
    elif item.wanted is not None:
        _change(outside, item)


def tags(launch: Launch) -> Mapping[str, str]:
    """Return the tags by which a resource is known as this launch's: part of what its client token covers."""
    return {
        "gonogo:launch": launch.id,
        "gonogo:requester": launch.question.requester.key[:256],
        "gonogo:cost-center": launch.question.cost_center,
        "gonogo:digest": launch.digest,
    }


def _claim(outside: Outside, item: Launch) -> Launch:
    """Judge the launch once more, and take it; or open its gates again, or fail it."""

    def command(this: Launch) -> Launch:
        if this.state is not State.PENDING:
            return this
        now = outside.now()
        current = outside.policies.current()
        refused = _may_ask_no_longer(outside, this, current)
        if refused:
            return commands.record_failed(this, code="NotPermitted", message=refused, at=now)
        lost = _lost(outside, this, current)
        if lost:
            return commands.reopen(this, lost=lost, at=now)
        return commands.claim(this, at=now)

    return saving.change(outside.items, item, command)


def _is_what_was_approved(item: Launch) -> bool:
    """Tell whether the plan is that of the digest, and every decision that counts is on that digest."""
    decided = {one.digest for gate in item.gates for one in gate.counting}
    return item.question.digest == item.digest and decided <= {item.digest}


def _may_ask_no_longer(outside: Outside, item: Launch, current: Bundle) -> str | None:
    """Return why whoever asked may not have this launched any more by the rules in force, or None."""
    asker = Principal(item.question.requester, item.groups)
    judgement = policy.judge(current, asker, item.question)
    if judgement.outcome == "refused":
        return judgement.reason
    then = outside.policies.pinned(item.bundle)
    pinned = judgement if then is current else policy.judge(then, asker, item.question)
    needed = set(pinned.gates) | (set() if item.gates else set(judgement.gates))
    if pinned.outcome == "refused" or needed - {gate.name for gate in item.gates}:
        return "It was cleared without a gate that policy asks for."
    return None


def _lost(outside: Outside, item: Launch, current: Bundle) -> dict[str, frozenset[Actor]]:
    lost: dict[str, frozenset[Actor]] = {}
    for gate in item.gates:
        said_go = frozenset(one.actor for one in gate.counting if one.verdict == "approve")
        gone = said_go - decide.eligible(outside, item, gate.name, current)
        if gone:
            lost[gate.name] = gone
    return lost


def _launch(outside: Outside, item: Launch) -> None:
    if not _is_what_was_approved(item):
        _record(
            outside,
            item,
            lambda this: commands.record_failed(
                this,
                code="DigestMismatch",
                message="The plan is not the one that was approved.",
                at=outside.now(),
            ),
        )
        return
    plan = item.question.plan
    try:
        made = outside.engine(plan.engine).launch(plan, token=item.client_token(), tags=tags(item))
    except RefusedError as error:
        code, message = error.code, error.message
        _record(
            outside,
            item,
            lambda this: commands.record_failed(this, code=code, message=message, at=outside.now()),
        )
    else:
        _record(outside, item, lambda this: commands.record_started(this, resources=made, at=outside.now()))


def _record(outside: Outside, item: Launch, command: saving.Command[Launch]) -> None:
    """Save what the engine answered to this attempt, unless it is on record already."""
    attempt = item.attempt

    def unless_recorded(this: Launch) -> Launch:
        if this.state is not State.LAUNCHING or this.attempt != attempt:
            return this
        return command(this)

    saving.change(outside.items, item, unless_recorded)


def _change(outside: Outside, item: Launch) -> None:
    plan, wanted = item.question.plan, item.wanted
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
            return commands.change_failed(this, code=code, message=message, at=outside.now())

        saving.change(outside.items, item, command)
