"""An instance: each start, stop and end is told once, with what a biller needs."""

from __future__ import annotations

import itertools
from decimal import Decimal

import msgspec
import pytest

from gonogo.core import instance
from gonogo.core.event import Metered
from gonogo.core.instance import Instance, InstanceSummary
from gonogo.core.item import Listed
from gonogo.core.launch import InstanceState, Launch
from gonogo.core.plan import Account, Place
from tests.core.builders import AT, BOSS, DEV, HOUR, LEAD, LEAD2, assert_well_told, running, told


def unseen() -> Instance:
    """Return an instance of which nothing is known but its launch."""
    return instance.first_seen(
        id="i-1", launch=running(), instance_type="t3.micro", hourly=Decimal("0.0104"), at=AT
    )


def seen(this: Instance, state: InstanceState, hours: int = 0) -> Instance:
    """Return the instance as it was seen so many hours later."""
    return instance.seen(
        this, launch=running(), state=state, changed_at=AT + hours * HOUR, at=AT + hours * HOUR
    )


STATES: dict[str, InstanceState] = {
    "pending": "pending",
    "running": "running",
    "stopped": "stopped",
    "terminated": "terminated",
}
_TELLS = {"running": "instance.started", "stopped": "instance.stopped", "terminated": "instance.terminated"}


@pytest.mark.parametrize(
    ("states", "events"),
    [
        ("pending", []),
        ("running", ["running"]),
        ("pending running", ["running"]),
        ("running running", ["running"]),
        ("running stopped running", ["running", "stopped", "running"]),
        ("running pending stopped", ["running", "stopped"]),
        ("stopped stopped", ["stopped"]),
        ("terminated", ["terminated"]),
        ("running terminated running stopped terminated", ["running", "terminated"]),
    ],
)
def test_what_is_told(states: str, events: list[InstanceState]):
    """Every change is told once, a repetition never, and nothing after the end."""
    this = unseen()
    for hours, state in enumerate(states.split()):
        this = seen(this, STATES[state], hours)
    assert told(this) == [_TELLS[one] for one in events]
    assert this.seq == len(events)
    assert_well_told(this)


def test_no_change_is_the_very_same_instance():
    """What is known already must not be written again."""
    this = seen(unseen(), "running")
    ended = seen(this, "terminated")
    assert seen(this, "running") is this
    assert seen(this, "pending", 1) is this
    assert all(seen(ended, state, 1) is ended for state in ("pending", "running", "stopped", "terminated"))


def test_first_sight_is_version_one():
    """The first thing that is written of an instance is its first version, whatever it is."""
    assert unseen().version == 0
    assert seen(unseen(), "running").version == 1


def test_a_biller_needs_no_call_back():
    """Who pays, since when, at which price, who asked and who said yes: all of it is in the event."""
    (event,) = seen(unseen(), "stopped", 2).history
    said = event.data
    assert said["hourly"] == "0.0104"
    assert said["currency"] == "USD"
    assert said["price_version"] == "2026-11-01"
    assert said["cost_center"] == "4711"
    assert said["changed_at"] == "2026-11-02T11:00:00Z"
    assert said["requester"] == {"issuer": DEV.issuer, "subject": DEV.subject}
    assert said["on_behalf_of"] is None
    assert [one["subject"] for one in said["approvers"]] == [LEAD.subject, LEAD2.subject]
    assert said["digest"] == running().digest
    assert BOSS.subject not in str(said)


def test_starts_and_ends_alternate():
    """A ledger pairs each start with one end: whatever is seen in any order, no two starts or ends follow."""
    ends = {"instance.stopped", "instance.terminated"}
    for states in itertools.product(STATES.values(), repeat=4):
        this = unseen()
        for hours, state in enumerate(states):
            this = seen(this, state, hours)
        names = [one for one in told(this) if one in {"instance.started", *ends}]
        starts = [one == "instance.started" for one in names]
        assert all(a != b or not (a or b) for a, b in itertools.pairwise(starts)), names
        assert names.count("instance.terminated") <= 1


def test_a_later_start_is_kept_and_not_told_again() -> None:
    """Nobody told of the stop in between: a look that tells the same again is to find nothing new."""
    this = seen(seen(unseen(), "running"), "running", 2)
    assert (this.changed_at, this.version, told(this)) == (AT + 2 * HOUR, 2, ["instance.started"])
    assert this.updated_at == AT + 2 * HOUR
    assert [one.at for one in this.history] == [AT]
    assert seen(this, "running", 1) is this


def test_what_had_vanished_is_found_again() -> None:
    """It was taken to have ended when it was last seen, and had not: what is heard of it counts again."""
    this = instance.seen(
        seen(unseen(), "running"),
        launch=running(),
        state="terminated",
        changed_at=AT + HOUR,
        at=AT + 5 * HOUR,
        source="vanished",
    )
    assert (this.vanished, this.history[-1].data["stop_source"]) == (True, "vanished")
    again = instance.found_again(this, launch=running(), at=AT + 6 * HOUR)
    assert (again.state, again.vanished, again.changed_at) == ("running", False, AT + HOUR)
    assert again.history[-1].at == again.updated_at == AT + 6 * HOUR
    ended = seen(again, "terminated", 3)
    assert told(ended) == [
        "instance.started",
        "instance.terminated",
        "instance.started",
        "instance.terminated",
    ]
    assert instance.found_again(ended, launch=running(), at=AT + 6 * HOUR) is ended
    assert_well_told(ended)


ACCOUNT = Account(
    role="arn:aws:iam::210987654321:role/launcher",
    observer="arn:aws:iam::210987654321:role/observer",
    external_id="gonogo",
)
STACK = "arn:aws:cloudformation:eu-central-1:210987654321:stack/fair/1"


def stacked() -> Launch:
    """Return a launch of a stack that runs in another account."""
    this = running(STACK)
    plan = msgspec.structs.replace(
        this.question.plan, engine="cloudformation", region="eu-central-1", account=ACCOUNT
    )
    return this.changed(question=msgspec.structs.replace(this.question, plan=plan, on_behalf_of=BOSS))


def test_what_is_seen_first_is_all_that_its_launch_says() -> None:
    """A look at it goes where it is, and its bill says what it is, though it is no machine."""
    this = instance.first_seen(
        id=STACK, launch=stacked(), instance_type="stack", hourly=Decimal("0.5"), at=AT + HOUR
    )
    assert this == Instance(
        id=STACK,
        version=0,
        at=AT + HOUR,
        updated_at=AT + HOUR,
        launch="l-1",
        region="eu-central-1",
        instance_type="stack",
        hourly=Decimal("0.5"),
        state="pending",
        changed_at=AT + HOUR,
        engine="cloudformation",
        account=ACCOUNT,
        image=None,
        least=0,
    )


def test_a_machine_has_its_image_and_what_each_start_costs_at_least() -> None:
    """EC2 bills a minute of each start, by what runs on it."""
    this = instance.first_seen(
        id="i-1",
        launch=running(),
        instance_type="t3.micro",
        hourly=Decimal(1),
        at=AT,
        image="ami-1",
        least=60,
    )
    assert (this.engine, this.account, this.image, this.least) == ("ec2", None, "ami-1", 60)


def test_what_is_metered_is_what_was_approved_and_what_is_there() -> None:
    """A biller who has the record alone finds whose it is, where, at which price, and who said yes."""
    launch = stacked()
    this = instance.first_seen(
        id=STACK, launch=launch, instance_type="stack", hourly=Decimal("0.5"), at=AT, image="ami-1"
    )
    assert instance.metered(this, launch) == Metered(
        instance=STACK,
        region="eu-central-1",
        instance_type="stack",
        launch="l-1",
        name="fair",
        template="web-small",
        digest=launch.digest,
        requester=DEV,
        on_behalf_of=BOSS,
        approvers=(LEAD, LEAD2),
        cost_center="4711",
        currency="USD",
        price_version="2026-11-01",
        hourly=Decimal("0.5"),
        engine="cloudformation",
        account="210987654321",
        image="ami-1",
    )


@pytest.mark.parametrize("state", ["stopped", "terminated"])
def test_an_end_says_who_saw_it(state: InstanceState) -> None:
    """Whoever doubts a bill learns whether EC2 told of the end, or a look found it."""
    this = instance.seen(
        seen(unseen(), "running"),
        launch=running(),
        state=state,
        changed_at=AT + HOUR,
        at=AT + HOUR,
        source="reconciled",
    )
    assert this.history[-1].data["stop_source"] == "reconciled"
    assert seen(unseen(), state).history[-1].data["stop_source"] == "event"


@pytest.mark.parametrize("state", ["pending", "running", "stopped"])
def test_what_is_not_gone_stands_in_the_list_of_its_place(state: InstanceState) -> None:
    """Whoever looks over a place asks for just these, and with the engine that made them."""
    launch = stacked()
    this = instance.first_seen(
        id=STACK, launch=launch, instance_type="stack", hourly=Decimal(1), at=AT
    ).changed(state=state)
    assert this.place == Place("eu-central-1", ACCOUNT)
    assert this.listed() == Listed(
        state="live:w-e7u6ubftoupxu4quturmpmwjcdacjnxo",
        summary=InstanceSummary(id=STACK, launch="l-1", engine="cloudformation"),
    )
    assert unseen().listed().state == "live:w-2y5ydji5r6ujzu4lkjhq2bsciwjb45x5"
    assert this.changed(state="terminated").listed() == Listed()


def test_what_is_about_to_be_taken_for_gone_is_noted_once() -> None:
    """Its bill hears of the end after that is written, and must hear the same if the writer dies in between."""
    before = seen(unseen(), "running")
    this = instance.vanishing(before, AT + HOUR, AT + 5 * HOUR)
    assert this == before.changed(vanishes_at=AT + HOUR, updated_at=AT + 5 * HOUR, version=before.version + 1)
    assert instance.vanishing(this, AT + HOUR, AT + 6 * HOUR) is this
    assert instance.vanishing(this, AT + 2 * HOUR, AT + 6 * HOUR).vanishes_at == AT + 2 * HOUR


def test_what_is_there_again_before_its_end_was_told_vanishes_no_more() -> None:
    """Nothing was told of an end, so nothing is told of a start."""
    before = instance.vanishing(seen(unseen(), "running"), AT + HOUR, AT + 5 * HOUR)
    this = instance.found_again(before, launch=running(), at=AT + 6 * HOUR)
    assert this == before.changed(vanishes_at=None, updated_at=AT + 6 * HOUR, version=before.version + 1)
    assert instance.found_again(this, launch=running(), at=AT + 7 * HOUR) is this


def test_what_is_there_after_its_end_was_told_vanishes_no_more() -> None:
    """A time that was kept for the last end would be taken for that of the next."""
    gone = instance.seen(
        instance.vanishing(seen(unseen(), "running"), AT + HOUR, AT + 5 * HOUR),
        launch=running(),
        state="terminated",
        changed_at=AT + HOUR,
        at=AT + 5 * HOUR,
        source="vanished",
    )
    assert gone.vanishes_at == AT + HOUR
    assert instance.found_again(gone, launch=running(), at=AT + 6 * HOUR).vanishes_at is None
