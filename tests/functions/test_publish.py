"""From the stream to the bus: nothing lost, nothing under another id, and poison harms only itself."""

from __future__ import annotations

import json
from collections.abc import Mapping
from copy import deepcopy
from typing import Any

import msgspec
import pytest

from gonogo.core import event as events
from local.aws import client
from tests.functions.arriving import published, stream_records
from tests.functions.faults import CrashError, crashing, on_each_call, refusing, silent, some_entries_lost
from tests.functions.world import World


def three_launches(world: World) -> list[dict[str, Any]]:
    """Return the stream's records of three launches, one of them decided: some twelve events."""
    launches = [world.ask() for _ in range(3)]
    world.decide(launches[0], "lead", "lead")
    world.decide(launches[1], "lead", "lead", "reject")
    return stream_records(world)


def every_id(world: World) -> list[str]:
    """Return the ids of all events that the table says have happened."""
    return sorted(
        f"{row['id']['S']}-{one['seq']}"
        for row in world.rows()
        if "history" in row
        for one in json.loads(row["history"]["S"])
    )


def ids(events: list[dict[str, Any]]) -> list[str]:
    """Return ids in the order of arrival."""
    return [one["id"] for one in events]


def test_every_event_goes_out_once_in_order(world: World) -> None:
    """All that happened is on the bus when the stream was read, each item's events in their order."""
    records = three_launches(world)
    assert published(world, records) == []
    heard = world.events()
    assert sorted(ids(heard)) == every_id(world)
    for subject in {one["subject"] for one in heard}:
        seqs = [one["seq"] for one in heard if one["subject"] == subject]
        assert seqs == sorted(seqs)


def test_the_same_records_again_are_the_same_events(world: World) -> None:
    """Lambda hands over at least once; whoever keeps ids counts once."""
    records = three_launches(world)
    published(world, records)
    first = world.events()
    published(world, records)
    published(world, records[2:3])
    again = world.events()
    assert {json.dumps(one, sort_keys=True) for one in again} == {
        json.dumps(one, sort_keys=True) for one in first
    }


FAULTS: dict[str, dict[str, Any]] = {
    "a throttle": {"before": refusing("events.PutEvents", "ThrottlingException", times=1)},
    "an outage": {"before": refusing("events.PutEvents", "InternalException", http=500, times=1)},
    "an answer lost on the way": {"after": silent("events.PutEvents")},
    "a role that was cut": {"before": refusing("events.PutEvents", "AccessDeniedException", times=1)},
    "a bus that is gone": {"before": refusing("events.PutEvents", "ResourceNotFoundException", times=1)},
}


@pytest.mark.parametrize("fault", FAULTS)
def test_an_outage_stops_at_a_checkpoint(world: World, fault: str) -> None:
    """The stream goes on from where it stopped, in order; nothing is skipped, and nothing put aside."""
    records = three_launches(world)
    numbers = [one["dynamodb"]["SequenceNumber"] for one in records]
    with on_each_call(**FAULTS[fault]):
        (checkpoint,) = published(world, records)
    rest = records[numbers.index(checkpoint) :]
    assert published(world, rest) == []
    heard = world.events()
    assert sorted(set(ids(heard))) == every_id(world)
    once = list(dict.fromkeys(ids(heard)))
    assert once == list(dict.fromkeys(_in_stream_order(records)))
    assert dead(world) == []


def _in_stream_order(records: list[dict[str, Any]]) -> list[str]:
    told: list[str] = []
    for record in records:
        image = record["dynamodb"]["NewImage"]
        if "history" in image:
            told += [f"{image['id']['S']}-{one['seq']}" for one in json.loads(image["history"]["S"])]
    return told


def test_an_outage_later_in_a_batch_keeps_what_went_out_before(world: World) -> None:
    """The checkpoint is the first record that did not go out, not the first of the batch."""
    three_launches(world)
    for _ in range(4):
        world.ask()
    records = stream_records(world)
    put = [0]

    def second_fails(operation: str, parameters: Mapping[str, Any]) -> None:
        put[0] += operation == "events.PutEvents"
        if put[0] == 2:
            refusing("events.PutEvents", "ThrottlingException")(operation, parameters)

    with on_each_call(before=second_fails):
        (checkpoint,) = published(world, records)
    assert len(world.events()) == 10
    numbers = [one["dynamodb"]["SequenceNumber"] for one in records]
    assert numbers.index(checkpoint) > 0
    rest = records[numbers.index(checkpoint) :]
    with on_each_call(before=refusing("events.PutEvents", "ThrottlingException")):
        assert published(world, rest) == [checkpoint], "the first of a batch comes again as any other"
    assert published(world, rest) == []


def dead(world: World) -> list[dict[str, Any]]:
    """Take what was put aside."""
    return [json.loads(body) for body in world.messages(world.gonogo.settings.publish_dead)]


@pytest.mark.parametrize("code", ["ThrottlingException", "InternalFailure"])
def test_entries_that_a_good_answer_names_as_failed_come_again(world: World, code: str) -> None:
    """PutEvents says 200 and names those it did not take: they are not lost."""
    records = three_launches(world)
    with some_entries_lost(lambda entry: entry["DetailType"] == "gate.opened", code):
        assert len(published(world, records)) == 1
    assert published(world, records) == []
    assert sorted(set(ids(world.events()))) == every_id(world)
    assert dead(world) == []


def test_an_event_that_the_bus_never_takes_is_put_aside(world: World) -> None:
    """One event that EventBridge calls malformed holds up no other, and somebody can look at it."""
    records = three_launches(world)
    with some_entries_lost(lambda entry: entry["DetailType"] == "launch.rejected", "MalformedDetail"):
        assert published(world, records) == []
    (letter,) = dead(world)
    assert f"{letter['id']}-{letter['seq']}" in every_id(world)
    heard = world.events()
    assert len(heard) == len(every_id(world)) - 1
    assert "launch.rejected" not in [one["type"] for one in heard]


def test_a_batch_that_is_refused_whole_is_taken_apart(world: World) -> None:
    """Too many bytes together are not too many alone; and the one that is too large alone is put aside."""
    records = three_launches(world)

    def refuse(operation: str, parameters: Mapping[str, Any]) -> None:
        if operation != "events.PutEvents":
            return
        kinds = [entry["DetailType"] for entry in parameters["Entries"]]
        if len(kinds) > 1 or kinds == ["launch.rejected"]:
            refusing("events.PutEvents", "ValidationException", "too large")(operation, parameters)

    with on_each_call(before=refuse):
        assert published(world, records) == []
    (letter,) = dead(world)
    assert len(set(ids(world.events()))) == len(every_id(world)) - 1
    assert "too large" in letter["error"]


def test_a_throttle_while_a_batch_is_taken_apart_loses_nothing(world: World) -> None:
    """The answer to a single entry may name it as failed too, in a 200; or the role is cut just then."""
    records = three_launches(world)

    def refuse(operation: str, parameters: Mapping[str, Any]) -> None:
        if operation == "events.PutEvents" and len(parameters["Entries"]) > 1:
            refusing("events.PutEvents", "ValidationException")(operation, parameters)

    with (
        some_entries_lost(lambda entry: entry["DetailType"] == "gate.opened", "ThrottlingException"),
        on_each_call(before=refuse),
    ):
        assert len(published(world, records)) == 1

    def refuse_and_deny(operation: str, parameters: Mapping[str, Any]) -> None:
        refuse(operation, parameters)
        refusing("events.PutEvents", "AccessDeniedException")(operation, parameters)

    with on_each_call(before=refuse_and_deny):
        assert len(published(world, records)) == 1
    assert published(world, records) == []
    assert sorted(set(ids(world.events()))) == every_id(world)
    assert dead(world) == []


def poisoned(record: dict[str, Any], **changed: Any) -> dict[str, Any]:
    """Return a record of a launch in which somebody's tool has spoilt an attribute."""
    bad = deepcopy(record)
    bad["dynamodb"]["NewImage"].update(changed)
    return bad


SPOILT: tuple[dict[str, Any], ...] = (
    {"history": {"S": '[{"seq":1,'}},
    {"history": {"N": "7"}},
    {"history": {"S": '[{"seq":"one"}]'}},
    {"seq": {"S": "many"}},
    {"id": {"N": "1"}},
)


def test_poison_harms_only_itself_wherever_it_stands(world: World) -> None:
    """In each place of a batch, a record that cannot be read is put aside, and the others go out."""
    records = three_launches(world)
    places = [at for at, one in enumerate(records) if one["dynamodb"]["Keys"]["sk"]["S"] == "launch"]
    for at, spoilt in zip(places, SPOILT, strict=True):
        bad = poisoned(records[at], **spoilt)
        assert published(world, [*records[:at], bad, *records[at + 1 :]]) == []
        (letter,) = dead(world)
        assert letter == {
            "id": bad["dynamodb"]["Keys"]["pk"]["S"],
            "sequence_number": bad["dynamodb"]["SequenceNumber"],
        }
        went_out = set(ids(world.events()))
        others = set(_in_stream_order([*records[:at], *records[at + 1 :]]))
        assert went_out <= set(every_id(world))
        assert {one for one in others if not one.startswith(letter["id"].removeprefix("launch#"))} <= went_out


def test_poison_waits_for_its_dead_letters(world: World) -> None:
    """What cannot be put aside now is not passed over: it comes again."""
    records = three_launches(world)
    at = next(n for n, one in enumerate(records) if one["dynamodb"]["Keys"]["sk"]["S"] == "launch")
    records[at] = poisoned(records[at], history={"S": "["})
    with on_each_call(before=refusing("sqs.SendMessage", "AWS.SimpleQueueService.NonExistentQueue")):
        assert len(published(world, records)) == 1
    assert published(world, records) == []
    assert len(dead(world)) == 1


def test_an_event_that_only_newer_code_knows_goes_out_all_the_same(world: World) -> None:
    """While two versions run side by side, the older one loses nothing of the newer one's, and serves it."""
    launch = world.ask()
    (record,) = [one for one in stream_records(world) if one["dynamodb"]["Keys"]["sk"]["S"] == "launch"]
    image = record["dynamodb"]["NewImage"]
    history = json.loads(image["history"]["S"])
    newer = {
        "seq": len(history) + 1,
        "type": "launch.amended",
        "at": history[0]["at"],
        "data": {"x": 1},
        "more": 2,
    }
    image["history"] = {"S": json.dumps([*history, newer])}
    image["seq"] = {"N": str(newer["seq"])}
    assert published(world, [record]) == []
    told = next(one for one in world.events() if one["type"] == "launch.amended")
    assert (told["id"], told["data"]) == (f"{launch['id']}-{newer['seq']}", {"x": 1})
    assert dead(world) == []
    row = next(one for one in world.rows() if one["sk"]["S"] == "launch")
    client("dynamodb").put_item(
        TableName=world.gonogo.settings.table, Item={**row, "history": image["history"], "seq": image["seq"]}
    )
    answer = world.call("GET", f"/v1/launches/{launch['id']}/events", who="dev")
    assert (answer.code, answer.json["items"][-1]["type"]) == (200, "launch.amended")
    assert world.read(launch["id"])["state"] == "PENDING_APPROVAL"


def test_what_is_removed_or_has_no_events_is_passed_over(world: World) -> None:
    """A bundle, a part of a history, and a deletion say nothing to subscribers."""
    world.ask()
    records = stream_records(world)
    bundle = next(one for one in records if one["dynamodb"]["Keys"]["sk"]["S"] == "bundle")
    removed = deepcopy(records[-1])
    removed["eventName"] = "REMOVE"
    removed["dynamodb"]["OldImage"] = removed["dynamodb"].pop("NewImage")
    aside = deepcopy(records[-1])
    aside["dynamodb"]["Keys"]["sk"] = {"S": "history#000000000001"}
    assert published(world, [bundle, removed, aside]) == []
    assert world.events() == []
    assert dead(world) == []


def changes_of_mind(world: World, launch: Any, times: int) -> None:
    """Approve and take it back so many times: five events or so each time."""
    for _ in range(times):
        assert world.decide(launch, "lead", "lead").code == 200
        assert world.decide(launch, "lead", "lead", "revoke").code == 200
        world.clock.go(minutes=10)  # who changes their mind more often than that is told to wait


def test_a_long_history_is_read_whole_and_told_once(world: World) -> None:
    """The item stays small however often minds change; what is put aside is read, and not told anew."""
    launch = world.ask(template="gpu-large")
    changes_of_mind(world, launch, 16)
    item = next(row for row in world.rows() if row["sk"]["S"] == "launch")
    aside = [row for row in world.rows() if row["sk"]["S"].startswith("history#")]
    assert len(json.loads(item["history"]["S"])) <= 64
    assert len(aside) >= 1
    told = world.call("GET", f"/v1/launches/{launch['id']}/events", who="dev").json["items"]
    assert len(told) > 64
    assert [one["seq"] for one in told] == list(range(1, len(told) + 1))
    published(world, stream_records(world))
    heard = [one for one in world.events() if one["subject"] == launch["id"]]
    assert ids(heard) == ids(told)
    assert heard == told


def test_a_crash_while_history_is_put_aside_harms_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process dies after the part is put aside, before the item: the next try makes it whole."""
    monkeypatch.setattr(events, "KEEP", 12)
    launch = world.ask(template="gpu-large")
    before, verdict = launch, ""
    while not any(row["sk"]["S"].startswith("history#") for row in world.rows()):
        before = world.read(launch["id"])
        verdict = "revoke" if before["gates"][0]["approvals"] else "approve"
        with on_each_call(after=_crash_after_put()) as calls:
            try:
                world.decide(launch, "lead", "lead", verdict)
            except CrashError:
                assert calls[-1] == "dynamodb.PutItem"
    assert world.read(launch["id"]) == before
    assert world.decide(launch, "lead", "lead", verdict).code == 200
    told = world.call("GET", f"/v1/launches/{launch['id']}/events", who="dev").json["items"]
    assert [one["seq"] for one in told] == list(range(1, len(told) + 1))
    published(world, stream_records(world))
    assert ids([one for one in world.events() if one["subject"] == launch["id"]]) == ids(told)


def _crash_after_put() -> Any:
    def act(operation: str, _parameters: Mapping[str, Any]) -> None:
        if operation == "dynamodb.PutItem":
            raise CrashError

    return act


def test_a_crash_of_publish_loses_nothing(world: World) -> None:
    """Killed at any call, publish is handed the same records again."""
    records = three_launches(world)
    with on_each_call() as calls:
        published(world, records)
    world.events()
    for number in range(len(calls)):
        for side in ("before", "after"):
            with on_each_call(**{side: crashing(number)}), pytest.raises(CrashError):
                published(world, records)
    assert published(world, records) == []
    assert sorted(set(ids(world.events()))) == every_id(world)


def test_the_detail_is_what_a_subscriber_reads(world: World) -> None:
    """Source and detail-type are for rules, and say the same as the event within."""
    url = world.subscribe({"detail-type": ["gate.opened"]}, "gates")
    launch = world.ask()
    published(world, stream_records(world))
    (body,) = world.messages(url)
    whole = json.loads(body)
    assert (whole["source"], whole["detail-type"], whole["detail"]["type"]) == (
        "gonogo",
        "gate.opened",
        "gate.opened",
    )
    assert whole["detail"]["data"]["approvers"] == [{"issuer": "http://gonogo.local", "subject": "lead"}]
    assert whole["detail"]["data"]["expires_at"] == "2026-11-26T09:00:00Z"
    assert whole["time"] == "2026-11-23T09:00:00Z"
    assert msgspec.json.decode(body)["detail"]["data"]["launch"]["id"] == launch["id"]
