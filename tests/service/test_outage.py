"""A day without mail and webhooks: every decision is made in its time, and what was to be told is told afterwards."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from gonogo.core.delivery import Channel, Delivery, Trouble
from gonogo.core.errors import ConflictError, LaterError, NotPermittedError, RefusedError, SilentError
from gonogo.core.launch import Launch
from gonogo.core.states import State
from gonogo.ports import Page
from gonogo.service import deliveries, notify
from gonogo.service.decide import Verdict
from gonogo.service.deliveries import Told
from tests.service import lives
from tests.service.road import Letter, Road, _cue

LAUNCHES = 6
"""How many are asked for and decided during the day, one every four hours."""
WAYS: dict[str, Callable[[], Exception]] = {
    "throttled": lambda: LaterError("TooManyRequestsException", retry_after=60),
    "silent": lambda: SilentError("The receiver did not answer within 10 s."),
    "refused": lambda: RefusedError("MessageRejected", "The sender is not verified."),
}


def a_day(road: Road) -> list[Launch]:
    """Live a day: every four hours a launch is asked for and decided ten minutes later; the last stays undecided."""
    asked = []
    for number in range(LAUNCHES):
        launch = road.submit(key=f"k{number}")
        asked.append(launch)
        road.sleep(minutes=10)
        if number < LAUNCHES - 1:
            verdict: Verdict = "reject" if number % 3 == 2 else "approve"
            decided = road.decide("lead", launch, "lead", verdict)
            assert decided.updated_at == road.clock(), "it waited for something"
            assert decided.state is (State.REJECTED if verdict == "reject" else State.PENDING)
            if verdict == "approve":
                road.until(lambda one=launch: road.state(one) is State.RUNNING, within=timedelta(minutes=5))  # type: ignore[misc]
        road.sleep(hours=3, minutes=50)
    return asked


def content(road: Road, launches: list[Launch]) -> Counter[tuple[int, str, str, str]]:
    """Return what everybody was told of each launch: its number, to whom, which way, of what."""
    numbers = {one.id: number for number, one in enumerate(launches)}
    return Counter((numbers[one.launch], one.to, one.channel, one.topic) for one in road.letters())


def cut_off(road: Road, monkeypatch: pytest.MonkeyPatch, way: str) -> Counter[str]:
    """Let mail and webhooks fail in one way, and count the calls."""
    calls: Counter[str] = Counter()

    wrong = WAYS[way]

    def dead(name: str) -> Callable[..., None]:
        def call(*_arguments: object, **_options: object) -> None:
            calls[name] += 1
            raise wrong()

        return call

    monkeypatch.setattr(road.outside.mailed, "send", dead("mail"))
    monkeypatch.setattr(road.outside.posted, "post", dead("webhook"))
    return calls


def trouble(road: Road, which: Trouble, who: str = "ops") -> list[Told]:
    """Return the notices in trouble, as one reads them."""
    reader, cursor = road.sign_in(who), None
    found: list[Told] = []
    while True:
        page: Page = deliveries.in_trouble(road.outside, reader, which, cursor=cursor, limit=7)
        found += page.items
        cursor = page.cursor
        if cursor is None:
            return found


def undelivered(road: Road) -> list[Delivery]:
    """Return what is not out on some way, though somebody should still be told."""
    return [
        one
        for one in road.table.all(Delivery)
        if one.trouble is not None
        or any(way.state in ("waiting", "claimed") for way in one.channels.values())
    ]


@pytest.mark.parametrize("way", WAYS)
def test_a_dead_day_delays_no_decision_and_loses_no_notice(
    way: str, monkeypatch: pytest.MonkeyPatch, record_property: Callable[[str, object], None]
) -> None:
    """R10: what everybody hears in the end is what they would have heard, but for questions that are answered."""
    well, road = lives.road(lives.policy()), lives.road(lives.policy())
    healthy = content(well, a_day(well))
    with monkeypatch.context() as patch:
        calls = cut_off(road, patch, way)
        launches = a_day(road)
        assert not road.letters()
    if way == "refused":
        assert not trouble(road, "waiting")
        for one in trouble(road, "failed"):
            try:
                deliveries.redeliver(road.outside, road.sign_in("ops"), one.delivery.id)
            except ConflictError:
                assert one.delivery.topic == "reminded"
        road.settle()
    else:
        assert not trouble(road, "failed"), "given up within the day"
        road.sleep(hours=3, minutes=10)
    assert undelivered(road) == []
    told = content(road, launches)
    last = LAUNCHES - 1
    for letter, number in healthy.items():
        launch, _, _, topic = letter
        if topic == "decide" and launch != last:
            assert told[letter] == 0, "asked in vain"
        else:
            assert told[letter] == number, letter
    record_property(
        "outage", f"a dead day ({way}): {dict(calls)} calls, {sum(told.values())} letters afterwards"
    )
    code = road.code("lead")
    assert code is not None
    assert road.follow(code).state is State.PENDING


def test_a_dead_host_is_called_rarely(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each call takes ten seconds, in which the notices to all others wait."""
    road = lives.road(lives.policy())
    calls = cut_off(road, monkeypatch, "silent")
    a_day(road)
    tries = sum(
        way.tries
        for one in road.table.all(Delivery)
        for channel, way in one.channels.items()
        if channel == "webhook"
    )
    assert calls["webhook"] < tries * 2 / 3


def given_up(road: Road, monkeypatch: pytest.MonkeyPatch) -> Told:
    """Return a notice of a start that was given up."""
    with monkeypatch.context() as patch:
        cut_off(road, patch, "refused")
        launch = road.submit()
        road.settle()
        road.decide("lead", launch, "lead")
        road.until(lambda: road.state(launch) is State.RUNNING)
        road.settle()
    (found,) = [one for one in trouble(road, "failed") if one.delivery.topic == "started"]
    return found


def letters(road: Road, topic: str) -> list[Letter]:
    """Return what was told of a topic."""
    return road.letters(topic=topic)


@pytest.mark.parametrize("who", ["dev", "ops"])
def test_whom_it_concerns_has_it_sent_again_over_the_same_road(
    road: Road, monkeypatch: pytest.MonkeyPatch, who: str
) -> None:
    """The request sends nothing: a slow mail server must not hold up whoever asks."""
    told = given_up(road, monkeypatch)
    again = deliveries.redeliver(road.outside, road.sign_in(who), told.delivery.id)
    assert again.trouble == "waiting"
    assert not letters(road, "started")
    road.settle()
    assert [one.to for one in letters(road, "started")] == ["dev"]
    with pytest.raises(ConflictError):
        deliveries.redeliver(road.outside, road.sign_in(who), told.delivery.id)
    road.sleep(days=2)
    assert len(letters(road, "started")) == 1


def test_nobody_else_may_have_it_sent_again_or_read_what_went_wrong(
    road: Road, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who can have mails sent to others at will can drown them in it."""
    told = given_up(road, monkeypatch)
    assert told.shows_errors
    for who in ("lead", "finance"):
        with pytest.raises(NotPermittedError):
            deliveries.redeliver(road.outside, road.sign_in(who), told.delivery.id)
        (seen,) = [one for one in trouble(road, "failed", who) if one.delivery.id == told.delivery.id]
        assert not seen.shows_errors
    road.settle()
    assert not letters(road, "started")


def test_a_question_that_is_answered_is_not_asked_again(road: Road, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever opens an old mail first must not be sent another about what is over."""
    with monkeypatch.context() as patch:
        cut_off(road, patch, "refused")
        launch = road.submit()
        road.settle()
    (asked,) = [one for one in trouble(road, "failed") if one.delivery.actor.subject == "lead2"]
    road.decide("lead", launch, "lead")
    with pytest.raises(ConflictError):
        deliveries.redeliver(road.outside, road.sign_in("lead2"), asked.delivery.id)
    road.rest()
    assert not letters(road, "decide")


@pytest.mark.parametrize("life", lives.LIVES)
def test_every_notice_of_a_launch_is_found_by_its_history(life: str) -> None:
    """There is no index of them, which each would pay for: what can be told must be derived from what happened."""
    files, live = lives.LIVES[life]
    road = lives.road(files())
    live(road)
    road.settle()
    reader = road.sign_in("ops")
    made = [one for one in road.table.all(Delivery) if one.launch]
    for launch in road.launches():
        found = deliveries.of_launch(road.outside, reader, launch.id)
        assert {one.delivery.id for one in found} == {one.id for one in made if one.launch == launch.id}


@pytest.mark.parametrize("seconds", [8, 30])
def test_who_has_little_time_loses_no_notice(seconds: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A mail server that takes the call and never answers must not have the whole batch ended, five times, for good.

    Lambda ends a function when its time is over, and a message that was tried five times is put aside.
    """
    road = lives.road(lives.policy())
    road.submit()
    road._stream()
    begun, sent, limit = road.clock(), [], timedelta(seconds=20)

    def slow(_notice: notify.Notice) -> None:
        sent.append(road.clock() - begun)
        road.clock.time += timedelta(seconds=seconds)
        raise LaterError("no answer")

    def tells(channel: Channel) -> Callable[[Any], None]:
        return lambda event: notify.tell(road.outside, _cue(event), channel, slow, begun + limit)

    with monkeypatch.context() as patch:
        patch.setitem(road.handlers, "notify", tells("mail"))
        patch.setitem(road.handlers, "deliver", tells("webhook"))
        road.settle()
    assert sent
    assert max(sent) < limit
    assert len(sent) < 4, "all were sent in time, so this tells nothing"
    assert not any(queue.dead for queue in road.queues.values())
    road.sleep(minutes=15)
    asked = sorted((one.to, one.channel) for one in road.letters(topic="decide"))
    assert asked == [("lead", "mail"), ("lead", "webhook"), ("lead2", "mail"), ("lead3", "webhook")]
