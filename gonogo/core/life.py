"""What becomes of a launch that runs: it is stopped, started, extended, terminated, and seen to be so.

As in `commands`: the launch as it is afterwards, or the very same one, or a named error.
"""

from __future__ import annotations

from datetime import datetime

from gonogo.core import course, event
from gonogo.core.actor import Actor
from gonogo.core.errors import TransitionNotAllowedError
from gonogo.core.item import CUE_LONGEST
from gonogo.core.launch import Failure, InstanceState, Launch, Resource, Wanted
from gonogo.core.states import TABLE, Command, State

_CHANGES: dict[Wanted, Command] = {
    "stop": Command.STOP,
    "start": Command.START,
    "terminate": Command.TERMINATE,
}


def change(launch: Launch, *, wanted: Wanted, actor: Actor, at: datetime) -> Launch:
    """Want it stopped, started or terminated; the launcher does it.

    Raises:
        TransitionNotAllowedError: it is not in a state where that makes sense.
    """
    command = _CHANGES[wanted]
    if launch.wanted == wanted or (launch.wanted is None and launch.state in TABLE[command].vain):
        return launch
    if launch.wanted == "terminate":
        raise TransitionNotAllowedError(wanted, f"{launch.state} and being terminated")
    launch.require(command)
    launch = launch.changed(wanted=wanted, wanted_by=actor)
    launch = launch.happened(at, event.LaunchChangeRequested(launch=launch.facts, wanted=wanted, actor=actor))
    return course.rest(launch, at).next_version()


def change_failed(launch: Launch, *, code: str, message: str, at: datetime) -> Launch:
    """Record that the engine refused the change for good: nothing is wanted any more, the state stands.

    A lease that has ended wants its termination again, but not at once.
    """
    if launch.wanted is None:
        return launch
    failed = event.LaunchChangeFailed(launch=launch.facts, wanted=launch.wanted, code=code, message=message)
    launch = launch.changed(
        wanted=None, wanted_by=None, failure=Failure(code=code, message=message, attempt=launch.attempt)
    )
    launch = course.rest(launch.happened(at, failed), at)
    if launch.lease_ends_at is not None and launch.lease_ends_at <= at:
        others = course.clocks(launch.changed(lease_ends_at=None))
        launch = launch.changed(due_at=min([at + CUE_LONGEST, *others]))
    return launch.next_version()


def extend(
    launch: Launch,
    *,
    until: datetime | None,
    actor: Actor,
    at: datetime,
    by: str | None = None,
    holds: bool = False,
) -> Launch:
    """Let it run until then (None: without an end); `by` names the launch that was approved for it, if any.

    `holds` says that it holds something of a budget from now on.

    The very same launch is returned where its lease ends just then already.

    Raises:
        TransitionNotAllowedError: it does not run, or is being terminated, or would end before it does now.
    """
    words = TABLE[Command.EXTEND].words
    launch.require(Command.EXTEND)
    if launch.wanted == "terminate":
        raise TransitionNotAllowedError(words, f"{launch.state} and being terminated")
    before = launch.lease_ends_at
    if until == before:
        return launch
    if before is None or (until is not None and until < before):
        raise TransitionNotAllowedError(words, f"{launch.state} and ends later, or never")
    launch = launch.changed(lease_ends_at=until, warned=False, holds=launch.holds or holds)
    told = event.LeaseExtended(launch=launch.facts, actor=actor, previous=before, until=until, by=by)
    return course.stands(launch.happened(at, told), at).next_version()


def warn(launch: Launch, *, at: datetime) -> Launch:
    """Tell, once, that the lease ends soon; the version is not touched."""
    told_at = course.lease_told_at(launch)
    ends = launch.lease_ends_at
    if told_at is None or ends is None or not told_at <= at < ends or launch.wanted == "terminate":
        return launch
    launch = launch.changed(warned=True)
    return course.stands(launch.happened(at, event.LeaseExpiring(launch=launch.facts, ends_at=ends)), at)


def observe(
    launch: Launch, *, resource: str, state: InstanceState, changed_at: datetime, at: datetime
) -> Launch:
    """Record how one of its instances was seen, and what state that makes of the launch.

    The very same launch is returned where this was known, or where the launch is not live.
    """
    known = {one.id: one for one in launch.resources}
    if launch.state not in TABLE[Command.OBSERVE].leads or resource not in known:
        return launch
    if known[resource].state in (state, "terminated"):
        return launch
    launch = launch.changed(
        updated_at=at,
        resources=tuple(
            Resource(one.id, state, changed_at) if one.id == resource else one for one in launch.resources
        ),
    )
    states = {one.state for one in launch.resources}
    if states == {"terminated"}:
        return course.advance(course.terminated(launch, at), at).next_version()
    if states <= {"stopped", "terminated"} and launch.state is State.RUNNING:
        launch = launch.changed(state=State.STOPPED)
        launch = _met(launch.happened(at, event.LaunchStopped(launch=launch.facts)), "stop", at)
    elif states & {"pending", "running"} and launch.state is State.STOPPED:
        launch = _met(course.started(launch.changed(state=State.RUNNING), at), "start", at)
    return launch.next_version()


def _met(launch: Launch, wanted: Wanted, at: datetime) -> Launch:
    """Want it no longer, if this was wanted; otherwise what is cued is cued still."""
    if launch.wanted != wanted:
        return course.stands(launch, at)
    return course.rest(launch.changed(wanted=None, wanted_by=None), at)
