"""Actions are taken from the template, and what then happens is what the recorded calls say of it (test_recorded)."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from gonogo.core import event as events
from local.iam import Call
from local.roles import ROLES
from tests.functions import world as worlds
from tests.functions.world import world
from tests.package.walk import files, walk

REMOVALS = int(os.environ.get("GONOGO_REMOVALS", "0"))
"""How many actions are taken with a whole walk for each; `make soak` says."""

BY_LAMBDA = {"FindsTheStream", "IsFedByItsQueue", "IsFedByTheStream", "Logs"}
"""Statements for what Lambda does in a function's name, which nobody walks through here."""


def statements(template: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each statement of the functions' roles, and of the keys' policies in favour of them, with its owner."""
    for owner in (*ROLES.values(), "PeopleKey", "HookKey"):
        properties = template["Resources"][owner]["Properties"]
        documents = [one["PolicyDocument"] for one in properties.get("Policies", ())]
        for document in documents or [properties["KeyPolicy"]]:
            for one in document["Statement"]:
                statement = one["Fn::If"][1] if "Fn::If" in one else one
                if statement["Sid"] != "AccountRunsTheKey":
                    yield owner, statement


def actions(statement: dict[str, Any]) -> list[str]:
    """Return the actions of a statement."""
    said = statement["Action"]
    return [said] if isinstance(said, str) else said


def without(owner: str, sid: str, action: str) -> dict[str, Any]:
    """Return the template without one action of a role, or of the policy of a key."""
    found = copy.deepcopy(worlds.TEMPLATE)
    (statement,) = [one for name, one in statements(found) if (name, one["Sid"]) == (owner, sid)]
    assert action in actions(statement)
    statement["Action"] = [one for one in actions(statement) if one != action]
    return found


def test_who_asked_reads_what_the_role_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A launch that AWS refuses has failed for good, and says by which action and on what."""
    action = "ec2:RunInstances"
    monkeypatch.setattr(worlds, "TEMPLATE", without("LaunchRole", "LaunchesTaggedInstances", action))
    with world() as made:
        launch = made.ask("ops")
        made.settle()
        launch = made.read(launch["id"], "ops")
        assert (launch["state"], launch["failure"]["code"]) == ("FAILED", "UnauthorizedOperation")
        assert (
            f"is not authorized to perform: {action} on resource: arn:aws:ec2:"
            in launch["failure"]["message"]
        )
        assert made.instances() == []
        assert {call.action for _, call, _ in made.recorder.refused} == {action}
        made.recorder.refused.clear()


def test_what_a_role_lacks_is_done_once_it_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A mail that could not be sent is kept, and goes out when the role is mended."""
    whole = worlds.TEMPLATE
    monkeypatch.setattr(worlds, "TEMPLATE", without("NotifyRole", "Mails", "ses:SendRawEmail"))
    with world() as made:
        made.ask()
        made.settle()
        assert made.mails("lead") == []
        assert {call.action for _, call, _ in made.recorder.refused} == {"ses:SendRawEmail"}
        made.recorder.refused.clear()
        monkeypatch.setattr(worlds, "TEMPLATE", whole)
        made.publish(worlds.example())
        for _ in range(3):
            made.clock.go(minutes=20)
            made.wake()
            made.settle()
        assert made.token("lead")


class StoppedError(BaseException):
    """A call was refused; nothing that runs in between may catch it."""


@pytest.mark.parametrize("number", range(REMOVALS))
def test_no_walk_comes_through_without_one_action(
    monkeypatch: pytest.MonkeyPatch, number: int, record_property: Callable[[str, object], None]
) -> None:
    """What the recorded calls say of an action is so when it is really taken from the template."""
    all_of_them = [
        (owner, statement["Sid"], action)
        for owner, statement in statements(worlds.TEMPLATE)
        if statement["Sid"] not in BY_LAMBDA
        for action in actions(statement)
    ]
    owner, sid, action = all_of_them[number * len(all_of_them) // REMOVALS]
    monkeypatch.setattr(worlds, "TEMPLATE", without(owner, sid, action))
    monkeypatch.setattr(events, "KEEP", 2)

    def heard(_who: str, call: Call, why: str | None) -> None:
        if why is not None:
            raise StoppedError(call.action)

    with world(files(), Anchors="on") as made:
        made.guard.heard = heard
        with pytest.raises(StoppedError) as stopped:
            walk(made)
        assert str(stopped.value) == action
    record_property("actions taken from the template", 1)
