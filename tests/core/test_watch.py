"""Places that are looked over: which one it is, how often, and when it rests."""

from __future__ import annotations

from datetime import timedelta

import pytest

from gonogo.core import event, watch
from gonogo.core.item import Listed
from gonogo.core.plan import Account, Place
from gonogo.core.watch import StraySummary
from tests.core.builders import AT, MINUTE, SECOND, assert_well_told

HERE = Place("us-east-1")
ROLE = "arn:aws:iam::222222222222:role/"
THERE = Place("us-east-1", Account(role=f"{ROLE}launch", observer=f"{ROLE}look", external_id="gonogo"))


def test_each_account_and_region_has_one_watch():
    """By its id the watch is found again; another would be looked over twice, and told of twice."""
    assert watch.id_of(HERE) == watch.watch_id(None, "us-east-1") == watch.watch_id("", "us-east-1")
    ids = {watch.watch_id(account, region) for account in (None, "222222222222") for region in ("a-1", "b-1")}
    assert len(ids) == 4
    assert all(one.startswith("w-") for one in ids), ids
    assert watch.id_of(HERE) == "w-2y5ydji5r6ujzu4lkjhq2bsciwjb45x5", (
        "an id that changes is a second watch of each place"
    )


def test_a_watch_goes_on_for_a_quarter_of_an_hour():
    """Each launch wakes it anew, and a launch a moment later has no call to pay for that."""
    begun = watch.begun(HERE, AT)
    assert (begun.due_at, begun.until) == (AT + 5 * MINUTE, AT + 15 * MINUTE)
    half = AT + timedelta(minutes=7, seconds=30)
    assert watch.woken(begun, HERE, half) is begun
    woken = watch.woken(begun, HERE, half + SECOND)
    assert (woken.until, woken.due_at) == (half + SECOND + 15 * MINUTE, begun.due_at)
    assert (woken.updated_at, woken.version) == (half + SECOND, begun.version + 1)
    other = watch.woken(begun, THERE, AT)
    assert (other.place, other.until, other.due_at) == (THERE, AT + 15 * MINUTE, AT + 5 * MINUTE)


@pytest.mark.parametrize(
    ("live", "after", "again"), [(True, 60, True), (False, 14, True), (False, 15, False), (False, 60, False)]
)
def test_a_watch_rests_when_nothing_is_there(live: bool, after: int, again: bool):  # noqa: FBT001 - a table
    """Looking costs a call every five minutes for ever, unless it stops; while something runs it must not."""
    at = AT + after * MINUTE
    looked = watch.looked(watch.begun(HERE, AT), live=live, at=at)
    assert looked.due_at == (at + 5 * MINUTE if again else None)
    assert (looked.looked_at, looked.updated_at) == (at, at)
    if not again:
        assert watch.woken(looked, HERE, at).due_at == at + 5 * MINUTE


def test_a_stray_is_told_of():
    """Whoever answers for the account finds the instance, where it is, and why it is in the list."""
    told = event.InstanceUnapproved(
        instance="i-1",
        account=None,
        region="us-east-1",
        instance_type="t3.micro",
        image=None,
        why="untagged",
        launch=None,
        began_at=AT,
    )
    stray = watch.stray(told, HERE, AT)
    assert (stray.id, stray.at, stray.updated_at, stray.place, stray.why) == ("i-1", AT, AT, HERE, "untagged")
    assert stray.listed() == Listed(state="stray", summary=StraySummary(id="i-1", at=AT))
    assert_well_told(stray)
