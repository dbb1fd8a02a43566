"""Decide a gate: one rule, whether it comes from a link, a machine's callback, or somebody signed in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import msgspec

from gonogo.core import commands, policy, token
from gonogo.core.actor import Actor
from gonogo.core.bundle import Bundle
from gonogo.core.errors import (
    GateNotOpenError,
    NotEligibleError,
    NotPermittedError,
    SelfApprovalError,
    StaleDigestError,
    TokenInvalidError,
)
from gonogo.core.gates import Channel, Gate
from gonogo.core.launch import Launch
from gonogo.core.token import Claim
from gonogo.ports import Outside
from gonogo.service import saving
from gonogo.service.identity import SignedIn

Verdict = Literal["approve", "reject", "revoke"]


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """What the bearer of a token is shown: the launch, the gate, and who the token makes them."""

    launch: Launch
    gate: Gate
    actor: Actor


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
    return _decide(
        outside,
        launch,
        gate=gate,
        actor=decider.actor,
        verdict=verdict,
        digest=digest,
        channel="api",
        comment=comment,
        may=eligible(outside, launch, launch.gate(gate).name, decider.policy),
    )


def show(outside: Outside, text: str) -> Shown:
    """Return what a token is about; nothing is changed.

    Raises:
        TokenInvalidError: it is not a token of ours, whatever is wrong with it.
        GateNotOpenError, StaleDigestError, NotPermittedError: it is, and why it counts no longer.
    """
    claim, launch = _verified(outside, text)
    now = outside.policies.current()
    gate = _still_counts(launch, claim, eligible(outside, launch, claim.gate, now), now)
    return Shown(launch=launch, gate=gate, actor=claim.actor)


def by_token(
    outside: Outside, text: str, *, verdict: Verdict, digest: str | None, comment: str | None
) -> Launch:
    """Record what the bearer of a token says of the gate that it is for.

    `digest` is what the bearer was shown, where a page showed it; the token is bound to its own in any case.

    Raises:
        TokenInvalidError: it is not a token of ours, whatever is wrong with it.
        NotPermittedError, ConflictError: it is, and why it may not be; nothing is changed.
    """
    claim, launch = _verified(outside, text)
    now = outside.policies.current()
    may = eligible(outside, launch, claim.gate, now)

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
    """Return who may decide the gate now: by the bundle that judged the launch and by the one in force."""
    pinned = outside.policies.pinned(launch.bundle)
    may = policy.eligible(pinned, gate, launch.question)
    return may if current is pinned else may & policy.eligible(current, gate, launch.question)


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
    may: frozenset[Actor],
    still: Callable[[Launch], None] = lambda _launch: None,
) -> Launch:
    """Decide; `still` raises if the code counts no longer on the launch as it is when it is written."""
    now = outside.now()

    def command(this: Launch) -> Launch:
        still(this)
        if verdict == "revoke":
            return commands.revoke(this, gate=gate, actor=actor, channel=channel, at=now)
        return commands.decide(
            this,
            gate=gate,
            actor=actor,
            verdict=verdict,
            digest=digest,
            channel=channel,
            comment=comment,
            eligible=may,
            at=now,
        )

    return saving.change(outside.items, launch, command)


def _verified(outside: Outside, text: str) -> tuple[Claim, Launch]:
    claim, payload, mac = token.read(text, now=outside.now(), epoch=outside.epoch)
    if not outside.macs.verify(claim.keys, payload, mac):
        raise TokenInvalidError
    launch = outside.items.get(Launch, claim.launch)
    if launch is None:
        raise TokenInvalidError
    return claim, launch


def _still_counts(launch: Launch, claim: Claim, may: frozenset[Actor], policy_now: Bundle) -> Gate:
    """Return the gate if a verified token still lets its actor speak on it, or say why not.

    A decision may be repeated, or taken back, by the code of the round that it was made in.
    """
    gate = launch.gate(claim.gate)
    if claim.digest.hex() != launch.digest:
        raise StaleDigestError
    if claim.actor in launch.askers:
        raise SelfApprovalError
    if gate.login:
        raise NotPermittedError(f"The gate {gate.name!r} takes decisions of people who are signed in only.")
    if claim.keys == "hook" and not _reads_alone(policy_now, claim.actor):
        raise NotPermittedError(
            "A code that came by webhook counts for whom policy gives a private one only."
        )
    if claim.actor not in may:
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
