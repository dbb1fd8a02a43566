"""An auditor's command: what somebody changed in the table, or in a file, is named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from local.aws import client
from tests.cli.shell import Shell
from tests.cli.test_commands import submitted
from tests.functions.world import World


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
    assert shell("audit", "verify", launch_id, "--anchor", str(export)).exit_code == 0
    export.write_text("\n".join(lines).replace("a page for the fair", "a page for the fare"))
    found = shell("audit", "verify", "--file", str(export))
    assert (found.exit_code, "NOT as they were written" in found.stdout) == (1, True)


def test_either_a_launch_or_files(shell: Shell, tmp_path: Path):
    """Nothing, or both, or what is no JSON, is a mistake of whoever typed it, and is said."""
    torn = tmp_path / "torn.json"
    torn.write_text('[{"subject"')
    for words in ((), ("l-1", "--file", str(torn)), ("--file", str(torn)), ("--file", "/nowhere")):
        assert shell("audit", "verify", *words).exit_code == 2
