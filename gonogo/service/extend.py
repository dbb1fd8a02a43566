"""Let what runs run for longer: at once where policy permits that, otherwise as a launch of its own behind gates.

Such a launch is of engine `lease`: when it is GO, the launcher extends the launch that it names.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from gonogo.core import canonical, lease, life, policy
from gonogo.core.errors import (
    BusyError,
    ConflictError,
    ItemExistsError,
    NotFoundError,
    NotPermittedError,
    RefusedError,
    VersionConflictError,
)
from gonogo.core.event import LeaseExtended
from gonogo.core.launch import Launch
from gonogo.core.lease import Extension
from gonogo.core.plan import Plan, Question
from gonogo.core.states import State
from gonogo.ports import Files, Outside
from gonogo.service import budgets, saving, submit
from gonogo.service.change import may_run
from gonogo.service.identity import SignedIn
from gonogo.service.launch import LAUNCH_TAG
from gonogo.service.submit import Prepared
from gonogo.service.unnamed import Unnamed

_CAME_TO_NOTHING = (State.REJECTED, State.EXPIRED, State.CANCELLED, State.FAILED)


def extend(
    outside: Outside,
    actor: SignedIn,
    launch_id: str,
    *,
    until: datetime | None,
    reason: str | None = None,
) -> Launch:
    """Let a launch run until then (None: without an end), for whoever asked for it or may launch it directly.

    The launch as it is then is returned; or, where policy asks for gates first, the launch that waits for them.
    Doing it again changes nothing. The reason is that of the launch unless one is given.

    Raises:
        NotFoundError: there is no such launch, or its template is gone.
        NotPermittedError: the actor may not, policy refuses it, or nobody could ever approve it.
        InvalidError: the lease would be longer than the template allows, or over already.
        TransitionNotAllowedError: it does not run, or would end before it does now.
        ConflictError: just this was asked for before, in vain.
    """
    target = saving.load(outside.items, launch_id)
    if not may_run(actor, target):
        raise NotPermittedError("Only who asked for this launch, or may launch it directly, may extend it.")
    now = outside.now()
    if life.extend(target, until=until, actor=actor.actor, at=now) is target:
        return target
    question = _question(target, actor, until, reason, now)
    extended = _at_once(outside, actor, target, question, now)
    return extended if extended is not None else _behind_gates(outside, actor, target, question)


def _question(
    target: Launch, actor: SignedIn, until: datetime | None, reason: str | None, now: datetime
) -> Question:
    """Return the question whether the launch may run until then.

    Raises:
        NotFoundError, InvalidError: as for `extend`.
    """
    asked, previous, started_at = target.question, target.lease_ends_at, target.started_at
    if previous is None or started_at is None:
        raise TypeError("a launch without an end is not extended")
    template = actor.policy.templates.get(asked.plan.template)
    if template is None:
        raise NotFoundError(f"The policy in force has no template {asked.plan.template!r} any more.")
    until = until.astimezone(UTC) if until is not None else None
    lease.require_within(asked.plan.template, template.lease, started_at=started_at, until=until, now=now)
    return lease.question(
        asked,
        target.plan,
        Extension(
            launch=target.id,
            name=asked.name or asked.plan.template,
            digest=target.digest,
            previous=previous,
            until=until,
        ),
        started_at=started_at,
        requester=actor.actor,
        on_behalf_of=asked.on_behalf_of if actor.actor == asked.requester else None,
        reason=reason if reason is not None else asked.reason,
        launch_by=previous if previous > now else None,
    )


def _at_once(
    outside: Outside, actor: SignedIn, target: Launch, question: Question, now: datetime
) -> Launch | None:
    """Extend the launch if policy permits that without a gate; None where it does not.

    What it costs is held first, of just the budget that it was judged by.

    Raises:
        NotPermittedError: policy refuses it.
        BusyError: others kept changing the budget, or changed the lease.
    """
    extension = lease.extension_of(question.plan)
    holds = budgets.has_budget(actor.policy, question)
    for _ in range(saving.TRIES):
        ledgers = budgets.read(outside, question, now) if holds else {}
        before = budgets.without(ledgers, target, extension)
        stands = budgets.stands(actor.policy, question, before, now) if holds else None
        judgement = policy.judge(actor.policy, actor, question, stands)
        if judgement.outcome == "refused":
            raise NotPermittedError(judgement.reason)
        if judgement.outcome != "direct":
            return None
        with contextlib.suppress(VersionConflictError, ItemExistsError):
            budgets.hold_extended(outside, target, extension, ledgers, now)
            break
    else:
        raise BusyError(f"the budget of {question.cost_center!r} kept changing; try again.")

    def command(this: Launch) -> Launch:
        if this.lease_ends_at not in (extension.previous, extension.until):
            raise BusyError("Its lease was just changed by another; try again.")
        return life.extend(this, until=extension.until, actor=actor.actor, at=now, holds=holds)

    return saving.change(outside.items, target, command)


def _behind_gates(outside: Outside, actor: SignedIn, target: Launch, question: Question) -> Launch:
    """Ask for the extension as a launch of its own, once: who asked for the target decides none of its gates.

    Raises:
        ConflictError: just this was asked for before, in vain.
    """
    asked = canonical.digest({**question.plan.spec, "reason": question.reason})

    def ready() -> Prepared:
        return submit.judged(
            actor.policy,
            actor,
            question,
            lambda one: budgets.standing(outside, actor.policy, one),
            target.barred - {one for one in (question.requester, question.on_behalf_of) if one},
        )

    launch = submit.once(outside, actor, asked, f"\0extend {asked}", ready)
    if launch.state in _CAME_TO_NOTHING:
        raise ConflictError(
            f"You asked for just this before: {launch.id}, which is {launch.state}. Give another reason or end."
        )
    return launch


class LeaseEngine(Unnamed):
    """`ports.Engine` of leases: to launch one is to let the launch that it names run for longer.

    It is extended from just the end that it was approved from, by just this launch, once.
    """

    def __init__(self, outside: Outside) -> None:
        """Take everything outside: the launch, and the budget that holds what it costs."""
        self._outside = outside

    def launch(self, plan: Plan, *, token: str, tags: Mapping[str, str], files: Files) -> tuple[str, ...]:
        """Extend the launch of the plan; nothing is made that could be stopped.

        Which launch did so stands in the event of it: what was done is not done again.
        """
        del token, files
        extension, by = lease.extension_of(plan), tags[LAUNCH_TAG]
        launch = self._outside.items.get(Launch, by)
        target = self._outside.items.get(Launch, extension.launch)
        if launch is None or target is None:
            raise RefusedError("NoSuchLaunch", "There is no launch by that id any more.")
        actor = launch.question.requester

        def command(this: Launch) -> Launch:
            if _is_extended(this, extension, by):
                return this
            return life.extend(
                this,
                until=extension.until,
                actor=actor,
                at=self._outside.now(),
                by=by,
                holds=launch.holds,
            )

        if not _is_extended(target, extension, by):
            if launch.holds:
                self._hold(target, launch.question, extension)
            saving.change(self._outside.items, target, command)
        return ()

    def _hold(self, target: Launch, question: Question, extension: Extension) -> None:
        """Let the target hold what the launch, which is about to end, holds for it until then.

        Raises:
            BusyError: others kept changing the budget.
        """
        budgets.write(
            self._outside,
            question,
            lambda ledgers, now: budgets.hold_extended(self._outside, target, extension, ledgers, now),
        )

    def stop(self, plan: Plan, resources: Sequence[str]) -> None:
        """Refuse: what was extended is terminated, and not its extension."""
        del plan, resources
        raise RefusedError("NotAResource", "Stop or terminate the launch whose lease was extended.")

    start = terminate = stop


def _is_extended(target: Launch, extension: Extension, by: str) -> bool:
    """Tell whether a launch has been extended so, by this launch or before it came to that.

    Raises:
        RefusedError: it is over, or ends otherwise than it did when that was approved.
    """
    if any(one.type == LeaseExtended.type and one.data["by"] == by for one in target.history):
        return True
    if target.state not in (State.RUNNING, State.STOPPED) or target.wanted == "terminate":
        raise RefusedError("Ended", "It runs no more, or is being terminated.")
    if target.lease_ends_at == extension.until:
        return True
    if target.lease_ends_at != extension.previous:
        raise RefusedError("LeaseMoved", "Its lease was changed since. Look at it, and ask again.")
    return False
