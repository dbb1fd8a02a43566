"""What Aeolus Conductor, the system that this idea comes from, billed wrongly: fault by fault, billed rightly."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest

from gonogo.core import canonical
from gonogo.core.launch import Launch
from gonogo.core.states import State
from gonogo.core.usage import UsageDay
from tests.service import lives
from tests.service.road import Road


def launched(road: Road, count: int = 1) -> Launch:
    """Return a launch that runs, each of its instances seen."""
    launch = road.submit("ops", parameters={"count": count}, key=f"k{count}")
    road.until(lambda: lives.runs(road, launch))
    return road.now(launch)


def records(road: Road) -> list[dict[str, object]]:
    """Return what was told of usage, in the order of its intervals; one event each."""
    told = [one["data"] for one in road.outside.sent_on.published if one["type"] == "usage.recorded"]
    assert len({one["record"] for one in told}) == len(told)
    return sorted(told, key=lambda one: (str(one["instance"]), str(one["begin"])))


def turned(road: Road, launch: Launch, state: str, number: int = 0) -> None:
    """Let one of its instances change by itself, and be heard of."""
    road.cloud.turn(launch.resources[number].id, state)  # type: ignore[arg-type]
    road.settle()


def test_fault_1_the_image_was_missing_from_the_record(road: Road) -> None:
    """Whoever asks what ran must find the very image that was approved, in each record."""
    launch = launched(road, 2)
    road.clock.go(hours=1)
    lives.ends(road, launch, "ops")
    image = launch.question.plan.spec["image_id"]
    assert [one["image"] for one in records(road)] == [image, image]


def test_fault_2_an_instance_that_erred_and_vanished_without_a_stop_was_billed_for_ever(road: Road) -> None:
    """No event, and it is not there any more: it is billed until it was last seen, and not a second longer."""
    launch = launched(road)
    began = road.clock()
    road.sleep(minutes=40)
    del road.cloud.machines[launch.resources[0].id]
    road.sleep(days=3)
    (record,) = records(road)
    assert (record["seconds"], record["stop_source"]) == (40 * 60, "vanished")
    assert record["interval_end"] == f"{began + timedelta(minutes=40):%Y-%m-%dT%H:%M:%SZ}"
    assert road.state(launch) is State.TERMINATED
    assert not [key for key, _ in road.table.alarms() if key in ("usage", "watch")]


def test_fault_3_only_the_last_interval_was_billed(road: Road) -> None:
    """Stopped and started twice, it ran three times, and each is billed."""
    launch = launched(road)
    for hours in (1, 2):
        road.clock.go(hours=hours)
        turned(road, launch, "stopped")
        road.clock.go(minutes=10)
        turned(road, launch, "running")
    road.clock.go(hours=4)
    lives.ends(road, launch, "ops")
    assert [one["seconds"] for one in records(road)] == [3600, 7200, 14400]


@pytest.mark.parametrize(("ran", "billed"), [(3599, 3599), (3600, 3600), (3601, 3601), (7200, 7200)])
def test_fault_4_exactly_3600_seconds_were_billed_as_two_hours(road: Road, ran: int, billed: int) -> None:
    """An hour is an hour: seconds are what is billed, so no border can be counted twice."""
    launch = launched(road)
    road.clock.go(seconds=ran)
    lives.ends(road, launch, "ops")
    (record,) = records(road)
    assert record["seconds"] == billed
    assert Decimal(str(record["cost"])) == (Decimal("0.0104") * billed / 3600).quantize(Decimal("1e-10"))


def test_fault_5_the_end_was_taken_from_the_first_instance_that_was_left(road: Road) -> None:
    """Three instances of one launch end at three times, and each is billed until its own end."""
    launch = launched(road, 3)
    for number in (1, 0, 2):
        road.clock.go(hours=1)
        turned(road, launch, "terminated", number)
    ended = {one["instance"]: one["seconds"] for one in records(road)}
    assert [ended[one.id] for one in launch.resources] == [7200, 3600, 10800]
    assert road.state(launch) is State.TERMINATED


def test_a_record_can_be_found_again_by_what_it_is_of(road: Road) -> None:
    """Its id is that of instance, interval and day: who gets it twice counts it once."""
    launch = launched(road)
    began = road.clock()
    road.sleep(days=1, hours=2)
    lives.ends(road, launch, "ops")
    name = launch.resources[0].id
    expected = [
        canonical.name("r", name, began.isoformat(), day.day)
        for day in sorted(road.table.all(UsageDay), key=lambda one: one.day)
    ]
    assert [one["record"] for one in records(road)] == expected
