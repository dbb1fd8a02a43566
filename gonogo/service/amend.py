"""Ask for something else instead: amend a launch that waits, offer less, accept what was offered."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from gonogo.core import commands, duration, policy
from gonogo.core.actor import Actor
from gonogo.core.errors import NotFoundError, NotPermittedError, StaleDigestError
from gonogo.core.launch import Launch
from gonogo.core.plan import LaunchRequest, Question
from gonogo.core.states import Command
from gonogo.ports import Outside
from gonogo.service import budgets, decide, saving, submit
from gonogo.service.identity import SignedIn
from gonogo.service.submit import Prepared


class Changes(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be otherwise; None leaves it as it is. A parameter that is None goes back to its default."""

    parameters: Mapping[str, Any] | None = None
    lease: str | None = None
    reason: str | None = None
    cost_center: str | None = None
    name: str | None = None
    launch_by: datetime | None = None


def amend(
    outside: Outside, actor: SignedIn, launch_id: str, changes: Changes, digest: str | None = None
) -> Launch:
    """Ask for something else instead, for whoever asked: all that was decided is void.

    `digest` is what whoever amends was shown, where they say so.

    Raises:
        NotFoundError, NotPermittedError, InvalidError, TransitionNotAllowedError: nothing is changed.
        StaleDigestError: somebody else amended it meanwhile.
    """
    launch = _asked_by(outside, actor, launch_id, "amend")
    launch.require(Command.AMEND)
    asker = _asker(launch, actor)
    barred = launch.barred | {actor.actor}
    question = _otherwise(outside, asker, launch, changes)
    if question.digest == launch.digest:
        return launch
    if digest is not None and digest != launch.digest:
        raise StaleDigestError
    ready = _judged(outside, asker, launch, question, barred)
    now = outside.now()

    def command(this: Launch) -> Launch:
        if this.digest not in (launch.digest, question.digest):
            raise StaleDigestError
        return commands.amend(
            this,
            question=question,
            gates=ready.gates,
            bundle=ready.bundle,
            groups=asker.groups,
            actor=actor.actor,
            owners=tuple(sorted(policy.owners(asker.policy, question))),
            at=now,
        )

    return saving.change(outside.items, launch, command)


def offer(
    outside: Outside,
    actor: SignedIn,
    launch_id: str,
    *,
    gate: str,
    digest: str,
    changes: Changes,
    comment: str | None,
) -> Launch:
    """Say, as an approver of an open gate, to what less one would say go.

    `digest` is what the approver was shown; parameters and lease may be otherwise, and nothing else.

    Raises:
        NotFoundError, NotPermittedError, InvalidError, ConflictError: nothing is changed.
    """
    launch = saving.load(outside.items, launch_id)
    may = decide.rights(outside, launch, gate, actor.actor, actor.policy)
    launch.require(Command.OFFER)
    if digest != launch.digest:
        raise StaleDigestError
    only = Changes(parameters=changes.parameters, lease=changes.lease)
    question = _otherwise(outside, _asker(launch, actor), launch, only)
    now = outside.now()

    def command(this: Launch) -> Launch:
        if this.digest != digest:
            raise StaleDigestError
        return commands.offer(
            this,
            gate=gate,
            actor=actor.actor,
            question=question,
            comment=comment,
            eligible=may.eligible,
            delegated=may.delegated,
            at=now,
        )

    return saving.change(outside.items, launch, command)


def accept(outside: Outside, actor: SignedIn, launch_id: str, digest: str) -> Launch:
    """Ask for what was offered instead, for whoever asked; whoever offered it has said go to just that.

    Raises:
        NotFoundError, NotPermittedError, TransitionNotAllowedError: nothing is changed.
    """
    launch = _asked_by(outside, actor, launch_id, "accept an offer on")
    if launch.digest == digest and launch.was is not None:
        return launch
    launch.require(Command.ACCEPT)
    asker = _asker(launch, actor)
    question = launch.offer(digest).question
    ready = _judged(outside, asker, launch, question, launch.barred | {actor.actor})
    now = outside.now()

    def command(this: Launch) -> Launch:
        if this.digest not in (launch.digest, digest):
            raise StaleDigestError
        return commands.accept(
            this,
            digest=digest,
            gates=ready.gates,
            bundle=ready.bundle,
            groups=asker.groups,
            actor=actor.actor,
            owners=tuple(sorted(policy.owners(asker.policy, question))),
            at=now,
        )

    return saving.change(outside.items, launch, command)


def _asked_by(outside: Outside, actor: SignedIn, launch_id: str, command: str) -> Launch:
    launch = saving.load(outside.items, launch_id)
    if actor.actor not in launch.askers:
        raise NotPermittedError(f"Only who asked for this launch may {command} it.")
    return launch


def _asker(launch: Launch, actor: SignedIn) -> SignedIn:
    """Return whoever asked, by the policy in force now, with the groups that their token gave them."""
    requester = launch.question.requester
    groups = actor.groups if actor.actor == requester else launch.groups
    return SignedIn(requester, groups, policy=actor.policy)


def _otherwise(outside: Outside, asker: SignedIn, launch: Launch, changes: Changes) -> Question:
    """Return the question as it would be, resolved and priced anew.

    Raises:
        NotPermittedError: it is a change of policy or of a lease: another is asked for instead.
        NotFoundError, InvalidError, LaterError: as for a request.
    """
    asked = launch.question
    if asked.changes_policy:
        raise NotPermittedError("A change of policy is not amended: cancel it, and ask for another.")
    if asked.extends_lease:
        raise NotPermittedError("An extension of a lease is not amended: cancel it, and ask for another.")
    if asked.plan.template not in asker.policy.templates:
        raise NotFoundError(f"The policy in force has no template {asked.plan.template!r} any more.")
    parameters = {**asked.plan.parameters, **(changes.parameters or {})}
    request = LaunchRequest(
        template=asked.plan.template,
        parameters={name: value for name, value in parameters.items() if value is not None},
        reason=changes.reason if changes.reason is not None else asked.reason,
        cost_center=changes.cost_center if changes.cost_center is not None else asked.cost_center,
        name=changes.name if changes.name is not None else asked.name,
        lease=changes.lease if changes.lease is not None else asked.lease,
        on_behalf_of=asked.on_behalf_of,
        launch_by=changes.launch_by,
    )
    question = submit.question_of(outside.resolver, asker, request, outside.now())
    if changes.launch_by is None:
        return msgspec.structs.replace(question, launch_by=asked.launch_by)
    within = asker.policy.templates[asked.plan.template].launch_within
    if within is not None and question.launch_by is not None:
        latest = min(question.launch_by, launch.at + duration.parse(within))
        question = msgspec.structs.replace(question, launch_by=latest)
    return question


def _judged(
    outside: Outside, asker: SignedIn, launch: Launch, question: Question, barred: frozenset[Actor]
) -> Prepared:
    return submit.judged(
        asker.policy,
        asker,
        question,
        lambda one: budgets.standing(outside, asker.policy, one),
        barred - launch.askers,
    )
