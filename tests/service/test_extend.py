"""Longer leases: who may, at once or behind gates, how much it holds of a budget, and what comes too late."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal

import pytest

from gonogo.core.budget import Ledger
from gonogo.core.errors import (
    ConflictError,
    InvalidError,
    NotFoundError,
    NotPermittedError,
    TransitionNotAllowedError,
)
from gonogo.core.launch import Launch
from gonogo.core.states import State
from tests.core.builders import also, replaced
from tests.gated import OVERRUN
from tests.service import lives
from tests.service.road import Road

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


@pytest.fixture
def road() -> Road:
    """Give a road under the policy of leases."""
    return lives.road(lives.policy_of_leases())


def running(road: Road, name: str = "web-small", lease: str = "7d", **more: str) -> Launch:
    """Return a launch of dev's that runs."""
    launch = road.submit(name=name, lease=lease, **more)
    if road.state(launch) is State.PENDING_APPROVAL:
        road.decide("lead", launch, "lead")
    road.until(lambda: lives.runs(road, launch))
    return road.now(launch)


def end(launch: Launch) -> datetime:
    """Return when its lease ends."""
    assert launch.lease_ends_at is not None
    return launch.lease_ends_at


def held(road: Road) -> dict[str, dict[str, Decimal]]:
    """Return what each launch holds, by month."""
    return {one.month: one.held for one in road.table.all(Ledger) if one.held}


def test_what_costs_little_is_extended_at_once(road: Road) -> None:
    """One step: the launch as it ends now, told of, and no other launch made."""
    launch = running(road)
    after = road.extend("dev", launch, end(launch) + DAY)
    assert (after.id, after.lease_ends_at) == (launch.id, end(launch) + DAY)
    road.settle()
    assert len(road.launches()) == 1
    (letter,) = road.letters("dev", "extended")
    assert letter.launch == launch.id


def test_asking_again_changes_nothing(road: Road) -> None:
    """An end is a time, not so much more: whoever got no answer asks again."""
    launch = running(road)
    first, second = (road.extend("dev", launch, end(launch) + DAY) for _ in "ab")
    assert first == second


def test_who_may_extend_is_who_asked_or_may_launch_it(road: Road) -> None:
    """Whoever pays for it, and operators; no approver as such."""
    launch = running(road)
    for who in ("lead", "finance"):
        with pytest.raises(NotPermittedError, match="Only who asked"):
            road.extend(who, launch, end(launch) + DAY)
    assert road.extend("ops", launch, end(launch) + 20 * DAY).lease_ends_at == end(launch) + 20 * DAY


def test_no_longer_than_the_template_in_force_allows(road: Road) -> None:
    """The limit is of today: a template that was tightened holds for what runs too."""
    launch = running(road)
    with pytest.raises(InvalidError, match="90d in all"):
        road.extend("ops", launch, end(launch) + 84 * DAY)
    with pytest.raises(InvalidError, match="without an end"):
        road.extend("ops", launch, None)
    files = lives.policy_of_leases()
    tight = replaced('default = "30d", max = "90d"', 'default = "1d", max = "7d"')
    changed = {**files, "templates/web-small.toml": tight(files["templates/web-small.toml"])}
    road.publish_policy(changed)
    with pytest.raises(InvalidError, match="7d in all"):
        road.extend("dev", launch, end(launch) + DAY)


def test_what_no_template_allows_any_more_is_not_extended(road: Road) -> None:
    """It ends when it was approved to."""
    launch = running(road, "gpu-large", "1d")
    files = lives.policy_of_leases()
    road.publish_policy({name: text for name, text in files.items() if name != "templates/gpu-large.toml"})
    with pytest.raises(NotFoundError, match="no template"):
        road.extend("dev", launch, end(launch) + HOUR)


def test_what_does_not_run_is_not_extended(road: Road) -> None:
    """There is nothing that could run on."""
    launch = running(road)
    with pytest.raises(TransitionNotAllowedError):
        road.extend("dev", launch, end(launch) - HOUR)
    lives.ends(road, launch)
    with pytest.raises(TransitionNotAllowedError):
        road.extend("dev", launch, end(launch) + DAY)


def test_what_costs_more_waits_as_a_launch_of_its_own(road: Road) -> None:
    """The same gates, mails and pages as any launch; whoever had a part in the launch decides none of them."""
    launch = running(road, "gpu-large", "1d")
    asked = road.extend("dev", launch, end(launch) + DAY, "The last epochs are missing.")
    assert asked.id != launch.id
    assert (asked.state, asked.question.plan.engine) == (State.PENDING_APPROVAL, "lease")
    assert asked.question.reason == "The last epochs are missing."
    assert asked.question.price.worst_case == Decimal("526.99")
    assert (asked.question.lease, asked.question.launch_by) == ("2d", end(launch))
    assert road.now(launch).lease_ends_at == end(launch), "nothing is extended before it is GO"
    assert road.extend("dev", launch, end(launch) + DAY, "The last epochs are missing.").id == asked.id
    with pytest.raises(NotPermittedError, match="not amended"):
        road.amend("dev", asked, reason="Please.")
    with pytest.raises(NotPermittedError, match="not amended"):
        road.offer("lead", asked, lease="1d")
    road.decide("lead", asked, "lead")
    road.until(lambda: road.state(asked) is State.TERMINATED)
    assert road.now(launch).lease_ends_at == end(launch) + DAY


def test_who_asked_for_the_launch_does_not_approve_its_extension(road: Road) -> None:
    """Somebody who may launch it directly asks; whoever asked first would approve their own."""
    files = lives.policy_of_leases()
    rules = 'permit (principal in Group::"leads", action == Action::"act_for", resource);'
    asks = '@gate("lead") permit (principal in Group::"leads", action == Action::"request", resource);'
    road.publish_policy({**files, "policies.cedar": files["policies.cedar"] + rules + asks})
    launch = road.submit("lead", "gpu-large", lease="1d", on_behalf_of=road.sign_in("dev").actor)
    road.decide("lead2", launch, "lead")
    road.until(lambda: lives.runs(road, launch))
    launch = road.now(launch)
    asked = road.extend("dev", launch, end(launch) + DAY)
    assert [one.subject for one in asked.gate("lead").approvers] == ["lead2"]


def test_an_extension_that_came_to_nothing_is_asked_for_otherwise(road: Road) -> None:
    """The same words would get the same answer: a launch that is over."""
    launch = running(road, "gpu-large", "1d")
    asked = road.extend("dev", launch, end(launch) + DAY)
    road.decide("lead", asked, "lead", "reject")
    with pytest.raises(ConflictError, match="REJECTED"):
        road.extend("dev", launch, end(launch) + DAY)
    assert (
        road.extend("dev", launch, end(launch) + DAY, "It is for the fair.").state is State.PENDING_APPROVAL
    )


def test_nobody_waits_for_an_extension_of_what_has_ended(road: Road) -> None:
    """The question is open for as long as there is something to extend."""
    launch = running(road, "gpu-large", "1h")
    asked = road.extend("dev", launch, end(launch) + DAY)
    road.until(lambda: road.state(launch) is State.TERMINATED, within=3 * HOUR)
    road.until(lambda: road.state(asked) is State.EXPIRED)


def test_an_end_that_moved_is_not_what_was_approved(road: Road) -> None:
    """From another end it would be another cost than the one that was decided on."""
    launch = running(road, "gpu-large", "1d")
    asked = road.extend("dev", launch, end(launch) + DAY)
    road.extend("ops", launch, end(launch) + HOUR)
    road.decide("lead", asked, "lead")
    road.until(lambda: road.state(asked) is State.FAILED)
    failure = road.now(asked).failure
    assert failure is not None
    assert failure.code == "LeaseMoved"
    assert road.now(launch).lease_ends_at == end(launch) + HOUR


def test_what_was_extended_by_it_is_not_extended_again(road: Road) -> None:
    """A launcher that died after the deed comes again, when the lease has been extended further since."""
    launch = running(road, "gpu-large", "1d")
    asked = road.extend("dev", launch, end(launch) + DAY)
    road.decide("lead", asked, "lead")
    road.until(lambda: road.state(asked) is State.TERMINATED)
    later = road.extend("ops", launch, end(launch) + 2 * DAY)
    engine = road.outside.engine("lease")
    asked = road.now(asked)
    made = engine.launch(asked.plan, token="t", tags={"gonogo:launch": asked.id}, files=dict)
    assert made == ()
    assert road.now(launch) == road.now(later)


def test_a_launch_holds_what_it_may_cost_until_its_new_end() -> None:
    """The budget follows the lease: over the turn of the month, held once, let go at the end."""
    road = lives.road({**lives.policy_of_leases(), "budgets.toml": '[training]\nmonthly = "100"\n'})
    launch = running(road, cost_center="training")
    assert held(road) == {"2026-11": {launch.id: Decimal("1.75")}}
    road.extend("dev", launch, end(launch) + 30 * DAY)
    road.extend("dev", launch, end(launch) + 30 * DAY)
    assert held(road) == {
        "2026-11": {launch.id: Decimal("1.91")},
        "2026-12": {launch.id: Decimal("7.34")},
    }
    road.sleep(days=10)
    lives.ends(road, launch)
    assert held(road) == {}
    spent = {one.month: one.spent for one in road.table.all(Ledger)}
    assert spent == {"2026-11": Decimal("1.91"), "2026-12": Decimal("0.60")}


def test_an_extension_is_judged_by_the_budget_and_held_while_it_is_made() -> None:
    """What would overrun it waits for the gate that policy names; then the launch holds it, and no other does."""
    files = lives.policy_of_leases()
    road = lives.road(
        {
            **files,
            "budgets.toml": '[training]\nmonthly = "1.90"\n',
            "policies.cedar": replaced(
                'context.worst_case_cost.lessThan(decimal("20.0"))',
                'context.worst_case_cost.lessThan(decimal("0.2"))',
            )(files["policies.cedar"])
            + OVERRUN,
        }
    )
    launch = running(road, cost_center="training", lease="5d")
    asked = road.extend("dev", launch, end(launch) + 2 * DAY + 12 * HOUR)
    assert [one.name for one in asked.gates] == ["lead"]
    more = road.extend("dev", launch, end(launch) + 5 * DAY)
    assert [one.name for one in more.gates] == ["lead", "finance"]
    road.decide("lead", asked, "lead")
    road.until(lambda: road.state(asked) is State.TERMINATED)
    whole = Decimal("1.88")
    assert held(road) == {"2026-11": {launch.id: whole}}


def test_without_an_end_it_runs_until_somebody_ends_it() -> None:
    """Policy may allow it: nothing is terminated by a clock, and nothing is told ahead."""
    files = lives.policy_of_leases()
    endless = replaced('max = "90d"', 'max = "never"')
    road = lives.road({**files, "templates/web-small.toml": endless(files["templates/web-small.toml"])})
    launch = running(road)
    after = road.extend("ops", launch, None)
    assert after.lease_ends_at is None
    road.sleep(days=30)
    assert road.state(launch) is State.RUNNING
    assert not road.letters(topic="expiring")
    lives.ends(road, launch)


def test_whoever_asked_is_told_ahead_and_not_of_an_end_that_moved(road: Road) -> None:
    """A mail that says when it ends must be true when it is read."""
    launch = running(road)
    road.queues["notify"].held = True
    road.until(lambda: "lease.expiring" in road.history(launch), within=8 * DAY)
    road.extend("dev", launch, end(launch) + DAY)
    road.queues["notify"].held = False
    road.settle()
    assert not road.letters("dev", "expiring")
    road.until(lambda: road.letters("dev", "expiring"), within=2 * DAY)
    assert road.clock() > end(launch)


def test_an_extension_of_unknown_policy_text_is_refused_like_a_request(road: Road) -> None:
    """What forbids the request forbids the extension, though it costs little."""
    files = lives.policy_of_leases()
    frozen = also('forbid (principal, action == Action::"request", resource);')
    launch = running(road)
    road.publish_policy({**files, "policies.cedar": frozen(files["policies.cedar"])})
    with pytest.raises(NotPermittedError, match="forbids"):
        road.extend("dev", launch, end(launch) + DAY)
