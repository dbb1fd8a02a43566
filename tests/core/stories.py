"""Lives of things, step by step: each story yields what was done, and the item after it.

What the events and the item of each step hold is agreed on in tests/golden/stories/ (`test_stories`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal

import msgspec

from gonogo.core import (
    attempts,
    budget,
    clock,
    commands,
    delegation,
    delivery,
    glass,
    instance,
    life,
    usage,
    watch,
)
from gonogo.core.event import InstanceUnapproved
from gonogo.core.gates import Gate
from gonogo.core.item import Item
from gonogo.core.launch import Launch
from gonogo.core.plan import Account, Place, Question
from gonogo.core.usage import Sight
from gonogo.core.window import Window
from tests.core.builders import (
    AT,
    BOSS,
    DAY,
    DEV,
    HOUR,
    LEAD,
    LEAD2,
    LEAD3,
    MINUTE,
    OPS,
    SCANNER,
    SECOND,
    approve,
    decide,
    gate,
    hook,
    launch,
    question,
    reject,
    review,
    revoke,
    timer,
)

ACCOUNT = Account(
    role="arn:aws:iam::123456789012:role/launches",
    observer="arn:aws:iam::123456789012:role/looks",
    external_id="gonogo-1",
)

Step = tuple[str, Item]
Story = Callable[[], Iterator[Step]]


def submitted() -> Iterator[Step]:
    """All that a launch can be submitted with."""
    this = commands.submit(
        id="l-7",
        question=question(on_behalf_of=BOSS, launch_by=AT + 9 * DAY),
        bundle="b" * 64,
        groups=("developers", "night"),
        request_digest="r" * 64,
        gates=(gate(), gate("finance", LEAD3, stage=2, login=True, quorum=1)),
        at=AT,
        nonce="n-1",
        owners=(OPS,),
        waits_until=AT + 2 * DAY,
        tells=("leads",),
        warns=3600,
    )
    yield "asked for, behind two stages", this
    this = commands.decide(
        this,
        gate="lead",
        actor=LEAD,
        verdict="approve",
        digest=this.digest,
        channel="link",
        comment="Go on.",
        eligible=frozenset({LEAD, LEAD2}),
        at=AT + MINUTE,
    )
    yield "a lead says go by a link", this
    this = decide(this, LEAD2, "finance", instead_of=(LEAD3,), at=AT + 2 * MINUTE)
    yield "another says go in the place of the third", this
    this = attempts.claim(this, at=AT + 3 * MINUTE, holds=True)
    yield "claimed", this
    this = attempts.making(this, at=AT + 4 * MINUTE)
    yield "the engine is at it", this
    this = attempts.record_started(this, resources=("i-1", "i-2"), at=AT + 5 * MINUTE)
    yield "started", this
    this = life.observe(this, resource="i-1", state="running", changed_at=AT + 6 * MINUTE, at=AT + 7 * MINUTE)
    yield "one was seen to run", this
    this = attempts.took_back(this, ("i-9",), at=AT + 8 * MINUTE)
    yield "one too many was taken back", this
    this = clock.tick(this, at=this.due_at or AT)
    yield "its lease ends soon", this
    this = clock.tick(this, at=this.lease_ends_at or AT)
    yield "its lease has ended", this
    this = clock.tick(this, at=this.due_at or AT)
    yield "nobody acted, so the cue comes again", this


def direct() -> Iterator[Step]:
    """A direct launch that is stopped, started, extended and terminated."""
    this = launch()
    yield "asked for", this
    this = attempts.record_started(attempts.claim(this, at=AT), resources=("i-1",), at=AT + MINUTE)
    yield "started", this
    this = life.observe(this, resource="i-1", state="running", changed_at=AT + MINUTE, at=AT + 2 * MINUTE)
    yield "seen to run", this
    this = life.change(this, wanted="stop", actor=OPS, at=AT + HOUR)
    yield "to be stopped", this
    this = life.change_failed(this, code="Busy", message="Not now.", at=AT + HOUR + MINUTE)
    yield "which the engine refused", this
    this = life.change(this, wanted="stop", actor=DEV, at=AT + 2 * HOUR)
    this = life.observe(
        this, resource="i-1", state="stopped", changed_at=AT + 3 * HOUR, at=AT + 3 * HOUR + SECOND
    )
    yield "stopped", this
    this = life.change(this, wanted="start", actor=DEV, at=AT + 4 * HOUR)
    yield "to be started", this
    this = life.observe(this, resource="i-1", state="running", changed_at=AT + 5 * HOUR, at=AT + 5 * HOUR)
    yield "started again", this
    this = life.extend(this, until=AT + 40 * DAY, actor=OPS, at=AT + 6 * HOUR, by="l-9", holds=True)
    yield "it may run for longer", this
    this = life.extend(this, until=None, actor=DEV, at=AT + 7 * HOUR)
    yield "without an end", this
    this = life.change(this, wanted="terminate", actor=DEV, at=AT + 8 * HOUR)
    yield "to be terminated", this
    this = life.observe(this, resource="i-1", state="terminated", changed_at=AT + 9 * HOUR, at=AT + 9 * HOUR)
    yield "gone", this


def over() -> Iterator[Step]:
    """A lease that has ended, and an engine that does not let it end."""
    this = attempts.record_started(attempts.claim(launch(), at=AT), resources=("i-1",), at=AT)
    this = clock.tick(this, at=AT + 30 * DAY)
    yield "its lease has ended", this
    this = life.change_failed(this, code="Denied", message="No.", at=AT + 30 * DAY + MINUTE)
    yield "which the engine refused", this
    this = clock.tick(this, at=this.due_at or AT)
    yield "so it is wanted again, later", this


def ends(*gates: Gate, asks: Question | None = None) -> Story:
    """Return the story of a launch behind gates that nobody decides."""

    def told() -> Iterator[Step]:
        this = launch(*gates, asks=asks)
        yield "asked for", this
        while this.due_at is not None and this.due_at < AT + 2 * DAY:
            this = clock.tick(this, at=this.due_at)
            yield "the clock", this

    return told


def changed_minds() -> Iterator[Step]:
    """Decisions that are taken back, and gates that open again before the launch."""
    this = launch(gate(quorum=2, valid_for="2d"), gate("finance", LEAD3, BOSS, stage=2))
    this = approve(this, LEAD)
    this = commands.revoke(this, gate="lead", actor=LEAD, channel="link", at=AT + HOUR)
    yield "said, and taken back by a link", this
    this = approve(approve(this, LEAD, at=AT + HOUR), LEAD2, at=AT + 2 * HOUR)
    yield "the first stage is GO", this
    this = revoke(this, LEAD2, at=AT + 3 * HOUR)
    yield "no longer", this
    this = approve(approve(this, LEAD3, at=AT + 4 * HOUR), BOSS, "finance", at=AT + 5 * HOUR)
    yield "cleared", this
    this = attempts.reopen(this, lost={"lead": frozenset({LEAD})}, at=AT + 6 * HOUR)
    yield "a lead has lost the right to it", this
    this = approve(this, LEAD2, at=AT + 7 * HOUR)
    yield "cleared again", this
    this = attempts.reopen(this, lost={}, at=AT + 3 * DAY)
    yield "decided too long ago", this
    this = clock.tick(this, at=this.due_at or AT)
    yield "the clock", this


def amended() -> Iterator[Step]:
    """A launch that is amended, and one whose offers are accepted."""
    this = approve(launch(gate(quorum=2), gate("finance", LEAD3, stage=2)), LEAD)
    this = commands.amend(
        this,
        question=question(lease="7d", count=2),
        gates=(gate(quorum=2), gate("ops", OPS)),
        bundle="c" * 64,
        groups=("night",),
        actor=BOSS,
        at=AT + HOUR,
        owners=(LEAD3,),
    )
    yield "amended by another", this
    this = commands.offer(
        this,
        gate="lead",
        actor=LEAD,
        question=question(lease="7d"),
        comment="One will do.",
        eligible=frozenset({LEAD, LEAD2}),
        at=AT + 2 * HOUR,
    )
    yield "an approver offers less", this
    this = commands.accept(
        this,
        digest=this.offers[0].digest,
        gates=(gate(quorum=2), gate("ops", OPS, stage=2)),
        bundle="d" * 64,
        groups=(),
        actor=DEV,
        at=AT + 3 * HOUR,
    )
    yield "accepted, and the approver has said go by it", this
    this = reject(this, LEAD2, at=AT + 4 * HOUR)
    yield "another says no", this


def refused() -> Iterator[Step]:
    """An engine that says no, for want of capacity and for good."""
    this = attempts.claim(launch(asks=question(choices=2)), at=AT)
    this = attempts.refused(this, code="Full", message="None left.", full=True, at=AT + MINUTE)
    yield "the first choice is not to be had", this
    this = attempts.refused(
        this, code="Full", message="Two of three.", full=True, made=("i-1", "i-2"), at=AT + 2 * MINUTE
    )
    yield "of the second only a part", this
    this = attempts.undone(this, at=AT + 3 * MINUTE)
    yield "which is undone", this
    this = attempts.refused(this, code="Denied", message="No.", at=AT + 4 * MINUTE)
    yield "the third is refused", this
    this = attempts.retry(this, at=AT + HOUR)
    yield "tried again", this
    this = attempts.record_short(
        attempts.claim(this, at=AT + HOUR),
        code="Full",
        message="One of two.",
        resources=("i-5",),
        at=AT + 2 * HOUR,
    )
    yield "it runs with a part", this


def rejected() -> Iterator[Step]:
    """One of two who are asked at once says no."""
    this = launch(gate(), gate("finance", LEAD3), gate("ops", OPS, stage=2), review())
    this = reject(this, LEAD2, at=AT + HOUR)
    yield "no", this


def another_choice() -> Iterator[Step]:
    """The second choice is what was to be had."""
    this = attempts.claim(launch(asks=question(choices=1)), at=AT)
    this = attempts.refused(this, code="Full", message="None left.", full=True, at=AT + MINUTE)
    yield "the second is tried", this
    yield "and made", attempts.record_started(this, resources=("i-1",), at=AT + HOUR)


def long() -> Iterator[Step]:
    """So much was told that the opening of a gate, and a wish, leave the history: they are told anew."""
    this = launch(gate(), gate("finance", BOSS, quorum=2))
    at = AT
    for _ in range(31):
        at += MINUTE
        this = revoke(decide(this, BOSS, "finance", at=at), BOSS, "finance", at=at)
    yield "sixty changes of mind", only(this, "gate.opened")
    runs = life.change(attempted(), wanted="stop", actor=OPS, at=AT + HOUR)
    for day in range(64):
        runs = life.extend(runs, until=AT + (40 + day) * DAY, actor=DEV, at=AT + 2 * HOUR)
    yield "extended for ever, and still to be stopped", only(runs, "launch.change_requested")


def only(this: Launch, kind: str) -> Launch:
    """Return the launch with what was told of one kind alone."""
    return this.changed(history=tuple(one for one in this.history if one.type == kind))


def attempted() -> Launch:
    """Return a launch that has just started."""
    return attempts.record_started(attempts.claim(launch(id="l-2"), at=AT), resources=("i-1",), at=AT)


def ended() -> Iterator[Step]:
    """Ends before there is anything: cancelled, too late, made of nothing."""
    yield (
        "cancelled",
        commands.cancel(launch(gate(), gate("finance", BOSS, stage=2)), actor=DEV, at=AT + HOUR),
    )
    yield "too late", attempts.expire(launch(), why="Its price is of last year.", at=AT + HOUR)
    yield "failed", attempts.record_failed(launch(), code="NotPermitted", message="No more.", at=AT + HOUR)
    this = attempts.claim(launch(), at=AT)
    yield "made of nothing", attempts.record_started(this, resources=(), at=AT + HOUR)
    this = attempts.ask_more(launch(), gates=(gate("budget", BOSS), review()), at=AT + HOUR)
    yield "a budget that others used up", this


def systems() -> Iterator[Step]:
    """A scanner that notes, is silent and is replaced by people; a window that is waited for."""
    people = gate(
        "people",
        BOSS,
        LEAD,
        quorum=1,
        remind_every="1h",
        escalate_after="2h",
        escalate_to="night",
        reserve=(OPS,),
    )
    this = launch(
        hook("scan", SCANNER, quorum=1, expires_after="2h", on_expiry="escalate", fallback=people),
        timer(None, window=Window(time_zone="UTC", begins="18:00", ends="22:00")),
    )
    yield "asked for", this
    this = commands.note(
        this, gate="scan", actor=SCANNER, text="40 %", eligible=frozenset({SCANNER}), at=AT + HOUR
    )
    yield "a note", this
    while this.due_at and this.due_at < AT + 6 * HOUR:
        this = clock.tick(this, at=this.due_at)
        yield "the clock", this
    this = decide(this, BOSS, "scan", at=AT + 6 * HOUR)
    yield "people say go", this
    this = clock.tick(this, at=AT + 9 * HOUR)
    yield "the window opens", this
    this = attempts.reopen(this, lost={}, at=AT + 14 * HOUR)
    yield "and has closed before it was launched", this


def broken_glass() -> Iterator[Step]:
    """An emergency, and its review."""
    asks = question(break_glass=True)
    this = launch(review(on_reject="terminate", remind_every="1h"), asks=asks, tells=("leads", "ops"))
    yield "launched at once", this
    yield "the glass", glass.take(None, this, None, AT)
    this = attempts.record_started(attempts.claim(this, at=AT + MINUTE), resources=("i-1",), at=AT + HOUR)
    yield "started", this
    this = clock.tick(this, at=this.due_at or AT)
    yield "the clock", this
    this = clock.tick(this, at=AT + 4 * DAY)
    yield "nobody reviewed it in time", this
    this = reject(this, LEAD, "review", at=AT + 4 * DAY + HOUR)
    yield "the review says no, and that ends it", this


def away() -> Iterator[Step]:
    """Somebody who is away from next week on."""
    this = delegation.delegate(None, actor=LEAD, to=BOSS, since=AT + DAY, until=AT + 7 * DAY, by=OPS, at=AT)
    yield "set ahead", this
    this = delegation.tick(this, at=AT + DAY - SECOND)
    yield "not yet", this
    this = delegation.tick(this, at=AT + DAY)
    yield "it begins", this
    this = delegation.delegate(
        this, actor=LEAD, to=LEAD2, since=AT, until=AT + 9 * DAY, by=LEAD, at=AT + 2 * DAY
    )
    yield "somebody else", this
    this = delegation.withdraw(this, by=BOSS, at=AT + 3 * DAY)
    yield "withdrawn", this
    this = delegation.delegate(
        this, actor=LEAD, to=BOSS, since=AT + 9 * DAY, until=AT + 10 * DAY, by=LEAD, at=AT + 4 * DAY
    )
    yield "set ahead again", this
    this = delegation.withdraw(this, by=LEAD, at=AT + 5 * DAY)
    yield "withdrawn before it began", this


def notices() -> Iterator[Step]:
    """One notice over two channels, of which one never works."""
    this = delivery.new(
        launch="l-1",
        topic="decide",
        actor=LEAD,
        channels=("mail", "webhook"),
        at=AT,
        gate="lead",
        round=2,
        event=0,
    )
    yield "new", this
    at = AT
    this = delivery.sent(delivery.claimed(this, "mail", at), "mail", at + SECOND)
    yield "the mail is sent", this
    for later in (MINUTE, 9 * MINUTE, 5 * MINUTE):
        this = delivery.claimed(this, "webhook", at)
        yield "the webhook is tried", this
        this = delivery.not_sent(this, "webhook", error="503 " + "x" * 600, later=later, at=at + SECOND)
        yield "and does not answer", this
        at = this.due_at or at
        this = delivery.tick(this, at=at)
        yield "the clock", this
    this = delivery.not_sent(this, "webhook", error="410", later=None, at=at)
    yield "it is gone for good", this
    this = delivery.closed(this, at + HOUR)
    yield "decided", this
    waits = delivery.claimed(
        this.changed(
            channels=delivery.new(
                launch="l-1", topic="closed", actor=LEAD, channels=("mail",), at=AT, event=9, delegation="o-1"
            ).channels
        ),
        "mail",
        at,
    )
    yield "decided while it is sent", delivery.closed(waits, at + SECOND)


def told_of_a_delegation() -> Iterator[Step]:
    """A notice that is of no launch."""
    yield (
        "new",
        delivery.new(
            launch="", topic="delegated", actor=BOSS, channels=("webhook",), at=AT, event=4, delegation="o-1"
        ),
    )
    yield (
        "over no channel",
        delivery.new(launch="l-1", topic="closed", actor=BOSS, channels=(), at=AT, event=4),
    )


def money() -> Iterator[Step]:
    """A month of a cost center."""
    this: budget.Ledger = budget.opened("4711", "2026-11", AT)
    yield "new", this
    this = budget.hold(this, "l-1", Decimal("7.50"), AT + HOUR)
    yield "held", this
    this = budget.hold(this, "l-2", Decimal("2.50"), AT + 2 * HOUR)
    this = budget.release(this, "l-1", Decimal("1.25"), AT + 3 * HOUR)
    yield "one has ended", this
    this = budget.checked(this, AT + DAY)
    yield "checked", this
    this = budget.release(this, "l-2", Decimal(0), AT + 2 * DAY)
    yield "and the other", this
    yield "checked once more", budget.checked(this, AT + 3 * DAY)


def machine() -> Iterator[Step]:
    """One instance, seen, lost, found again and gone."""
    asked = question(on_behalf_of=BOSS)
    asked = msgspec.structs.replace(asked, plan=msgspec.structs.replace(asked.plan, account=ACCOUNT))
    owner: Launch = approve(launch(gate(), asks=asked), LEAD)
    this = instance.first_seen(
        id="i-1",
        launch=owner,
        instance_type="t3.micro",
        hourly=Decimal("0.0104"),
        at=AT,
        image="ami-1",
        least=60,
    )
    yield "first seen", this
    this = instance.seen(this, launch=owner, state="running", changed_at=AT, at=AT + SECOND)
    yield "runs", this
    this = instance.seen(this, launch=owner, state="running", changed_at=AT + MINUTE, at=AT + 2 * MINUTE)
    yield "since later than was known", this
    this = instance.vanishing(this, AT + HOUR, AT + 2 * HOUR)
    yield "not seen any more", this
    this = instance.seen(
        this, launch=owner, state="terminated", changed_at=AT + HOUR, at=AT + 2 * HOUR, source="vanished"
    )
    yield "taken to have ended", this
    this = instance.found_again(this, launch=owner, at=AT + 3 * HOUR)
    yield "and found again", this
    this = instance.found_again(
        instance.vanishing(this, AT + 4 * HOUR, AT + 5 * HOUR), launch=owner, at=AT + 6 * HOUR
    )
    yield "missed for a look only", this
    this = instance.seen(this, launch=owner, state="stopped", changed_at=AT + 7 * HOUR, at=AT + 8 * HOUR)
    yield "stopped", this
    this = instance.seen(this, launch=owner, state="terminated", changed_at=AT + 8 * HOUR, at=AT + 9 * HOUR)
    yield "gone", this


def days() -> Iterator[Step]:
    """Two days of an instance: records, a correction, and what the next day is told."""
    owner = approve(launch(gate(), asks=question(on_behalf_of=BOSS)), LEAD)
    one = instance.first_seen(
        id="i-1", launch=owner, instance_type="t3.micro", hourly=Decimal("0.0104"), at=AT, image="ami-1"
    )
    this = usage.opened(instance.metered(one, owner), "2026-11-02", 60, AT)
    yield "opened", this
    this = usage.seen(this, [usage.look(AT, "running", AT + MINUTE)], AT + MINUTE)
    yield "a look found it running", this
    this = usage.seen(this, [Sight(AT + SECOND, "running", "event")], AT + 2 * MINUTE)
    yield "an event says since when", this
    this = usage.seen(this, [Sight(AT + 11 * SECOND, "stopped", "event")], AT + 3 * MINUTE)
    yield "it stopped soon, and costs a minute", this
    this = usage.seen(this, [Sight(AT + HOUR, "running", "event")], AT + HOUR)
    yield "it runs again", this
    night = usage.opened(this.facts, "2026-11-03", 60, AT + DAY)
    yield "the next day", night
    night = usage.carried(night, this.leaves, this.version, AT + DAY)
    yield "is told that it runs", night
    this = usage.handed_on(this, this.leaves, AT + DAY)
    yield "the first day knows that it was told", this
    this = usage.seen(this, [usage.vanished(AT + 2 * HOUR)], AT + DAY)
    yield "it was gone by then", this
    this = usage.seen(this, usage.refuted(this, Sight(AT + DAY, "running", "event")), AT + DAY)
    yield "which was not true", this


def places() -> Iterator[Step]:
    """A place that is looked over, and what is found there that nobody approved."""
    place = Place("us-east-1", ACCOUNT)
    this = watch.begun(place, AT)
    yield "begun", this
    this = watch.looked(this, live=True, at=AT + 5 * MINUTE)
    yield "looked over", this
    this = watch.looked(this, live=False, at=AT + 15 * MINUTE)
    yield "nothing lives there", this
    this = watch.woken(this, place, AT + HOUR)
    yield "something is about to be launched", this
    this = watch.woken(this, place, AT + HOUR + 8 * MINUTE)
    yield "and more", this
    told = InstanceUnapproved(
        instance="i-9",
        region="us-east-1",
        account="123456789012",
        instance_type="t3.micro",
        image="ami-9",
        why="untagged",
        launch=None,
        began_at=AT,
    )
    yield "and somebody launched by hand", watch.stray(told, place, AT + 2 * HOUR)


STORIES: Mapping[str, Story] = {
    "submitted": submitted,
    "direct": direct,
    "lease-over": over,
    "nobody-decides": ends(
        gate(remind_every="1h", escalate_after="2h", escalate_to="night", reserve=(BOSS,), expires_after="6h")
    ),
    "nobody-decides-a-hook": ends(hook(expires_after="1h"), gate()),
    "nobody-decides-and-passes": ends(gate(on_expiry="approve", expires_after="1h")),
    "too-late": ends(gate(), asks=question(launch_by=AT + HOUR)),
    "too-late-when-cleared": ends(asks=question(launch_by=AT + HOUR)),
    "timer": ends(timer("1h"), gate("lead", LEAD, stage=1)),
    "changed-minds": changed_minds,
    "amended": amended,
    "refused": refused,
    "rejected": rejected,
    "another-choice": another_choice,
    "long": long,
    "ended": ended,
    "systems": systems,
    "broken-glass": broken_glass,
    "away": away,
    "notices": notices,
    "told-of-a-delegation": told_of_a_delegation,
    "money": money,
    "machine": machine,
    "days": days,
    "places": places,
}
