"""One notice of every kind, each of a launch that really lived that far."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import msgspec

from gonogo.core import attempts, clock, commands, delegation, lease, life
from gonogo.core.actor import Actor
from gonogo.core.bundle import Person
from gonogo.core.delivery import Topic, delivery_id
from gonogo.core.event import Price
from gonogo.core.gates import Gate, GateState, Verdict
from gonogo.core.launch import Launch
from gonogo.core.lease import Extension
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
SCANNER = somebody("Image scanner", "scanner")
ROBOT = Actor("https://token.actions.example.com", "repo:acme/shop:ref:refs/heads/main")
PEOPLE = {one.actor: one for one in (DANA, LEO, FINA, SCANNER)}


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


SCAN = gate(
    "scan",
    "Image scan",
    kind="hook",
    place="before_approval",
    expires_after="10m",
    on_expiry="reject",
    approvers=(SCANNER.actor,),
)
REVIEW = gate("review", "Was it needed?", place="after_launch", expires_after="7d")
POLICY = msgspec.structs.replace(
    question().plan,
    template="policy",
    engine="policy",
    region="",
    parameters={},
    spec={"bundle": "b" * 64, "previous": "a" * 64, "files": ["gates.toml", "policies.cedar"]},
    units=(),
)
STACK = msgspec.structs.replace(
    question().plan,
    template="site",
    engine="cloudformation",
    parameters={"site": "fair"},
    spec={
        "template": "stacks/site.yaml",
        "parameters": {"Site": "fair"},
        "capabilities": ["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
        "units": [{"kind": "site", "quantity": 1}],
        "sha256": "5" * 64,
        "makes": [
            {"id": "Logs", "type": "AWS::S3::Bucket"},
            {"id": "Pages", "type": "AWS::S3::Bucket"},
            {"id": "Renderer", "type": "AWS::IAM::Role"},
            {"id": "Standby", "type": "AWS::SQS::Queue", "condition": "IsProd"},
        ],
        "transforms": ["AWS::Serverless-2016-10-31"],
    },
    units=(Unit("site", 1),),
)
FINANCE = gate("finance", "Finance", stage=2, expires_after="5d", approvers=(FINA.actor,))


def asked(*gates: Gate, tells: tuple[str, ...] = (), warns: int = 0, **changes: object) -> Launch:
    """Return a launch that has just been asked for."""
    return commands.submit(
        tells=tells,
        warns=warns,
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


def amended(launch: Launch, **changes: object) -> Launch:
    """Return the launch after whoever asked has changed it to three servers, an hour later."""
    return commands.amend(
        launch,
        question=three(launch.question, **changes),
        gates=tuple(
            msgspec.structs.replace(one, state=GateState.WAITING, decisions=()) for one in launch.gates
        ),
        bundle=launch.bundle,
        groups=(),
        actor=DANA.actor,
        at=launch.updated_at + timedelta(hours=1),
    )


def three(before: Question, **changes: object) -> Question:
    """Return the question of three servers instead, for a week."""
    plan = msgspec.structs.replace(
        before.plan,
        parameters={"count": 3},
        spec={**before.plan.spec, "count": 3},
        units=(Unit("t3.micro", 3),),
    )
    price = msgspec.structs.replace(
        before.price, hourly=Decimal("0.0312"), monthly=Decimal("22.78"), worst_case=Decimal("5.25")
    )
    return msgspec.structs.replace(before, plan=plan, price=price, lease="7d", **changes)


def policy_change() -> Launch:
    """Return a change of policy that was just asked for: a lease of a second, and no price."""
    nothing = msgspec.structs.replace(
        question().price, hourly=Decimal(0), monthly=Decimal(0), worst_case=Decimal(0)
    )
    return asked(
        gate("policy", "Policy owners"),
        plan=POLICY,
        price=nothing,
        lease="1s",
        cost_center="policy",
        reason="Finance is asked from 200 a month on.",
    )


def offered(launch: Launch) -> Launch:
    """Return the launch with an offer of Leo's: the same for a week."""
    price = msgspec.structs.replace(launch.question.price, worst_case=Decimal("1.75"))
    return commands.offer(
        launch,
        gate="lead",
        actor=LEO.actor,
        question=msgspec.structs.replace(launch.question, lease="7d", price=price),
        comment="A week is what the fair takes.\nAsk again if it goes on.",
        eligible=frozenset({LEO.actor}),
        at=launch.updated_at + timedelta(hours=1),
    )


def instead(launch: Launch, verdict: Verdict = "approve") -> Launch:
    """Return the launch after Fina has decided the gate `lead` in Leo's place."""
    return commands.decide(
        launch,
        gate="lead",
        actor=FINA.actor,
        verdict=verdict,
        digest=launch.digest,
        channel="link",
        comment=None,
        eligible=frozenset({LEO.actor}),
        delegated={FINA.actor: frozenset({LEO.actor})},
        at=launch.updated_at + timedelta(hours=1),
    )


def running(launch: Launch) -> Launch:
    """Return a cleared launch after the engine has made it."""
    at = launch.updated_at + timedelta(seconds=20)
    return attempts.record_started(attempts.claim(launch, at=at), resources=("i-0abc", "i-0def"), at=at)


def notice(
    topic: Topic,
    launch: Launch,
    whom: Person,
    *,
    of: str = "",
    on: str = "",
    code: str | None = None,
    instead_of: tuple[Actor, ...] = (),
) -> Notice:
    """Return what somebody is told: of the newest event of that type, on the gate of that name."""
    happened = next((one for one in reversed(launch.history) if one.type == of), None) if of else None
    name = on or (happened.data.get("gate") if happened else None) or ""
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
        instead_of=instead_of,
    )


def of_delegation(*, until: datetime, whom: Person = FINA) -> Notice:
    """Return what somebody is told of Fina's standing in for Leo, which an operator has set."""
    made = delegation.delegate(
        None,
        actor=LEO.actor,
        to=FINA.actor,
        since=NOW,
        until=NOW + timedelta(days=14),
        by=DANA.actor,
        at=NOW,
    )
    if until <= NOW:
        made = delegation.withdraw(made, by=LEO.actor, at=NOW + timedelta(days=1))
    happened = made.history[-1]
    return Notice(
        id=delivery_id(made.id, "delegated", whom.actor, event=happened.seq),
        topic="delegated",
        person=whom,
        delegation=made,
        happened=happened,
        at=made.updated_at + timedelta(seconds=3),
        link="https://gonogo.example.com/",
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
    launch = attempts.record_failed(
        decided(asked(), LEO, "approve"),
        code="InsufficientInstanceCapacity",
        message="There is no t3.micro in this zone now.\nAnother zone has some.",
        at=NOW + timedelta(hours=2),
    )
    return notice("failed", launch, DANA, of="launch.failed")


def _change_failed() -> Notice:
    at = NOW + timedelta(days=1)
    launch = life.change(_running(), wanted="stop", actor=DANA.actor, at=at)
    launch = life.change_failed(launch, code="Unsupported", message="It cannot be stopped.", at=at)
    return notice("change_failed", launch, DANA, of="launch.change_failed")


def _expired() -> Notice:
    launch = clock.tick(asked(), at=NOW + timedelta(days=3))
    return notice("expired", launch, DANA, of="launch.expired")


def _revoked() -> Notice:
    launch = revoked(decided(asked(gate(), FINANCE), LEO, "approve"), LEO)
    return notice("confirmed", launch, LEO, of="gate.decided")


def _ticked(launch: Launch, after: timedelta) -> Launch:
    return clock.tick(launch, at=NOW + after)


def _escalated() -> Launch:
    over = gate(escalate_after="4h", escalate_to="finance", reserve=(FINA.actor,))
    return _ticked(asked(over), timedelta(hours=4))


def _given_to_people() -> Launch:
    scan = msgspec.structs.replace(SCAN, on_expiry="escalate", fallback=gate())
    return _ticked(asked(scan), timedelta(minutes=10))


def _broken() -> Launch:
    return asked(REVIEW, tells=("operators", "leads"), break_glass=True, reason="The shop is down.")


def _accepted() -> Launch:
    launch = offered(asked(gate(), FINANCE))
    return commands.accept(
        launch,
        digest=launch.offers[0].digest,
        gates=(gate(), FINANCE),
        bundle=launch.bundle,
        groups=(),
        actor=DANA.actor,
        at=launch.updated_at + timedelta(hours=1),
    )


def _warned(on_reject: str) -> Notice:
    after = gate("audit", "Audit", place="after_launch", on_reject=on_reject)
    launch = decided(
        running(decided(asked(gate(), after), LEO, "approve")), LEO, "reject", "No tags.", "audit"
    )
    return notice("warned", launch, DANA, of="gate.closed")


def _policy_in_force() -> Notice:
    launch = decided(policy_change(), LEO, "approve", on="policy")
    at = launch.updated_at + timedelta(seconds=20)
    launch = attempts.record_started(attempts.claim(launch, at=at), resources=(), at=at)
    return notice("started", launch, DANA, of="launch.started")


def _noted() -> Launch:
    """Return a launch that waits for a lead, after the scanner has let it pass with a note."""
    launch = asked(SCAN, gate())
    at = launch.updated_at + timedelta(minutes=1)
    for_scanner = frozenset({SCANNER.actor})
    launch = commands.note(
        launch, gate="scan", actor=SCANNER.actor, text="40 % done", eligible=for_scanner, at=at
    )
    return commands.decide(
        launch,
        gate="scan",
        actor=SCANNER.actor,
        verdict="approve",
        digest=launch.digest,
        channel="webhook",
        comment="no findings",
        eligible=for_scanner,
        at=at,
    )


def _reopened() -> Launch:
    """Return a launch whose GO lapsed before it was used, and which is decided anew."""
    return _ticked(decided(asked(gate(valid_for="1d"), FINANCE), LEO, "approve"), timedelta(days=1, hours=1))


def _expiring() -> Notice:
    launch = running(decided(asked(warns=3 * 86400), LEO, "approve"))
    ends = launch.lease_ends_at
    assert ends is not None
    return notice("expiring", clock.tick(launch, at=ends - timedelta(days=3)), DANA, of="lease.expiring")


def _extended(until: timedelta | None, by: str | None = None) -> Notice:
    launch = _running()
    ends = launch.lease_ends_at
    assert ends is not None
    end = ends + until if until is not None else None
    launch = life.extend(launch, until=end, actor=DANA.actor, at=NOW + timedelta(days=29), by=by)
    return notice("extended", launch, DANA, of="lease.extended")


def extension() -> Launch:
    """Return an extension of a lease that was just asked for: a week more of what runs."""
    launch = _running()
    ends, started_at = launch.lease_ends_at, launch.started_at
    assert ends is not None
    assert started_at is not None
    one = Extension(
        launch=launch.id,
        name="web-small",
        digest=launch.digest,
        previous=ends,
        until=ends + timedelta(days=7),
    )
    whole = lease.question(
        launch.question,
        launch.plan,
        one,
        started_at=started_at,
        requester=DANA.actor,
        on_behalf_of=None,
        reason="The fair goes on.",
        launch_by=ends,
    )
    return commands.submit(
        id="l-zyxwvutsrqponmlkjihgfedcba765432",
        question=whole,
        bundle="0" * 64,
        groups=(),
        request_digest="2" * 64,
        gates=(gate(),),
        at=NOW + timedelta(days=28),
    )


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
    "decide-amended": lambda: notice("decide", amended(asked()), LEO, on="lead", code=CODE),
    "decide-anew": lambda: notice("decide", _reopened(), LEO, on="lead", code=CODE),
    "decide-delegate": lambda: notice(
        "decide", asked(), FINA, on="lead", code=CODE, instead_of=(LEO.actor, DANA.actor)
    ),
    "decide-escalated": lambda: notice("decide", _escalated(), FINA, on="lead", code=CODE),
    "decide-hook": lambda: notice("decide", asked(SCAN, gate()), SCANNER, on="scan"),
    "decide-in-a-systems-stead": lambda: notice("decide", _given_to_people(), LEO, on="scan", code=CODE),
    "decide-review": lambda: notice("decide", running(_broken()), LEO, on="review", code=CODE),
    "decide-after": lambda: notice(
        "decide",
        running(
            decided(
                asked(gate(), gate("audit", "Audit", place="after_launch", on_reject="terminate")),
                LEO,
                "approve",
            )
        ),
        LEO,
        on="audit",
        code=CODE,
    ),
    "decide-stack": lambda: notice("decide", asked(plan=STACK), LEO, on="lead", code=CODE),
    "decide-policy": lambda: notice("decide", policy_change(), LEO, on="policy", code=CODE),
    "reminded": lambda: notice(
        "reminded",
        _ticked(asked(gate(remind_every="1d")), timedelta(days=1)),
        LEO,
        of="approver.reminded",
        code=CODE,
    ),
    "amended": lambda: notice("amended", amended(asked(), name="fair"), LEO, of="launch.amended"),
    "offered": lambda: notice("offered", offered(asked()), DANA, of="launch.offered"),
    "glass-broken": lambda: notice("glass_broken", _broken(), FINA, of="glass.broken"),
    "warned": lambda: _warned("warn"),
    "warned-terminated": lambda: _warned("terminate"),
    "delegated": lambda: of_delegation(until=NOW + timedelta(days=14)),
    "delegated-by-another": lambda: of_delegation(until=NOW + timedelta(days=14), whom=LEO),
    "delegated-ended": lambda: of_delegation(until=NOW),
    "confirmed-instead": lambda: notice(
        "confirmed", instead(asked(gate(), FINANCE)), FINA, of="gate.decided", code=CODE
    ),
    "confirmed-for-you": lambda: notice(
        "confirmed", instead(asked(gate(), FINANCE)), LEO, of="gate.decided", code=CODE
    ),
    "confirmed-taken-back": lambda: notice(
        "confirmed", revoked(instead(asked(gate(), FINANCE)), LEO), FINA, of="gate.decided"
    ),
    "confirmed-offer": lambda: notice("confirmed", _accepted(), LEO, of="gate.decided", code=CODE),
    "closed-escalated": lambda: notice("closed", _given_to_people(), SCANNER, of="gate.closed"),
    "cleared-noted": lambda: notice("cleared", decided(_noted(), LEO, "approve"), DANA, of="launch.cleared"),
    "rejected-in-time": lambda: notice(
        "rejected", _ticked(asked(SCAN, gate()), timedelta(minutes=10)), DANA, of="launch.rejected"
    ),
    "expired-late": lambda: notice(
        "expired",
        _ticked(asked(launch_by=NOW + timedelta(days=1)), timedelta(days=1)),
        DANA,
        of="launch.expired",
    ),
    "started-policy": _policy_in_force,
    "expiring": _expiring,
    "extended": lambda: _extended(timedelta(days=7)),
    "extended-by-launch": lambda: _extended(timedelta(days=7), "l-zyxwvutsrqponmlkjihgfedcba765432"),
    "extended-without-end": lambda: _extended(None),
    "decide-extension": lambda: notice("decide", extension(), LEO, on="lead", code=CODE),
    "cleared-extension": lambda: notice(
        "cleared", decided(extension(), LEO, "approve"), DANA, of="launch.cleared"
    ),
}
"""Each kind of notice by the name of its golden files."""
