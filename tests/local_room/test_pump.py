"""The pumps play Lambda's event-source mappings: order, checkpoints, retries and dead letters."""

import json

import pytest

from local.aws import Arn, client, queue_url
from local.pump import Outcome, QueuePump, StreamPump
from local.stack import Wire


def wire(source, **more):
    """Return a mapping like those of infra/template.yaml."""
    defaults = {
        "function": "F",
        "batch": 10,
        "reports_failures": True,
        "bisects": False,
        "attempts": -1,
        "filters": (),
        "on_failure": None,
    }
    return Wire(source=source, **{**defaults, **more})


def write(*names):
    """Put one item for each name."""
    for name in names:
        item = {"pk": {"S": name}, "sk": {"S": "x"}, "raw": {"B": b"\x00\xff"}}
        client("dynamodb").put_item(TableName="things", Item=item)


class Function:
    """A function that notes what it is given, and does what the next of its `plans` says."""

    def name(self, record):
        raise NotImplementedError

    def identifier(self, record):
        raise NotImplementedError

    def __init__(self, *plans):
        self.plans = list(plans)
        self.calls = []

    def __call__(self, event):
        names = [self.name(record) for record in event["Records"]]
        self.calls.append(names)
        plan = self.plans.pop(0) if self.plans else None
        if isinstance(plan, Exception):
            raise plan
        if plan is None:
            return None
        failed = [record for record in event["Records"] if self.name(record) in plan]
        return {"batchItemFailures": [{"itemIdentifier": self.identifier(record)} for record in failed]}


class OnStream(Function):
    """A function behind a stream."""

    def name(self, record):
        return record["dynamodb"]["Keys"]["pk"]["S"]

    def identifier(self, record):
        return record["dynamodb"]["SequenceNumber"]


class OnQueue(Function):
    """A function behind a queue."""

    def name(self, record):
        return record["body"]

    def identifier(self, record):
        return record["messageId"]


def run(pump, most=20):
    """Step until there is nothing left, or for `most` steps."""
    for _ in range(most):
        if pump.step() is Outcome.IDLE:
            return


def test_a_stream_starts_at_its_beginning_and_keeps_order(table):
    """What was written before the pump came is not lost."""
    write("a", "b")
    function = OnStream()
    pump = StreamPump(wire(table, batch=2), function)
    run(pump)
    write("c", "d", "e")
    run(pump)
    assert function.calls == [["a", "b"], ["c", "d"], ["e"]]


def test_a_checkpoint_brings_the_rest_again(table):
    """What came before the record that failed is done; it and all after it come again."""
    write("a", "b", "c")
    function = OnStream(["b"], ["b"])
    run(StreamPump(wire(table), function))
    assert function.calls == [["a", "b", "c"], ["b", "c"], ["b", "c"]]


def test_the_first_of_several_failures_is_the_checkpoint(table):
    """Lambda retries from the lowest sequence number that is named."""
    write("a", "b", "c")
    function = OnStream(["c", "b"])
    run(StreamPump(wire(table), function))
    assert function.calls == [["a", "b", "c"], ["b", "c"]]


def test_an_exception_brings_the_batch_again_for_ever(table):
    """A bus that is down for an hour loses no event."""
    write("a")
    function = OnStream(*[OSError("down")] * 12)
    run(StreamPump(wire(table), function))
    assert function.calls == [["a"]] * 13


def test_an_unknown_identifier_fails_the_whole_batch(table):
    """Lambda takes a name that it did not send for a mistake, and retries all."""
    write("a", "b")
    answers = [{"batchItemFailures": [{"itemIdentifier": ""}]}, None]
    calls = []

    def function(event):
        calls.append(len(event["Records"]))
        return answers.pop(0)

    run(StreamPump(wire(table), function))
    assert calls == [2, 2]


def test_a_batch_that_fails_is_halved_where_the_mapping_says_so(table):
    """One poison record among many is found without holding up those before it."""
    write("a", "b", "c", "d")
    function = OnStream(OSError(), OSError(), None)
    run(StreamPump(wire(table, bisects=True), function))
    assert function.calls == [["a", "b", "c", "d"], ["a", "b"], ["a"], ["b", "c", "d"]]


def test_a_mapping_that_gives_up_tells_its_dead_letters(table, queue, received):
    """Nothing is dropped in silence."""
    dead = queue("dead")
    write("a", "b")
    function = OnStream(OSError(), OSError())
    run(StreamPump(wire(table, batch=1, attempts=1, on_failure=dead), function))
    assert function.calls == [["a"], ["a"], ["b"]]
    (told,) = map(json.loads, received(dead))
    assert told["DDBStreamBatchInfo"]["batchSize"] == 1


def test_a_filter_keeps_out_what_it_does_not_name(table):
    """`publish` hears of inserts and changes only."""
    write("a")
    client("dynamodb").delete_item(TableName="things", Key={"pk": {"S": "a"}, "sk": {"S": "x"}})
    write("b")
    function = OnStream()
    run(StreamPump(wire(table, filters=({"eventName": ["INSERT", "MODIFY"]},)), function))
    assert function.calls == [["a", "b"]]


def test_records_look_as_lambda_writes_them(table):
    """Bytes are base64 and times are epoch seconds in the JSON that a function gets."""
    write("a")
    seen = []
    run(StreamPump(wire(table), lambda event: seen.extend(event["Records"])))
    (record,) = seen
    assert record["eventSourceARN"] == table
    assert record["dynamodb"]["NewImage"]["raw"] == {"B": "AP8="}
    assert isinstance(record["dynamodb"]["ApproximateCreationDateTime"], float)


def send(arn, *bodies):
    """Send one message for each body."""
    for body in bodies:
        client("sqs").send_message(QueueUrl=queue_url(Arn.read(arn)), MessageBody=body)


def test_messages_that_went_well_are_gone(queue, received):
    """A message is deleted only after its function took it."""
    source = queue("q", VisibilityTimeout="0")
    send(source, "a", "b")
    function = OnQueue()
    run(QueuePump(wire(source), function))
    assert function.calls == [["a", "b"]]
    assert received(source) == []


def test_only_messages_that_failed_come_again(queue):
    """One bad message must not repeat the mails of nine good ones."""
    source = queue("q")
    send(source, "a", "b", "c")
    function = OnQueue(["b"])
    run(QueuePump(wire(source), function, longest_pause=0))
    assert function.calls == [["a", "b", "c"], ["b"]]


@pytest.mark.parametrize("plan", [OSError("down"), ["a"]], ids=["raises", "reports"])
def test_a_message_that_fails_too_often_is_put_with_the_dead_letters(queue, received, plan):
    """A poison message harms only itself, and is not lost."""
    dead = queue("dead")
    redrive = json.dumps({"deadLetterTargetArn": dead, "maxReceiveCount": 3})
    source = queue("q", RedrivePolicy=redrive)
    send(source, "a")
    function = OnQueue(*[plan] * 5)
    run(QueuePump(wire(source), function, longest_pause=0))
    assert function.calls == [["a"]] * 3
    assert received(dead) == ["a"]


def test_a_function_that_may_not_report_is_taken_at_its_word(queue, received):
    """Without ReportBatchItemFailures in the template Lambda does not read the answer, nor does the pump."""
    source = queue("q")
    send(source, "a")
    function = OnQueue(["a"])
    run(QueuePump(wire(source, reports_failures=False), function, longest_pause=0))
    assert function.calls == [["a"]]
    assert received(source) == []
