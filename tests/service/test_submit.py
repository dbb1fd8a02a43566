"""Asking for a launch: resolved, priced, judged and stored once."""

from __future__ import annotations

from typing import Any

import pytest

from gonogo.core.errors import (
    InvalidError,
    KeyReusedError,
    LaterError,
    NotAuthenticatedError,
    NotPermittedError,
    PolicyMissingError,
)
from gonogo.core.plan import LaunchRequest
from gonogo.core.states import State
from gonogo.service import identity, submit
from tests import memory
from tests.core.builders import OPS, actor, also, policy_files, replaced
from tests.service import lives
from tests.service.road import Road


def request(**fields: Any) -> LaunchRequest:
    """Return a request for a small web server."""
    said: dict[str, Any] = {
        "template": "web-small",
        "parameters": {},
        "reason": "fair",
        "cost_center": "4711",
    }
    return LaunchRequest(**{**said, **fields})


def ask(road: Road, who: str = "dev", key: str | None = None, **fields: Any) -> Any:
    """Submit, as somebody."""
    return submit.submit(road.outside, road.sign_in(who), request(**fields), key)


def test_a_developer_waits_for_the_lead_and_an_operator_does_not(road: Road) -> None:
    """Policy answers: after these gates, or now."""
    assert ask(road).state is State.PENDING_APPROVAL
    assert ask(road, "ops").state is State.PENDING


def test_what_is_stored_is_resolved_and_priced(road: Road) -> None:
    """An alias could name another image tomorrow, and nobody would have approved that."""
    launch = road.now(ask(road, parameters={"count": 2}))
    assert launch.question.plan.spec["image_id"] == "ami-0123456789abcdef0"
    assert str(launch.question.price.hourly) == "0.0208"
    assert launch.digest == launch.question.digest


def test_asking_what_would_happen_stores_nothing(road: Road) -> None:
    """A dry run has the same answer, and no trace."""
    prepared = submit.answer(road.outside, road.sign_in("dev"), request())
    assert [gate.name for gate in prepared.gates] == ["lead"]
    assert road.launches() == []
    assert ask(road).question == prepared.question


def test_a_key_makes_it_one_launch_however_often_it_is_asked(road: Road) -> None:
    """A client that got no answer asks again."""
    first = ask(road, key="k")
    assert [ask(road, key="k").id for _ in range(3)] == [first.id] * 3
    assert len(road.launches()) == 1


def test_a_key_gives_the_launch_as_it_is_now(road: Road) -> None:
    """Even when policy would answer otherwise by now."""
    first = ask(road, key="k")
    road.outside.publish_policy(lives.policy_of_two())
    road.decide("lead", first, "lead")
    assert ask(road, key="k") == road.now(first)


def test_a_key_with_another_request_is_refused(road: Road) -> None:
    """It would be anybody's guess which of them was meant."""
    ask(road, key="k")
    with pytest.raises(KeyReusedError):
        ask(road, key="k", reason="another")


def test_a_key_is_of_whoever_used_it(road: Road) -> None:
    """Nobody may find or block somebody else's launch by guessing a key."""
    assert ask(road, key="k").id != ask(road, "ops", key="k").id


def test_without_a_key_each_is_a_launch_of_its_own(road: Road) -> None:
    """Two pages for the fair are two pages."""
    assert ask(road).id != ask(road).id


@pytest.mark.parametrize(
    ("fields", "rule"),
    [
        ({"template": "none"}, "template"),
        ({"parameters": {"count": 99}}, "maximum"),
        ({"parameters": {"other": 1}}, "additionalProperties"),
        ({"lease": "91d"}, "maximum"),
        ({"lease": "soon"}, "duration"),
    ],
)
def test_what_breaks_a_rule_is_refused_by_name(road: Road, fields: dict[str, Any], rule: str) -> None:
    """The requester mends it without asking anybody."""
    with pytest.raises(InvalidError) as caught:
        ask(road, **fields)
    assert [fault.rule for fault in caught.value.faults] == [rule]
    assert road.launches() == []


def test_whom_policy_does_not_permit_is_told_so(road: Road) -> None:
    """No permit means no."""
    with pytest.raises(NotPermittedError):
        ask(road, "finance")
    assert road.launches() == []


def test_an_engine_that_is_not_there_launches_nothing(road: Road) -> None:
    """The template is the policy's mistake, and the request ends here rather than at the launch."""
    files = policy_files(
        web_small=replaced('engine = "ec2"', 'engine = "moon"'),
        prices=also('[hourly.moon.us-east-1]\n"t3.micro" = "1"'),
    )
    road.outside.publish_policy(files)
    with pytest.raises(NotPermittedError, match="NoSuchEngine"):
        ask(road)


def test_a_launch_on_behalf_of_somebody_needs_leave_to_act_for_them(road: Road) -> None:
    """A pipeline must not borrow an operator's rights by naming them."""
    with pytest.raises(NotPermittedError):
        ask(road, on_behalf_of=OPS)


def test_groups_that_a_token_claims_count_when_policy_maps_them(road: Road) -> None:
    """And are kept with the launch, which is judged again before it is launched."""
    with pytest.raises(NotPermittedError):
        road.sign_in("stranger+builders")
    mapped = '[[claims]]\nissuer = "http://gonogo.local"\nclaim = "groups"\nvalue = "builders"\ngroup = "developers"'
    road.outside.publish_policy(policy_files(people=also(mapped)))
    launch = ask(road, "stranger+builders")
    assert launch.groups == ("developers",)
    assert launch.question.requester == actor("stranger")


@pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer ", "Basic dev", "dev", "Bearer forged"])
def test_without_a_bearer_token_that_verifies_nobody_is_known(road: Road, header: str | None) -> None:
    """Identity comes from the token and from nowhere else."""
    with pytest.raises(NotAuthenticatedError):
        identity.sign_in(road.outside, header)


def test_whom_policy_does_not_know_may_nothing(road: Road) -> None:
    """A token of the right issuer is not enough."""
    with pytest.raises(NotPermittedError):
        road.sign_in("stranger")


def test_without_policy_nothing_is_permitted() -> None:
    """A table that was just made lets nobody launch anything."""
    outside = memory.Outside(lives.policy())
    outside.table = memory.Table()
    with pytest.raises(PolicyMissingError):
        identity.sign_in(outside, "Bearer ops")


def test_an_alias_that_cannot_be_looked_up_stores_nothing(
    road: Road, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client asks again; half a plan is no plan."""

    def later(*_: object) -> None:
        raise LaterError("SSM is out")

    monkeypatch.setattr(road.cloud, "resolve", later)
    with pytest.raises(LaterError):
        ask(road)
    assert road.launches() == []
