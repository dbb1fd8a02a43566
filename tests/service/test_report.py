"""What an outside system reports: only the reporter that the plan names, once, for just what was approved."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from gonogo.core.errors import (
    ConflictError,
    InvalidError,
    NotPermittedError,
    StaleDigestError,
    TransitionNotAllowedError,
)
from gonogo.core.instance import Instance
from gonogo.core.launch import Launch
from gonogo.core.states import State
from gonogo.core.usage import UsageDay
from tests.core.builders import replaced
from tests.service import lives
from tests.service.road import Road


@pytest.fixture
def road() -> Road:
    """Give a road under a policy with a batch that a factory launches."""
    return lives.road(lives.policy_of_leases())


def launching(road: Road, **more: Any) -> Launch:
    """Return a batch of dev's that the factory is to launch now."""
    launch = road.submit(name="batch", **more)
    road.decide("lead", launch, "lead")
    road.until(lambda: road.state(launch) is State.LAUNCHING)
    return road.now(launch)


def test_nothing_is_called_and_the_launch_waits_for_the_report(road: Road) -> None:
    """The cue comes again for as long as nobody has reported."""
    launch = launching(road)
    assert launch.question.plan.spec["order"] == {"queue": "night", "jobs": 2}
    cues = len([one for one in road.outside.sent_on.published if one["type"] == "launch.cleared"])
    road.sleep(hours=1)
    again = [one for one in road.outside.sent_on.published if one["type"] == "launch.cleared"]
    assert len(again) > cues
    assert len({one["id"] for one in again}) == 1
    assert road.state(launch) is State.LAUNCHING


def test_what_started_runs_and_is_billed_by_its_reports(road: Road) -> None:
    """From started to stopped, at the price of its units, shared among what was made."""
    launch = launching(road)
    road.report("factory", launch, "started", resources=("job-1", "job-2"))
    road.settle()
    assert [one.id for one in road.now(launch).resources] == [f"{launch.id}/job-1", f"{launch.id}/job-2"]
    road.sleep(hours=2)
    road.report("factory", launch, "stopped")
    road.sleep(hours=1)
    road.report("factory", launch, "started")
    road.sleep(hours=1)
    road.report("factory", launch, "terminated")
    road.settle()
    assert road.state(launch) is State.TERMINATED
    days = road.table.all(UsageDay)
    assert [one.seconds for one in days] == [3 * 3600] * 2
    assert sum(one.cost for one in days) == Decimal("1.5")
    assert {one.state for one in road.table.all(Instance)} == {"terminated"}


def test_reporting_twice_changes_nothing(road: Road) -> None:
    """A lost answer is reported again; another story is not."""
    launch = launching(road)
    once = road.report("factory", launch, "started", resources=("a", "b"))
    assert road.report("factory", launch, "started", resources=("b", "a")).resources == once.resources
    with pytest.raises(ConflictError, match="other resources"):
        road.report("factory", launch, "started", resources=("c",))
    with pytest.raises(TransitionNotAllowedError):
        road.report("factory", launch, "failed")
    road.report("factory", launch, "terminated")
    last = road.now(launch)
    for outcome in ("terminated", "started"):
        assert road.report("factory", launch, outcome) == last  # type: ignore[arg-type]


@pytest.mark.parametrize("who", ["dev", "lead", "scanner", "ops"])
def test_only_the_reporter_of_the_plan_reports(road: Road, who: str) -> None:
    """Whoever asked would say that it runs, and be billed for nothing."""
    launch = launching(road)
    with pytest.raises(NotPermittedError, match="Only the reporter"):
        road.report(who, launch, "started")
    assert road.state(launch) is State.LAUNCHING


def test_a_reporter_that_is_no_service_any_more_reports_nothing(road: Road) -> None:
    """Who has left the policy has no say, whatever an old plan names."""
    launch = launching(road)
    files = lives.policy_of_leases()
    people = replaced(
        'service = true\nwebhook = { url = "https://hooks.example.com/factory"',
        'webhook = { url = "https://hooks.example.com/factory"',
    )
    changed = {**files, "people.toml": people(files["people.toml"])}
    changed.pop("templates/batch.toml")
    road.publish_policy(changed)
    with pytest.raises(NotPermittedError, match="no service"):
        road.report("factory", launch, "started")


def test_nobody_reports_on_what_gonogo_launches_itself(road: Road) -> None:
    """What EC2 runs is seen, not told."""
    launch = road.submit()
    with pytest.raises(NotPermittedError, match="sees for itself"):
        road.report("factory", launch, "started")


def test_a_report_is_of_just_what_was_approved(road: Road) -> None:
    """Another digest is another plan, another attempt another deed; before the last judgement nothing is launched."""
    launch = launching(road)
    with pytest.raises(StaleDigestError):
        road.report("factory", launch.changed(digest="0" * 64), "started")
    with pytest.raises(ConflictError, match="attempt"):
        road.report("factory", launch, "started", attempt=2)
    waiting = road.submit(name="batch", key="another")
    for outcome in ("started", "failed", "stopped", "terminated"):
        with pytest.raises(TransitionNotAllowedError):
            road.report("factory", waiting, outcome)  # type: ignore[arg-type]


def test_what_failed_outside_may_be_tried_again(road: Road) -> None:
    """A late word of the first attempt is not taken for one of the second."""
    launch = launching(road)
    failed = road.report("factory", launch, "failed", attempt=1, code="NoQuota", message="All is taken.")
    assert (failed.state, failed.failure and failed.failure.code) == (State.FAILED, "NoQuota")
    assert road.report("factory", launch, "failed", attempt=1) == failed
    road.change("dev", launch, "retry")
    road.until(lambda: road.state(launch) is State.LAUNCHING)
    with pytest.raises(ConflictError, match="attempt"):
        road.report("factory", launch, "failed", attempt=1)
    assert road.report("factory", launch, "started", attempt=2).state is State.RUNNING


def test_without_ids_there_is_one_thing_that_runs(road: Road) -> None:
    """Something must be there that can be stopped, and billed."""
    launch = launching(road)
    after = road.report("factory", launch, "started")
    assert [one.id for one in after.resources] == [f"{launch.id}/launch"]
    assert road.report("factory", launch, "started", resources=("launch",)) == after


def test_no_instance_has_the_events_of_a_launch(road: Road) -> None:
    """Subscribers tell events apart by their ids: an instance by the launch's own id would have had the launch's."""
    launch = launching(road)
    road.report("factory", launch, "started")
    road.until(lambda: road.table.all(Instance))
    ids = [one["id"] for one in road.outside.sent_on.published]
    told = {(one["id"], one["type"]) for one in road.outside.sent_on.published}
    assert len(set(ids)) == len(told)


def test_its_lease_ends_it_through_the_outside_system(road: Road) -> None:
    """The clock wants it terminated; who launched it does that, and says so."""
    launch = launching(road, lease="1h")
    road.report("factory", launch, "started")
    road.until(lambda: road.now(launch).wanted == "terminate")
    assert road.state(launch) is State.RUNNING
    road.report("factory", launch, "terminated")
    assert road.state(launch) is State.TERMINATED


def test_a_template_whose_reporter_is_nobody_is_refused(road: Road) -> None:
    """A person, or nobody, would never report: it would be asked for and wait for ever."""
    files = lives.policy_of_leases()
    for other in ("dev", "nobody"):
        batch = replaced('subject = "factory"', f'subject = "{other}"')(files["templates/batch.toml"])
        road.publish_policy({**files, "templates/batch.toml": batch})
        with pytest.raises(InvalidError, match="no service"):
            road.submit(name="batch", key=other)
