"""What an outside system reports of a launch of engine `event`: that it started, failed, stopped or ended there."""

from __future__ import annotations

from typing import Literal

import msgspec

from gonogo.core import attempts, life
from gonogo.core.actor import Actor
from gonogo.core.errors import (
    ConflictError,
    NotPermittedError,
    StaleDigestError,
    TransitionNotAllowedError,
)
from gonogo.core.launch import InstanceState, Launch
from gonogo.core.plan import EVENT_ENGINE
from gonogo.core.states import State
from gonogo.ports import Outside
from gonogo.service import budgets, saving
from gonogo.service.identity import SignedIn

Outcome = Literal["started", "failed", "stopped", "terminated"]
UNNAMED = "launch"
"""What is kept as made where nothing is named."""
_LIVE = (State.RUNNING, State.STOPPED)
_SEEN: dict[Outcome, InstanceState] = {
    "started": "running",
    "stopped": "stopped",
    "terminated": "terminated",
}


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What is said of the launch of this digest, and of this attempt at it, if that is said.

    `resources` are the outside system's own ids of what it made. They are kept as LAUNCH/ID: another launch may
    have one of the same id. Where none is named it is LAUNCH/launch: no instance has the id of a launch, by which
    their events would be taken for each other's.
    """

    digest: str
    outcome: Outcome
    attempt: int | None = None
    resources: tuple[str, ...] = ()
    code: str = "Reported"
    message: str = "The outside system reports that it failed."


def report(outside: Outside, actor: SignedIn, launch_id: str, said: Report) -> Launch:
    """Record what the reporter of the launch's plan says of it, and return the launch; twice changes nothing.

    Raises:
        NotFoundError: there is no such launch.
        NotPermittedError: the actor is not its reporter, or no service of the policy in force.
        StaleDigestError: it is another digest than the launch's.
        ConflictError: it is of another attempt, or names other resources than it started with.
        TransitionNotAllowedError: it makes no sense in this state.
    """
    launch = saving.load(outside.items, launch_id)
    _require_reporter(launch, actor)
    now = outside.now()

    def command(this: Launch) -> Launch:
        if said.digest != this.digest:
            raise StaleDigestError
        if said.attempt is not None and said.attempt != this.attempt:
            raise ConflictError(f"It is of attempt {said.attempt}, and attempt {this.attempt} is the last.")
        if this.state is State.LAUNCHING and said.outcome == "started":
            return attempts.record_started(this, resources=_made(this, said), at=now)
        if said.outcome == "failed":
            if this.state is State.FAILED:
                return this
            if this.state is not State.LAUNCHING:
                raise TransitionNotAllowedError("report the failure of", this.state)
            return attempts.record_failed(this, code=said.code, message=said.message, at=now)
        return _observed(this, said, outside)

    after = saving.change(outside.items, launch, command)
    if after.state not in budgets.HOLDING:
        budgets.release(outside, after)
    return after


def _require_reporter(launch: Launch, actor: SignedIn) -> None:
    plan = launch.question.plan
    if plan.engine != EVENT_ENGINE:
        raise NotPermittedError(
            f"Nobody reports on launches of engine {plan.engine!r}: gonogo sees for itself."
        )
    if msgspec.convert(plan.spec["reporter"], Actor) != actor.actor:
        raise NotPermittedError("Only the reporter that its plan names may report on this launch.")
    person = actor.policy.people.get(actor.actor)
    if person is None or not person.service:
        raise NotPermittedError("The policy in force has no service by your issuer and subject any more.")


def _made(launch: Launch, said: Report) -> tuple[str, ...]:
    """Return the ids by which what was made is kept, each once."""
    return tuple(dict.fromkeys(f"{launch.id}/{one}" for one in said.resources or (UNNAMED,)))


def _observed(this: Launch, said: Report, outside: Outside) -> Launch:
    """Return the launch with everything that it started seen to be so now, as one change."""
    made = tuple(one.id for one in this.resources)
    if this.state not in (*_LIVE, State.TERMINATED):
        raise TransitionNotAllowedError(f"report as {said.outcome}", this.state)
    if said.resources and sorted(_made(this, said)) != sorted(made):
        raise ConflictError(f"It started with other resources: {', '.join(made)}.")
    if this.state is State.RUNNING and said.outcome == "started":
        return this
    if this.state is State.TERMINATED:
        if said.outcome == "stopped":
            raise TransitionNotAllowedError("report as stopped", this.state)
        return this
    now, after = outside.now(), this
    for one in made:
        after = life.observe(after, resource=one, state=_SEEN[said.outcome], changed_at=now, at=now)
    return after if after is this else after.changed(version=this.version + 1)
