"""Out of office: say who decides in somebody's place, until when; or end that."""

from __future__ import annotations

from datetime import datetime

from gonogo.core import delegation, policy
from gonogo.core.actor import Actor
from gonogo.core.delegation import Delegation, delegation_id
from gonogo.core.errors import Fault, InvalidError, ItemExistsError, NotFoundError, NotPermittedError
from gonogo.ports import Outside
from gonogo.service import saving
from gonogo.service.identity import SignedIn


def show(outside: Outside, whom: Actor) -> Delegation:
    """Return what somebody delegates, or did last.

    Raises:
        NotFoundError: they never did.
    """
    found = outside.items.get(Delegation, delegation_id(whom))
    if found is None:
        raise NotFoundError("Nobody decides in their place.")
    return found


def delegate(
    outside: Outside, by: SignedIn, *, whom: Actor, to: Actor, since: datetime | None, until: datetime
) -> Delegation:
    """Let `to` decide in somebody's place, from `since` (now, if None) until `until`: for whom policy lets.

    Raises:
        NotPermittedError: `by` may not say so for them.
        InvalidError: `to` is no person of the policy, or the time is none.
    """
    _require(by, whom)
    person = by.policy.people.get(to)
    if person is None or person.service:
        raise InvalidError(Fault("/to", "person", "is no person whom policy knows"))
    now = outside.now()
    before = outside.items.get(Delegation, delegation_id(whom))

    def command(this: Delegation | None) -> Delegation:
        running = this is not None and this.to == to and this.holds(now)
        begins = since or (this.since if this is not None and running else now)
        return delegation.delegate(this, actor=whom, to=to, since=begins, until=until, by=by.actor, at=now)

    if before is None:
        made = command(None)
        try:
            return outside.items.add(made)
        except ItemExistsError:
            before = show(outside, whom)
    return saving.change(outside.items, before, command)


def withdraw(outside: Outside, by: SignedIn, whom: Actor) -> Delegation:
    """End what somebody delegates, now; what was decided under it stands.

    Raises:
        NotPermittedError: `by` may not say so for them.
        NotFoundError: they never delegated.
    """
    _require(by, whom)
    now = outside.now()
    return saving.change(
        outside.items, show(outside, whom), lambda this: delegation.withdraw(this, by=by.actor, at=now)
    )


def _require(by: SignedIn, whom: Actor) -> None:
    if whom not in by.policy.people:
        raise NotPermittedError("Policy knows nobody by that issuer and subject.")
    if not policy.may_delegate_for(by.policy, by, whom):
        raise NotPermittedError(
            "Only they themselves, or whom policy lets, may say who decides in their place."
        )
