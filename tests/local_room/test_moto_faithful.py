"""moto does as AWS does in what gonogo relies on."""

import json
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from botocore.exceptions import ClientError

from local import moto_faithful
from local.aws import client
from local.pump import Outcome, StreamPump
from local.stack import Wire

KEY = {"pk": {"S": "a"}, "sk": {"S": "a"}}
WRITERS = 6
ROUNDS = 20
RESTLESS = 1e-4
"""Seconds between two switches of threads: so short, stock moto has two winners in every third round."""


@pytest.mark.parametrize("patch", moto_faithful.patches, ids=lambda patch: patch.where)
def test_moto_is_still_the_one_that_the_patch_was_written_for(patch):
    """A new moto may have mended or moved what is patched: read it again, then change the digest."""
    assert patch.digest() == patch.written_for


@pytest.fixture
def restless():
    """Threads take turns much more often than usual."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(RESTLESS)
    yield
    sys.setswitchinterval(before)


def test_of_two_conditional_writers_one_wins(table, restless):
    """The state of a launch is one conditional write; with two winners there would be two launches."""
    tables = client("dynamodb")
    lost = (
        tables.exceptions.ConditionalCheckFailedException
    )  # botocore makes it when first asked, not thread-safely
    for number in range(ROUNDS):
        key = {"pk": {"S": str(number)}, "sk": {"S": "a"}}
        tables.put_item(TableName="things", Item={**key, "version": {"N": "1"}})
        together = threading.Barrier(WRITERS)

        def write(_writer, key=key, together=together):
            together.wait()
            try:
                tables.update_item(
                    TableName="things",
                    Key=key,
                    UpdateExpression="SET version = :after",
                    ConditionExpression="version = :before",
                    ExpressionAttributeValues={":before": {"N": "1"}, ":after": {"N": "2"}},
                )
            except lost:
                return False
            return True

        with ThreadPoolExecutor(WRITERS) as pool:
            assert sum(pool.map(write, range(WRITERS))) == 1


def stream(table):
    """Return what the stream says happened: (name, old image, new image) each."""
    seen = []
    wire = Wire(
        function="F",
        source=table,
        batch=100,
        reports_failures=False,
        bisects=False,
        attempts=-1,
        filters=(),
        on_failure=None,
    )
    pump = StreamPump(wire, lambda event: seen.extend(event["Records"]))
    while pump.step() is Outcome.WORKED:
        pass
    return [
        (one["eventName"], one["dynamodb"].get("OldImage"), one["dynamodb"].get("NewImage")) for one in seen
    ]


def test_an_update_that_creates_is_one_insert(table):
    """`publish` would read the half-made item that stock moto shows first as poison."""
    client("dynamodb").update_item(
        TableName="things",
        Key=KEY,
        UpdateExpression="SET x = :x",
        ExpressionAttributeValues={":x": {"S": "1"}},
    )
    assert stream(table) == [("INSERT", None, {**KEY, "x": {"S": "1"}})]


def test_an_update_that_fails_creates_nothing(table):
    """An item that nobody wrote would be found by its key, and have no state."""
    with pytest.raises(ClientError):
        client("dynamodb").update_item(
            TableName="things",
            Key=KEY,
            UpdateExpression="SET y = x",
        )
    assert "Item" not in client("dynamodb").get_item(TableName="things", Key=KEY)
    assert stream(table) == []


def test_a_write_that_changes_nothing_is_not_in_the_stream(table):
    """AWS tells of no change where there is none, and `publish` may rely on it."""
    for _ in range(2):
        client("dynamodb").put_item(TableName="things", Item={**KEY, "x": {"S": "1"}})
    assert [name for name, _, _ in stream(table)] == ["INSERT"]


def test_a_query_sees_its_partition_in_order_and_an_index_all_of_it(table):
    """The shortcut that keeps queries fast must not change what they answer."""
    tables = client("dynamodb")
    for pk in ("a", "b"):
        for sk in ("3", "1", "2"):
            item = {"pk": {"S": pk}, "sk": {"S": sk}, "feed": {"S": "f"}, "at": {"S": sk + pk}}
            tables.put_item(TableName="things", Item=item)

    def query(condition, value, **more):
        answer = tables.query(
            TableName="things",
            KeyConditionExpression=condition,
            ExpressionAttributeValues={":v": {"S": value}},
            **more,
        )
        return [one["pk"]["S"] + one["sk"]["S"] for one in answer["Items"]], answer.get("LastEvaluatedKey")

    assert query("pk = :v", "a") == (["a1", "a2", "a3"], None)
    assert query("pk = :v", "b", ScanIndexForward=False) == (["b3", "b2", "b1"], None)
    assert query("pk = :v", "c") == ([], None)
    first, key = query("feed = :v", "f", IndexName="feed", Limit=4)
    rest, end = query("feed = :v", "f", IndexName="feed", ExclusiveStartKey=key)
    assert (first + rest, end) == (["a1", "b1", "a2", "b2", "a3", "b3"], None)
    assert len(tables.scan(TableName="things")["Items"]) == 6


IMAGE = "ami-0d27e0fb3bac4d724"


def run(token, kind="t3.micro"):
    """Launch one instance under a client token, and return its id."""
    answer = client("ec2").run_instances(
        ImageId=IMAGE, InstanceType=kind, MinCount=1, MaxCount=1, ClientToken=token
    )
    return answer["Instances"][0]["InstanceId"]


def test_a_client_token_launches_once(moto):
    """Exactly once rests on it: a launcher that crashed repeats its call and adopts what was made."""
    assert run("one") == run("one")
    assert run("one") != run("two")


def test_a_client_token_with_other_parameters_is_refused(moto):
    """AWS refuses it, so a plan that changed under its token must not pass here either."""
    run("one")
    with pytest.raises(ClientError, match="IdempotentParameterMismatch"):
        run("one", "t3.small")


def test_instances_are_found_by_their_client_token(moto):
    """That is how a launcher looks for what it may have made."""
    made = run("one")
    run("two")
    wanted = [{"Name": "client-token", "Values": ["one"]}]
    found = client("ec2").describe_instances(Filters=wanted)["Reservations"]
    assert [one["InstanceId"] for each in found for one in each["Instances"]] == [made]


def test_ec2_lives_by_the_clock_that_jumps(moto):
    """An instance launched after a jump would otherwise have run before its launch was cleared."""
    later = datetime(2031, 1, 1, tzinfo=UTC)
    moto_faithful.hooks.now = lambda: later
    run("one")
    (reservation,) = client("ec2").describe_instances()["Reservations"]
    assert reservation["Instances"][0]["LaunchTime"] == later


# stacks


TEMPLATE = 'Resources: {Queue: {Type: "AWS::SQS::Queue"}}'


def stack(token, template=TEMPLATE, name="web", **more):
    """Create a stack under a client token, and return its id."""
    answer = client("cloudformation").create_stack(
        StackName=name, TemplateBody=template, ClientRequestToken=token, **more
    )
    return answer["StackId"]


def test_a_stack_is_made_once_by_its_token(moto):
    """A launcher that crashed repeats its call; the token is in what the stack says of itself."""
    made = stack("one")
    assert stack("one") == made
    (shown,) = client("cloudformation").describe_stacks()["Stacks"]
    assert shown["StackId"] == made
    events = client("cloudformation").describe_stack_events(StackName=made)["StackEvents"]
    assert {event["ClientRequestToken"] for event in events} == {"one"}


@pytest.mark.parametrize(
    ("token", "more", "code"),
    [
        ("one", {"Tags": [{"Key": "a", "Value": "b"}]}, "TokenAlreadyExistsException"),
        ("two", {}, "AlreadyExistsException"),
    ],
)
def test_a_stack_is_refused_where_the_name_is_taken_by_another(moto, token, more, code):
    """AWS refuses it, so a plan that changed under its token must not pass here either."""
    stack("one")
    with pytest.raises(ClientError, match=f"\\({code}\\)"):
        stack(token, **more)


def test_a_name_is_free_when_its_stack_is_deleted(moto):
    """So what failed is put on record before it is deleted: the same call would make it anew."""
    made = stack("one")
    for _ in range(2):
        client("cloudformation").delete_stack(StackName=made)
    (gone,) = client("cloudformation").describe_stacks(StackName=made)["Stacks"]
    assert gone["StackStatus"] == "DELETE_COMPLETE"
    assert gone["DeletionTime"] >= gone["CreationTime"]
    assert stack("one") != made


def test_rights_are_made_only_with_a_capability(moto):
    """A capability that a plan leaves out is missed here as on AWS."""
    role = 'Resources: {R: {Type: "AWS::IAM::Role", Properties: {AssumeRolePolicyDocument: {}}}}'
    with pytest.raises(ClientError, match="InsufficientCapabilities"):
        stack("one", role)
    assert stack("one", role, Capabilities=["CAPABILITY_IAM"])


def test_a_stack_whose_resource_is_refused_rolls_back(moto):
    """Stock moto fails the call itself, and leaves half of the stack behind."""
    made = stack(
        "one",
        'Resources: {Queue: {Type: "AWS::SQS::Queue"}, Net: {Type: "AWS::EC2::Subnet", '
        "Properties: {VpcId: vpc-0123456789abcdef0, CidrBlock: 10.0.0.0/24}}}",
    )
    (shown,) = client("cloudformation").describe_stacks(StackName=made)["Stacks"]
    assert shown["StackStatus"] == "ROLLBACK_COMPLETE"
    events = client("cloudformation").describe_stack_events(StackName=made)["StackEvents"]
    assert [(one["LogicalResourceId"], one["ResourceStatus"]) for one in reversed(events)] == [
        ("web", "CREATE_IN_PROGRESS"),
        ("Net", "CREATE_FAILED"),
        ("web", "ROLLBACK_IN_PROGRESS"),
        ("web", "ROLLBACK_COMPLETE"),
    ]
    assert "vpc-0123456789abcdef0" in events[2]["ResourceStatusReason"]
    assert "QueueUrls" not in client("sqs").list_queues()


# executions


@pytest.fixture
def machine(moto):
    """A state machine with two versions."""
    states = client("stepfunctions")
    made = states.create_state_machine(
        name="nightly", definition="{}", roleArn="arn:aws:iam::123456789012:role/x", publish=True
    )
    states.update_state_machine(
        stateMachineArn=made["stateMachineArn"], definition='{"Comment": "two"}', publish=True
    )
    return made["stateMachineArn"]


def test_versions_are_listed_newest_first(machine):
    """That is how a plan comes to name one."""
    found = client("stepfunctions").list_state_machine_versions(stateMachineArn=machine)
    arns = [one["stateMachineVersionArn"] for one in found["stateMachineVersions"]]
    assert arns == [f"{machine}:2", f"{machine}:1"]


def test_an_execution_of_a_version_tells_it_and_its_name_is_taken(machine):
    """The same name and input gives it while it runs, and nothing else ever does."""
    states = client("stepfunctions")
    asked = {"stateMachineArn": f"{machine}:1", "name": "one", "input": "{}"}
    arn = states.start_execution(**asked)["executionArn"]
    assert arn == f"{machine.replace('stateMachine', 'execution')}:one"
    assert states.start_execution(**asked)["executionArn"] == arn
    assert states.describe_execution(executionArn=arn)["stateMachineVersionArn"] == f"{machine}:1"
    with pytest.raises(ClientError, match="ExecutionAlreadyExists"):
        states.start_execution(**{**asked, "input": "[]"})
    states.stop_execution(executionArn=arn)
    with pytest.raises(ClientError, match="ExecutionAlreadyExists"):
        states.start_execution(**asked)


def test_stacks_and_executions_live_by_the_clock_that_jumps(machine):
    """What they cost is reckoned from when they began."""
    later = datetime(2031, 1, 1, tzinfo=UTC)
    moto_faithful.hooks.now = lambda: later
    states = client("stepfunctions")
    arn = states.start_execution(stateMachineArn=machine)["executionArn"]
    assert states.describe_execution(executionArn=arn)["startDate"] == later
    (shown,) = client("cloudformation").describe_stacks(StackName=stack("one"))["Stacks"]
    assert shown["CreationTime"] == later


def seen(instance):
    """Return how DescribeInstances shows an instance: its state, last start, and when it was stopped or ended."""
    (reservation,) = client("ec2").describe_instances(InstanceIds=[instance])["Reservations"]
    (one,) = reservation["Instances"]
    return one["State"]["Name"], one["LaunchTime"], one["StateTransitionReason"]


def test_an_instance_tells_when_it_was_last_started_stopped_and_ended(moto):
    """What was missed of it is billed by these times; stock moto keeps the first start, and stamps anew each time."""
    ec2, now = client("ec2"), datetime(2026, 1, 1, tzinfo=UTC)
    moto_faithful.hooks.now = lambda: now
    made, shown = run("one"), []
    for change in (ec2.stop_instances, ec2.start_instances, ec2.stop_instances, ec2.terminate_instances):
        now += timedelta(hours=1)
        change(InstanceIds=[made])
        shown.append(seen(made))
        now += timedelta(minutes=1)
        change(InstanceIds=[made])
        assert seen(made) == shown[-1]
    began, started = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, 2, 1, tzinfo=UTC)
    assert shown == [
        ("stopped", began, "User initiated (2026-01-01 01:00:00 GMT)"),
        ("running", started, ""),
        ("stopped", started, "User initiated (2026-01-01 03:02:00 GMT)"),
        ("terminated", started, "User initiated (2026-01-01 04:03:00 GMT)"),
    ]


def test_what_is_terminated_is_neither_started_nor_stopped(moto):
    """Stock moto revives it; on AWS the whole call fails, and the others stay as they are."""
    ec2, ended, other = client("ec2"), run("one"), run("two")
    ec2.terminate_instances(InstanceIds=[ended])
    for change in (ec2.start_instances, ec2.stop_instances):
        with pytest.raises(ClientError, match="IncorrectInstanceState"):
            change(InstanceIds=[other, ended])
    assert (seen(ended)[0], seen(other)[0]) == ("terminated", "running")


# the bus


@pytest.fixture
def rule(moto):
    """A maker of rules on a bus of its own, each with one target."""
    events = client("events")
    events.create_event_bus(Name="bus")

    def make(target, pattern='{"source":["gonogo"]}', name="rule", state="ENABLED", **more):
        events.put_rule(EventBusName="bus", Name=name, EventPattern=pattern, State=state)
        events.put_targets(EventBusName="bus", Rule=name, Targets=[{"Id": "t", "Arn": target, **more}])

    return make


def put(detail, source="gonogo"):
    """Put one event on the bus, and return whether the bus took it."""
    entry = {
        "EventBusName": "bus",
        "Source": source,
        "DetailType": "launch.cleared",
        "Detail": json.dumps(detail),
        "Time": datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
    }
    return client("events").put_events(Entries=[entry])["FailedEntryCount"] == 0


def test_an_event_arrives_as_it_was_put(rule, queue, received):
    """Stock moto substitutes <id> within the text of an event, and leaves out the account."""
    target = queue("q")
    rule(target)
    assert put({"reason": 'say "<id>" and <source>', "n": 1.5})
    (body,) = map(json.loads, received(target))
    assert body.pop("id")
    assert body == {
        "version": "0",
        "detail-type": "launch.cleared",
        "source": "gonogo",
        "account": "123456789012",
        "time": "2026-01-02T03:04:05Z",
        "region": "us-east-1",
        "resources": [],
        "detail": {"reason": 'say "<id>" and <source>', "n": 1.5},
    }


def test_only_enabled_rules_that_match_fire(rule, queue, received):
    """A rule that its owner switched off must stay silent, and so must one for other events."""
    off, other, on = queue("off"), queue("other"), queue("on")
    rule(off, name="off", state="DISABLED")
    rule(other, name="other", pattern='{"detail":{"cost":[{"numeric":[">",100]}]}}')
    rule(on, name="on", pattern='{"detail":{"cost":[{"numeric":["<=",100]}]}}')
    assert put({"cost": 100})
    assert [len(received(one)) for one in (off, other, on)] == [0, 0, 1]


def test_a_rule_that_fires_by_the_clock_hears_no_events(queue, received):
    """Stock moto gives it every event of its bus."""
    target = queue("q")
    events = client("events")
    events.put_rule(Name="clock", ScheduleExpression="rate(1 minute)")
    events.put_targets(Rule="clock", Targets=[{"Id": "t", "Arn": target}])
    events.put_events(Entries=[{"Source": "x", "DetailType": "x", "Detail": "{}"}])
    assert received(target) == []


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({"Input": '{"fixed":true}'}, {"fixed": True}),
        ({"InputPath": "$.detail.data"}, {"id": "l-1", "cost": "12.5", "gates": ["lead"]}),
        ({"InputPath": "$.detail.data.gates[0]"}, "lead"),
        ({"InputPath": "$.detail.nothing"}, None),
        (
            {
                "InputTransformer": {
                    "InputPathsMap": {"id": "$.detail.data.id", "data": "$.detail.data"},
                    "InputTemplate": '{"text":"<id> of <aws.events.rule-name>","all":<data>,"id":<id>}',
                }
            },
            {
                "text": "l-1 of rule",
                "all": {"id": "l-1", "cost": "12.5", "gates": ["lead"]},
                "id": "l-1",
            },
        ),
    ],
    ids=["input", "path", "path-index", "path-absent", "transformer"],
)
def test_a_target_gets_the_input_that_it_asked_for(rule, queue, received, more, expected):
    """A subscriber that transforms its input on AWS can try it here."""
    target = queue("q")
    rule(target, **more)
    assert put({"data": {"id": "l-1", "cost": "12.5", "gates": ["lead"]}})
    assert [json.loads(body) for body in received(target)] == [expected]


def test_a_topic_hands_on_what_the_bus_gives_it(rule, queue, received):
    """Stock moto fails the whole PutEvents for a target that is a topic."""
    topic = client("sns").create_topic(Name="topic")["TopicArn"]
    inbox = queue("inbox")
    client("sns").subscribe(TopicArn=topic, Protocol="sqs", Endpoint=inbox)
    rule(topic)
    assert put({"n": 1})
    (body,) = map(json.loads, received(inbox))
    assert json.loads(body["Message"])["detail"] == {"n": 1}


@pytest.mark.parametrize(
    "target",
    [
        "arn:aws:sqs:us-east-1:123456789012:missing",
        "arn:aws:sns:us-east-1:123456789012:missing",
        "arn:aws:lambda:us-east-1:123456789012:function:f",
        "arn:aws:firehose:us-east-1:123456789012:deliverystream/d",
    ],
)
def test_a_target_that_fails_harms_nobody_else(rule, queue, received, target):
    """The bus takes the event, the other subscribers get it, and the dead letters of the target keep it."""
    dead, other = queue("dead"), queue("other")
    rule(target, name="broken", DeadLetterConfig={"Arn": dead})
    rule(other, name="whole")
    assert put({"n": 1})
    assert [json.loads(body)["detail"] for body in received(dead)] == [{"n": 1}]
    assert len(received(other)) == 1


def test_an_event_goes_on_to_another_bus(rule, queue, received):
    """A central bus for all accounts is what many companies have."""
    other = client("events").create_event_bus(Name="central")["EventBusArn"]
    target = queue("q")
    client("events").put_rule(EventBusName="central", Name="all", EventPattern='{"source":["gonogo"]}')
    client("events").put_targets(EventBusName="central", Rule="all", Targets=[{"Id": "t", "Arn": target}])
    rule(other)
    assert put({"n": 1})
    assert [json.loads(body)["detail"] for body in received(target)] == [{"n": 1}]


def test_a_pattern_that_aws_refuses_is_refused_when_the_rule_is_put(rule, queue):
    """Its author hears of the mistake, instead of waiting for events that never come."""
    with pytest.raises(ClientError, match="InvalidEventPattern"):
        rule(queue("q"), pattern='{"detail-type":[{"starts-with":"launch."}]}')


@pytest.mark.parametrize(("source", "expected"), [("gonogo", True), ("other", False)])
def test_a_pattern_can_be_tried(moto, source, expected):
    """TestEventPattern is how AWS users try a pattern; stock moto breaks on it."""
    event = {
        "id": "1",
        "source": source,
        "detail-type": "x",
        "account": "1",
        "time": "2026-01-01T00:00:00Z",
        "region": "us-east-1",
        "resources": [],
        "detail": {},
    }
    answer = client("events").test_event_pattern(
        EventPattern='{"source":["gonogo"]}', Event=json.dumps(event)
    )
    assert answer["Result"] is expected
