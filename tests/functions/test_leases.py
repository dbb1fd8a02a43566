"""Leases and reports on the whole road: the API, the mails, the launcher, and an outside system."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import jsonschema_rs
import pytest

from functions.openapi import document
from tests.functions.policy import person
from tests.functions.world import Answer, World, example, mail_text, world
from tests.service.lives import BATCH


def policy() -> dict[str, str]:
    """Return the example, with a factory that launches batches."""
    files = example()
    files["people.toml"] += person("factory", mail=False, service=True)
    files["prices.toml"] += '\n[hourly.event.factory]\njob = "0.25"\n'
    files["templates/batch.toml"] = BATCH
    return files


@pytest.fixture(name="made")
def a_world() -> Iterator[World]:
    """Give a world with a factory."""
    with world(policy()) as made:
        yield made


def post(made: World, launch: Any, what: str, body: Any, who: str = "dev") -> Answer:
    """Post something about a launch."""
    return made.call("POST", f"/v1/launches/{launch['id']}/{what}", body, who=who)


def running(made: World, template: str = "web-small", **more: Any) -> Any:
    """Return a launch of an operator's, or of dev's that lead approved, that runs."""
    launch = made.ask("dev", template, **more)
    made.decide(launch, "lead", "lead")
    if template == "gpu-large":
        made.decide(launch, "finance", "finance")
    made.settle()
    return made.read(launch["id"])


def later(launch: Any, **span: float) -> str:
    """Return the end of its lease, and so much later, as RFC 3339."""
    end = datetime.fromisoformat(launch["lease_ends_at"]) + timedelta(**span)
    return end.isoformat().replace("+00:00", "Z")


def test_told_ahead_and_extended_by_the_one_command_of_the_mail(made: World) -> None:
    """The mail names the end, what ends, what it costs, and one command; after it there is another end."""
    launch = running(made, lease="10d")
    made.clock.go(days=9)
    made.wake()
    made.settle()
    (mail,) = [one for one in made.mails("dev") if str(one["Subject"]).startswith("Ends ")]
    text = mail_text(mail)
    assert "Thu 3 Dec 2026, 09:00 UTC" in text
    assert launch["resources"][0]["id"] in text
    assert "2.25 USD, if all of it ran all the time" in text
    assert f"gonogo extend {launch['id']} --by 7d" in text
    answer = post(made, launch, "extend", {"until": later(launch, days=7)})
    assert answer.code == 200
    assert (answer.json["id"], answer.json["lease_ends_at"]) == (launch["id"], later(launch, days=7))
    assert post(made, launch, "extend", {"until": later(launch, days=7)}).json == answer.json
    made.settle()
    assert str(made.mails("dev")[-1]["Subject"]).startswith("Extended: web-small ends Thu 10 Dec 2026")
    told = [one["type"] for one in made.events() if one["type"].startswith("lease.")]
    assert sorted(told) == ["lease.expiring", "lease.extended"]
    made.clock.go(days=2)
    made.wake()
    made.settle()
    assert made.read(launch["id"])["state"] == "RUNNING", "it outlives its first end"


def test_what_costs_more_is_a_launch_behind_the_same_gates(made: World) -> None:
    """202 and where it is; the page and the mails say what it extends; then the launcher does it."""
    launch = running(made, "gpu-large", lease="1d")
    answer = post(made, launch, "extend", {"until": later(launch, days=1), "reason": "One epoch more."})
    assert answer.code == 202
    waiting = answer.json
    assert answer.headers["location"] == f"../{waiting['id']}"
    assert (waiting["plan"]["engine"], waiting["reason"]) == ("lease", "One epoch more.")
    made.settle()
    asked = made.mails("lead")[-1]
    assert asked["Subject"] == "GO or NO-GO? Longer lease of gpu-large for dev: 526.99 USD more"
    page = made.form("/decide", code=made.token("lead")).text
    says = (
        f"extends the lease of gpu-large ({launch['id']}) from Tue 24 Nov 2026, 09:00 UTC to Wed 25 Nov 2026"
    )
    assert says in page
    assert "526.99 USD more" in page
    for gate in ("lead", "finance"):
        made.decide(waiting, gate, gate)
    made.settle()
    assert made.read(waiting["id"])["state"] == "TERMINATED"
    assert made.read(launch["id"])["lease_ends_at"] == later(launch, days=1)
    assert len(made.instances()) == 1


NO_ENDS: list[tuple[Any, int, str]] = [
    ({"until": "2026-13-01T00:00:00Z"}, 400, "no time"),
    ({"until": "2026-12-01"}, 400, "until"),
    ({"until": "2026-12-01T00:00:00"}, 400, "until"),
    ({"until": "for ever"}, 400, "until"),
    ({"until": None}, 400, "until"),
    ({}, 400, "until"),
    ({"until": "never"}, 400, "without an end"),
    ({"until": "2026-11-23T08:00:00Z"}, 409, "ends later"),
    ({"until": "2027-06-01T00:00:00Z"}, 400, "90d in all"),
    ({"until": "2026-12-30T00:00:00Z", "by": "7d"}, 400, "by"),
]


def test_an_end_that_cannot_be_changes_nothing(made: World) -> None:
    """Each is told why, in the field that is wrong."""
    launch = running(made)
    before = made.rows()
    for body, code, says in NO_ENDS:
        answer = post(made, launch, "extend", body)
        assert (answer.code, says in answer.text) == (code, True), (body, answer.text)
    assert made.rows() == before


def test_a_batch_is_launched_by_the_factory_and_billed(made: World) -> None:
    """The cue is an event, the answers are reports; what ran is an instance like others on the bus."""
    launch = made.ask(template="batch", lease="never")
    made.decide(launch, "lead", "lead")
    made.settle()
    launch = made.read(launch["id"], "factory")
    assert (launch["state"], launch["lease"]) == ("LAUNCHING", "never")
    assert launch["plan"]["spec"]["order"] == {"queue": "night", "jobs": 2}
    said = {"digest": launch["digest"], "attempt": 1}
    started = {**said, "outcome": "started", "resources": ["job-17"]}
    assert post(made, launch, "report", started, "dev").code == 403
    assert post(made, launch, "report", {**started, "digest": "0" * 64}, "factory").code == 409
    answer = post(made, launch, "report", started, "factory")
    assert (answer.code, answer.json["state"], answer.json["lease_ends_at"]) == (200, "RUNNING", None)
    made.settle()
    made.clock.go(hours=3)
    assert post(made, launch, "terminate", {}).code == 202
    made.settle()
    assert made.read(launch["id"])["state"] == "RUNNING", "only the factory can tell"
    assert post(made, launch, "report", {**said, "outcome": "terminated"}, "factory").code == 200
    made.settle()
    events = made.events()
    usage = [one["data"] for one in events if one["type"] == "usage.recorded"]
    assert [(one["instance"], one["seconds"], one["cost"]) for one in usage] == [
        (f"{launch['id']}/job-17", 3 * 3600, "1.5000000000")
    ]
    assert [one["type"] for one in events if one["type"].startswith("instance.")] == [
        "instance.started",
        "instance.terminated",
    ]


NO_REPORTS: list[Any] = [
    {"outcome": "started"},
    {"digest": "0" * 64, "outcome": "done"},
    {"digest": "0" * 64, "outcome": "started", "resources": ["a b"]},
    {"digest": "0" * 64, "outcome": "started", "resources": ["x" * 129]},
    {"digest": "0" * 64, "outcome": "started", "resources": ["x"] * 101},
    {"digest": "0" * 64, "outcome": "started", "attempt": 0},
    {"digest": "0" * 64, "outcome": "failed", "message": ""},
]


def test_a_report_that_is_none_is_refused_by_the_very_schema_that_is_published(made: World) -> None:
    """What the document allows is taken, and nothing else."""
    schema = {"$ref": "#/components/schemas/MakeReport", "components": document()["components"]}
    published = jsonschema_rs.validator_for(schema)
    for body in NO_REPORTS:
        assert post(made, {"id": "l-x"}, "report", body, "factory").code == 400, body
        assert not published.is_valid(body), body
