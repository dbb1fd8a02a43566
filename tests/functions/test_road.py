"""The whole road, as the people on it and an outside subscriber see it."""

from __future__ import annotations

import json
from collections import Counter
from datetime import datetime
from typing import Any

import jsonschema_rs
import pytest

from gonogo.core import event
from local.aws import ACCOUNT, REGION, client
from tests.functions.arriving import again
from tests.functions.faults import on_each_call, refusing
from tests.functions.test_gates import OF_GATES
from tests.functions.world import ISSUER, World, mail_text

DEV, LEAD, FINANCE, OPS = ({"issuer": ISSUER, "subject": name} for name in ("dev", "lead", "finance", "ops"))


def kinds(events: list[dict[str, Any]]) -> list[str]:
    """Return the names of events, without those of the policy, which each world begins with."""
    return [one["type"] for one in events if one["type"] != "bundle.published"]


def approve_by_mail(world: World, who: str) -> Any:
    """Decide with the code of somebody's newest mail, and let follow what follows."""
    answer = world.call("POST", "/v1/decisions", {"token": world.token(who), "verdict": "approve"})
    assert answer.code == 200, answer.text
    world.settle()
    return answer.json


def test_a_developer_waits_for_the_lead(world: World) -> None:
    """The main job: nothing is launched before somebody said go, and then just what was asked for."""
    launch = world.ask(name="fair")
    world.settle()
    assert world.read(launch["id"])["state"] == "PENDING_APPROVAL"
    assert world.instances() == []
    assert approve_by_mail(world, "lead")["state"] == "PENDING"
    running = world.read(launch["id"])
    assert running["state"] == "RUNNING"
    (instance,) = world.instances("running")
    assert running["resources"] == [
        {"id": instance["InstanceId"], "state": "running", "changed_at": "2026-11-23T09:00:00Z"}
    ]
    assert instance["InstanceType"] == "t3.micro"
    assert {tag["Key"]: tag["Value"] for tag in instance["Tags"]} == {
        "gonogo:launch": launch["id"],
        "gonogo:requester": f"{ISSUER}#dev",
        "gonogo:cost-center": "marketing",
        "gonogo:digest": launch["digest"],
    }
    assert kinds(world.events()) == [
        "launch.requested",
        "launch.awaiting_approval",
        "gate.opened",
        "gate.decided",
        "gate.closed",
        "launch.cleared",
        "launch.started",
        "instance.started",
    ]


def test_the_lead_decides_signed_in(world: World) -> None:
    """Who has no mail at hand finds in the inbox what waits, and decides there just as well."""
    launch = world.ask()
    world.settle()
    (waiting,) = world.call("GET", "/v1/inbox", who="lead").json["items"]
    assert (waiting["launch"]["id"], waiting["gate"]["name"]) == (launch["id"], "lead")
    answer = world.decide(launch, "lead", "lead", comment="for the fair")
    assert answer.code == 200
    (decision,) = answer.json["gates"][0]["decisions"]
    assert (decision["actor"], decision["channel"], decision["comment"]) == (LEAD, "api", "for the fair")
    world.settle()
    assert world.call("GET", "/v1/inbox", who="lead").json["items"] == []
    assert world.read(launch["id"])["state"] == "RUNNING"


def test_what_is_dear_passes_two_stages(world: World) -> None:
    """Finance is asked when the lead has said go, not before, and only both together launch it."""
    launch = world.ask(template="gpu-large", cost_center="ml")
    world.settle()
    assert [gate["state"] for gate in launch["gates"]] == ["OPEN", "WAITING"]
    assert world.mails("finance") == []
    approve_by_mail(world, "lead")
    assert world.read(launch["id"])["state"] == "PENDING_APPROVAL"
    assert world.instances() == []
    assert approve_by_mail(world, "finance")["state"] == "PENDING"
    assert world.read(launch["id"])["state"] == "RUNNING"
    started = next(one for one in world.events() if one["type"] == "launch.started")
    assert started["data"]["approvers"] == [LEAD, FINANCE]


def test_an_operator_launches_at_once(world: World) -> None:
    """The other level of privilege: no gate, nobody is asked, and the price is on record all the same."""
    launch = world.ask("ops", "gpu-large")
    assert (launch["state"], launch["gates"]) == ("PENDING", [])
    world.settle()
    assert world.read(launch["id"])["state"] == "RUNNING"
    assert [len(world.mails(who)) for who in ("lead", "finance")] == [0, 0]
    assert launch["price"]["monthly"] == "16029.08"


def test_it_stops_and_starts_and_ends(world: World) -> None:
    """Every change of a running launch goes the same road, and is told to whoever pays for it."""
    launch = world.ask()
    world.decide(launch, "lead", "lead")
    world.settle()
    world.events()
    for command, who, state in (
        ("stop", "dev", "STOPPED"),
        ("start", "ops", "RUNNING"),
        ("terminate", "dev", "TERMINATED"),
    ):
        world.clock.go(hours=1)
        answer = world.call("POST", f"/v1/launches/{launch['id']}/{command}", {}, who=who)
        assert (answer.code, answer.json["wanted"]) == (202, command)
        world.settle()
        changed = world.read(launch["id"])
        assert (changed["state"], changed["wanted"]) == (state, None)
    heard = world.events()
    assert kinds(heard) == [
        *("launch.change_requested", "usage.recorded", "launch.stopped", "instance.stopped"),
        *("launch.change_requested", "launch.started", "instance.started"),
        *("launch.change_requested", "usage.recorded", "launch.terminated", "instance.terminated"),
    ]
    assert [one["data"]["seconds"] for one in heard if one["type"] == "usage.recorded"] == [3600, 3600]
    assert [one["data"]["actor"] for one in heard if one["type"] == "launch.change_requested"] == [
        DEV,
        OPS,
        DEV,
    ]
    assert world.instances("running", "stopped") == []


def test_a_biller_needs_no_call_back(world: World) -> None:
    """An event of an instance says who pays, how much, for what, since when, who asked and who said yes."""
    launch = world.ask(name="fair", parameters={"count": 2})
    world.settle()
    world.clock.go(minutes=20)
    approve_by_mail(world, "lead")
    world.clock.go(hours=3)
    world.call("POST", f"/v1/launches/{launch['id']}/terminate", {}, who="dev")
    world.settle()
    heard = [one for one in world.events() if one["type"].startswith("instance.")]
    assert Counter(kinds(heard)) == {"instance.started": 2, "instance.terminated": 2}
    assert {one["data"]["instance"] for one in heard} == {one["InstanceId"] for one in world.instances()}
    for one in heard:
        at = "2026-11-23T09:20:00Z" if one["type"] == "instance.started" else "2026-11-23T12:20:00Z"
        assert one["subject"] == one["data"]["instance"]
        assert {**one["data"], "instance": None} == {
            "instance": None,
            "region": "us-east-1",
            "instance_type": "t3.micro",
            "launch": launch["id"],
            "name": "fair",
            "template": "web-small",
            "digest": launch["digest"],
            "requester": DEV,
            "on_behalf_of": None,
            "approvers": [LEAD],
            "cost_center": "marketing",
            "currency": "USD",
            "price_version": "2026-11-01",
            "hourly": "0.0104",
            "changed_at": at,
            "engine": "ec2",
            "account": None,
            "image": launch["plan"]["spec"]["image_id"],
            **({"stop_source": "event"} if one["type"] == "instance.terminated" else {}),
        }


OF_OTHER_LIVES = {
    "bundle.published",
    "epoch.reconciled",
    "instance.unapproved",
    "launch.attempt_failed",
    "launch.reconciled",
    "lease.expiring",
    "lease.extended",
}
"""What these lives do not tell: of policies, strays, second choices, leases and restores."""


def whole_lives(world: World) -> None:
    """Let launches live all the lives there are, so that every event happens."""
    dear = world.ask(template="gpu-large")
    failing, rejected, expired, cancelled, refused = (world.ask() for _ in range(5))
    world.settle()
    approve_by_mail_of(world, dear, "lead")
    approve_by_mail_of(world, dear, "finance")
    world.decide(rejected, "lead", "lead", "reject")
    world.call("POST", f"/v1/launches/{cancelled['id']}/cancel", {}, who="dev")
    world.settle()
    with on_each_call(before=refusing("ec2.RunInstances", "InstanceLimitExceeded", "No more.")):
        world.decide(failing, "lead", "lead")
        world.settle()
    world.decide(refused, "lead", "lead")
    world.settle()
    with on_each_call(before=refusing("ec2.StopInstances", "UnsupportedOperation", "Not this one.")):
        world.call("POST", f"/v1/launches/{refused['id']}/stop", {}, who="dev")
        world.settle()
    for command in ("stop", "start", "terminate"):
        world.call("POST", f"/v1/launches/{dear['id']}/{command}", {}, who="dev")
        world.settle()
    with on_each_call(before=refusing("sesv2.SendEmail", "TooManyRequestsException", http=429)):
        world.ask()
        world.settle()
    world.clock.go(minutes=2)
    world.wake()
    world.settle()
    world.clock.go(days=3)
    world.wake()
    world.settle()
    assert world.read(expired["id"])["state"] == "EXPIRED"


def approve_by_mail_of(world: World, launch: Any, who: str) -> None:
    """Say go as one of those who were asked, in the way that does not matter to the events."""
    answer = world.decide(launch, who, who)
    assert answer.code == 200, answer.text
    world.settle()


def test_every_event_is_what_its_schema_says(world: World) -> None:
    """Outside rules are written against the schemas, and sort by `seq`: what goes out must bear both."""
    whole_lives(world)
    heard = world.events()
    by_subject: dict[str, list[int]] = {}
    for one in heard:
        by_subject.setdefault(one["subject"], []).append(one["seq"])
    assert all(sorted(seqs) == list(range(1, len(seqs) + 1)) for seqs in by_subject.values())
    assert set(kinds(heard)) == set(event.ALL) - OF_GATES - OF_OTHER_LIVES
    validators = {name: jsonschema_rs.validator_for(event.schema(kind)) for name, kind in event.ALL.items()}
    for one in heard:
        validators[one["type"]].validate(one["data"])
        assert set(one) == {
            "specversion",
            "id",
            "source",
            "type",
            "subject",
            "time",
            "datacontenttype",
            "dataschema",
            "seq",
            "hash",
            "data",
        } | ({"prevhash"} if one["seq"] > 1 else set())
        assert (one["specversion"], one["source"], one["datacontenttype"]) == (
            "1.0",
            "gonogo",
            "application/json",
        )
        assert one["id"] == f"{one['subject']}-{one['seq']}"
        assert one["dataschema"] == f"urn:gonogo:event:{one['type']}:1"
        assert datetime.fromisoformat(one["time"]).utcoffset() is not None


def test_the_topic_carries_every_event_too(world: World) -> None:
    """Who wants SNS gets the same events as who attaches a rule, and not one less."""
    url = client("sqs").create_queue(QueueName="by-topic")["QueueUrl"]
    client("sns").subscribe(
        TopicArn=world.stack.look("Topic", "TopicArn"),
        Protocol="sqs",
        Endpoint=f"arn:aws:sqs:{REGION}:{ACCOUNT}:by-topic",
        Attributes={"RawMessageDelivery": "true"},
    )
    world.events()
    launch = world.ask()
    world.settle()
    world.decide(launch, "lead", "lead")
    world.settle()
    by_topic = [json.loads(body)["detail"] for body in world.messages(url)]
    by_rule = world.events()
    assert {one["id"]: one for one in by_topic} == {one["id"]: one for one in by_rule}
    assert "instance.started" in kinds(by_topic)


def test_the_history_reads_as_the_events_were_told(world: World) -> None:
    """Who asks later hears the same as who listened."""
    launch = world.ask()
    world.settle()
    approve_by_mail(world, "lead")
    told = [one for one in world.events() if one["subject"] == launch["id"]]
    answer = world.call("GET", f"/v1/launches/{launch['id']}/events", who="finance")
    assert answer.json["items"] == told


def test_a_rule_may_pick_what_it_wants(world: World) -> None:
    """A stranger's rule filters by what stands in the event, here by who pays."""
    pattern = {"detail": {"data": {"launch": {"cost_center": ["ml"]}}, "type": ["launch.requested"]}}
    url = world.subscribe(pattern, "only-ml")
    world.ask(cost_center="marketing")
    wanted = world.ask(cost_center="ml")
    world.settle()
    assert [json.loads(body)["detail"]["subject"] for body in world.messages(url)] == [wanted["id"]]


@pytest.mark.parametrize(
    ("code", "http"), [("InsufficientInstanceCapacity", 500), ("VcpuLimitExceeded", 400)]
)
def test_a_refusal_of_the_engine_is_told_and_may_be_retried(world: World, code: str, http: int) -> None:
    """EC2's own words reach the requester (500 where it is full), and a retry asks nobody anew."""
    launch = world.ask()
    world.settle()
    words = "We currently do not have sufficient t3.micro capacity."
    with on_each_call(before=refusing("ec2.RunInstances", code, words, http)) as calls:
        approve_by_mail(world, "lead")
    assert calls.count("ec2.RunInstances") == 1
    failed = world.read(launch["id"])
    assert (failed["state"], failed["failure"]) == ("FAILED", {"code": code, "message": words, "attempt": 1})
    assert "Failed" in str(world.mails("dev")[-1]["Subject"])
    assert words in mail_text(world.mails("dev")[-1])
    told = next(one for one in world.events() if one["type"] == "launch.failed")
    assert (told["data"]["code"], told["data"]["message"]) == (code, words)
    mails = len(world.mails("lead"))
    answer = world.call("POST", f"/v1/launches/{launch['id']}/retry", {}, who="dev")
    assert (answer.code, answer.json["state"], answer.json["attempt"]) == (200, "PENDING", 2)
    world.settle()
    assert (world.read(launch["id"])["state"], world.read(launch["id"])["failure"]) == ("RUNNING", None)
    assert len(world.instances("running")) == 1
    assert len(world.mails("lead")) == mails


def test_a_retry_needs_the_price_that_was_approved(world: World) -> None:
    """Approval is of a price; another price is another question."""
    launch = world.ask()
    with on_each_call(before=refusing("ec2.RunInstances", "VcpuLimitExceeded")):
        world.decide(launch, "lead", "lead")
        world.settle()
    files = dict(world.gonogo.policies.current().files)
    files["prices.toml"] = files["prices.toml"].replace("0.0104", "0.0204")
    world.publish(files)
    answer = world.call("POST", f"/v1/launches/{launch['id']}/retry", {}, who="dev")
    assert (answer.code, answer.json["type"]) == (409, "urn:gonogo:problem:stale-price")
    assert world.read(launch["id"])["state"] == "FAILED"


def test_a_retry_is_the_requesters(world: World) -> None:
    """Whoever asked answers for what is launched; nobody else starts it over."""
    launch = world.ask()
    with on_each_call(before=refusing("ec2.RunInstances", "VcpuLimitExceeded")):
        world.decide(launch, "lead", "lead")
        world.settle()
    for who in ("lead", "ops"):
        assert world.call("POST", f"/v1/launches/{launch['id']}/retry", {}, who=who).code == 403


def test_the_end_of_the_lease_ends_it(world: World) -> None:
    """Nothing runs, and costs, longer than was approved."""
    launch = world.ask(lease="8h")
    world.decide(launch, "lead", "lead")
    world.settle()
    assert world.read(launch["id"])["lease_ends_at"] == "2026-11-23T17:00:00Z"
    world.clock.go(hours=7, minutes=59)
    world.wake()
    world.settle()
    assert world.read(launch["id"])["state"] == "RUNNING"
    world.clock.go(minutes=1)
    world.wake()
    world.settle()
    assert world.read(launch["id"])["state"] == "TERMINATED"
    assert world.instances("running") == []
    asked = next(one for one in world.events() if one["type"] == "launch.change_requested")
    assert asked["data"]["actor"] == {"issuer": "gonogo", "subject": "clock"}


def test_a_gate_that_nobody_decides_expires(world: World) -> None:
    """A question does not wait for ever, and its code is worth nothing from that second on."""
    launch = world.ask()
    world.settle()
    token = world.token("lead")
    world.clock.go(days=3)
    late = world.call("POST", "/v1/decisions", {"token": token, "verdict": "approve"})
    assert (late.code, late.json["type"]) == (404, "urn:gonogo:problem:token-invalid")
    assert world.decide(launch, "lead", "lead").code == 409
    world.wake()
    world.settle()
    expired = world.read(launch["id"])
    assert (expired["state"], [gate["state"] for gate in expired["gates"]]) == ("EXPIRED", ["EXPIRED"])
    assert kinds(world.events())[-2:] == ["gate.closed", "launch.expired"]
    assert world.instances() == []


def test_expiry_needs_no_waking_to_bind(world: World) -> None:
    """The clock decides, not whether the minute's waking came in time."""
    launch = world.ask()
    world.clock.go(days=3)
    before = world.rows()
    assert world.decide(launch, "lead", "lead").json["type"] == "urn:gonogo:problem:gate-not-open"
    assert world.rows() == before


def test_whoever_asked_may_cancel(world: World) -> None:
    """What nobody wants any more must not be approved by accident later."""
    launch = world.ask(template="gpu-large")
    world.settle()
    answer = world.call("POST", f"/v1/launches/{launch['id']}/cancel", {}, who="dev")
    assert (answer.code, answer.json["state"]) == (200, "CANCELLED")
    assert [gate["state"] for gate in answer.json["gates"]] == ["CANCELLED", "CANCELLED"]
    world.settle()
    late = world.call("POST", "/v1/decisions", {"token": world.token("lead"), "verdict": "approve"})
    assert (late.code, late.json["type"]) == (409, "urn:gonogo:problem:gate-not-open")
    again_ = world.call("POST", f"/v1/launches/{launch['id']}/cancel", {}, who="dev")
    assert (again_.code, again_.json) == (200, answer.json)
    assert world.instances() == []


def test_nobody_else_cancels_and_nothing_that_runs(world: World) -> None:
    """Cancel is for what has not begun, and for who asked for it."""
    launch = world.ask()
    for who in ("lead", "ops", "finance"):
        assert world.call("POST", f"/v1/launches/{launch['id']}/cancel", {}, who=who).code == 403
    world.decide(launch, "lead", "lead")
    world.settle()
    late = world.call("POST", f"/v1/launches/{launch['id']}/cancel", {}, who="dev")
    assert (late.code, late.json["type"]) == (409, "urn:gonogo:problem:wrong-state")


def test_one_no_is_enough(world: World) -> None:
    """A NO-GO ends the question, and the stage after it is never asked."""
    world.ask(template="gpu-large")
    world.settle()
    answer = world.call(
        "POST", "/v1/decisions", {"token": world.token("lead"), "verdict": "reject", "comment": "no"}
    )
    assert (answer.code, answer.json["state"]) == (200, "REJECTED")
    world.settle()
    assert world.mails("finance") == []
    assert kinds(world.events())[-3:] == ["gate.decided", "gate.closed", "launch.rejected"]


def test_an_event_comes_again_under_its_id(world: World) -> None:
    """A subscriber that keeps ids counts nothing twice, whatever is handed over again."""
    launch = world.ask()
    world.settle()
    first = world.events()
    world.clock.go(minutes=6)
    world.wake()
    world.settle()
    second = world.events()
    assert kinds(second) == ["gate.opened"]
    assert second[0] in first
    assert len(world.mails("lead")) == 1
    assert again(world, "notify", *second) == []
    assert len(world.mails("lead")) == 1
    assert world.read(launch["id"])["state"] == "PENDING_APPROVAL"
