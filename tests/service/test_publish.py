"""The stream is the outbox: what a write says is told, in order, until it is told; poison harms only itself."""

from __future__ import annotations

from typing import Any

import pytest

from gonogo.core.errors import LaterError
from gonogo.core.states import State
from gonogo.service import publish
from gonogo.service.publish import Change, news
from tests.service.road import Road


def told(road: Road) -> list[str]:
    """Return the ids that went out, in order."""
    return [str(one["id"]) for one in road.outside.sent_on.published]


def changes(road: Road) -> list[Change]:
    """Return what the stream has."""
    return road.table.changes


def many(road: Road, count: int = 8) -> None:
    """Let so many launches be asked for: three events each."""
    for number in range(count):
        road.submit(key=str(number))


def test_what_is_new_is_told_and_what_was_known_is_not(road: Road) -> None:
    """Each event of each write, once."""
    launch = road.submit()
    road.decide("lead", launch, "lead")
    assert publish.publish(road.outside, changes(road)) is None
    assert told(road) == ["current-1", *(f"{launch.id}-{seq}" for seq in range(1, 7))]


def test_a_write_without_news_tells_nothing(road: Road) -> None:
    """A claim changes the item, and nobody outside need hear of it."""
    launch = road.submit("ops")
    before = changes(road)[-1].after
    assert before is not None
    assert news(before, before) == []
    assert [one.type for one in news(None, before)] == ["launch.requested", "launch.cleared"]
    assert launch.seq == 2


def test_a_cue_that_is_given_again_is_told_under_its_old_id(road: Road) -> None:
    """A subscriber that heard of it knows it by its id."""
    launch = road.submit()
    road.settle()
    road.outside.sent_on.published.clear()
    road.sleep(minutes=6)
    (opened,) = [one.seq for one in road.happened(launch) if one.type == "gate.opened"]
    assert told(road) == [f"{launch.id}-{opened}"]


def test_ten_at_a_time(road: Road) -> None:
    """PutEvents takes no more; the bus in memory would refuse."""
    many(road)
    assert publish.publish(road.outside, changes(road)) is None
    assert len(told(road)) == 1 + 8 * 3


@pytest.mark.parametrize("failing", range(4))
def test_an_outage_is_answered_with_a_checkpoint(
    road: Road, monkeypatch: pytest.MonkeyPatch, failing: int
) -> None:
    """The stream comes again from there, and nothing before it is told more than needs be."""
    many(road, 10)
    put = road.outside.sent_on.publish
    batches: list[int] = []

    def out(events: list[dict[str, Any]]) -> None:
        batches.append(len(events))
        if len(batches) == failing + 1:
            raise LaterError("throttled")
        put(events)

    monkeypatch.setattr(road.outside.sent_on, "publish", out)
    again = publish.publish(road.outside, changes(road))
    assert again is not None
    numbers = [one.number for one in changes(road)]
    rest = changes(road)[numbers.index(again) :]
    assert len(batches) == failing + 1
    assert publish.publish(road.outside, rest) is None
    assert set(told(road)) == {"current-1"} | {
        f"{one.id}-{seq}" for one in road.launches() for seq in (1, 2, 3)
    }


@pytest.mark.parametrize("position", range(31))
def test_poison_goes_to_the_dead_letters_and_all_others_go_out(road: Road, position: int) -> None:
    """Wherever it stands in the batch."""
    many(road, 10)
    seen: list[str] = []

    def poison(event: dict[str, Any]) -> bool:
        seen.append(event["id"])
        return len(set(seen)) == position + 1 and seen.count(event["id"]) == 1

    road.outside.sent_on.poison = poison
    assert publish.publish(road.outside, changes(road)) is None
    assert len(told(road)) == 30
    (letter,) = road.outside.dead.letters
    assert f"{letter['id']}-{letter['seq']}" not in told(road)


def test_a_record_that_cannot_be_read_goes_to_the_dead_letters(road: Road) -> None:
    """With all that is known of it; the shard goes on."""
    many(road, 2)
    unread = Change(number="7", item="launch#l-x", before=None, after=None)
    batch = [changes(road)[-2], unread, changes(road)[-1]]
    assert publish.publish(road.outside, batch) is None
    assert road.outside.dead.letters == [{"id": "launch#l-x", "sequence_number": "7"}]
    assert len(told(road)) == 6


def test_what_cannot_even_be_put_aside_is_not_passed_over(
    road: Road, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then the stream must wait, or the note of what was lost would be lost."""

    def out(_letter: object) -> None:
        raise LaterError("SQS is out")

    monkeypatch.setattr(road.outside.dead, "put", out)
    unread = Change(number="7", item="launch#l-x", before=None, after=None)
    assert publish.publish(road.outside, [unread]) == "7"


def test_an_outage_of_the_bus_delays_and_loses_nothing(road: Road, monkeypatch: pytest.MonkeyPatch) -> None:
    """Decisions go on meanwhile; people hear of it when it is over."""

    def out(_events: object) -> None:
        raise LaterError("EventBridge is out")

    monkeypatch.setattr(road.outside.sent_on, "publish", out)
    launch = road.submit()
    road.sleep(hours=1)
    road.decide("lead", launch, "lead")
    assert road.letters() == []
    monkeypatch.undo()
    road.until(lambda: road.state(launch) is State.RUNNING)
    assert len({one for one in told(road) if one.startswith(launch.id)}) == road.now(launch).seq
