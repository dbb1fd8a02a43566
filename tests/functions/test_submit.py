"""Asking for a launch: what it becomes, once, and by whose authority."""

from __future__ import annotations

import json
from typing import Any

import pytest

from local.aws import client
from tests.functions.policy import ANOTHER_DEVELOPER, person, policy
from tests.functions.world import ISSUER, World

PATH = "/v1/launches"
GOOD = {"template": "web-small", "reason": "a page for the fair", "cost_center": "marketing"}
DEV = {"issuer": ISSUER, "subject": "dev"}


def test_a_dry_run_stores_nothing_and_says_what_submit_then_does(world: World) -> None:
    """Who looks before asking must see the very question that would be put."""
    body = {**GOOD, "template": "gpu-large", "name": "train", "lease": "2d", "parameters": {"count": 2}}
    before = world.rows()
    dry = world.call("POST", PATH + "?dry_run=true", body, who="dev")
    assert (dry.code, world.rows()) == (200, before)
    assert "location" not in dry.headers
    assert dry.json["outcome"] == "gates"
    launch = world.call("POST", PATH, body, who="dev").json
    for name in ("digest", "plan", "price", "lease", "bundle"):
        assert dry.json[name] == launch[name]
    assert [gate["name"] for gate in dry.json["gates"]] == [gate["name"] for gate in launch["gates"]]
    assert launch["plan"]["spec"]["image_id"].startswith("ami-")
    assert launch["price"] == {
        "currency": "USD",
        "version": "2026-11-01",
        "hourly": "43.915284",
        "monthly": "32058.16",
        "worst_case": "2107.94",
    }


def test_the_answer_says_where_it_is(world: World) -> None:
    """201 comes with Location, relative to what was posted to, and with the version as ETag."""
    answer = world.call("POST", PATH, GOOD, who="dev")
    assert answer.code == 201
    assert answer.headers["location"] == f"launches/{answer.json['id']}"
    assert answer.headers["etag"] == f'"{answer.json["version"]}"'
    read = world.call("GET", f"{PATH}/{answer.json['id']}", who="lead")
    assert (read.json, read.headers["etag"]) == (answer.json, answer.headers["etag"])


def test_what_is_known_already_is_not_sent_again(world: World) -> None:
    """RFC 9110, 13.1.2: whatever the version that somebody has is called, weak or one of several, and no other."""
    launch = world.ask()
    known = {
        '"1"': 304,
        'W/"1"': 304,
        '"0", W/"1"': 304,
        "*": 304,
        '"0"': 200,
        "1": 200,
        '"2", "3"': 200,
        "": 200,
    }
    for said, code in known.items():
        answer = world.call("GET", f"{PATH}/{launch['id']}", who="lead", headers={"if-none-match": said})
        assert (answer.code, answer.headers["etag"]) == (code, '"1"'), said
        assert answer.headers["cache-control"] == "no-store"
        assert (answer.text == "") == (code == 304)


def test_a_key_makes_one_launch(world: World) -> None:
    """Who lost the answer asks again, and gets that launch, not another."""
    key = {"idempotency-key": "fair-1"}
    first = world.call("POST", PATH, GOOD, who="dev", headers=key)
    rows = world.rows()
    second = world.call("POST", PATH, GOOD, who="dev", headers=key)
    assert (first.code, second.code) == (201, 201)
    assert second.json == first.json
    assert second.headers == first.headers
    spelled = json.dumps(dict(reversed(GOOD.items())), indent=3).encode()
    assert world.call("POST", PATH, who="dev", headers=key, raw=spelled).json == first.json
    assert world.rows() == rows
    world.decide(first.json, "lead", "lead")
    world.settle()
    assert world.call("POST", PATH, GOOD, who="dev", headers=key).json["id"] == first.json["id"]
    assert len(world.instances()) == 1


def test_a_key_with_another_body_is_refused(world: World) -> None:
    """A key that came to stand for two requests would hide one of them."""
    key = {"idempotency-key": "fair-1"}
    assert world.call("POST", PATH, GOOD, who="dev", headers=key).code == 201
    before = world.rows()
    others: list[dict[str, Any]] = [
        {"reason": "another"},
        {"parameters": {"count": 1}},
        {"template": "gpu-large"},
        {"name": "fair"},
        {"lease": "30d"},
        {"on_behalf_of": DEV},
    ]
    for other in others:
        answer = world.call("POST", PATH, {**GOOD, **other}, who="dev", headers=key)
        assert (answer.code, answer.json["type"]) == (422, "urn:gonogo:problem:key-reused"), other
    assert world.rows() == before


def test_a_key_is_its_senders_own(world: World) -> None:
    """Nobody can guess another's key to read, or to take, the launch that it made."""
    world.publish(policy(ANOTHER_DEVELOPER))
    key = {"idempotency-key": "1"}
    ids = {world.call("POST", PATH, GOOD, who=who, headers=key).json["id"] for who in ("dev", "eve", "ops")}
    assert len(ids) == 3


def test_each_key_is_another(world: World) -> None:
    """Keys are compared byte by byte, blanks and case too."""
    keys = ["a", "A", "a ", " a", "a" * 255, "a" * 254, "~"]
    found = [world.call("POST", PATH, GOOD, who="dev", headers={"idempotency-key": key}) for key in keys]
    assert [one.code for one in found] == [201] * len(keys)
    assert len({one.json["id"] for one in found}) == len(keys)


def test_without_a_key_each_asking_is_another(world: World) -> None:
    """Two equal requests may well be meant."""
    first, second = world.ask(), world.ask()
    assert first["id"] != second["id"]
    assert first["digest"] == second["digest"]


BOT = person("bot", "bots", mail=False, service=True)
MAY_ACT = """
@id("bots act for developers")
permit (principal in Group::"bots", action == Action::"act_for", resource in Group::"developers");
@id("bots launch")
permit (principal in Group::"bots", action == Action::"launch", resource);
"""


def with_a_bot() -> dict[str, str]:
    """Return a policy in which a pipeline may launch at once, and may act for developers."""
    files = policy(BOT, rules=MAY_ACT)
    files["people.toml"] = files["people.toml"].replace("[groups]\n", '[groups]\nbots = "Pipelines"\n')
    return files


def test_the_stricter_answer_holds_of_two(world: World) -> None:
    """A pipeline that may launch at once lends nobody its privilege."""
    world.publish(with_a_bot())
    alone = world.call("POST", PATH, GOOD, who="bot").json
    assert (alone["state"], alone["on_behalf_of"]) == ("PENDING", None)
    for_dev = world.call("POST", PATH, {**GOOD, "on_behalf_of": DEV}, who="bot").json
    assert (for_dev["state"], for_dev["on_behalf_of"]) == ("PENDING_APPROVAL", DEV)
    assert for_dev["requester"]["subject"] == "bot"


def test_acting_for_somebody_needs_a_permit(world: World) -> None:
    """Nobody borrows another's name."""
    world.publish(with_a_bot())
    before = world.rows()
    for who, whom in (
        ("dev", "lead"),
        ("dev", "ops"),
        ("bot", "lead"),
        ("bot", "ops"),
        ("ops", "dev"),
        ("bot", "x"),
    ):
        body = {**GOOD, "on_behalf_of": {"issuer": ISSUER, "subject": whom}}
        answer = world.call("POST", PATH, body, who=who)
        assert (answer.code, answer.json["type"]) == (403, "urn:gonogo:problem:not-permitted"), (who, whom)
    elsewhere = {**GOOD, "on_behalf_of": {"issuer": "http://other.local", "subject": "dev"}}
    assert world.call("POST", PATH, elsewhere, who="bot").code == 403
    assert world.rows() == before


def test_a_claim_counts_as_the_policy_maps_it(world: World) -> None:
    """A group of the token is asked for by issuer, claim and whole value, and is kept with the launch."""
    files = policy()
    files["people.toml"] += f"""
[[claims]]
issuer = "{ISSUER}"
claim = "groups"
value = "web-team"
group = "developers"
"""
    world.publish(files)
    assert world.call("POST", PATH, GOOD, who="ann+web-team").json["state"] == "PENDING_APPROVAL"
    for who in ("ann", "ann+developers", "ann+web-team2", "ann+Web-Team", "ann+operators"):
        assert world.call("POST", PATH, GOOD, who=who).code == 403, who


def test_a_gate_that_nobody_could_pass_is_never_opened(world: World) -> None:
    """A request that can only expire is refused at once, with the reason."""
    rule = '@gate("lead") permit (principal in Group::"leads", action == Action::"request", resource);'
    world.publish(policy(rules=rule))
    before = world.rows()
    answer = world.call("POST", PATH, GOOD, who="lead")
    assert answer.code == 403
    assert "nobody could ever approve this" in answer.json["detail"]
    assert world.rows() == before


@pytest.mark.parametrize("missing", ["policy#current", "bundle"])
def test_without_a_policy_nothing_is_permitted(world: World, missing: str) -> None:
    """What is missing must never mean that nobody need be asked."""
    (row,) = [one for one in world.rows() if one["pk"]["S"].startswith(missing)]
    client("dynamodb").delete_item(
        TableName=world.gonogo.settings.table, Key={"pk": row["pk"], "sk": row["sk"]}
    )
    before = world.rows()
    for who in ("dev", "ops"):
        answer = world.call("POST", PATH, GOOD, who=who)
        assert (answer.code, answer.json["type"]) == (403, "urn:gonogo:problem:no-policy")
    assert world.rows() == before


def test_an_answer_stays_small_whatever_is_sent(world: World) -> None:
    """An answer that grows with the square of the request is a way to bring the API down."""
    body = {
        "template": "web-small",
        "reason": "r",
        "cost_center": "c",
        "parameters": {f"k{i}": 0 for i in range(6000)},
    }
    answer = world.call("POST", "/v1/launches?dry_run=true", body, who="dev")
    assert answer.code == 400
    assert len(answer.text) < 10_000
    huge = {**body, "parameters": {"k" * 100_000: 0, "count": "9" * 100_000}}
    assert len(world.call("POST", "/v1/launches", huge, who="dev").text) < 10_000


def test_a_whole_number_is_one_however_it_is_written(world: World) -> None:
    """JSON Schema takes 1.0 for an integer, and so must what comes after it."""
    raw = b'{"template":"web-small","reason":"r","cost_center":"c","parameters":{"count":1.0}}'
    answer = world.call("POST", "/v1/launches", raw=raw, who="dev")
    assert (answer.code, answer.json["plan"]["spec"]["count"]) == (201, 1)
