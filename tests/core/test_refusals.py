"""Every way in which a launch is refused, in the words that people read (tests/golden/sentences.json)."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

import msgspec
import pytest

from gonogo.core import attempts, canonical, commands, duration, lease, life, plan
from gonogo.core.actor import Actor
from gonogo.core.errors import ConflictError, InvalidError, NotFoundError, NotPermittedError
from gonogo.core.launch import Launch
from gonogo.core.plan import Lease, Question
from tests.core.agreed import GOLDEN, assert_agreed
from tests.core.builders import (
    AT,
    BOSS,
    DAY,
    DEV,
    HOUR,
    LEAD,
    LEAD2,
    LEAD3,
    OPS,
    SECOND,
    STRANGER,
    approve,
    cleared,
    decide,
    example,
    expired,
    failed,
    gate,
    hook,
    launch,
    launching,
    question,
    reject,
    review,
    revoke,
    running,
    stopped,
    terminated,
)


def offer(this: Launch, asks: Question, by: Actor = LEAD, name: str = "lead") -> Launch:
    """Return the launch with an offer."""
    may = frozenset({LEAD, LEAD2})
    return commands.offer(
        this, gate=name, actor=by, question=asks, comment=None, eligible=may, at=this.updated_at
    )


def amend(this: Launch, at: datetime = AT) -> Launch:
    """Return the launch amended to a shorter lease."""
    return commands.amend(
        this, question=question(lease="1d"), gates=(gate(),), bundle="b", groups=(), actor=DEV, at=at
    )


def extend(this: Launch, by: timedelta | None) -> Launch:
    """Return the launch with its lease so much longer."""
    until = None if by is None else (this.lease_ends_at or AT) + by
    return life.extend(this, until=until, actor=DEV, at=AT)


def within(until: datetime | None, most: str = "30d", now: datetime = AT) -> None:
    """Hold an end of a lease that began at AT against the template's rule."""
    lease.require_within("web-small", Lease("7d", most), started_at=AT, until=until, now=now)


def priced(**changed: Any) -> Question:
    """Return what is asked for at another price."""
    asked = question(lease="29d")
    return msgspec.structs.replace(asked, price=msgspec.structs.replace(asked.price, **changed))


def started(*gates: Any, **more: Any) -> Launch:
    """Return a launch whose gates before it are none, just started."""
    this = attempts.claim(launch(*gates, **more), at=AT)
    return attempts.record_started(this, resources=("i-1",), at=AT)


def accept(at: datetime) -> Launch:
    """Return a launch that waits for an hour, with an offer accepted then."""
    this = offer(launch(gate(), waits_until=AT + HOUR), question(lease="1d"))
    return commands.accept(
        this, digest=this.offers[0].digest, gates=(gate(),), bundle="b", groups=(), actor=DEV, at=at
    )


HELD = gate(valid_for="1d")

REFUSALS: Mapping[str, Callable[[], object]] = {
    "decided by whoever asked": lambda: decide(launch(gate()), DEV),
    "decided by whoever it is for": lambda: decide(launch(gate(), asks=question(on_behalf_of=BOSS)), BOSS),
    "decided by whoever amended it": lambda: decide(
        commands.amend(
            launch(gate()),
            question=question(lease="1d"),
            gates=(gate(),),
            bundle="b",
            groups=(),
            actor=LEAD,
            at=AT,
        ),
        LEAD,
    ),
    "decided by whoever owns the service": lambda: decide(launch(gate(), owners=(LEAD,)), LEAD),
    "decided by a stranger": lambda: decide(launch(gate()), STRANGER, eligible=frozenset({LEAD})),
    "decided at no gate": lambda: decide(launch(gate()), LEAD, "leads"),
    "decided of another plan": lambda: decide(launch(gate()), LEAD, digest="0" * 64),
    "decided the other way": lambda: reject(approve(launch(gate(quorum=2)), LEAD), LEAD),
    "decided too early": lambda: decide(launch(gate(), gate("finance", BOSS, stage=2)), BOSS, "finance"),
    "decided when cleared": lambda: decide(cleared(), LEAD3),
    "decided when rejected": lambda: decide(reject(launch(gate()), LEAD), LEAD2),
    "decided too late": lambda: decide(launch(gate()), LEAD, at=AT + 3 * DAY),
    "decided when the template waits no longer": lambda: decide(
        launch(gate(), waits_until=AT + HOUR), LEAD, at=AT + HOUR
    ),
    "decided after its launch has ended otherwise": lambda: decide(
        launch(review(), asks=question(break_glass=True)), LEAD, "review"
    ),
    "taken back without a decision": lambda: revoke(launch(gate()), LEAD),
    "taken back when cleared": lambda: revoke(cleared(), LEAD),
    "taken back when it runs": lambda: revoke(running(), LEAD),
    "taken back when a review has closed": lambda: revoke(
        approve(started(review(), asks=question(break_glass=True)), LEAD, "review"), LEAD, "review"
    ),
    "amended when cleared": lambda: amend(cleared()),
    "amended too late": lambda: amend(launch(gate(), waits_until=AT + HOUR), AT + HOUR),
    "offered the same": lambda: offer(launch(gate()), question()),
    "offered for longer": lambda: offer(launch(gate()), question(lease="31d")),
    "offered without an end": lambda: offer(
        launch(gate(), asks=question(lease="3650d")), question(lease="never")
    ),
    "offered dearer by the hour": lambda: offer(launch(gate()), priced(hourly=question().price.hourly * 2)),
    "offered dearer in all": lambda: offer(
        launch(gate()), priced(worst_case=question().price.worst_case * 2)
    ),
    "offered in another currency": lambda: offer(launch(gate()), priced(currency="EUR")),
    "offered by whoever asked": lambda: offer(launch(gate()), question(lease="1d"), DEV),
    "offered by a stranger": lambda: offer(launch(gate()), question(lease="1d"), STRANGER),
    "offered when cleared": lambda: offer(cleared(), question(lease="1d")),
    "accepted what nobody offered": lambda: commands.accept(
        launch(gate()), digest="0" * 64, gates=(gate(),), bundle="b", groups=(), actor=DEV, at=AT
    ),
    "accepted too late": lambda: accept(AT + HOUR),
    "offered at a gate after the launch": lambda: offer(
        launch(gate(), review()), question(lease="1d"), name="review"
    ),
    "a note at no gate": lambda: commands.note(
        attempts.claim(launch(), at=AT), gate="scan", actor=LEAD, text="1 %", eligible=frozenset(), at=AT
    ),
    "a note of somebody else": lambda: commands.note(
        launch(hook()), gate="scan", actor=LEAD, text="1 %", eligible=frozenset({OPS}), at=AT
    ),
    "cancelled when it runs": lambda: commands.cancel(running(), actor=DEV, at=AT),
    "reopened when launching": lambda: attempts.reopen(launching(), lost={}, at=AT),
    "more asked when launching": lambda: attempts.ask_more(launching(), gates=(gate("more"),), at=AT),
    "claimed twice": lambda: attempts.claim(launching(), at=AT),
    "claimed too late": lambda: attempts.claim(launch(asks=question(launch_by=AT + HOUR)), at=AT + HOUR),
    "claimed with a gate that is not GO": lambda: attempts.claim(
        cleared().changed(gates=(gate().opened(AT),)), at=AT
    ),
    "claimed with a decision on another plan": lambda: attempts.claim(
        cleared().changed(digest="0" * 64), at=AT
    ),
    "claimed with a decision of last week": lambda: attempts.claim(approve(launch(HELD), LEAD), at=AT + DAY),
    "expired when it runs": lambda: attempts.expire(running(), why="It is late.", at=AT),
    "at it when cleared": lambda: attempts.making(cleared(), at=AT),
    "refused when cleared": lambda: attempts.refused(cleared(), code="No", message="No.", at=AT),
    "undone when cleared": lambda: attempts.undone(cleared(), at=AT),
    "short when cleared": lambda: attempts.record_short(
        cleared(), code="No", message="No.", resources=("i-1",), at=AT
    ),
    "started when cleared": lambda: attempts.record_started(cleared(), resources=("i-1",), at=AT),
    "failed when it runs": lambda: attempts.record_failed(running(), code="No", message="No.", at=AT),
    "retried when it never failed": lambda: attempts.retry(expired(), at=AT),
    "retried before it failed once": lambda: attempts.retry(cleared(), at=AT),
    "stopped when it failed": lambda: life.change(failed(), wanted="stop", actor=DEV, at=AT),
    "started when it failed": lambda: life.change(failed(), wanted="start", actor=DEV, at=AT),
    "stopped while it is terminated": lambda: life.change(
        life.change(running(), wanted="terminate", actor=DEV, at=AT), wanted="stop", actor=DEV, at=AT
    ),
    "terminated when it failed": lambda: life.change(failed(), wanted="terminate", actor=DEV, at=AT),
    "extended when gone": lambda: extend(terminated(), HOUR),
    "extended while it is terminated": lambda: extend(
        life.change(stopped(), wanted="terminate", actor=DEV, at=AT), HOUR
    ),
    "extended to an earlier end": lambda: extend(running(), -SECOND),
    "extended to an end, without one": lambda: extend(extend(running(), None), HOUR),
    "a lease that is over": lambda: within(AT, now=AT),
    "a lease without an end": lambda: within(None),
    "a lease that is too long": lambda: within(AT + 30 * DAY + SECOND),
    "a lease of more than ten years": lambda: within(AT + 3651 * DAY, "never"),
    "a lease that is no length": lambda: plan.lease_for("web-small", Lease("7d", "30d"), "soon"),
    "a lease that is longer": lambda: plan.lease_for("web-small", Lease("7d", "30d"), "31d"),
    "a lease that never ends": lambda: plan.lease_for("web-small", Lease("7d", "30d"), "never"),
    "a price that there is not": lambda: example().prices.of_unit("ec2", "mars-1", "t3.micro"),
    "no canonical form": lambda: canonical.digest({"x": 2**53}),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_each_refusal_says_why(case: str):
    """Whoever is refused must know by the sentence alone what to do, and by its name what kind of no it is."""
    with pytest.raises((ConflictError, InvalidError, NotFoundError, NotPermittedError)) as raised:
        REFUSALS[case]()
    rules = [fault.rule for fault in getattr(raised.value, "faults", ())]
    assert_agreed("sentences.json", case, [type(raised.value).__name__, str(raised.value), *rules])


@pytest.mark.parametrize(
    "call",
    [
        lambda: within(AT + SECOND),
        lambda: within(AT + 30 * DAY),
        lambda: within(None, "never"),
        lambda: within(AT + 3650 * DAY, "never"),
        lambda: plan.lease_for("web-small", Lease("7d", "30d"), "30d"),
        lambda: plan.lease_for("web-small", Lease("7d", "never"), "never"),
        lambda: attempts.claim(launch(asks=question(launch_by=AT + HOUR)), at=AT + HOUR - SECOND),
        lambda: attempts.claim(approve(launch(HELD), LEAD), at=AT + DAY - SECOND),
        lambda: decide(launch(gate(), waits_until=AT + HOUR), LEAD, at=AT + HOUR - SECOND),
        lambda: amend(launch(gate(), waits_until=AT + HOUR), AT + HOUR - SECOND),
        lambda: offer(launch(gate()), priced()),
        lambda: accept(AT + HOUR - SECOND),
        lambda: offer(launch(gate(), asks=question(lease="never")), question(lease="30d")),
        lambda: extend(running(), SECOND),
        lambda: duration.parse("90s"),
    ],
)
def test_up_to_the_limit_nobody_is_refused(call: Callable[[], object]):
    """A rule that begins a second, a day or a cent too early takes from people what they were promised."""
    call()


def test_no_sentence_is_left_over():
    """A sentence that nobody is told any more would be believed, and holds nothing."""
    assert set(json.loads((GOLDEN / "sentences.json").read_text())) == set(REFUSALS)
