"""`ports.Bus` on EventBridge and on a queue, its dead letters on SQS: what passes is put again, what is poison is found.

The second engine takes whatever is put, onto a bus that there is or not: what AWS refuses is asked of the stub.
"""

from __future__ import annotations

import json
from typing import Any
from unittest import mock

import msgspec
import pytest

from gonogo.aws.bus import EventBridge, Queue, Subscriber
from gonogo.core.errors import LaterError, RefusedError
from gonogo.core.event import cloud_event
from gonogo.ports import PoisonError
from tests.contract.stubs import PASSING, REGION, SILENCES, shared, silent, stubbed
from tests.core.builders import awaiting

from local.aws import client  # isort: skip - after the environment that it reads

MENDED = (
    "AccessDeniedException",
    "ResourceNotFoundException",
    "ExpiredTokenException",
    "NotAuthorizedForSourceException",
)
POISON = ("MalformedDetail", "InvalidArgument", "NotAuthorizedForDetailTypeException", "SomethingUnheardOf")


def ten() -> list[dict[str, Any]]:
    """Return ten events."""
    launch = awaiting()
    (first, *_) = launch.history
    return [cloud_event(launch.id, msgspec.structs.replace(first, seq=number)) for number in range(1, 11)]


def entry(event: dict[str, Any]) -> dict[str, Any]:
    """Return how an event stands on the bus."""
    return {
        "EventBusName": "gonogo",
        "Source": "gonogo",
        "DetailType": event["type"],
        "Time": event["time"],
        "Detail": msgspec.json.encode(event).decode(),
    }


def taken(*errors: str | None) -> dict[str, Any]:
    """Return the bus's answer: for each entry an error code, or that it was taken."""
    entries = [{"ErrorCode": one, "ErrorMessage": "Because."} if one else {"EventId": "1"} for one in errors]
    return {"FailedEntryCount": sum(one is not None for one in errors), "Entries": entries}


@pytest.fixture
def bus() -> EventBridge:
    """Give the bus, over a client that all tests share."""
    made = EventBridge("gonogo", REGION)
    vars(made)["_events"] = shared("events")
    return made


def test_an_event_stands_on_the_bus_as_a_cloud_event(bus: EventBridge) -> None:
    """A stranger's rule matches on source and detail-type, and finds the whole event in the detail."""
    events = ten()
    with stubbed(bus._events) as stub:
        stub.add_response("put_events", taken(*[None] * 10), {"Entries": [entry(one) for one in events]})
        bus.publish(events)
    detail = json.loads(entry(events[0])["Detail"])
    assert (detail["specversion"], detail["id"], detail["source"]) == ("1.0", "l-1-1", "gonogo")


@pytest.mark.parametrize("position", range(10))
@pytest.mark.parametrize("code", POISON)
def test_one_poison_among_ten_is_named_and_the_rest_went_out(
    bus: EventBridge, position: int, code: str
) -> None:
    """An answer of 200 may still have refused an entry; that entry holds up no other."""
    answer = taken(*[code if number == position else None for number in range(10)])
    with stubbed(bus._events) as stub:
        stub.add_response("put_events", answer)
        with pytest.raises(PoisonError) as caught:
            bus.publish(ten())
    assert caught.value.poison == (position,)
    assert code in str(caught.value)


@pytest.mark.parametrize("code", ["ThrottlingException", "InternalFailure", *MENDED])
def test_an_entry_that_passes_later_is_no_poison(bus: EventBridge, code: str) -> None:
    """A throttle in the middle of a batch, or a permission that is missing, must lose no event."""
    with stubbed(bus._events) as stub:
        stub.add_response("put_events", taken(None, code, "MalformedDetail", *[None] * 7))
        with pytest.raises(LaterError, match=code):
            bus.publish(ten())


@pytest.mark.parametrize(("code", "status"), [*PASSING, *((one, 400) for one in MENDED)])
def test_a_call_that_passes_later_is_no_poison(bus: EventBridge, code: str, status: int) -> None:
    """The stream comes back to it without limit; dead letters would need a person."""
    with stubbed(bus._events) as stub:
        stub.add_client_error("put_events", code, http_status_code=status)
        with pytest.raises(LaterError):
            bus.publish(ten())


@pytest.mark.parametrize("silence", SILENCES)
def test_no_answer_is_no_failure(bus: EventBridge, silence: Exception) -> None:
    """They may be out; put again they have the same ids."""
    with silent(bus._events, "PutEvents", silence), pytest.raises(LaterError):
        bus.publish(ten())


@pytest.mark.parametrize("position", range(10))
def test_what_is_refused_together_is_put_apart(bus: EventBridge, position: int) -> None:
    """Some poison has the whole call refused: then each goes alone, and all but one go out."""
    with stubbed(bus._events) as stub:
        stub.add_client_error("put_events", "ValidationException", "Too large.")
        for number, one in enumerate(ten()):
            if number == position:
                stub.add_client_error("put_events", "ValidationException", "Too large.")
            else:
                stub.add_response("put_events", taken(None), {"Entries": [entry(one)]})
        with pytest.raises(PoisonError) as caught:
            bus.publish(ten())
    assert caught.value.poison == (position,)


def test_what_is_refused_together_but_not_apart_all_went_out(bus: EventBridge) -> None:
    """Ten events may be too large together, and each of them small enough."""
    with stubbed(bus._events) as stub:
        stub.add_client_error("put_events", "ValidationException", "Too large.")
        for one in ten():
            stub.add_response("put_events", taken(None), {"Entries": [entry(one)]})
        with pytest.raises(PoisonError) as caught:
            bus.publish(ten())
    assert caught.value.poison == ()


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("MalformedDetail", PoisonError),
        ("ThrottlingException", LaterError),
        ("AccessDeniedException", LaterError),
    ],
)
def test_put_apart_an_answer_of_200_may_still_refuse(
    bus: EventBridge, said: str, expected: type[Exception]
) -> None:
    """An entry that was throttled while they went one by one would otherwise be lost without a word."""
    with stubbed(bus._events) as stub:
        stub.add_client_error("put_events", "ValidationException", "Too large.")
        for number in range(10 if expected is PoisonError else 4):
            stub.add_response("put_events", taken(said if number == 3 else None))
        with pytest.raises(expected) as caught:
            bus.publish(ten())
    if isinstance(caught.value, PoisonError):
        assert caught.value.poison == (3,)


def test_put_apart_a_throttle_has_all_put_again(bus: EventBridge) -> None:
    """What went out goes out twice, under the same ids; what did not is not lost."""
    with stubbed(bus._events) as stub:
        stub.add_client_error("put_events", "ValidationException", "Too large.")
        stub.add_response("put_events", taken(None))
        stub.add_client_error("put_events", "ThrottlingException")
        with pytest.raises(LaterError):
            bus.publish(ten())


def test_an_event_that_cannot_even_be_asked_is_poison(bus: EventBridge) -> None:
    """AWS's own library refuses some calls before they are made, and would again."""
    events = ten()
    events[2]["type"] = None
    with stubbed(bus._events) as stub:
        for _ in range(9):
            stub.add_response("put_events", taken(None))
        with pytest.raises(PoisonError) as caught:
            bus.publish(events)
    assert caught.value.poison == (2,)


@pytest.fixture
def queue() -> Queue:
    """Give the dead letters, over a client that all tests share."""
    made = Queue("https://sqs.us-east-1.amazonaws.com/123456789012/dead", REGION)
    vars(made)["_sqs"] = shared("sqs")
    return made


def test_a_dead_letter_is_sent_as_json(queue: Queue) -> None:
    """People read it, and a script that puts it back."""
    letter = {"id": "l-1", "seq": 3, "error": "ünreadable"}
    with stubbed(queue._sqs) as stub:
        stub.add_response(
            "send_message", {"MessageId": "1"}, {"QueueUrl": queue._url, "MessageBody": json.dumps(letter)}
        )
        queue.put(letter)


@pytest.mark.parametrize(("code", "status"), [*PASSING, ("AccessDenied", 403), ("QueueDoesNotExist", 400)])
def test_a_dead_letter_that_cannot_be_put_now_holds_up_the_stream(
    queue: Queue, code: str, status: int
) -> None:
    """To lose the note of what was lost would be to lose it."""
    with stubbed(queue._sqs) as stub:
        stub.add_client_error("send_message", code, http_status_code=status)
        with pytest.raises(LaterError):
            queue.put({"id": "l-1"})


@pytest.fixture
def subscriber() -> Subscriber:
    """Give one subscriber's queue, which keeps order, over a client that all tests share."""
    made = Subscriber("https://sqs.us-east-1.amazonaws.com/123456789012/fresh.fifo", REGION)
    vars(made).update(_sqs=shared("sqs"), _account="123456789012")
    return made


def lost(number: int, *, by_sender: bool) -> dict[str, Any]:
    """Return what a queue says of one message that it did not take."""
    return {"Id": str(number), "SenderFault": by_sender, "Code": "Because", "Message": "Of it."}


@pytest.mark.parametrize(
    ("failed", "named"),
    [
        ([lost(2, by_sender=False)], LaterError),
        ([lost(2, by_sender=True), lost(4, by_sender=False)], LaterError),
        ([lost(2, by_sender=True), lost(4, by_sender=True)], PoisonError),
    ],
)
def test_what_a_queue_lost_by_its_own_fault_is_sent_again(
    subscriber: Subscriber, failed: list[dict[str, Any]], named: type[Exception]
) -> None:
    """Its answer of 200 names what failed; only what it will never take is passed over."""
    with stubbed(subscriber._sqs) as stub:
        stub.add_response("send_message_batch", {"Successful": [], "Failed": failed})
        with pytest.raises(named) as caught:
            subscriber.publish(ten())
    assert not isinstance(caught.value, PoisonError) or caught.value.poison == (2, 4)


def test_what_is_too_much_together_is_sent_in_halves(subscriber: Subscriber) -> None:
    """All but the one that is too large by itself arrives."""
    with stubbed(subscriber._sqs) as stub:
        for too_much in (True, False, True, False, True):
            if too_much:
                stub.add_client_error("send_message_batch", "BatchRequestTooLong")
            else:
                stub.add_response("send_message_batch", {"Successful": [], "Failed": []})
        with pytest.raises(PoisonError) as caught:
            subscriber.publish(ten()[:4])
    assert caught.value.poison == (3,)


def test_a_queue_that_may_not_be_written_to_is_no_fault_of_an_event(subscriber: Subscriber) -> None:
    """To pass over all events for that would be to say that they were told."""
    with stubbed(subscriber._sqs) as stub:
        stub.add_client_error("send_message_batch", "AccessDenied", http_status_code=403)
        with pytest.raises(RefusedError, match="AccessDenied"):
            subscriber.publish(ten())


def test_a_queue_in_order_has_an_order_for_each_item(subscriber: Subscriber) -> None:
    """One event that waits holds up its own item's and no other's; the same event is taken once."""
    with mock.patch.object(subscriber._sqs, "send_message_batch", return_value={}) as send:
        for _ in range(2):
            subscriber.publish(ten()[:2])
    first, second = (one.kwargs["Entries"] for one in send.call_args_list)
    assert first == second
    assert {one["MessageGroupId"] for one in first} == {ten()[0]["subject"]}
    assert [one["MessageDeduplicationId"] for one in first] == [one["id"] for one in ten()[:2]]
    assert len({json.loads(one["MessageBody"])["id"] for one in first}) == 2


def queued(name: str) -> tuple[str, str]:
    """Make a queue, and return its URL and its ARN."""
    url = client("sqs").create_queue(QueueName=name)["QueueUrl"]
    named = client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
    return url, named["Attributes"]["QueueArn"]


def received(url: str, count: int) -> list[Any]:
    """Take so many messages, which are there, out of a queue."""
    found: list[Any] = []
    while len(found) < count:
        batch = client("sqs").receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", [])
        assert batch, f"{len(found)} of {count}"
        found += [json.loads(one["Body"]) for one in batch]
    return found


def test_a_subscriber_gets_each_event_as_it_was_put(aws: str) -> None:
    """A stranger's rule and queue, on either engine: all ten, whole, with the fields by which rules match."""
    events = client("events")
    url, arn = queued(f"subscriber-{aws}")
    events.create_event_bus(Name="gonogo")
    events.put_rule(Name="all", EventBusName="gonogo", EventPattern='{"source": ["gonogo"]}')
    events.put_targets(Rule="all", EventBusName="gonogo", Targets=[{"Id": "1", "Arn": arn}])
    EventBridge("gonogo", REGION).publish(ten())
    heard = sorted(received(url, 10), key=lambda one: int(one["detail"]["seq"]))
    assert [one["detail"] for one in heard] == json.loads(msgspec.json.encode(ten()))
    assert {(one["source"], one["detail-type"]) for one in heard} == {("gonogo", ten()[0]["type"])}


def test_a_dead_letter_is_found_as_it_was_put(aws: str) -> None:
    """People read it; and a queue that is not there holds up the stream, rather than lose the note."""
    url, _ = queued(f"dead-{aws}")
    letter = {"id": "l-1", "seq": 3, "error": "ünreadable"}
    Queue(url, REGION).put(letter)
    assert received(url, 1) == [letter]
    with pytest.raises(LaterError):
        Queue(f"{url}-none", REGION).put(letter)
