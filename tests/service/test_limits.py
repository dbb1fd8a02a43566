"""Limits: each is held to what they did themselves, and nobody to what others did in their name or from their place."""

from __future__ import annotations

from datetime import timedelta

import pytest

from gonogo.core import token
from gonogo.core.errors import NotAuthenticatedError, TokenInvalidError, TooManyError
from gonogo.core.launch import Launch
from gonogo.core.limit import DECISIONS, FAILURES, LAUNCHES, REQUESTS, UNCOUNTED, Limit
from gonogo.core.plan import LaunchRequest
from gonogo.core.states import State
from gonogo.service import decide, identity, submit
from gonogo.service import limits as service
from gonogo.service.limits import Limits
from tests.core.builders import HOUR
from tests.service import lives
from tests.service.road import Road

OFFICE = "198.51.100.7"
"""An address that many people share."""
FEW = Limit("launches", 12, HOUR)


@pytest.fixture(name="waiting")
def launch_that_waits(road: Road) -> Launch:
    """Return a launch whose approvers have been asked."""
    launch = road.submit()
    road.settle()
    return launch


def good(road: Road) -> str:
    """Return the code that the lead was mailed."""
    code = road.code("lead")
    assert code is not None
    return code


def forged(road: Road, number: int, *, digest: str | None = None, launch: str | None = None) -> str:
    """Return a code in the canonical form that says what the lead's says, with a signature that is none."""
    claim, _, _ = token.read(good(road), now=road.clock(), epoch=1)
    said = token.claim(
        keys=claim.keys,
        launch=launch or claim.launch,
        gate=claim.gate,
        round=claim.round,
        actor=claim.actor,
        digest=digest or claim.digest.hex(),
        expires_at=road.clock() + timedelta(days=1),
        epoch=1,
    )
    return token.write(token.payload(said), number.to_bytes(32, "big"))


def asked_kms(road: Road) -> int:
    """Return how often KMS was asked to verify."""
    return sum(call.startswith("macs.verify") for call in road.faults.calls)


def answers(road: Road, *codes: str, source: str = OFFICE) -> list[str]:
    """Return what each code is answered."""
    found = []
    for code in codes:
        try:
            decide.show(road.outside, code, source=source)
            found.append("shown")
        except (TokenInvalidError, TooManyError) as error:
            found.append(type(error).__name__)
    return found


INVALID, WAIT = "TokenInvalidError", "TooManyError"
FLOOD = 200


@pytest.mark.parametrize(
    "knows", ["nothing", "the launch", "the digest too"], ids=lambda one: one.replace(" ", "-")
)
@pytest.mark.usefixtures("waiting")
def test_a_flood_of_forged_codes_shuts_nobody_out(road: Road, knows: str) -> None:
    """S15: from the approver's own address, in the approver's own name, for the very gate."""
    other = "0" * 64
    codes = {
        "nothing": lambda n: forged(road, n, digest=other, launch="l-" + "a" * 32),
        "the launch": lambda n: forged(road, n, digest=other),
        "the digest too": lambda n: forged(road, n),
    }[knows]
    found = answers(road, *(codes(n) for n in range(FLOOD)))
    assert found == [INVALID] * FAILURES.quota + [WAIT] * (FLOOD - FAILURES.quota)
    assert asked_kms(road) == (FLOOD if knows == "the digest too" else FAILURES.quota)
    assert answers(road, good(road)) == ["shown"]
    decided = decide.by_token(
        road.outside, good(road), verdict="approve", digest=None, comment=None, source=OFFICE
    )
    assert decided.state is State.PENDING


@pytest.mark.usefixtures("waiting")
def test_answers_do_not_tell_what_launches_there_are(road: Road) -> None:
    """S14: a stranger who tries ids must see the same and wait as long whether one is right, once told to wait too."""
    other, unknown = "0" * 64, "l-" + "a" * 32
    for launch in (None, unknown):
        road.outside.limits = Limits()
        before = asked_kms(road)
        codes = [forged(road, n, digest=other, launch=launch) for n in range(FAILURES.quota + 5)]
        assert answers(road, *codes) == [INVALID] * FAILURES.quota + [WAIT] * 5
        assert asked_kms(road) - before == FAILURES.quota


@pytest.mark.usefixtures("waiting")
def test_a_good_code_is_no_failure(road: Road) -> None:
    """An office where everybody decides at once must not use up the patience that it has for mistakes."""
    assert answers(road, *[good(road)] * (2 * FAILURES.quota)) == ["shown"] * (2 * FAILURES.quota)
    assert answers(road, "gng_typo") == [INVALID]


@pytest.mark.usefixtures("waiting")
def test_failures_cost_only_their_own_source(road: Road) -> None:
    """Another address is another stranger; but one subscriber of IPv6 has more addresses than anybody can count."""
    assert answers(road, *["gng_AAAA"] * (FAILURES.quota + 1))[-1] == WAIT
    assert answers(road, "gng_AAAA", source="198.51.100.8") == [INVALID]
    from_many = [answers(road, "gng_AAAA", source=f"2001:db8::{n:x}")[0] for n in range(FAILURES.quota + 1)]
    assert from_many[-1] == WAIT
    assert answers(road, "gng_AAAA", source="2001:db8:0:1::1") == [INVALID]
    road.clock.time += FAILURES.window
    assert answers(road, "gng_AAAA") == [INVALID]


@pytest.mark.usefixtures("waiting")
def test_one_code_that_is_sent_on_and_on_holds_up_no_other(road: Road) -> None:
    """Whoever got hold of an old mail must not use up what its reader may ask, signed in or by another code."""
    found = answers(road, *[good(road)] * (REQUESTS.quota + 1))
    assert (found[-2], found[-1]) == ("shown", WAIT)
    other = road.code("lead2")
    assert other is not None
    assert answers(road, other) == ["shown"]
    assert identity.sign_in(road.outside, "Bearer lead", OFFICE).actor.subject == "lead"


def test_a_forged_bearer_costs_whom_it_names_nothing(road: Road) -> None:
    """S15: who says to be the lead, and is not, must not use up what the lead may ask."""
    for number in range(FLOOD):
        with pytest.raises(NotAuthenticatedError if number < FAILURES.quota else TooManyError):
            identity.sign_in(road.outside, "Bearer forged-lead", OFFICE)
    for _ in range(REQUESTS.quota):
        identity.sign_in(road.outside, "Bearer lead", OFFICE)


def test_each_actor_is_held_to_what_they_ask_themselves(road: Road) -> None:
    """A script of one person that has run wild delays nobody else, and that person not for long."""
    for _ in range(REQUESTS.quota):
        identity.sign_in(road.outside, "Bearer lead", OFFICE)
    with pytest.raises(TooManyError) as told:
        identity.sign_in(road.outside, "Bearer lead", "203.0.113.9")
    assert told.value.retry_after == 1
    assert identity.sign_in(road.outside, "Bearer lead2", OFFICE).actor.subject == "lead2"
    road.clock.time += timedelta(seconds=1)
    assert identity.sign_in(road.outside, "Bearer lead", OFFICE).actor.subject == "lead"


def queries(road: Road) -> int:
    """Return how often a feed was read."""
    return sum(call.startswith("items.feed") for call in road.faults.calls)


def ask(road: Road, number: int, who: str = "dev") -> Launch:
    """Ask for a launch as a client that does not repeat itself."""
    asker = road.sign_in(who)
    wanted = LaunchRequest(template="web-small", parameters={}, reason="A page.", cost_center="4711")
    return submit.submit(road.outside, asker, wanted, f"k{number}")


def test_launches_are_counted_wherever_they_were_asked_for(road: Road) -> None:
    """Each process knows its own requests only, and a script is served by many: the list of its launches knows all."""
    road.outside.limits = Limits(FEW)
    for number in range(FEW.quota):
        ask(road, number)
    assert queries(road) == FEW.quota - UNCOUNTED.quota, "the first few cost no query"
    with pytest.raises(TooManyError) as told:
        ask(road, FEW.quota)
    assert told.value.retry_after == HOUR.total_seconds()
    assert len(road.launches()) == FEW.quota
    road.outside.limits = another = Limits(FEW)
    for _ in range(UNCOUNTED.quota):
        another.use(UNCOUNTED, road.sign_in("dev").actor.key, road.clock())
    with pytest.raises(TooManyError):
        ask(road, FEW.quota)
    ask(road, FEW.quota, "ops")
    ask(road, 0)  # again, under its key: no new one
    assert len(road.launches()) == FEW.quota + 1
    road.clock.time += HOUR
    ask(road, FEW.quota + 1)


def test_a_person_who_decides_on_and_on_is_stopped_and_may_still_take_it_back(waiting: Launch) -> None:
    """Each decision is told by mail; but whoever sees a mistake must be able to undo it at any time."""
    road = lives.road(lives.policy_of_two())
    launch = road.submit()
    road.settle()
    code = good(road)
    for _ in range(DECISIONS.quota):
        assert road.follow(code).gate("lead").approvals == 1
        assert road.follow(code).gate("lead").approvals == 1, "saying it again is no decision"
        road.follow(code, "revoke")
        road.clock.time += timedelta(minutes=1)
    with pytest.raises(TooManyError) as told:
        decide.by_token(road.outside, code, verdict="approve", digest=None, comment=None)
    assert told.value.retry_after == (60 - DECISIONS.quota) * 60
    assert road.now(launch).gate("lead").approvals == 0
    assert road.decide("lead2", launch, "lead").gate("lead").approvals == 1
    road.clock.time += timedelta(seconds=told.value.retry_after)
    assert road.follow(code).state is State.PENDING
    assert waiting.id


def test_no_flood_of_names_makes_a_process_grow() -> None:
    """What is kept is bounded, and what is forgotten is forgiven: the one that was used longest ago."""
    limits, at = Limits(), lives.road(lives.policy()).clock()
    for number in range(service.MOST + 500):
        limits.use(FAILURES, str(number), at)
        limits.use(FAILURES, "often", at + timedelta(minutes=number))
    assert len(limits._full_at[FAILURES.name]) == service.MOST
    assert "often" in limits._full_at[FAILURES.name]


def test_limits_of_a_deployment_are_what_its_settings_say() -> None:
    """A fleet may ask for more launches an hour than a person."""
    assert Limits().launches == LAUNCHES
    assert Limits(FEW).launches == FEW
