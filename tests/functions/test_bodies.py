"""What the API takes is asked for as it was said, and what it shows is what is there, each field by its name."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from functions import bodies
from gonogo.core import delegation as delegations
from gonogo.core.budget import Standing
from gonogo.core.delivery import Delivery, Sending
from gonogo.core.gates import Decision, Gate, GateState, Note
from gonogo.core.launch import Failure, Launch, Resource
from gonogo.core.plan import LaunchRequest
from gonogo.core.policy import Judgement
from gonogo.ports import Page
from gonogo.service import report
from gonogo.service.amend import Changes
from gonogo.service.deliveries import Told
from gonogo.service.submit import Prepared
from gonogo.service.why import Deciders, Why, YouAndGate
from tests.core import builders
from tests.functions.notices import DANA, FINA, LEO, NOW, ROBOT, SCANNER, asked, gate, offered, question


def same(shown: Any, there: Any, *but: str) -> None:
    """Assert that each field that is shown has what is there by that name; all but these."""
    for field in shown.__struct_fields__:
        if field not in but:
            assert getattr(shown, field) == getattr(there, field), field


BODY = bodies.ActorBody(LEO.issuer, LEO.subject)
AMENDED: dict[str, Any] = {
    "parameters": {"count": 2},
    "lease": "8h",
    "reason": "A fair.",
    "cost_center": "4711",
    "name": "fair",
    "launch_by": NOW,
}


def test_what_is_said_is_asked_for() -> None:
    """A field that is taken and then dropped is a launch that nobody asked for."""
    submit = bodies.Submit(**AMENDED, template="web", on_behalf_of=BODY, break_glass=True)
    assert submit.request() == LaunchRequest(
        **AMENDED, template="web", on_behalf_of=LEO.actor, break_glass=True
    )
    assert bodies.Amend(**AMENDED, digest="0" * 64).changes() == Changes(**AMENDED)
    lesser: dict[str, Any] = {"parameters": {"count": 1}, "lease": "1h"}
    offer = bodies.MakeOffer(gate="lead", digest="0" * 64, comment="Less.", **lesser)
    assert offer.changes() == Changes(**lesser)
    said: dict[str, Any] = {
        "digest": "0" * 64,
        "outcome": "failed",
        "attempt": 2,
        "resources": ("job-1",),
        "code": "Full",
        "message": "No room.",
    }
    assert bodies.MakeReport(**said).report() == report.Report(**said)


def at(hours: int) -> Any:
    """Return a time that nothing else has."""
    return NOW + timedelta(hours=hours)


def decision(**more: Any) -> Decision:
    """Return a decision; Leo's GO unless it says otherwise."""
    usual: dict[str, Any] = {
        "actor": LEO.actor,
        "verdict": "approve",
        "digest": "0" * 64,
        "round": 4,
        "at": at(1),
        "channel": "link",
    }
    return Decision(**{**usual, **more})


WHOLE = gate(
    stage=2,
    quorum=3,
    login=True,
    kind="hook",
    place="before_approval",
    reject_quorum=2,
    services=True,
    valid_for="1d",
    on_expiry="reject",
    on_reject="terminate",
    state=GateState.OPEN,
    round=4,
    opened_at=at(2),
    expires_at=at(3),
    goes_at=at(4),
    remind_at=at(5),
    escalate_at=at(6),
    escalated=True,
    passed="its time has come",
    why="it lapsed",
    notes=(Note(actor=SCANNER.actor, at=at(7), text="half done"),),
    decisions=(
        decision(),
        decision(actor=DANA.actor, comment="Go.", at=at(8)),
        decision(actor=FINA.actor, instead_of=SCANNER.actor, verdict="reject", channel="api"),
        decision(actor=ROBOT, verdict="reject", void="revoked"),
    ),
)
"""A gate of which nothing is as it usually is."""


@pytest.mark.parametrize("one", [WHOLE, gate()])
def test_a_gate_is_shown_as_it_stands(one: Gate) -> None:
    """Whoever decides reads here what counts: a decision that is void, and until when another stands."""
    view = bodies.gate_view(one)
    same(view, one, "decisions")
    for shown, there in zip(view.decisions, one.decisions, strict=True):
        same(shown, there, "valid_until")
        assert shown.valid_until == there.at + timedelta(days=1)


def whole() -> Launch:
    """Return a launch of which nothing is as it usually is."""
    launch = offered(
        asked(gate(), name="fair", on_behalf_of=FINA.actor, launch_by=at(9), break_glass=True, lease="30d")
    )
    return msgspec.structs.replace(
        launch,
        groups=("developers",),
        gates=(WHOLE,),
        amended_by=(LEO.actor,),
        was=question(lease="1d"),
        attempt=3,
        resources=(Resource("i-1", "running", at(10)),),
        failure=Failure("Full", "No room.", 2),
        wanted="stop",
        waits_until=at(11),
        cleared_at=at(12),
        started_at=at(13),
        lease_ends_at=at(14),
    )


OF_QUESTION = (
    *("name", "reason", "cost_center", "requester", "on_behalf_of", "break_glass", "lease", "plan", "price"),
    "launch_by",
)


def test_a_launch_is_shown_as_it_is() -> None:
    """Who asked, who changed it and to what, and what is wanted of it now."""
    launch = whole()
    view = bodies.launch_view(launch)
    elsewhere = ("template", "gates", "changes", "offers", "created_at")
    same(view, launch, *OF_QUESTION, *elsewhere)
    for field in OF_QUESTION:
        assert getattr(view, field) == getattr(launch.question, field), field
    assert (view.template, view.created_at) == (launch.question.plan.template, launch.at)
    assert view.updated_at != view.created_at
    assert view.gates == (bodies.gate_view(WHOLE),)
    assert ("lease", "1d", "30d") in [(one.path, one.before, one.after) for one in view.changes]
    (offer,) = launch.offers
    (shown,) = view.offers
    same(shown, offer, "lease", "price", "changes")
    assert (shown.lease, shown.price.worst_case) == ("7d", Decimal("1.75"))
    assert ("lease", "30d", "7d") in [(one.path, one.before, one.after) for one in shown.changes]


STANDING = Standing(
    cost_center="4711",
    month="2026-11",
    limit=Decimal(100),
    committed=Decimal(70),
    estimate=Decimal(40),
)


def test_a_dry_run_says_what_would_happen() -> None:
    """Whoever breaks the glass reads first who is told of it, and who is over their budget that they are."""
    asked_for = question(launch_by=at(9), lease="8h")
    judged = Judgement(outcome="break_glass", policies=("glass",), tells=("operators",))
    prepared = Prepared(
        question=asked_for, bundle="b" * 64, judgement=judged, gates=(WHOLE,), budget=STANDING
    )
    view = bodies.dry_run(prepared)
    same(view, asked_for, "outcome", "policies", "tells", "gates", "budget", "bundle")
    assert (view.outcome, view.policies, view.tells) == ("break_glass", ("glass",), ("operators",))
    assert (view.gates, view.bundle) == ((bodies.gate_view(WHOLE),), "b" * 64)
    held(view.budget)


def held(view: bodies.BudgetView | None) -> None:
    """Assert that this is how it stands to the budget."""
    assert view is not None
    same(view, STANDING, "overrun")
    assert (view.remaining, view.overrun) == (Decimal(30), True)


def test_why_it_waits_says_who_may_decide_in_whose_place() -> None:
    """Whoever waits asks just these."""
    launch = whole()
    one = Deciders(
        gate=WHOLE,
        can=(LEO.actor,),
        instead={FINA.actor.key: (LEO.actor, DANA.actor)},
        decided=(),
        missing=2,
        waits_for="people",
        until=at(15),
    )
    you = YouAndGate(gate="lead", can=False, why_not="You asked for it.")
    view = bodies.why_view(
        Why(launch=launch, outcome="gates", policies=("web",), gates=(one,), you=(you,), budget=STANDING)
    )
    assert (view.id, view.state, view.waits_until, view.launch_by) == (
        launch.id,
        launch.state,
        launch.waits_until,
        at(9),
    )
    assert (view.outcome, view.policies) == ("gates", ("web",))
    (shown,) = view.gates
    same(shown, one, "gate", "instead")
    assert shown.instead == (bodies.InsteadView(FINA.actor, (LEO.actor, DANA.actor)),)
    same(view.you[0], you)
    held(view.budget)


def test_a_delegation_is_in_force_from_its_beginning_to_its_end() -> None:
    """To the second, as where it is decided."""
    made = delegations.delegate(
        None, actor=LEO.actor, to=FINA.actor, since=at(1), until=at(2), by=DANA.actor, at=NOW
    )
    second = timedelta(seconds=1)
    for now, holds in ((at(1) - second, False), (at(1), True), (at(2) - second, True), (at(2), False)):
        view = bodies.delegation_view(made, now)
        same(view, made, "in_force")
        assert view.in_force is holds


@pytest.mark.parametrize("shows_errors", [True, False])
def test_a_notice_shows_what_went_wrong_to_whom_it_concerns(*, shows_errors: bool) -> None:
    """What a mail server said may name an address."""
    sendings: dict[Any, Sending] = {
        "mail": Sending(state="waiting", tries=2, not_before=at(1), error="No."),
        "webhook": Sending(state="failed", tries=9, not_before=at(2), error="Never."),
    }
    made = Delivery(
        id="d-1", at=at(3), updated_at=at(4), launch="", topic="decide", actor=LEO.actor, channels=sendings
    )
    page = bodies.delivery_page(Page((Told(made, shows_errors),), "next"))
    assert page.cursor == "next"
    (view,) = page.items
    same(view, made, "to", "launch", "channels")
    assert (view.to, view.launch) == (LEO.actor, None)
    assert [(one.channel, one.state, one.tries, one.next_try_at, one.error) for one in view.channels] == [
        ("mail", "waiting", 2, at(1), "No." if shows_errors else None),
        ("webhook", "failed", 9, None, "Never." if shows_errors else None),
    ]


def test_a_history_has_the_hash_that_its_last_event_must_have() -> None:
    """Without it nobody can tell that the newest events were cut off."""
    launch = whole()
    shown = bodies.history(launch.id, list(launch.history), "a" * 64)
    assert [one.seq for one in shown.items] == [one.seq for one in launch.history]
    assert shown.head == "a" * 64


def by_name(views: Iterable[Any]) -> dict[str, Any]:
    """Return views by name."""
    return {one.name: one for one in views}


def test_a_policy_is_shown_as_it_is_in_force() -> None:
    """Whoever reads which gates there are must be able to rely on it."""
    bundle = builders.example()
    view = bodies.policy_view(bundle)
    gates = by_name(view.gates)
    assert gates.keys() == bundle.gates.keys()
    for name, rule in bundle.gates.items():
        rules = msgspec.structs.replace(
            rule, login=not rule.login, services=not rule.services, remind_every="1h"
        )
        for one in (rule, rules):
            other = msgspec.structs.replace(bundle, gates={name: one})
            (shown,) = bodies.policy_view(other).gates
            same(shown, one, "name", "place")
            assert (shown.name, shown.place) == (name, one.stands)
    assert (view.bundle, view.groups, view.price_version) == (
        bundle.digest,
        bundle.groups,
        bundle.prices.version,
    )
    templates = by_name(bodies.templates(bundle).items)
    assert templates.keys() == bundle.templates.keys()
    for name, template in bundle.templates.items():
        same(templates[name], template, "name")
