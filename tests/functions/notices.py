"""One notice of every kind, each of a launch that really lived that far."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import msgspec

from gonogo.core import clock, commands
from gonogo.core.actor import Actor
from gonogo.core.bundle import Person
from gonogo.core.delivery import Topic, delivery_id
from gonogo.core.event import Price
from gonogo.core.gates import Gate, Verdict
from gonogo.core.launch import Launch
from gonogo.core.plan import Plan, Question, Unit
from gonogo.service.notify import Notice

ISSUER = "https://id.example.com"
NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
CODE = "gng_" + "k7Qx-_" * 40


def somebody(name: str, subject: str) -> Person:
    """Return a person whom policy knows."""
    return Person(name=name, issuer=ISSUER, subject=subject, mail=f"{subject}@example.com")


DANA = somebody("Dana Dev", "dana")
LEO = somebody("Leo Lead", "leo")
FINA = somebody("Fina Finance", "fina")
ROBOT = Actor("https://token.actions.example.com", "repo:acme/shop:ref:refs/heads/main")
PEOPLE = {one.actor: one for one in (DANA, LEO, FINA)}


def question(**changes: object) -> Question:
    """Return the question of a small web server."""
    plan = Plan(
        template="web-small",
        engine="ec2",
        region="us-east-1",
        parameters={"count": 1},
        spec={
            "image_id": "ami-0123456789abcdef0",
            "instance_type": "t3.micro",
            "count": 1,
            "metadata_options": {"http_tokens": "required"},
        },
        units=(Unit("t3.micro", 1),),
    )
    price = Price(
        currency="USD",
        version="2026-11-01",
        hourly=Decimal("0.0104"),
        monthly=Decimal("7.60"),
        worst_case=Decimal("7.49"),
    )
    asked = Question(
        name=None,
        reason="A page for the fair.\nIt goes on Thursday.",
        cost_center="marketing",
        requester=DANA.actor,
        on_behalf_of=None,
        lease="30d",
        plan=plan,
        price=price,
    )
    return msgspec.structs.replace(asked, **changes)


def gate(name: str = "lead", title: str = "Team lead", **changes: object) -> Gate:
    """Return a gate that Leo may decide, as policy makes it."""
    made = Gate(
        name=name, title=title, stage=1, quorum=1, expires_after="3d", login=False, approvers=(LEO.actor,)
    )
    return msgspec.structs.replace(made, **changes)


FINANCE = gate("finance", "Finance", stage=2, expires_after="5d", approvers=(FINA.actor,))


def asked(*gates: Gate, **changes: object) -> Launch:
    """Return a launch that has just been asked for."""
    return commands.submit(
        id="l-abcdefghijklmnopqrstuvwxyz234567",
        question=question(**changes),
        bundle="0" * 64,
        groups=(),
        request_digest="1" * 64,
        gates=gates or (gate(),),
        at=NOW,
    )


def decided(
    launch: Launch, whom: Person, verdict: Verdict, comment: str | None = None, on: str = "lead"
) -> Launch:
    """Return the launch after somebody has decided by link, an hour later."""
    return commands.decide(
        launch,
        gate=on,
        actor=whom.actor,
        verdict=verdict,
        digest=launch.digest,
        channel="link",
        comment=comment,
        eligible=frozenset(PEOPLE),
        at=launch.updated_at + timedelta(hours=1),
    )


def revoked(launch: Launch, whom: Person) -> Launch:
    """Return the launch after somebody has taken a decision back, an hour later."""
    return commands.revoke(
        launch, gate="lead", actor=whom.actor, channel="link", at=launch.updated_at + timedelta(hours=1)
    )


def running(launch: Launch) -> Launch:
    """Return a cleared launch after the engine has made it."""
    at = launch.updated_at + timedelta(seconds=20)
    return commands.record_started(commands.claim(launch, at=at), resources=("i-0abc", "i-0def"), at=at)


def notice(
    topic: Topic, launch: Launch, whom: Person, *, of: str = "", on: str = "", code: str | None = None
) -> Notice:
    """Return what somebody is told: of the newest event of that type, on the gate of that name."""
    happened = next((one for one in reversed(launch.history) if one.type == of), None) if of else None
    name = on or (str(happened.data["gate"]) if happened and "gate" in happened.data else "")
    link = (
        f"https://gonogo.example.com/decide#{code}"
        if code
        else f"https://gonogo.example.com/launches/{launch.id}"
    )
    return Notice(
        id=delivery_id(launch.id, topic, whom.actor, name, 1, happened.seq if happened else 0),
        topic=topic,
        person=whom,
        launch=launch,
        gate=launch.gate(name) if name else None,
        happened=happened,
        at=launch.updated_at + timedelta(seconds=3),
        link=link,
        code=code,
        people=PEOPLE,
    )


def _running() -> Launch:
    return running(decided(asked(), LEO, "approve"))


def _nasty() -> Notice:
    launch = asked(
        name="pay\u202eroll <b>\u00ae",
        reason="<script>alert(1)</script>\n  Cost       0.00 USD a month\n--=_\u2066\u200b\x7f",
        cost_center="x" * 64,
        requester=ROBOT,
        on_behalf_of=DANA.actor,
    )
    return notice("decide", launch, LEO, on="lead", code=CODE)


def _failed() -> Notice:
    launch = commands.record_failed(
        decided(asked(), LEO, "approve"),
        code="InsufficientInstanceCapacity",
        message="There is no t3.micro in this zone now.\nAnother zone has some.",
        at=NOW + timedelta(hours=2),
    )
    return notice("failed", launch, DANA, of="launch.failed")


def _change_failed() -> Notice:
    at = NOW + timedelta(days=1)
    launch = commands.change(_running(), wanted="stop", actor=DANA.actor, at=at)
    launch = commands.change_failed(launch, code="Unsupported", message="It cannot be stopped.", at=at)
    return notice("change_failed", launch, DANA, of="launch.change_failed")


def _expired() -> Notice:
    launch = clock.tick(asked(), at=NOW + timedelta(days=3))
    return notice("expired", launch, DANA, of="launch.expired")


def _revoked() -> Notice:
    launch = revoked(decided(asked(gate(), FINANCE), LEO, "approve"), LEO)
    return notice("confirmed", launch, LEO, of="gate.decided")


CASES: dict[str, Callable[[], Notice]] = {
    "decide": lambda: notice("decide", asked(), LEO, on="lead", code=CODE),
    "decide-signed-in": lambda: notice("decide", asked(gate(login=True)), LEO, on="lead"),
    "decide-quorum": lambda: notice(
        "decide",
        decided(asked(gate(quorum=2, approvers=(LEO.actor, FINA.actor)), name="fair"), LEO, "approve"),
        FINA,
        on="lead",
        code=CODE,
    ),
    "decide-nasty": _nasty,
    "closed-go": lambda: notice("closed", decided(asked(), LEO, "approve"), FINA, of="gate.closed"),
    "closed-no-go": lambda: notice("closed", decided(asked(), LEO, "reject"), FINA, of="gate.closed"),
    "closed-cancelled": lambda: notice(
        "closed", commands.cancel(asked(), actor=DANA.actor, at=NOW), LEO, of="gate.closed"
    ),
    "confirmed-revocable": lambda: notice(
        "confirmed",
        decided(asked(gate(), FINANCE), LEO, "approve", "Fine by me.\nMind the lease."),
        LEO,
        of="gate.decided",
        code=CODE,
    ),
    "confirmed-final": lambda: notice("confirmed", decided(asked(), LEO, "reject"), LEO, of="gate.decided"),
    "confirmed-revoked": _revoked,
    "cleared": lambda: notice("cleared", decided(asked(), LEO, "approve", "Go!"), DANA, of="launch.cleared"),
    "rejected": lambda: notice(
        "rejected", decided(asked(), LEO, "reject", "Too dear; ask for less."), DANA, of="launch.rejected"
    ),
    "expired": _expired,
    "started": lambda: notice("started", _running(), DANA, of="launch.started"),
    "failed": _failed,
    "change-failed": _change_failed,
}
"""Each kind of notice by the name of its golden files."""
