"""Budgets: the sum is right, however many launches are launched at once and whatever crashes in between."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from gonogo.core import budget
from gonogo.core.budget import Ledger
from gonogo.core.errors import RefusedError
from gonogo.core.launch import Launch
from gonogo.core.states import State
from gonogo.core.usage import UsageDay
from gonogo.service import budgets, wake
from gonogo.service import launch as launcher
from tests.gated import OVERRUN
from tests.service import lives
from tests.service.road import Road

NO_MORE = """
forbid (principal, action in [Action::"request", Action::"launch"], resource)
when { context has budget && context.budget.overrun };
"""
WEEK = Decimal("1.75")
"""What one t3.micro costs in 7 days: 168 hours at 0.0104, rounded up to the cent."""


def files(monthly: str, rules: str = NO_MORE) -> dict[str, str]:
    """Return the policy with a budget, and what becomes of what overruns it."""
    found = lives.policy_of_gates()
    return {
        **found,
        "budgets.toml": f'[training]\nmonthly = "{monthly}"\n',
        "policies.cedar": found["policies.cedar"] + rules,
    }


def cleared(road: Road, key: str, **asks: Any) -> Launch:
    """Return a launch of the cost center that every gate has let go, and no launcher has seen."""
    road.queues["launch"].held = True
    launch = road.submit(cost_center="training", lease="7d", key=key, **asks)
    return road.decide("lead", launch, "lead")


def ledgers(road: Road) -> dict[str, Ledger]:
    """Return the ledgers by month."""
    return {one.month: one for one in road.table.all(Ledger)}


def committed(road: Road) -> Decimal:
    """Return what is held and spent in the month that it is."""
    found = ledgers(road).get(f"{road.clock():%Y-%m}")
    return found.committed() if found else Decimal(0)


@pytest.mark.parametrize("fits", [1, 3, 7])
def test_of_many_at_once_just_as_many_launch_as_fit(fits: int) -> None:
    """Twelve launchers at once, each judged by a sum that another is about to change: none overruns it."""
    road = lives.road(files(str(WEEK * fits + Decimal("0.50"))))
    asked = [cleared(road, f"k{n}") for n in range(12)]
    ready = threading.Barrier(len(asked))

    def run(launch: Launch) -> None:
        ready.wait()
        launcher.launch(road.outside, launch.id)

    threads = [threading.Thread(target=run, args=(one,)) for one in asked]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    states = [road.state(one) for one in asked]
    assert states.count(State.RUNNING) == fits
    assert states.count(State.FAILED) == len(asked) - fits
    assert committed(road) == WEEK * fits
    assert len(road.cloud.machines) == fits


def test_what_does_not_fit_any_more_waits_for_the_gate_that_policy_names() -> None:
    """Policy may ask instead of refusing: then the second waits for finance, and holds nothing while it does."""
    road = lives.road(files("2.00", OVERRUN))
    first, second = (cleared(road, key) for key in "ab")
    for one in (first, second):
        launcher.launch(road.outside, one.id)
    assert road.state(first) is State.RUNNING
    waits = road.now(second)
    assert (waits.state, [gate.name for gate in waits.gates]) == (State.PENDING_APPROVAL, ["lead", "finance"])
    assert [list(one.held) for one in ledgers(road).values()][:1] == [[first.id]]
    road.decide("finance", second, "finance")
    launcher.launch(road.outside, second.id)
    assert road.state(second) is State.RUNNING
    assert committed(road) == WEEK * 2


def test_it_is_let_go_when_it_fails_and_when_it_ends() -> None:
    """What did not launch costs nothing; what ran costs what it ran."""
    road = lives.road(files("100"))
    failed, ran = (cleared(road, key) for key in "ab")
    road.cloud.refusal = RefusedError("InsufficientInstanceCapacity", "There is none left.")
    launcher.launch(road.outside, failed.id)
    assert (road.state(failed), committed(road)) == (State.FAILED, Decimal(0))
    road.cloud.refusal = None
    launcher.launch(road.outside, ran.id)
    assert committed(road) == WEEK
    road.queues["launch"].held = False
    road.sleep(hours=10)
    lives.ends(road, ran)
    ledger = ledgers(road)[f"{road.clock():%Y-%m}"]
    assert (ledger.held, ledger.spent) == ({}, Decimal("0.11"))


def _ended(road: Road, key: str, **ran: float) -> Launch:
    """Return a launch that ran so long, and has ended."""
    launch = cleared(road, key)
    road.queues["launch"].held = False
    road.until(lambda: lives.runs(road, launch))
    road.sleep(**ran)
    lives.ends(road, launch)
    return road.now(launch)


def test_what_it_spent_is_what_its_instances_ran() -> None:
    """It was stopped most of its time: it has cost what it ran, and not what it might have."""
    road = lives.road(files("100"))
    launch = cleared(road, "a")
    road.queues["launch"].held = False
    road.until(lambda: lives.runs(road, launch))
    road.sleep(hours=10)
    road.change("dev", launch, "stop")
    road.until(lambda: road.state(launch) is State.STOPPED)
    road.sleep(hours=60)
    lives.ends(road, launch)
    assert ledgers(road)["2026-11"].spent == Decimal("0.11")


def test_what_it_spent_is_whole_in_the_first_minutes_of_a_day() -> None:
    """It ends five past midnight, before the day before is handed on: both days count, and both months."""
    road = lives.road(files("100"))
    road.clock.time = datetime(2026, 11, 30, 12, 0, tzinfo=UTC)
    _ended(road, "a", hours=12, minutes=5)
    assert {month: one.spent for month, one in ledgers(road).items()} == {
        "2026-11": Decimal("0.13"),
        "2026-12": Decimal("0.01"),
    }
    road.sleep(hours=1)
    assert sum(one.seconds for one in road.table.all(UsageDay)) == 43500


@pytest.mark.parametrize(("days", "calls"), [(1, 1), (90, 1), (200, 3)])
def test_it_takes_a_call_for_each_hundred_days(days: int, calls: int) -> None:
    """However long it ran, what it spent is read in calls that can be counted beforehand."""
    road = lives.road(files("1000"))
    launch = _ended(road, "a", hours=1)
    began = launch.changed(cleared_at=road.clock() - timedelta(days=days))
    made: list[int] = []
    get_many = road.table.get_many

    def counted(kind: Any, ids: Any) -> Any:
        made.append(len(ids))
        return get_many(kind, ids)

    road.table.get_many = counted  # type: ignore[method-assign]
    assert budgets.spent(road.outside, began) == {"2026-11": Decimal("0.02")}
    assert len(made) == calls
    assert max(made) <= 100


def test_what_has_too_many_days_counts_in_full_and_takes_no_call() -> None:
    """A hundred instances for a year would be hundreds of calls at their end."""
    road = lives.road(files("1000"))
    launch = _ended(road, "a", hours=1)
    many = launch.changed(
        cleared_at=launch.at - timedelta(days=400),
        resources=launch.resources * 20,
    )
    road.table.get_many = None  # type: ignore[assignment,method-assign]
    assert budgets.spent(road.outside, many) == {"2026-11": Decimal("0.02")}


def test_what_was_rolled_back_was_spent() -> None:
    """It failed, and what was made of it ran for an hour all the same."""
    road = lives.road(files("100"))
    launch = _ended(road, "a", hours=1)
    failed = launch.changed(
        state=State.FAILED, resources=(), rolled_back=tuple(one.id for one in launch.resources)
    )
    assert budgets.spent(road.outside, failed) == {"2026-11": Decimal("0.02")}


def test_redelivery_holds_and_lets_go_once() -> None:
    """A cue that comes again, and an end that is told again, change nothing."""
    road = lives.road(files("100"))
    launch = cleared(road, "a")
    for _ in range(3):
        launcher.launch(road.outside, launch.id)
    assert committed(road) == WEEK
    road.queues["launch"].held = False
    lives.ends(road, launch)
    spent = committed(road)
    for _ in range(3):
        budgets.release(road.outside, road.now(launch))
    assert committed(road) == spent


def test_a_release_that_meets_a_retry_does_not_let_its_hold_go(monkeypatch: pytest.MonkeyPatch) -> None:
    """It failed; before its hold is let go it is tried again, and runs: then it holds what it holds."""
    road = lives.road(files("100"))
    launch = cleared(road, "a")
    road.cloud.refusal = RefusedError("InsufficientInstanceCapacity", "There is none left.")
    release = budgets.release
    met: list[State] = []

    def meanwhile(outside: Any, failed: Launch) -> None:
        if not met:
            met.append(failed.state)
            road.cloud.refusal = None
            road.change("dev", failed, "retry")
            launcher.launch(outside, failed.id)
        release(outside, failed)

    monkeypatch.setattr(budgets, "release", meanwhile)
    launcher.launch(road.outside, launch.id)
    assert (met, road.state(launch), committed(road)) == ([State.FAILED], State.RUNNING, WEEK)


class _Gone(BaseException):
    """The process ends."""


@pytest.mark.parametrize("after", ["cancel", "claim"])
def test_what_is_held_and_not_claimed_is_found(after: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The launcher dies between hold and claim: the next one goes on, or the ledger is held against the launch."""
    road = lives.road(files("100"))
    launch = cleared(road, "a")

    def dies(*_arguments: object, **_named: object) -> Launch:
        raise _Gone

    with monkeypatch.context() as patch:
        patch.setattr("gonogo.service.launch.attempts.claim", dies)
        with pytest.raises(_Gone):
            launcher.launch(road.outside, launch.id)
    assert (road.state(launch), committed(road)) == (State.PENDING, WEEK)
    if after == "claim":
        launcher.launch(road.outside, launch.id)
        assert (road.state(launch), committed(road)) == (State.RUNNING, WEEK)
        return
    road.change("dev", launch, "cancel")
    road.clock.go(days=1, minutes=1)
    wake.wake(road.outside)
    assert committed(road) == Decimal(0)
    assert all(one.due_at is None for one in road.table.all(Ledger))


def test_a_ledger_that_is_checked_lets_nothing_go_that_runs() -> None:
    """The daily look finds what runs, and looks again the day after."""
    road = lives.road(files("100"))
    launch = cleared(road, "a")
    launcher.launch(road.outside, launch.id)
    for _ in range(3):
        road.clock.go(days=1, minutes=1)
        wake.wake(road.outside)
    assert committed(road) == WEEK
    assert all(one.due_at is not None and one.due_at > road.clock() for one in road.table.all(Ledger))


def test_a_check_that_meets_a_launcher_does_not_let_its_hold_go(monkeypatch: pytest.MonkeyPatch) -> None:
    """It reads a launch that waits again; before it writes, that launch is cleared and held anew: it must look again."""
    road = lives.road(files("100"))
    launch = cleared(road, "a")
    with monkeypatch.context() as patch:
        patch.setattr("gonogo.service.launch.attempts.claim", _die)
        with pytest.raises(_Gone):
            launcher.launch(road.outside, launch.id)
    road.clock.go(days=1, minutes=1)
    save = road.table.save
    met: list[Ledger] = []

    def meanwhile(before: object, after: object) -> None:
        if isinstance(before, Ledger) and not met:
            met.append(before)
            launcher.launch(road.outside, launch.id)
        save(before, after)  # type: ignore[arg-type]

    found = road.now(launch)
    road.table.save = meanwhile  # type: ignore[method-assign]
    pending = found.changed(state=State.PENDING_APPROVAL)
    get_many, first = road.table.get_many, [pending]

    def stale(kind: object, ids: object) -> object:
        if kind is Launch and first:
            return {launch.id: first.pop()}
        return get_many(kind, ids)  # type: ignore[type-var,arg-type]

    road.table.get_many = stale  # type: ignore[assignment,method-assign]
    wake.wake(road.outside)
    assert met
    assert road.state(launch) is State.RUNNING
    assert [list(one.held) for one in road.table.all(Ledger)] == [[launch.id]] * 2


def _die(*_arguments: object, **_named: object) -> Launch:
    raise _Gone


def test_a_lease_over_several_months_holds_in_each() -> None:
    """What runs on costs the next month too, which others are judged by."""
    road = lives.road(files("10.00"))
    launch = road.submit(cost_center="training", lease="40d")
    road.decide("lead", launch, "lead")
    launcher.launch(road.outside, launch.id)
    held = {month: one.held[launch.id] for month, one in ledgers(road).items()}
    assert held == {"2026-11": Decimal("1.91"), "2026-12": Decimal("7.74"), "2027-01": Decimal("0.35")}


def spans() -> Iterator[tuple[datetime, timedelta, dict[str, str]]]:
    """Yield a beginning, a length, and what one unit of 1.00 an hour costs by month."""
    yield datetime(2026, 11, 30, 23, tzinfo=UTC), timedelta(hours=2), {"2026-11": "1.00", "2026-12": "1.00"}
    yield (
        datetime(2026, 12, 31, 23, 30, tzinfo=UTC),
        timedelta(hours=1),
        {"2026-12": "0.50", "2027-01": "0.50"},
    )
    yield datetime(2026, 11, 1, tzinfo=UTC), timedelta(seconds=1), {"2026-11": "0.01"}
    yield datetime(2026, 11, 1, tzinfo=UTC), timedelta(days=30), {"2026-11": "720.00"}
    yield datetime(2026, 11, 1, tzinfo=UTC), timedelta(0), {}


@pytest.mark.parametrize(("begin", "length", "expected"), list(spans()))
def test_what_a_month_costs(begin: datetime, length: timedelta, expected: dict[str, str]) -> None:
    """Months begin at midnight UTC, and each is rounded up to the cent."""
    found = budget.amounts(Decimal(1), begin, begin + length)
    assert {month: str(amount) for month, amount in found.items()} == expected


def test_a_century_is_held_for_thirteen_months() -> None:
    """A ledger for each month of a very long lease would be a write for each: a year ahead is enough."""
    begin = datetime(2026, 11, 15, tzinfo=UTC)
    assert len(budget.amounts(Decimal(1), begin, begin + timedelta(days=36500))) == budget.MOST_MONTHS
