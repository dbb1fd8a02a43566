"""An auditor's command: what somebody changed in the table, or in a file, is named."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gonogo.aws.anchors import versions
from gonogo.core import event as events
from gonogo.core.event import Event
from local.aws import client
from tests.cli.shell import Gateway, Shell
from tests.cli.test_commands import submitted
from tests.functions.world import World
from tests.functions.world import world as functions_world


def approved(world: World, shell: Shell) -> str:
    """Return the id of a launch that runs."""
    launch_id: str = submitted(shell)["id"]
    world.settle()
    shell("decide", launch_id, "--gate", "lead", "--approve", who="lead", typed="GO\n")
    world.settle()
    return launch_id


def row(world: World, launch_id: str) -> dict[str, Any]:
    """Return the launch as it is stored."""
    key = {"pk": {"S": f"launch#{launch_id}"}, "sk": {"S": "launch"}}
    found: dict[str, Any] = client("dynamodb").get_item(TableName=world.gonogo.settings.table, Key=key)[
        "Item"
    ]
    return found


def test_what_was_changed_in_the_table_is_named(world: World, shell: Shell):
    """Somebody who may write the table, and makes another the approver, is found out."""
    launch_id = approved(world, shell)
    assert "as they were written" in shell("audit", "verify", launch_id).stdout
    item = row(world, launch_id)
    history = json.loads(item["history"]["S"])
    decided = next(one for one in history if one["type"] == "gate.decided")
    decided["data"]["actor"]["subject"] = "somebody-else"
    item["history"] = {"S": json.dumps(history)}
    client("dynamodb").put_item(TableName=world.gonogo.settings.table, Item=item)
    found = shell("audit", "verify", launch_id)
    assert found.exit_code == 1
    assert f"{launch_id}, event {decided['seq']}: is not the one that the next was written after" in " ".join(
        found.stdout.split()
    )


def test_what_was_changed_at_the_end_is_named(world: World, shell: Shell):
    """Nothing follows the last event; the launch itself keeps its hash."""
    launch_id = approved(world, shell)
    item = row(world, launch_id)
    history = json.loads(item["history"]["S"])
    history[-1]["data"]["resources"] = ["i-0123456789abcdef0"]
    item["history"] = {"S": json.dumps(history)}
    client("dynamodb").put_item(TableName=world.gonogo.settings.table, Item=item)
    assert "is not the one whose hash was kept" in " ".join(
        shell("audit", "verify", launch_id).stdout.split()
    )


def test_files_of_a_bus_are_verified(world: World, shell: Shell, tmp_path: Path):
    """What a rule wrote to a bucket can be verified without the deployment, and held against it."""
    launch_id = approved(world, shell)
    lines = [json.dumps({"source": "gonogo", "detail": one}) for one in world.events()]
    export = tmp_path / "events.jsonl"
    export.write_text("\n".join(lines))
    assert shell("audit", "verify", "--file", str(export)).exit_code == 0
    assert shell("audit", "verify", launch_id, "--kept", str(export)).exit_code == 0
    export.write_text("\n".join(lines).replace("a page for the fair", "a page for the fare"))
    found = shell("audit", "verify", "--file", str(export))
    assert (found.exit_code, "NOT as they were written" in found.stdout) == (1, True)


def test_either_a_launch_or_files(shell: Shell, tmp_path: Path):
    """Nothing, or both, or what is no JSON, is a mistake of whoever typed it, and is said."""
    torn = tmp_path / "torn.json"
    torn.write_text('[{"subject"')
    for words in ((), ("l-1", "--file", str(torn)), ("--file", str(torn)), ("--file", "/nowhere")):
        assert shell("audit", "verify", *words).exit_code == 2


@pytest.fixture(name="anchoring")
def anchoring_world() -> Iterator[World]:
    """Give a world where anchors are on."""
    with functions_world(Anchors="on") as made:
        yield made


@pytest.fixture(name="auditor")
def auditors_shell(anchoring: World) -> Shell:
    """Give a shell in that world."""
    return Shell(Gateway(anchoring))


def place(world: World) -> str:
    """Return where what is anchored is."""
    return f"s3://{world.stack.look('AnchorBucket', None)}/anchors/"


def written_anew(world: World, launch_id: str, change: Callable[[list[Any]], list[Any]]) -> None:
    """Change a launch's history in the table, and all hashes with it: what whoever may write the table can do."""
    put(world, chained_anew(row(world, launch_id), launch_id, change))


def chained_anew(
    item: dict[str, Any], launch_id: str, change: Callable[[list[Any]], list[Any]]
) -> dict[str, Any]:
    """Return a stored launch with another history, each hash of it right."""
    prev: str | None = None
    history = []
    for number, one in enumerate(change(json.loads(item["history"]["S"])), 1):
        chained = {**one, "seq": number, **({"prev": prev} if prev else {})}
        prev = events.hash_of(launch_id, msgspec.convert(chained, Event))
        history.append(chained)
    return item | {
        "history": {"S": json.dumps(history)},
        "head": {"S": str(prev)},
        "seq": {"N": str(len(history))},
    }


def put(world: World, item: dict[str, Any]) -> None:
    """Write an item to the table, past gonogo."""
    client("dynamodb").put_item(TableName=world.gonogo.settings.table, Item=item)


def said(result: Any) -> str:
    """Return what was said in one line."""
    return " ".join(result.stdout.split())


def test_a_launch_is_held_against_the_bucket(anchoring: World, auditor: Shell, tmp_path: Path) -> None:
    """An auditor reads the bucket itself, or a copy of it, and hears how far it reaches."""
    launch_id = approved(anchoring, auditor)
    found = auditor("audit", "verify", launch_id, "--anchors", place(anchoring))
    assert (found.exit_code, "are covered by" in said(found)) == (0, True)
    for key, lines in versions(anchoring.stack.look("AnchorBucket", None), "", "us-east-1"):
        (tmp_path / key).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / key).write_bytes(lines)
    told = json.loads(auditor("audit", "verify", launch_id, "--anchors", str(tmp_path), "--json").stdout)
    assert (told["anchored"]["uncovered"], told["bad"], told["broken_anchors"]) == (0, [], [])
    assert told["anchored"]["anchors"] == told["anchored"]["covered"] == told["events"]
    path = next(one for one in tmp_path.rglob("*.jsonl"))
    path.write_bytes(path.read_bytes().replace(b'"seq":', b'"seq":1'))
    found = auditor("audit", "verify", launch_id, "--anchors", str(tmp_path))
    assert found.exit_code == 1
    assert "does not hold what it is named after" in said(found)


def test_a_history_written_anew_in_the_table_is_found_by_anchors_only(
    anchoring: World, auditor: Shell
) -> None:
    """Somebody who may write the table makes another the approver, and every hash right: the chain holds."""
    launch_id = approved(anchoring, auditor)

    def another_approver(history: list[Any]) -> list[Any]:
        decided = next(one for one in history if one["type"] == "gate.decided")
        decided["data"]["actor"]["subject"] = "somebody-else"
        return history

    seq = next(
        one["seq"]
        for one in json.loads(row(anchoring, launch_id)["history"]["S"])
        if one["type"] == "gate.decided"
    )
    written_anew(anchoring, launch_id, another_approver)
    assert auditor("audit", "verify", launch_id).exit_code == 0
    found = auditor("audit", "verify", launch_id, "--anchors", place(anchoring))
    assert found.exit_code == 1
    assert f"{launch_id}, event {seq}: is not the one that was anchored" in said(found)
    anchoring.settle()
    again = auditor("audit", "verify", launch_id, "--anchors", place(anchoring))
    assert again.exit_code == 1, "what was changed is anchored as well, if at all, and takes nothing back"


def test_a_history_cut_off_in_the_table_is_found_by_anchors_only(anchoring: World, auditor: Shell) -> None:
    """Somebody takes back that it was ended, and every hash is right: nothing follows that could miss it."""
    launch_id = approved(anchoring, auditor)
    written_anew(anchoring, launch_id, lambda history: history[:-2])
    assert auditor("audit", "verify", launch_id).exit_code == 0
    found = auditor("audit", "verify", launch_id, "--anchors", place(anchoring))
    assert (found.exit_code, "is anchored, and is missing" in said(found)) == (1, True)


def test_an_item_deleted_and_written_anew_is_found(anchoring: World, auditor: Shell) -> None:
    """A deleted item that comes back is told from its first event on, so both histories are anchored."""
    launch_id = approved(anchoring, auditor)
    item = row(anchoring, launch_id)
    key = {name: item[name] for name in ("pk", "sk")}
    client("dynamodb").delete_item(TableName=anchoring.gonogo.settings.table, Key=key)
    anchoring.settle()
    put(
        anchoring,
        chained_anew(
            item, launch_id, lambda history: [{**one, "at": "2026-11-22T00:00:00Z"} for one in history]
        ),
    )
    anchoring.settle()
    found = auditor("audit", "verify", launch_id, "--anchors", place(anchoring))
    assert (found.exit_code, "event 1: was anchored twice, and not the same" in said(found)) == (1, True)


def test_an_export_is_held_for_the_time_it_is_of(anchoring: World, auditor: Shell, tmp_path: Path) -> None:
    """A file of last month is whole without this month's events, and only for last month."""
    approved(anchoring, auditor)
    export = tmp_path / "events.jsonl"
    export.write_text("\n".join(json.dumps(one) for one in anchoring.events()))
    anchoring.clock.go(hours=2)
    approved(anchoring, auditor)
    verify = ("audit", "verify", "--file", str(export), "--anchors", place(anchoring))
    assert auditor(*verify).exit_code == 1
    assert auditor(*verify, "--until", "2026-11-23T10:00Z").exit_code == 0


def test_what_cannot_be_read_is_a_mistake_of_who_typed_it(
    anchoring: World, auditor: Shell, tmp_path: Path
) -> None:
    """An empty folder, or a bucket that is not there, must not pass for anchors that hold."""
    launch_id = approved(anchoring, auditor)
    for words in (
        ("--anchors", str(tmp_path)),
        ("--anchors", "s3://nowhere-at-all/anchors/"),
        ("--since", "2026-11-01T00:00Z"),
        ("--anchors", place(anchoring), "--since", "2026-11-01T00:00Z"),
    ):
        assert auditor("audit", "verify", launch_id, *words).exit_code == 2
