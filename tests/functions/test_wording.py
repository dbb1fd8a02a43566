"""How gates and launches read: one line a case, gate or launch in, sentence out."""

from __future__ import annotations

from datetime import timedelta

import pytest

from functions import wording
from gonogo.core import clock
from gonogo.core.event import Change
from gonogo.core.gates import LAPSED, LOST, Gate, GateState
from gonogo.core.launch import Launch
from tests.functions.notices import LEO, NOW, REVIEW, SCAN, asked, decided, gate, policy_change, running

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
