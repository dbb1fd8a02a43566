"""Out of office: whoever may decide lets somebody else decide in their place, for a time."""

from __future__ import annotations

from datetime import datetime, timedelta

from gonogo.core import canonical, event
from gonogo.core.actor import Actor
from gonogo.core.errors import Fault, InvalidError
from gonogo.core.item import Item

LONGEST = timedelta(days=90)


class Delegation(Item, frozen=True, kw_only=True):
    """From `since` until `until`, `to` may decide in `actor`'s place; `by` says who set it."""

    kind = "delegation"

    actor: Actor
    to: Actor
    since: datetime
    until: datetime
    by: Actor

    def holds(self, at: datetime) -> bool:
        """Tell whether it is in force at this time."""
        return self.since <= at < self.until


def delegation_id(actor: Actor) -> str:
    """Return the one id of what somebody delegates."""
    return canonical.name("o", actor.issuer, actor.subject)


def delegate(
    before: Delegation | None,
    *,
    actor: Actor,
    to: Actor,
    since: datetime,
    until: datetime,
    by: Actor,
    at: datetime,
) -> Delegation:
    """Return the delegation set, in place of the one before; the very same one where it is set so already.

    Raises:
        InvalidError: nobody delegates to themselves, into the past, or for longer than 90 days.
    """
    if to == actor:
        raise InvalidError(Fault("/to", "self", "is whoever delegates"))
    if until <= max(since, at):
        raise InvalidError(Fault("/until", "minimum", "is over before it begins"))
    if until - since > LONGEST:
        raise InvalidError(
            Fault("/until", "maximum", f"is more than {LONGEST.days} days after the beginning")
        )
    if before is not None and (before.to, before.since, before.until) == (to, since, until):
        return before
    made = before or Delegation(
        id=delegation_id(actor),
        version=0,
        at=at,
        updated_at=at,
        actor=actor,
        to=to,
        since=since,
        until=until,
        by=by,
    )
    return _told(made.changed(to=to, since=since, until=until, by=by), at)


def withdraw(before: Delegation, *, by: Actor, at: datetime) -> Delegation:
    """Return the delegation ended now; what was decided under it stands. The very same one where it is over."""
    if at >= before.until:
        return before
    return _told(before.changed(since=min(before.since, at), until=at, by=by), at)


def _told(made: Delegation, at: datetime) -> Delegation:
    told = event.ApproverDelegated(
        actor=made.actor, to=made.to, since=made.since, until=made.until, by=made.by
    )
    made = made.happened(at, told)
    if at < made.since:
        return made.cued(at, made.seq).changed(due_at=made.since).next_version()
    return made.settled().next_version()


def tick(delegation: Delegation, *, at: datetime) -> Delegation:
    """Tell of a delegation once more when it begins, so that whoever stands in is asked of what waits by then."""
    if delegation.due_at is None or at < delegation.due_at:
        return delegation
    return delegation.cued_again(at).changed(due_at=None).next_version()
