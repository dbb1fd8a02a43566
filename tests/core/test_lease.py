"""A longer lease: how long it may be, what is asked for then, and what that costs."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal

import msgspec
import pytest

from gonogo.core import commands, lease, plan
from gonogo.core.errors import Fault, InvalidError
from gonogo.core.lease import Extension
from gonogo.core.plan import LEASE_ENGINE, Account, Lease, Plan, Question
from tests.core.builders import AT, BOSS, DAY, HOUR, LEAD, gate, launch, longer, question

MONTH = Lease(default="30d", max="90d")
ENDLESS = Lease(default="30d", max="never")
ACCOUNT = Account(
    role="arn:aws:iam::210987654321:role/launcher",
    observer="arn:aws:iam::210987654321:role/observer",
    external_id="gonogo",
)


@pytest.mark.parametrize("until", [AT + 90 * DAY, AT + 31 * DAY])
def test_a_lease_may_be_as_long_as_the_template_says(until: datetime):
    """From its start on, however often it was extended."""
    lease.require_within("web", MONTH, started_at=AT, until=until, now=AT + 29 * DAY)
    lease.require_within("web", ENDLESS, started_at=AT, until=until, now=AT + 29 * DAY)


@pytest.mark.parametrize(
    ("rule", "until", "broken", "says"),
    [
        (
            MONTH,
            AT + 90 * DAY + HOUR,
            "maximum",
            "is later than 2027-01-31T09:00:00Z: template 'web' allows 90d in all",
        ),
        (MONTH, None, "maximum", "template 'web' lets nothing run without an end"),
        (MONTH, AT + 29 * DAY, "minimum", "is over already"),
        (
            ENDLESS,
            AT + 3651 * DAY,
            "maximum",
            "is later than 2036-10-30T09:00:00Z: template 'web' allows ten years in all",
        ),
    ],
)
@pytest.mark.usefixtures("far_east")
def test_a_lease_may_be_no_longer(rule: Lease, until: datetime | None, broken: str, says: str):
    """Who asks is told the latest that may be, in UTC whatever clock the machine has."""
    with pytest.raises(InvalidError) as raised:
        lease.require_within("web", rule, started_at=AT, until=until, now=AT + 29 * DAY)
    assert raised.value.faults == (Fault("/until", broken, says),)


def test_without_an_end_only_where_the_template_says_so():
    """`never` is asked for, and never given by itself."""
    lease.require_within("web", ENDLESS, started_at=AT, until=None, now=AT)


def test_what_is_asked_is_the_whole_lease_and_what_more_it_costs():
    """An approver sees how long it runs in all, and decides about what is added."""
    asked = question()
    more = longer(asked, "7d")
    assert (more.lease, more.plan.engine, more.extends_lease) == ("37d", LEASE_ENGINE, True)
    assert (more.price.hourly, more.price.worst_case) == (Decimal("0.0104"), Decimal("1.75"))
    assert (more.plan.units, more.plan.region, more.cost_center) == (
        asked.plan.units,
        asked.plan.region,
        asked.cost_center,
    )
    assert more.launch_by == AT + 30 * DAY
    assert not asked.extends_lease
    assert len({one.digest for one in (asked, more, longer(asked, "8d"), longer(asked, "never"))}) == 4


def test_an_approver_of_a_longer_lease_sees_all_that_runs_on():
    """Whose it is, where, in which account and at which price, and whoever asks this time, and why."""
    asked = question()
    made = msgspec.structs.replace(asked.plan, account=ACCOUNT, partial=True)
    until = AT + 37 * DAY
    more = lease.question(
        asked,
        made,
        Extension(launch="l-1", name="fair", digest=asked.digest, previous=AT + 30 * DAY, until=until),
        started_at=AT,
        requester=LEAD,
        on_behalf_of=BOSS,
        reason="It goes on.",
        launch_by=AT + 30 * DAY,
    )
    assert more == Question(
        name="fair",
        reason="It goes on.",
        cost_center="4711",
        requester=LEAD,
        on_behalf_of=BOSS,
        lease="37d",
        plan=Plan(
            template="web-small",
            engine="lease",
            region="us-east-1",
            parameters={},
            spec={
                "launch": "l-1",
                "name": "fair",
                "digest": asked.digest,
                "previous": "2026-12-02T09:00:00Z",
                "until": "2026-12-09T09:00:00Z",
            },
            units=asked.plan.units,
            account=ACCOUNT,
        ),
        price=msgspec.structs.replace(asked.price, worst_case=Decimal("1.75")),
        launch_by=AT + 30 * DAY,
    )


@pytest.mark.parametrize("by", ["7d", "90m", "never"])
def test_a_plan_says_just_what_was_asked(by: str):
    """The launcher extends by what stands in the plan, and nothing else."""
    more = longer(question(), by)
    one = lease.extension_of(msgspec.json.decode(msgspec.json.encode(more.plan), type=plan.Plan))
    assert one.spec() == more.plan.spec
    assert one.previous == AT + 30 * DAY
    assert one.length == (plan.ENDLESS if by == "never" else one.ends - one.previous)


@pytest.mark.parametrize(
    ("length", "text"),
    [
        (37 * DAY, "37d"),
        (30 * HOUR, "30h"),
        (timedelta(minutes=90), "90m"),
        (timedelta(seconds=61), "2m"),
        (timedelta(days=3650) - timedelta(microseconds=1), "3650d"),
    ],
)
def test_lengths_as_people_write_them(length: timedelta, text: str):
    """What fits no unit is longer by a little, never shorter: policy reckons with it."""
    assert lease.length_text(length) == text
    assert plan.lease_length(text) >= length


def test_no_offer_is_without_an_end_where_one_was_asked():
    """Ten years and for ever cost the same on paper, and are not."""
    this = launch(gate(), asks=question(lease="3650d"))
    with pytest.raises(InvalidError, match="longer"):
        commands.offer(
            this,
            gate="lead",
            actor=LEAD,
            question=question(lease="never"),
            comment=None,
            eligible=frozenset({LEAD}),
            at=AT,
        )
