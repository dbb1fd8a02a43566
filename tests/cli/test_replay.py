"""What happened is told again as it was told first: to the bus, or to one queue that lost it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from gonogo.aws.bus import Subscriber
from gonogo.core import event as events
from gonogo.core.errors import LaterError
from gonogo.core.launch import Launch
from gonogo.ports import History, Part, PoisonError
from gonogo.service import replay
from local.aws import REGION, client
from tests.cli.shell import Gateway, Shell
from tests.functions.faults import on_each_call, refusing
from tests.functions.world import World, world

Envelope = dict[str, Any]


@pytest.fixture(name="heard", scope="module")
def first_time() -> Iterator[tuple[World, list[Envelope]]]:
    """Give a world where launches lived, one for so long that its history was put aside, and what a queue heard."""
    with world() as made:
        launch, other = made.ask(), made.ask()
        made.settle()
        made.clock.go(hours=1)
        for one in (launch, other):
            made.decide(one, "lead", "lead")
        made.settle()
        made.clock.go(hours=2)
        made.call("POST", f"/v1/launches/{launch['id']}/terminate", {}, who="dev")
        made.settle()
        _grow_old(made, other["id"])
        made.settle()
        first = [json.loads(body) for body in made.messages(made.own_queue)]
        yield made, list({one["detail"]["id"]: one for one in first}.values())


def _grow_old(made: World, launch_id: str) -> None:
    """Let more happen to a launch than an item keeps, of which nobody has to do anything."""
    for _ in range(events.KEEP // 8 + 1):
        item = made.gonogo.items.get(Launch, launch_id)
        assert item is not None
        made.clock.go(minutes=1)
        held = events.BudgetReserved(
            cost_center="4711", month="2026-11", launch=item.id, amount=Decimal(1), committed=Decimal(1)
        )
        made.gonogo.items.save(item, item.happened(made.clock(), *[held] * 8).next_version())


@pytest.fixture(name="fresh")
def fresh_queue(heard: tuple[World, list[Envelope]]) -> Iterator[str]:
    """Give a queue that has heard nothing."""
    url = client("sqs").create_queue(QueueName="fresh")["QueueUrl"]
    yield url
    client("sqs").delete_queue(QueueUrl=url)


class Replaying:
    """Runs the command against the world's table."""

    def __init__(self, made: World) -> None:
        self.world = made
        self.shell = Shell(Gateway(made))

    def __call__(self, *words: str, since: str = "2026-11-01T00:00Z") -> Any:
        """Run `gonogo replay`."""
        settings = self.world.gonogo.settings
        told = ("--since", since, "--table", settings.table, "--region", settings.region)
        return self.shell("replay", *told, *words)


@pytest.fixture(name="again")
def replaying(heard: tuple[World, list[Envelope]]) -> Replaying:
    """Give the command."""
    return Replaying(heard[0])


def taken(made: World, url: str) -> list[Envelope]:
    """Take all that a queue holds."""
    return [json.loads(body) for body in made.messages(url)]


def by_id(envelopes: list[Envelope]) -> dict[str, Envelope]:
    """Return the envelopes by the id of the event in them, without the id of each delivery."""
    return {one["detail"]["id"]: {**one, "id": None} for one in envelopes}


def test_a_queue_that_lost_everything_catches_up(
    heard: tuple[World, list[Envelope]], again: Replaying, fresh: str
):
    """A subscriber's database is gone: what it is told again is what it was told, id by id and byte by byte."""
    made, first = heard
    result = again("--to", fresh)
    assert result.exit_code == 0, result.output
    second = taken(made, fresh)
    assert by_id(second) == by_id(first)
    assert len(second) == len(first)
    assert f"{len(first)} events of" in result.stdout


def test_each_items_events_come_oldest_first(
    heard: tuple[World, list[Envelope]], again: Replaying, fresh: str
):
    """Order is promised to nobody, but a database that is filled in order is filled sooner."""
    again("--to", fresh)
    seqs: dict[str, list[int]] = {}
    for one in taken(heard[0], fresh):
        seqs.setdefault(one["detail"]["subject"], []).append(one["detail"]["seq"])
    assert all(found == list(range(1, len(found) + 1)) for found in seqs.values())
    assert max(len(found) for found in seqs.values()) > events.KEEP


def test_the_bus_tells_it_to_all_who_subscribe(heard: tuple[World, list[Envelope]], again: Replaying):
    """After a long outage everybody missed it; whoever knows it already finds it the same, and does nothing."""
    made, first = heard
    before = made.rows()
    result = again("--bus", made.gonogo.settings.bus, "--json")
    assert result.exit_code == 0, result.output
    assert by_id(taken(made, made.own_queue)) == by_id(first)
    told = json.loads(result.stdout)
    assert (told["events"], told["refused"]) == (len(first), [])
    made.settle()
    for row, was in zip(made.rows(), before, strict=True):
        assert {**row, "version": None} == {**was, "version": None}
    assert taken(made, made.own_queue) == []


def test_only_what_happened_since_is_told(heard: tuple[World, list[Envelope]], again: Replaying, fresh: str):
    """Whoever lost an hour does not want a year; an event of that very moment belongs to it."""
    made, first = heard
    since = "2026-11-23T10:00:00Z"
    result = again("--to", fresh, since=since)
    assert result.exit_code == 0, result.output
    late = [one for one in first if one["detail"]["time"] >= since]
    assert 0 < len(late) < len(first)
    assert by_id(taken(made, fresh)) == by_id(late)
    nothing = again("--to", fresh, since="2026-12-01T00:00+01:00")
    assert "0 events of 0 items" in nothing.stdout
    assert taken(made, fresh) == []


def test_only_some_kinds_may_be_told(heard: tuple[World, list[Envelope]], again: Replaying, fresh: str):
    """A billing system wants what it bills by."""
    made, first = heard
    assert again("--to", fresh, "--kind", "usage", "--kind", "instance").exit_code == 0
    found = taken(made, fresh)
    wanted = {one["detail"]["id"] for one in first if one["detail-type"].startswith(("usage.", "instance."))}
    assert {one["detail"]["id"] for one in found} == wanted
    assert any(one["detail-type"] == "usage.recorded" for one in found)


def test_it_is_gone_on_with_after_a_throttle(
    heard: tuple[World, list[Envelope]], again: Replaying, fresh: str, monkeypatch: pytest.MonkeyPatch
):
    """A table that is throttled for long ends the command; nothing is lost, and little comes twice."""
    made, first = heard
    monkeypatch.setattr(replay, "PART", 2)
    refused = refusing("dynamodb.Scan", "ProvisionedThroughputExceededException", "Slow down.")
    asked: list[str] = []
    half = len(made.rows()) // 4

    def later(operation: str, parameters: Any) -> None:
        if operation == "dynamodb.Scan":
            asked.append(operation)
            if len(asked) > half:
                refused(operation, parameters)

    with on_each_call(before=later):
        result = again("--to", fresh)
    assert result.exit_code == 1
    assert len(again.shell.passing.slept) == replay.TRIES - 1
    cursor = re.search(r"--cursor ([A-Za-z0-9_-]+)", result.stderr.replace("\n", ""))
    assert cursor, result.stderr
    told = taken(made, fresh)
    assert 0 < len(told) < len(first)
    assert again("--to", fresh, "--cursor", cursor[1]).exit_code == 0
    rest = taken(made, fresh)
    assert by_id(told) | by_id(rest) == by_id(first)
    assert len(told) + len(rest) == len(first)


def test_a_throttle_that_passes_is_waited_for(
    heard: tuple[World, list[Envelope]], again: Replaying, fresh: str
):
    """A busy table is no reason to begin anew."""
    made, first = heard
    with on_each_call(before=refusing("sqs.SendMessageBatch", "RequestThrottled", "Slow down.", times=2)):
        result = again("--to", fresh)
    assert result.exit_code == 0, result.output
    assert again.shell.passing.slept == [1.0, 2.0]
    assert by_id(taken(made, fresh)) == by_id(first)


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ((), 2, "say to whom"),
        (("--bus", "b", "--to", "q"), 2, "say to whom"),
        (("--to", "q", "--cursor", "x"), 1, "is not a cursor that a replay gave"),
        (("--to", "q", "--cursor", "WyJhIl0"), 1, "is not a cursor that a replay gave"),
    ],
)
def test_what_cannot_be_meant_is_refused(again: Replaying, words: tuple[str, ...], code: int, said: str):
    """A replay to nobody, or from nowhere, tells nothing and says why."""
    result = again(*words)
    assert result.exit_code == code
    assert said in " ".join(result.stderr.replace("│", " ").split())


def test_a_time_without_a_zone_is_refused(again: Replaying):
    """Midnight is another moment for whoever runs it than for whoever reads it."""
    result = again("--to", "q", since="2026-11-01T00:00")
    assert result.exit_code == 2
    assert "time zone" in result.stderr


def test_who_may_not_is_told_in_the_words_of_aws(again: Replaying, fresh: str):
    """The bus of a deployment takes events of its own function only, unless its stack names another role."""
    with on_each_call(before=refusing("dynamodb.Scan", "AccessDeniedException", "You may not Scan.")):
        result = again("--to", fresh)
    assert result.exit_code == 1
    assert "You may not Scan." in result.stderr
    assert again.shell.passing.slept == []


# The queue as a way out


def an_event(size: int = 10, seq: int = 1) -> dict[str, Any]:
    """Return a CloudEvent of about so many bytes."""
    return {
        "id": f"l-1-{seq}",
        "type": "launch.requested",
        "subject": "l-1",
        "seq": seq,
        "time": "2026-11-23T09:00:00.123456Z",
        "data": {"reason": "x" * size},
    }


def test_large_events_go_in_several_calls(heard: tuple[World, list[Envelope]], fresh: str):
    """SQS counts the bytes of a call, not of a message."""
    large = [an_event(100_000, seq) for seq in range(1, 6)]
    with on_each_call() as made:
        Subscriber(fresh, REGION).publish(large)
    assert made.count("sqs.SendMessageBatch") == 3
    found = taken(heard[0], fresh)
    assert [one["detail"] for one in found] == large
    assert found[0]["time"] == "2026-11-23T09:00:00Z"


def test_what_a_queue_never_takes_is_told_and_holds_up_nothing(
    heard: tuple[World, list[Envelope]], fresh: str
):
    """One event that is too large must not keep a thousand from whoever waits for them."""
    found = [an_event(10, 1), an_event(2_000_000, 2), an_event(10, 3)]
    with pytest.raises(PoisonError) as caught:
        Subscriber(fresh, REGION).publish(found)
    assert caught.value.poison == (1,)
    assert [one["detail"]["seq"] for one in taken(heard[0], fresh)] == [1, 3]


class OneItem:
    """A table of one item, of which the bus never takes the second event."""

    poison = 1

    def part(self, since: Any, kinds: Any, *, cursor: str | None, limit: int) -> Part:
        """Return it."""
        del since, kinds, cursor, limit
        at = datetime.fromisoformat("2026-11-23T09:00:00Z")
        history = tuple(
            events.Event(seq, "launch.requested", at + timedelta(seconds=seq), {}) for seq in (1, 2, 3)
        )
        return Part((History("l-1", history),), 1, None)

    def publish(self, told: Any) -> None:
        """Take all but one."""
        raise PoisonError([self.poison], "too large") if len(told) > 1 else LaterError("no")


def test_what_is_never_taken_is_named():
    """Whoever replays must know what is missing still."""
    one = OneItem()
    (progress,) = replay.replay(one, one, datetime(2026, 1, 1, tzinfo=UTC), sleep=lambda _: None)
    assert (progress.events, progress.refused, progress.cursor) == (2, ("l-1-2",), None)


def test_a_fifo_queue_gets_each_item_in_order(heard: tuple[World, list[Envelope]]):
    """Such a queue asks for a group and for what is the same message."""
    url = client("sqs").create_queue(QueueName="fresh.fifo", Attributes={"FifoQueue": "true"})["QueueUrl"]
    told = [an_event(10, seq) for seq in (1, 2, 3)]
    for _ in range(2):
        Subscriber(url, REGION).publish(told)
    assert [one["detail"] for one in taken(heard[0], url)] == told
