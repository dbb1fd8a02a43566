"""What left the table is put where nobody can change it: one file a batch, the same file again on redelivery."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any
from unittest import mock

import pytest
from botocore.client import BaseClient
from botocore.exceptions import ClientError

from functions import anchor as room
from gonogo.aws import anchors as adapter
from gonogo.core import anchors
from gonogo.core.anchors import Anchor
from gonogo.core.errors import LaterError, RefusedError
from local.aws import REGION, client
from tests.functions.world import World, world


@pytest.fixture(name="world")
def anchoring() -> Iterator[World]:
    """Give a world where anchors are on."""
    with world(Anchors="on") as made:
        yield made


def bucket(world: World) -> str:
    """Return the bucket's name."""
    name: str = world.stack.look("AnchorBucket", None)
    return name


def kept(world: World) -> list[tuple[str, list[Anchor]]]:
    """Return each version of each file, with its anchors."""
    return [
        (key, anchors.read(key, lines)) for key, lines in adapter.versions(bucket(world), "anchors/", REGION)
    ]


def messages(events: list[Any]) -> dict[str, Any]:
    """Return events as Lambda hands them over from the queue."""
    return {
        "Records": [
            {"messageId": str(number), "body": json.dumps({"source": "gonogo", "detail": one})}
            for number, one in enumerate(events)
        ]
    }


def failed(answer: dict[str, Any]) -> list[str]:
    """Return which messages must come again."""
    return [one["itemIdentifier"] for one in answer["batchItemFailures"]]


def test_every_event_is_anchored(world: World) -> None:
    """An event that is not anchored is one that whoever writes the table may change unseen."""
    launch = world.ask()
    world.settle()
    world.decide(launch, "lead", "lead")
    world.settle()
    told = world.events()
    assert {(one["subject"], one["seq"], one["hash"]) for one in told} == {
        (one.subject, one.seq, one.hash) for _, found in kept(world) for one in found
    }
    assert len({one["subject"] for one in told}) > 2, "launches, instances and notices alike"


def test_what_is_anchored_is_kept_for_its_time(world: World) -> None:
    """Only a version that S3 itself holds is out of the reach of whoever writes the table."""
    world.ask()
    world.settle()
    s3 = client("s3")
    versions = s3.list_object_versions(Bucket=bucket(world))["Versions"]
    assert versions
    for one in versions:
        where = {"Bucket": bucket(world), "Key": one["Key"], "VersionId": one["VersionId"]}
        found = s3.head_object(**where)
        assert found["ObjectLockMode"] == "GOVERNANCE"
        assert found["ObjectLockRetainUntilDate"] > datetime.now(UTC) + timedelta(days=399)
        with pytest.raises(ClientError, match="AccessDenied"):
            s3.delete_object(**where)


def test_for_how_long_is_the_deployers_choice() -> None:
    """COMPLIANCE binds even the account's owner, so nobody gets it without asking for it."""
    with world(Anchors="on", AnchorMode="COMPLIANCE", AnchorDays="7") as made:
        made.ask()
        made.settle()
        s3 = client("s3")
        for one in s3.list_object_versions(Bucket=bucket(made))["Versions"]:
            where = {"Bucket": bucket(made), "Key": one["Key"], "VersionId": one["VersionId"]}
            assert s3.head_object(**where)["ObjectLockMode"] == "COMPLIANCE"
            with pytest.raises(ClientError, match="AccessDenied"):
                s3.delete_object(**where, BypassGovernanceRetention=True)


def test_a_batch_that_comes_again_is_the_same_file(world: World) -> None:
    """SQS delivers at least once; a second file, or another in the place of the first, would say nothing new."""
    world.ask()
    world.settle()
    events = world.events()[1:]
    before = {key for key, _ in kept(world)}
    assert failed(room.handle(messages(events))) == []
    assert failed(room.handle(messages([*reversed(events), events[0]]))) == []
    (name,) = {key for key, _ in kept(world)} - before
    one, other = (found for key, found in kept(world) if key == name)
    assert one == other
    assert {(it.subject, it.seq) for it in one} == {(it["subject"], it["seq"]) for it in events}


POISON = (
    "no JSON",
    "[]",
    "{}",
    json.dumps({"detail": {"subject": "l-1"}}),
    json.dumps(
        {"detail": {"subject": "l-1", "seq": 1, "type": "x", "time": "2026-11-27T00:00:00Z", "data": {}}}
    ),
)


def test_poison_goes_alone(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is no event of ours must neither be anchored nor keep others from it, wherever it stands in a batch."""
    world.ask()
    world.settle()
    two = world.events()[:2]
    put: list[bytes] = []
    monkeypatch.setattr(world.gonogo.anchors, "put", lambda _name, lines: put.append(lines))
    for body in POISON:
        for place in range(3):
            batch = messages(two)
            batch["Records"].insert(place, {"messageId": "poison", "body": body})
            assert failed(room.handle(batch)) == ["poison"], (body, place)
    assert len(put) == 3 * len(POISON)
    assert set(put) == {anchors.written([anchors.of(one) for one in two])[1]}


@pytest.mark.parametrize(
    "fault", [LaterError("out"), RefusedError("AccessDenied", "no"), ValueError("a bug")]
)
def test_what_could_not_be_kept_comes_again(
    world: World, monkeypatch: pytest.MonkeyPatch, fault: Exception
) -> None:
    """An outage of S3, or a bucket policy that is wrong for an hour, must lose no anchor, nor take poison for read."""
    world.ask()
    world.settle()
    events = [*world.events(), {}]

    def put(_name: str, _lines: bytes) -> None:
        raise fault

    monkeypatch.setattr(world.gonogo.anchors, "put", put)
    assert sorted(failed(world.invoke("anchor", messages(events)))) == sorted(
        str(n) for n in range(len(events))
    )


def test_nothing_is_written_for_nothing(world: World) -> None:
    """A batch of nothing but poison must not leave an empty file for years."""
    assert failed(room.handle({"Records": [{"messageId": "1", "body": "{}"}]})) == ["1"]
    assert kept(world) == []


def test_what_was_hidden_or_overwritten_is_read_all_the_same(world: World) -> None:
    """A delete marker hides a file from a plain list, and a new version hides an old one; the lock keeps both."""
    world.ask()
    world.settle()
    before = kept(world)
    s3 = client("s3")
    for key, _ in before:
        s3.put_object(Bucket=bucket(world), Key=key, Body=b"{}", ChecksumAlgorithm="SHA256")
        s3.delete_object(Bucket=bucket(world), Key=key)
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket(world))
    read = [*adapter.versions(bucket(world), "anchors/", REGION)]
    assert {(key, anchors.read(key, lines)[0]) for key, lines in read if lines != b"{}"} == {
        (key, found[0]) for key, found in before
    }
    assert sum(lines == b"{}" for _, lines in read) == len(before)


def test_a_list_of_many_files_is_read_to_its_end(world: World) -> None:
    """S3 names a thousand at a time: the files of a busy year are more, and an event that is in none looks forged."""
    s3, lines = client("s3"), [b"1", b"2", b"3"]
    for key in ("anchors/a", "anchors/b", "others/c"):
        for line in lines:
            s3.put_object(Bucket=bucket(world), Key=key, Body=line, ChecksumAlgorithm="SHA256")
    ask = BaseClient._make_api_call  # type: ignore[attr-defined]

    def cut(self: Any, operation: str, arguments: dict[str, Any]) -> Any:
        more = {"MaxKeys": 2} if operation == "ListObjectVersions" else {}
        return ask(self, operation, {**arguments, **more})

    with mock.patch.object(BaseClient, "_make_api_call", cut):
        read = [*islice(adapter.versions(bucket(world), "anchors/", REGION), 20)]
    assert sorted(read) == [(key, line) for key in ("anchors/a", "anchors/b") for line in lines]


def test_nothing_is_anchored_unless_it_is_wanted() -> None:
    """Off is the default: no queue that is polled, no bucket that cannot be deleted."""
    with world() as made:
        made.ask()
        made.settle()
        assert client("s3").list_buckets()["Buckets"] == []
        assert not [name for name in made.stack.functions() if name.startswith("Anchor")]
