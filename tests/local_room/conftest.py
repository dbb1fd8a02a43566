"""moto as local/ uses it, fresh for each test."""

import pytest

from local.aws import PRETENDED


@pytest.fixture
def moto(monkeypatch):
    """Start moto with its patches; everything in it is gone after the test."""
    for name, value in PRETENDED.items():
        monkeypatch.setenv(name, value)
    from moto import mock_aws

    from local import moto_faithful

    moto_faithful.install()
    with mock_aws():
        yield
    moto_faithful.hooks.clear()


@pytest.fixture
def table(moto):
    """A small table like gonogo's own: two keys, one index, a stream."""
    from local.aws import client

    made = client("dynamodb").create_table(
        TableName="things",
        KeySchema=[
            {"AttributeName": "pk", "KeyType": "HASH"},
            {"AttributeName": "sk", "KeyType": "RANGE"},
        ],
        AttributeDefinitions=[
            {"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk", "feed", "at")
        ],
        GlobalSecondaryIndexes=[
            {
                "IndexName": "feed",
                "KeySchema": [
                    {"AttributeName": "feed", "KeyType": "HASH"},
                    {"AttributeName": "at", "KeyType": "RANGE"},
                ],
                "Projection": {"ProjectionType": "ALL"},
            }
        ],
        BillingMode="PAY_PER_REQUEST",
        StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
    )["TableDescription"]
    return made["LatestStreamArn"]


@pytest.fixture
def queue(moto):
    """A maker of queues, which returns the ARN of each."""
    from local.aws import client

    def make(name, **attributes):
        sqs = client("sqs")
        url = sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
        answer = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
        return answer["Attributes"]["QueueArn"]

    return make


@pytest.fixture
def received(moto):
    """What waits in a queue now: the bodies of its messages, oldest first."""
    from local.aws import Arn, client, queue_url

    def receive(arn):
        url = queue_url(Arn.read(arn))
        answer = client("sqs").receive_message(
            QueueUrl=url, MaxNumberOfMessages=10, MessageAttributeNames=["All"]
        )
        return [message["Body"] for message in answer.get("Messages", [])]

    return receive
