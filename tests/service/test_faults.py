"""Everything that can go wrong once goes wrong once, at every call of every life; each life ends as it should."""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from unittest import mock

import msgspec
import pytest

from gonogo.core import policy
from gonogo.core.budget import Ledger
from gonogo.core.delegation import Delegation
from gonogo.core.delivery import Delivery
from gonogo.core.event import cloud_event
from gonogo.core.instance import Instance
from gonogo.core.item import Item
from gonogo.core.launch import Launch
from gonogo.core.published import CurrentPolicy
from gonogo.core.states import State
from gonogo.core.usage import UsageDay
from gonogo.core.watch import Stray
from tests.remembering import canonical_texts, checked_bundles
from tests.service import lives
from tests.service.faults import CHANGES, OF_A_CHANGE, OF_A_MESSAGE, OF_A_READ, READS, Fault, Faults, Wrong
from tests.service.road import Road
from tests.service.true_lives import bill

PARTS = 4
PAIRS = int(os.environ.get("GONOGO_PAIRS", "12"))
POINTS, PAIRED = "fault points", "pairs of faults"
SAME = "crashes that are one with a silence"
SILENCES = (Wrong.TIMEOUT_BEFORE, Wrong.TIMEOUT_AFTER)
FINAL = {State.REJECTED, State.EXPIRED, State.CANCELLED, State.TERMINATED}


def lived(name: str, *faults: Fault) -> Road:
    """Return the road after a life, with these faults on the way."""
    files, life = lives.LIVES[name]
    road = lives.road(files(), *faults)
    life(road)
    road.rest()
    road.faults.listening = False
    return road


@pytest.fixture(autouse=True, scope="module")
def remembered() -> Iterator[None]:
    """Bundles, answers of Cedar and digests are worked out once: all are pure, and thousands of lives ask the same."""
    ask = policy._ask
    answers: dict[object, policy.Answer] = {}

    def asked(*question: object) -> policy.Answer:
        key = tuple(msgspec.json.encode(one) if isinstance(one, dict) else one for one in question)
        if key not in answers:
            answers[key] = ask(*question)  # type: ignore[arg-type]
        return answers[key]

    with checked_bundles(), mock.patch.object(policy, "_ask", asked), canonical_texts():
        yield


@cache
def untroubled(name: str) -> Road:
    """Return the road after a life in which nothing went wrong."""
    return lived(name)


def told(road: Road) -> Counter[tuple[str, str, str, str | None]]:
    """Return how often each was told each thing over each channel."""
    return Counter((one.to, one.channel, one.topic, one.gate) for one in road.letters())


def wrongs(road: Road, usual: Road) -> Iterator[str]:
    """Say what of a life is not as it must be, whatever went wrong on the way."""
    yield from (f"surprised by {error!r}" for error in road.surprises)
    yield from _of_the_end(road)
    yield from _of_instances(road)
    yield from _of_events(road)
    yield from _of_notices(road, usual)
    yield from _of_budgets(road)
    yield from _of_usage(road)
    if len(road.launches()) != len(usual.launches()):
        yield f"{len(road.launches())} launches, not {len(usual.launches())}"
    for launch, same in zip(by_engine(road), by_engine(usual), strict=False):
        if Counter(road.history(launch)) != Counter(usual.history(same)):
            yield f"another history: {road.history(launch)}"
        if (launch.state, launch.attempt) != (same.state, same.attempt):
            yield f"another end: {launch.state}, attempt {launch.attempt}"


def by_engine(road: Road) -> list[Launch]:
    """Return the launches of a life: an extension of one comes after it."""
    return sorted(road.launches(), key=lambda one: one.question.plan.engine)


def _of_the_end(road: Road) -> Iterator[str]:
    for launch in road.launches():
        if launch.state not in FINAL:
            yield f"{launch.id} is stuck in {launch.state}"
    for key, at in road.table.alarms().items():
        yield f"{key} still has an alarm at {at}"
    for queue in road.queues.values():
        if queue.messages or queue.dead:
            yield f"{queue.name} is left with {queue.messages} and dead {queue.dead}"
    if road.outside.dead.letters:
        yield f"dead letters: {road.outside.dead.letters}"
    for delivery in road.table.all(Delivery):
        if delivery.open or any(one.state in ("waiting", "claimed") for one in delivery.channels.values()):
            yield f"a notice is left open: {delivery.topic} to {delivery.actor.subject}, {delivery.channels}"


def _of_instances(road: Road) -> Iterator[str]:
    launches, machines = by_engine(road), list(road.cloud.machines.values())
    ran = [one for one in launches if one.question.plan.engine == "ec2" and one.state is State.TERMINATED]
    expected = sum(one.question.plan.spec.get("count", 0) for one in ran)
    tokens = {one.client_token() for one in ran}
    if len(machines) != expected or any(one.token not in tokens for one in machines):
        yield f"{len(machines)} instances, not {expected}"
    if {one.id for one in machines} != {made.id for one in ran for made in one.resources}:
        yield "what was made is not what is recorded"
    if any(one.state != "terminated" for one in machines):
        yield "an instance outlives its launch"
    seen, made = road.table.all(Instance), {made.id for one in launches for made in one.resources}
    if {one.id for one in seen} != made or any(one.state != "terminated" for one in seen):
        yield f"instances are recorded as {[(one.id, one.state) for one in seen]}"


def _of_budgets(road: Road) -> Iterator[str]:
    """What has ended holds nothing, and has spent no more than it might cost."""
    for ledger in road.table.all(Ledger):
        if ledger.held or ledger.spent < 0:
            yield f"{ledger.month} still holds {ledger.held}, spent {ledger.spent}"


def _of_usage(road: Road) -> Iterator[str]:
    """Each instance is billed for just as long as it ran, and none is told of as a stray."""
    least = road.outside.policies.current().prices.least("ec2")
    for machine in road.cloud.machines.values():
        days = [one for one in road.table.all(UsageDay) if one.facts.instance == machine.id]
        found = {one.day: (one.seconds, one.cost) for one in days if one.seconds}
        expected = bill(machine.runs, road.clock(), least)
        if found != expected and machine.kind == "t3.micro":
            yield f"billed {found}, not {expected}"
        if sum(one[0] for one in found.values()) != sum(one[0] for one in expected.values()):
            yield f"billed {found}, not the seconds of {expected}"
    yield from (f"{one.id} is told of as {one.why}" for one in road.table.all(Stray))


def _of_events(road: Road) -> Iterator[str]:
    """Every event of every item went out, under one id that never meant anything else; `seq` has no gap."""
    bodies: dict[str, bytes] = {}
    for event in road.outside.sent_on.published:
        body = msgspec.json.encode(event, order="deterministic")
        if bodies.setdefault(event["id"], body) != body:
            yield f"{event['id']} means two things"
    known: set[str] = set()
    kinds: tuple[type[Item], ...] = (
        *(Launch, Delivery, Instance, CurrentPolicy, Ledger, Delegation),
        *(UsageDay, Stray),
    )
    for kind in kinds:
        for item in road.table.all(kind):
            history = road.happened(item)
            if [one.seq for one in history] != list(range(1, item.seq + 1)):
                yield f"{item.kind} {item.id} has a gap: {[one.seq for one in history]} of {item.seq}"
            known |= {str(cloud_event(item.id, one)["id"]) for one in history}
    if known - bodies.keys():
        yield f"never published: {sorted(known - bodies.keys())}"
    if bodies.keys() - known:
        yield f"published, though it never happened: {sorted(bodies.keys() - known)}"


def _of_notices(road: Road, usual: Road) -> Iterator[str]:
    found, expected = told(road), told(usual)
    missing = [one for one, times in expected.items() if found[one] < times]
    if missing:
        yield f"never told: {missing}"
    more = {one: times for one, times in found.items() if times > expected[one]}
    if more and not _may_repeat(road):
        yield f"told once more: {more}"
    if any(times > expected[one] + len(road.faults.struck) for one, times in more.items()):
        yield f"told again and again: {more}"


def _may_repeat(road: Road) -> bool:
    """Tell whether what went wrong leaves open if a notice was sent: only then may it be sent again."""
    return any(
        one.startswith(("mailer.send", "caller.post", "items.save delivery")) for one in road.faults.struck
    )


def troubles(name: str, *faults: Fault) -> list[str]:
    """Return what is not as it must be after a life with these faults."""
    return tried(name, *faults)[0]


def tried(name: str, *faults: Fault) -> tuple[list[str], bool]:
    """Return what is not as it must be after a life with these faults, and whether a silence was handled by nothing."""
    try:
        road = lived(name, *faults)
    except Exception as error:  # noqa: BLE001 - that is one of the things that may not be
        return [repr(error)], False
    struck = [] if road.faults.struck else ["nothing went wrong"]
    return struck + list(wrongs(road, untroubled(name))), road.faults.is_unhandled


def where(name: str, fault: Fault) -> str:
    """Say what goes wrong."""
    made = untroubled(name).faults
    return f"{fault.at} {(made.messages if fault.wrong in OF_A_MESSAGE else made.calls)[fault.at]}, {fault.wrong}"


@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("name", lives.LIVES)
def test_whatever_goes_wrong_once_the_life_ends_as_it_should(
    name: str, part: int, record_property: Callable[[str, object], None]
) -> None:
    """A call that fails, a process that dies, a lost answer or a message that comes twice must change nothing."""
    usual = untroubled(name).faults
    points = usual.points()
    points = points[len(points) * part // PARTS : len(points) * (part + 1) // PARTS]
    found: dict[str, list[str]] = {}
    same: set[Fault | None] = set()
    for fault in sorted(points, key=lambda one: one.wrong not in SILENCES):
        if fault not in same:  # a silence that nothing handled ended its function: so would a crash there
            found[where(name, fault)], is_unhandled = tried(name, fault)
            same |= {usual.crash_like(fault)} if is_unhandled else set()
    record_property(POINTS, len(found))
    record_property(SAME, len(points) - len(found))
    assert_none(found)


@pytest.mark.parametrize("name", lives.LIVES)
def test_two_things_go_wrong_and_the_life_ends_as_it_should(
    name: str, record_property: Callable[[str, object], None]
) -> None:
    """What mends one fault may itself be struck; of all pairs some are tried, the same ones each time."""
    points = untroubled(name).faults.points()
    draw = random.Random(name)  # noqa: S311 - a sample, not a secret
    pairs = [draw.sample(points, 2) for _ in range(PAIRS)]
    found = {" and ".join(where(name, one) for one in pair): troubles(name, *pair) for pair in pairs}
    record_property(PAIRED, len(pairs))
    assert_none(found)


def assert_none(found: Mapping[str, list[str]]) -> None:
    """Fail if there is any trouble, naming all."""
    troubled = {where: what for where, what in found.items() if what}
    assert not troubled, "\n".join(f"{where}: {what}" for where, what in troubled.items())


@pytest.mark.parametrize("name", lives.LIVES)
def test_the_untroubled_life_has_nothing_to_excuse(name: str) -> None:
    """What the troubled lives are held against must itself be faultless, and tell each thing once."""
    road = untroubled(name)
    assert list(wrongs(road, road)) == []
    decide = Counter(one.id + one.channel for one in road.letters(topic="decide"))
    assert set(decide.values()) <= {1}


def test_the_lives_make_every_call_that_there_is() -> None:
    """A port that no life calls is a port whose faults nobody has tried."""
    made = {one.partition(" ")[0] for name in lives.LIVES for one in untroubled(name).faults.calls}
    others = {
        "items.put_aside": "the history is read, and changes nothing",
        "dead_letters.put": "test_publish.py has poison",
        "engine.find": "is a part of engine.launch",
    }
    assert made == (CHANGES | READS) - others.keys()


def test_a_call_of_which_nobody_knows_what_it_does_is_not_passed_over() -> None:
    """A new port would otherwise be left out of the sweep without a word."""
    faults = Faults()
    faults.listening = True
    faults.call("items.burn", lambda: None)
    with pytest.raises(KeyError):
        faults.points()


def test_every_way_to_go_wrong_is_tried() -> None:
    """A way that stands in no list would never happen."""
    assert {*OF_A_CHANGE, *OF_A_READ, *OF_A_MESSAGE} == set(Wrong)
    assert {one.wrong for one in untroubled("by link").faults.points()} == set(Wrong)
