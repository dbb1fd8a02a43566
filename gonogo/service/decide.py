"""Decide a gate, or note how far it is: one rule, whether by link, a machine's callback, or signed in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Literal

import msgspec

from gonogo.core import canonical, commands, policy, token
from gonogo.core.actor import Actor
from gonogo.core.bundle import Bundle
from gonogo.core.delegation import Delegation, delegation_id
from gonogo.core.errors import (
    GateNotOpenError,
    NotEligibleError,
    NotPermittedError,
    SelfApprovalError,
    StaleDigestError,
    TokenInvalidError,
)
from gonogo.core.event import GateDecided
from gonogo.core.gates import Channel, Gate, seat_for
from gonogo.core.launch import Launch
from gonogo.core.limit import DECISIONS, FAILURES, REQUESTS, until_fewer
from gonogo.core.token import Claim
from gonogo.ports import Outside
from gonogo.service import limits, saving
from gonogo.service.identity import SignedIn

Verdict = Literal["approve", "reject", "revoke"]


class Rights(msgspec.Struct, frozen=True):
    """Who may decide a gate now: in their own right, and for one actor, who lets that actor in their place."""

    eligible: frozenset[Actor]
    delegated: Mapping[Actor, frozenset[Actor]] = {}

    def has(self, actor: Actor) -> bool:
        """Tell whether the actor may decide, in whosever right."""
        return actor in self.eligible or bool(self.delegated.get(actor))


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """What the bearer of a token is shown: the launch, the gate, and who the token makes them.

    `instead_of` is in whose place the actor decides, where that alone gives the right to.
    """

    launch: Launch
    gate: Gate
    actor: Actor
    instead_of: Actor | None = None


def decide(
    outside: Outside,
    decider: SignedIn,
    launch_id: str,
    *,
    gate: str,
    verdict: Verdict,
    digest: str,
    comment: str | None,
) -> Launch:
    """Record what somebody who is signed in says of a gate.

    Raises:
        NotFoundError: there is no such launch or gate.
        NotPermittedError, ConflictError: it may not be; nothing is changed.
    """
    launch = saving.load(outside.items, launch_id)
    before = launch.gate(gate)

    def still(this: Launch) -> None:
        now = this.gate(gate)
        if (now.kind, now.by) != (before.kind, before.by):
            raise GateNotOpenError(gate, "decided by others by now")

    return _decide(
        outside,
        launch,
        gate=gate,
        actor=decider.actor,
        verdict=verdict,
        digest=digest,
        channel="api",
        comment=comment,
        may=rights(outside, launch, gate, decider.actor, decider.policy),
        still=still,
    )


def note(outside: Outside, decider: SignedIn, launch_id: str, *, gate: str, text: str) -> Launch:
    """Keep what a system that is signed in says of how far it is.

    Raises:
        NotFoundError, NotPermittedError, ConflictError: it may not be; nothing is changed.
    """
    launch = saving.load(outside.items, launch_id)
    may = eligible(outside, launch, gate, decider.policy)
    return _note(outside, launch, gate, decider.actor, text, may)


def note_by_token(outside: Outside, text: str, *, note: str, source: str | None = None) -> Launch:
    """Keep what the bearer of a hook's token says of how far it is.

    Raises:
        TokenInvalidError, NotPermittedError, ConflictError: as for `by_token`.
    """
    claim, launch = _verified(outside, text, source)
    now = outside.policies.current()
    may = rights(outside, launch, claim.gate, claim.actor, now)
    _still_counts(launch, claim, may, now)
    return _note(outside, launch, claim.gate, claim.actor, note, may.eligible)


def _note(
    outside: Outside, launch: Launch, gate: str, actor: Actor, text: str, may: frozenset[Actor]
) -> Launch:
    now = outside.now()
    return saving.change(
        outside.items,
        launch,
        lambda this: commands.note(this, gate=gate, actor=actor, text=text, eligible=may, at=now),
    )


def show(outside: Outside, text: str, *, source: str | None = None) -> Shown:
    """Return what a token is about, which came from the address `source`; nothing is changed.

    Raises:
        TokenInvalidError: it is not a token of ours, whatever is wrong with it.
        GateNotOpenError, StaleDigestError, NotPermittedError: it is, and why it counts no longer.
    """
    claim, launch = _verified(outside, text, source)
    now = outside.policies.current()
    may = rights(outside, launch, claim.gate, claim.actor, now)
    gate = _still_counts(launch, claim, may, now)
    seat = seat_for(gate, claim.actor, may.eligible - launch.barred, may.delegated)
    instead_of = None if seat == claim.actor else seat
    return Shown(launch=launch, gate=gate, actor=claim.actor, instead_of=instead_of)


def by_token(
    outside: Outside,
    text: str,
    *,
    verdict: Verdict,
    digest: str | None,
    comment: str | None,
    source: str | None = None,
) -> Launch:
    """Record what the bearer of a token says of the gate that it is for.

    `digest` is what the bearer was shown, where a page showed it; the token is bound to its own in any case.

    Raises:
        TokenInvalidError: it is not a token of ours, whatever is wrong with it.
        NotPermittedError, ConflictError: it is, and why it may not be; nothing is changed.
    """
    claim, launch = _verified(outside, text, source)
    now = outside.policies.current()
    may = rights(outside, launch, claim.gate, claim.actor, now)

    def still(this: Launch) -> None:
        try:
            _still_counts(this, claim, may, now)
        except GateNotOpenError:
            if verdict != "revoke" or not this.gate(claim.gate).took_back(claim.actor):
                raise

    still(launch)
    if digest is not None and digest != launch.digest:
        raise StaleDigestError
    return _decide(
        outside,
        launch,
        gate=claim.gate,
        actor=claim.actor,
        verdict=verdict,
        digest=claim.digest.hex(),
        channel="link" if claim.keys == "people" else "webhook",
        comment=comment,
        may=may,
        still=still,
    )


def eligible(outside: Outside, launch: Launch, gate: str, current: Bundle) -> frozenset[Actor]:
    """Return who may decide the gate now in their own right.

    That is by the bundle that judged the launch, and by the one in force. A gate after the launch holds nothing
    up, and must be decided by somebody: there the one in force alone says who, if it still has the gate.
    """
    this, pinned = launch.gate(gate), outside.policies.pinned(launch.bundle)
    if this.is_after:
        rule = current.gates.get(this.rule)
        known = rule is not None and rule.kind == this.kind
        return _eligible_by(current if known else pinned, this, launch)
    may = _eligible_by(pinned, this, launch)
    return may if current is pinned else may & _eligible_by(current, this, launch)


def _eligible_by(bundle: Bundle, gate: Gate, launch: Launch) -> frozenset[Actor]:
    """Return who may decide by one bundle: nobody where the gate has become one of another kind there."""
    rule = bundle.gates.get(gate.rule)
    if rule is None or rule.kind != gate.kind:
        return frozenset()
    return policy.eligible(bundle, gate.rule, launch.question, escalated=gate.escalated) - launch.barred


def rights(outside: Outside, launch: Launch, gate: str, actor: Actor, current: Bundle) -> Rights:
    """Return who may decide the gate now, and in whose place the actor may.

    Delegations are read only where the actor has no right of their own. Nobody stands in for a system.
    """
    may = eligible(outside, launch, gate, current)
    if actor in may or not may or launch.gate(gate).kind == "hook":
        return Rights(may)
    if not may_stand_in(outside, launch, launch.gate(gate), actor, current):
        return Rights(may)
    whose = delegations(outside, launch, may)
    return Rights(may, {actor: frozenset(one.actor for one in whose if one.to == actor)})


def may_stand_in(outside: Outside, launch: Launch, gate: Gate, actor: Actor, current: Bundle) -> bool:
    """Tell whether the actor may decide in somebody's place, by both bundles: a person whom nothing forbids it."""
    bundles = (outside.policies.pinned(launch.bundle), current)
    return all(policy.may_stand_in(one, actor, gate.rule, launch.question) for one in bundles)


def delegations(outside: Outside, launch: Launch, actors: frozenset[Actor]) -> list[Delegation]:
    """Return what these actors delegate now; not what somebody who may not decide the launch said for them."""
    ids = (delegation_id(one) for one in actors)
    found = saving.load_many(outside.items, Delegation, ids).values()
    now = outside.now()
    return [one for one in found if one.holds(now) and (one.by == one.actor or one.by not in launch.barred)]


def _decide(
    outside: Outside,
    launch: Launch,
    *,
    gate: str,
    actor: Actor,
    verdict: Verdict,
    digest: str,
    channel: Channel,
    comment: str | None,
    may: Rights,
    still: Callable[[Launch], None] = lambda _launch: None,
) -> Launch:
    """Decide; `still` raises if the code counts no longer on the launch as it is when it is written."""
    now = outside.now()

    def command(this: Launch) -> Launch:
        still(this)
        if verdict == "revoke":
            return commands.revoke(this, gate=gate, actor=actor, channel=channel, at=now)
        after = commands.decide(
            this,
            gate=gate,
            actor=actor,
            verdict=verdict,
            digest=digest,
            channel=channel,
            comment=comment,
            eligible=may.eligible,
            delegated=may.delegated,
            at=now,
        )
        if after is not this:
            _require_few_decisions(this, gate, actor, now)
        return after

    return saving.change(outside.items, launch, command)


def _require_few_decisions(launch: Launch, gate: str, actor: Actor, now: datetime) -> None:
    """Raise TooManyError if the actor has decided the gate as often as one may of late; taking back is free."""
    said = [
        one.at
        for one in launch.history
        if one.type == GateDecided.type
        and (one.data["gate"], one.data["verdict"] == "revoke") == (gate, False)
        and msgspec.convert(one.data["actor"], Actor) == actor
    ]
    wait = until_fewer(DECISIONS, said, now)
    if wait is not None:
        raise DECISIONS.broken(wait)


def _verified(outside: Outside, text: str, source: str | None) -> tuple[Claim, Launch]:
    """Return what a token says, once it is verified, and the launch that it is of.

    Asking KMS costs money, and a stranger can write any number of tokens. Who names a launch's own digest has
    read it, and is verified however many others failed; all else is verified while its source has failed less
    often than it may. So the answers tell nothing of what launches there are: see docs/adr/0023-limits.md.

    Raises:
        TokenInvalidError: it is not a token of ours, whatever is wrong with it.
        TooManyError: nor is it one, and its source has sent many such; or this one was sent too often.
    """
    try:
        claim, launch = _by_its_mac(outside, text, source)
    except TokenInvalidError:
        limits.failed(outside, source)
        raise
    outside.limits.use(REQUESTS, canonical.name("code", text), outside.now())
    return claim, launch


def _by_its_mac(outside: Outside, text: str, source: str | None) -> tuple[Claim, Launch]:
    now = outside.now()
    claim, payload, mac = token.read(text, now=now, epoch=outside.epoch)
    launch = outside.items.get(Launch, claim.launch) if len(claim.launch) <= saving.LONGEST_ID else None
    if (launch is None or claim.digest.hex() != launch.digest) and source is not None:
        outside.limits.require(FAILURES, limits.network(source), now)
    if not outside.macs.verify(claim.keys, payload, mac) or launch is None:
        raise TokenInvalidError
    return claim, launch


def _still_counts(launch: Launch, claim: Claim, may: Rights, policy_now: Bundle) -> Gate:
    """Return the gate if a verified token still lets its actor speak on it, or say why not.

    A decision may be repeated, or taken back, by the code of the round that it was made in.
    """
    gate = launch.gate(claim.gate)
    if claim.digest.hex() != launch.digest:
        raise StaleDigestError
    if claim.actor in launch.barred:
        raise SelfApprovalError
    if gate.login:
        raise NotPermittedError(f"The gate {gate.name!r} takes decisions of people who are signed in only.")
    if claim.keys == "people" and gate.kind == "hook":
        raise NotPermittedError(f"The gate {gate.name!r} is decided by a system, by webhook or signed in.")
    if claim.keys == "hook" and gate.kind != "hook" and not _reads_alone(policy_now, claim.actor):
        raise NotPermittedError(
            "A code that came by webhook counts for whom policy gives a private one only."
        )
    if not may.has(claim.actor):
        raise NotEligibleError(gate.name)
    before = gate.decision_of(claim.actor)
    if before is not None and before.round == claim.round:
        return gate
    if claim.round != gate.round:
        raise GateNotOpenError(gate.name, f"in round {gate.round}, and the code is of round {claim.round}")
    return gate


def _reads_alone(policy_now: Bundle, actor: Actor) -> bool:
    """Tell whether only the actor reads the actor's webhook: only there does a code prove who answers."""
    whom = policy_now.people.get(actor)
    return whom is not None and whom.webhook is not None and whom.webhook.private
