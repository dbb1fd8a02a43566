"""The commands of whoever looks after notices, against the real API: see what did not arrive, and send it again."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.cli.shell import Answers, Shell, problem
from tests.functions.faults import on_each_call, refusing
from tests.functions.world import World


@pytest.fixture(name="failed")
def mails_that_failed(world: World) -> list[Any]:
    """Let SES refuse every mail of two launches; return the launches."""
    with on_each_call(before=refusing("sesv2.SendEmail", "BadRequestException", "Illegal address.")):
        launches = [world.ask(), world.ask()]
        world.settle()
    return launches


def test_what_was_given_up_is_listed_and_sent_again(shell: Shell, world: World, failed: list[Any]) -> None:
    """After a long outage one command sees what is missing, and one more mends it."""
    shown = shell("deliveries", COLUMNS="200")
    assert shown.exit_code == 0, shown.output
    for launch in failed:
        assert launch["id"] in shown.stdout
    assert shown.stdout.count("mail failed, tried once: BadRequestException: Illegal address.") == 2
    (one, other) = shell.json("deliveries", "--failed")
    assert world.mails() == []
    again = shell("deliveries", "redeliver", one["id"])
    assert again.stdout == "1 notice will be sent again.\n"
    assert world.mails() == []
    world.settle()
    assert len(world.mails("lead")) == 1
    assert [left["id"] for left in shell.json("deliveries", "--failed")] == [other["id"]]
    assert "1 notice will be sent again." in shell("deliveries", "redeliver", "--all-failed").stdout
    world.settle()
    assert len(world.mails("lead")) == 2
    assert shell.json("deliveries") == []
    assert "There is none." in shell("deliveries").output


def test_all_notices_of_a_launch_are_listed(shell: Shell, world: World) -> None:
    """Whoever says that they were never asked can be shown when and how they were."""
    launch = world.ask()
    world.settle()
    world.decide(launch, "lead", "lead")
    world.settle()
    found = shell.json("deliveries", launch["id"])
    assert {("decide", "lead"), ("started", "dev")} <= {(one["topic"], one["to"]["subject"]) for one in found}
    assert {one["channels"][0]["state"] for one in found} == {"sent"}
    assert "decide lead" in shell("deliveries", launch["id"], COLUMNS="200").stdout
    narrow = shell("deliveries", launch["id"], COLUMNS="80").stdout
    assert all(one["id"] in narrow for one in found)  # it is to be copied whole
    assert shell.json("deliveries", launch["id"], "--failed") == []


def test_what_waits_is_listed_too_unless_only_failures_are_wanted(shell: Shell, world: World) -> None:
    """A mail that will be tried again in an hour is not lost, but somebody may want it now."""
    with on_each_call(before=refusing("sesv2.SendEmail", "TooManyRequestsException", http=429)):
        world.ask()
        world.settle()
    (waits,) = shell.json("deliveries")
    assert waits["channels"][0]["state"] == "waiting"
    assert waits["channels"][0]["next_try_at"] == "2026-11-23T09:01:00Z"
    assert shell.json("deliveries", "--failed") == []
    assert "mail waiting, tried once, again 2026-11-23 09:01 UTC" in shell("deliveries", COLUMNS="200").stdout
    assert shell("deliveries", "redeliver", waits["id"]).exit_code == 0
    world.settle()
    assert len(world.mails("lead")) == 1
    done = shell("deliveries", "redeliver", waits["id"])
    assert done.exit_code == 1
    assert "It was sent, or is on its way" in done.stderr


@pytest.mark.usefixtures("failed")
def test_others_see_that_it_failed_but_not_why_and_may_not_send_it(shell: Shell, world: World) -> None:
    """What AWS says of an address is for whom it concerns."""
    (one, _) = shell.json("deliveries", who="finance")
    assert one["channels"][0]["error"] is None
    refused = shell("deliveries", "redeliver", one["id"], who="finance")
    assert refused.exit_code == 1
    assert "Policy does not permit it (403)" in refused.stderr
    every = shell("deliveries", "redeliver", "--all-failed", who="finance")
    assert (every.exit_code, every.stdout) == (1, "0 notices will be sent again.\n")
    assert every.stderr.count("Only whom a notice is for") == 2
    world.settle()
    assert world.mails() == []


def test_what_is_decided_is_not_asked_again(shell: Shell, world: World, failed: list[Any]) -> None:
    """It has left the list, and nobody can have it sent by its id either."""
    (one, _) = [
        each
        for launch in failed
        for each in shell.json("deliveries", launch["id"])
        if each["topic"] == "decide"
    ]
    for launch in failed:
        world.decide(launch, "lead", "lead")
    refused = shell("deliveries", "redeliver", one["id"])
    assert refused.exit_code == 1
    assert "decided by now" in refused.stderr


@pytest.mark.parametrize(
    "words", [("redeliver",), ("redeliver", "d-1", "--all-failed"), ("redeliver", "../x")]
)
def test_what_cannot_be_meant_is_told(shell: Shell, words: tuple[str, ...]) -> None:
    """A command that guesses sends mail to whom nobody meant."""
    assert shell("deliveries", *words).exit_code == 2


def test_it_goes_on_after_a_notice_that_cannot_be_sent_and_stops_when_told_to_wait() -> None:
    """One that was decided meanwhile is no reason to leave the others; a limit is."""
    items = [{"id": f"d-{n}"} for n in range(3)]
    there = Answers(
        {
            "GET /v1/deliveries": {"items": items, "cursor": None},
            "POST /v1/deliveries/d-0/redeliver": problem(409, "conflict", "Decided."),
            "POST /v1/deliveries/d-1/redeliver": {"id": "d-1"},
            "POST /v1/deliveries/d-2/redeliver": httpx.Response(
                429,
                headers={"Retry-After": "40"},
                json={"type": "urn:gonogo:problem:too-many", "title": "Too many", "detail": "In 40 s."},
            ),
        }
    )
    result = Shell(there)("deliveries", "redeliver", "--all-failed")
    assert result.exit_code == 1
    assert "d-0: Decided." in result.stderr
    assert "Too many (429): In 40 s." in result.stderr
    assert len([one for one in there.asked if "d-2" in str(one)]) == 1
