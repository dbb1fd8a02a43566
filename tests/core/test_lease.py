"""A longer lease: how long it may be, what is asked for then, and what that costs."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal

import msgspec
import pytest

from gonogo.core import commands, lease, plan
from gonogo.core.errors import InvalidError
from gonogo.core.plan import LEASE_ENGINE, Lease
from tests.core.builders import AT, DAY, HOUR, LEAD, gate, launch, longer, question

MONTH = Lease(default="30d", max="90d")
ENDLESS = Lease(default="30d", max="never")


@pytest.mark.parametrize("until", [AT + 90 * DAY, AT + 31 * DAY])
def test_a_lease_may_be_as_long_as_the_template_says(until: datetime):
    """From its start on, however often it was extended."""
    lease.require_within("web", MONTH, started_at=AT, until=until, now=AT + 29 * DAY)
    lease.require_within("web", ENDLESS, started_at=AT, until=until, now=AT + 29 * DAY)


@pytest.mark.parametrize(
    ("rule", "until", "says"),
    [
        (MONTH, AT + 90 * DAY + HOUR, "later than 2027-01-31T09:00:00Z: template 'web' allows 90d"),
        (MONTH, None, "lets nothing run without an end"),
        (MONTH, AT + 29 * DAY, "over already"),
        (ENDLESS, AT + 3651 * DAY, "ten years"),
    ],
)
def test_a_lease_may_be_no_longer(rule: Lease, until: datetime | None, says: str):
    """Who asks is told the latest that may be."""
    with pytest.raises(InvalidError, match=says):
        lease.require_within("web", rule, started_at=AT, until=until, now=AT + 29 * DAY)


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
