"""How gates and launches read: one line a case, gate or launch in, sentence out."""

from __future__ import annotations

from datetime import timedelta, timezone

import msgspec
import pytest

from functions import wording
from gonogo.core import clock
from gonogo.core.event import Change
from gonogo.core.gates import LAPSED, LOST, Gate, GateState
from gonogo.core.launch import Launch
from gonogo.core.plan import Plan
from tests.functions.notices import (
    LEO,
    NOW,
    REVIEW,
    SCAN,
    STACK,
    asked,
    decided,
    gate,
    policy_change,
    running,
)

TIMER = gate("calm", "Cooling off", kind="timer", place="before_launch", wait="2h", approvers=())


@pytest.mark.parametrize(
    ("shown", "reads"),
    [
        (gate(), "waits for its turn"),
        (gate().opened(NOW), "open, 0 of 1 say GO"),
        (SCAN.opened(NOW), "waits for the system, 0 of 1 say GO"),
        (TIMER.opened(NOW), "waits for the clock until Mon 23 Nov 2026, 11:00 UTC"),
        (TIMER.closed(GateState.GO, "its time has come"), "GO, because its time has come"),
        (
            gate().opened(NOW, LOST),
            "open, 0 of 1 say GO; opened again because somebody who decided it may do so no longer",
        ),
        (
            gate().opened(NOW, LAPSED),
            "open, 0 of 1 say GO; opened again because it was decided too long ago",
        ),
        (gate().closed(GateState.NO_GO), "NO-GO"),
    ],
)
def test_gate_reads_as_it_stands(shown: Gate, reads: str) -> None:
    """What it waits for, why it passed, and why it opens again."""
    assert wording.gate_state(shown) == reads


@pytest.mark.parametrize(
    ("launch", "reads"),
    [
        (asked(), "It waits for Team lead (0 of 1 say GO)."),
        (asked(SCAN, gate()), "It waits for the system Image scan (0 of 1 say GO)."),
        (
            decided(asked(gate(), TIMER), LEO, "approve"),
            "It waits for the clock until Mon 23 Nov 2026, 12:00 UTC (Cooling off).",
        ),
        (
            running(asked(REVIEW, break_glass=True)),
            "It is running. After the launch, it waits for Was it needed? (0 of 1 say GO).",
        ),
        (asked(REVIEW, break_glass=True), "It is being launched."),
        (
            clock.tick(asked(launch_by=NOW + timedelta(days=1)), at=NOW + timedelta(days=1)),
            "It has expired: it waited too long. It will not be launched.",
        ),
        (
            clock.tick(asked(), at=NOW + timedelta(days=3)),
            "It has expired: a gate was not decided in time. It will not be launched.",
        ),
        (
            decided(policy_change(), LEO, "reject", on="policy"),
            "It is rejected, and will not come into force.",
        ),
    ],
)
def test_launch_reads_as_it_stands(launch: Launch, reads: str) -> None:
    """Nobody is left asking why it waits."""
    assert wording.standing(launch) == reads


def test_differences_are_cost_first_and_nothing_twice() -> None:
    """What a parameter fills into the spec, and the units that follow of it, are said once."""
    found = wording.differences(
        [
            Change("plan.spec.image_id", "ami-1", "ami-2"),
            Change("plan.spec.count", "1", "3"),
            Change("plan.units[0].quantity", "1", "3"),
            Change("lease", "30d", "7d"),
            Change("plan.parameters.count", "1", "3"),
            Change("name", None, "fair"),
            Change("price.monthly", "1760", "22.78"),
        ]
    )
    assert [(one.what, one.before, one.after) for one in found] == [
        ("Cost a month", "1,760", "22.78"),
        ("count", "1", "3"),
        ("Lease", "30 days", "7 days"),
        ("Name", "none", "fair"),
        ("plan.spec.image_id", "ami-1", "ami-2"),
    ]


def test_what_only_looks_filled_in_is_shown() -> None:
    """An approver would not see that it is another cost center's, for a parameter had the same two values."""
    found = wording.differences(
        [
            Change("plan.parameters.team", "4711", "0815"),
            Change("plan.spec.tags.team", "4711", "0815"),
            Change("cost_center", "4711", "0815"),
            Change("lease", "30d", "never"),
        ]
    )
    assert [(one.what, one.before, one.after) for one in found] == [
        ("team", "4711", "0815"),
        ("Lease", "30 days", "without an end"),
        ("Paid by", "4711", "0815"),
    ]


@pytest.mark.parametrize(
    ("seconds", "reads"), [(1, "a second"), (119, "119 seconds"), (120, "2 minutes"), (121, "3 minutes")]
)
def test_nobody_is_told_to_wait_for_less_than_it_takes(seconds: int, reads: str) -> None:
    """Who comes back too early is refused again."""
    assert wording.wait(seconds) == reads


def test_a_moment_is_the_same_wherever_it_was_written() -> None:
    """All who read it read one clock."""
    there = timezone(timedelta(hours=-10))
    assert wording.moment(NOW.replace(hour=23).astimezone(there)) == "Mon 23 Nov 2026, 23:00 UTC"


def test_each_value_of_a_plan_has_its_path() -> None:
    """A value inside a list is a line of its own, as an approver reads it."""
    spec = {"volumes": [{"size_gib": 8}], "order": ("a", None), "tags": {"team": "web"}, "on": True}
    assert list(wording.leaves(spec)) == [
        ("volumes[0].size_gib", "8"),
        ("order[0]", "a"),
        ("order[1]", "null"),
        ("tags.team", "web"),
        ("on", "true"),
    ]


def test_a_long_text_is_cut_and_stays_on_one_line() -> None:
    """A diff is one screen, and no requester's text makes a line of it."""
    (one,) = wording.differences([Change("reason", "a\nCost a month: 1 -> 2", "x" * 5000)])
    assert one.before == "a Cost a month: 1 -> 2"
    assert len(one.after) == wording.LONGEST_SIDE + 1


def test_a_change_of_policy_is_called_what_it_is() -> None:
    """It has no unit and no region."""
    launch = policy_change()
    assert wording.title(launch.question) == "Change of policy"
    assert wording.what(launch.question.plan) == "the policy: gates.toml, policies.cedar"


def made(*made: tuple[str, str]) -> Plan:
    """Return a plan of a stack that makes these: (id, type) each."""
    return msgspec.structs.replace(
        STACK,
        spec={"makes": [{"id": name, "type": kind} for name, kind in made], "template": "stacks/x.yaml"},
    )


def test_what_a_stack_makes_is_grouped_and_what_rewrites_it_comes_first() -> None:
    """An approver sees at a glance what kinds of thing there will be, and how many."""
    assert wording.makes(STACK) == [
        "rewritten by AWS::Serverless-2016-10-31 when it is launched",
        "1 \N{MULTIPLICATION SIGN} AWS::IAM::Role (Renderer)",
        "2 \N{MULTIPLICATION SIGN} AWS::S3::Bucket (Logs, Pages)",
        "1 \N{MULTIPLICATION SIGN} AWS::SQS::Queue (Standby if IsProd)",
    ]
    assert wording.capabilities(STACK) == [
        "may make roles and rights (CAPABILITY_IAM)",
        "may be rewritten by code when it is launched (CAPABILITY_AUTO_EXPAND)",
    ]


def test_what_a_large_stack_makes_is_cut_with_a_count_and_whole_in_the_whole_plan() -> None:
    """A mail is one screen, and nothing is hidden by that."""
    many = made(*((f"Queue{one}", "AWS::SQS::Queue") for one in range(9)))
    assert wording.makes(many) == [
        "9 \N{MULTIPLICATION SIGN} AWS::SQS::Queue (Queue0, Queue1, Queue2, Queue3, Queue4, Queue5, and 3 more)"
    ]
    assert "Queue8" in wording.makes_whole(many)[0]
    one_more = made(*((f"Queue{one}", "AWS::SQS::Queue") for one in range(wording.MOST_NAMES + 1)))
    assert wording.makes(one_more)[0].endswith("Queue5, and 1 more)")
    kinds = made(*((f"A{one}", f"AWS::X::Y{one:02}") for one in range(30)))
    assert len(wording.makes(kinds)) == wording.MOST_KINDS + 1
    assert wording.makes(kinds)[-1] == "18 more kinds, which the whole plan names"
    assert len(wording.makes_whole(kinds)) == 30


def test_what_is_no_stack_makes_nothing_to_list() -> None:
    """Another engine's spec may use the same words for something else."""
    other = msgspec.structs.replace(STACK, engine="theirs")
    assert (wording.makes_whole(other), wording.capabilities(other)) == ([], [])
