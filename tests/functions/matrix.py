"""Calls every route as everybody, with real bearer tokens, on a launch of each situation that the table names."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from app import app
from gonogo.core import token
from gonogo.core.bundle import Person
from gonogo.core.delivery import delivery_id
from gonogo.core.launch import Launch
from gonogo.oidc import Issuer, Oidc
from infra.routes import ROLES, Row
from local import issuer as issuers
from tests.functions.arriving import again, cue
from tests.functions.faults import on_each_call, refusing
from tests.functions.gated import SCANNER, gated
from tests.functions.policy import ANOTHER_DEVELOPER, person
from tests.functions.world import ISSUER, Answer, World, actor

NAMES = {
    "nobody": None,
    "forged": "dev",
    "stranger": "nobody",
    "requester": "dev",
    "developer": "eve",
    "approver": "lead",
    "self": "both",
    "service": "scanner",
    "operator": "ops",
}
"""Who plays each role."""

SCANNED = """
@gate("scan")
permit (principal in Group::"developers", action == Action::"request", resource)
when { context.claimed.cost_center == "scanned" };
permit (principal == Person::"http://gonogo.local#scanner", action == Action::"approve", resource == Gate::"scan");
"""
SCAN_GATE = """
[scan]
title = "Scanner"
kind = "hook"
place = "before_approval"
expires_after = "1d"
on_expiry = "reject"
"""
FILES = gated(
    ANOTHER_DEVELOPER,
    SCANNER,
    person("both", "developers", "leads"),
    person("stand-in"),
    gates=SCAN_GATE,
    rules=SCANNED,
)
ASK = {"template": "web-small", "reason": "a page for the fair", "cost_center": "marketing"}
FORM = "application/x-www-form-urlencoded"


class Bearers:
    """Bearer tokens that the real verifier checks, and the same signed with a key that nobody trusts."""

    def __init__(self, world: World) -> None:
        """Make the world believe one issuer's signatures and no others."""
        self._good, self._bad = issuers.Issuer(world.clock), issuers.Issuer(world.clock)
        names = {name for name in NAMES.values() if name is not None}
        people = {
            name: Person(name=name, issuer=ISSUER, subject=name) for name in (*names, "finance", "everything")
        }
        self._good.people = self._bad.people = people
        trusted = Issuer(issuer=ISSUER, audience=issuers.AUDIENCE, keys=self._good.jwks())
        world.gonogo.identity = Oidc([trusted])

    def jwks(self) -> Any:
        """Return the keys that are trusted."""
        return self._good.jwks()

    def of(self, role: str) -> str | None:
        """Return what somebody of this role sends, if anything."""
        name = NAMES[role]
        if name is None:
            return None
        return (self._bad if role == "forged" else self._good).token(name)

    def named(self, name: str) -> str:
        """Return a good token of somebody."""
        return self._good.token(name)


class Stage:
    """A world in which a launch can be had in every situation, asked for by whomever it must be."""

    def __init__(self, world: World) -> None:
        """Take a world with the policy of `FILES`."""
        self.world = world
        self.bearers = Bearers(world)
        self._ready: dict[tuple[str, str], Any] = {}

    def launch(self, given: str, role: str) -> Any:
        """Return a launch of a situation that this role may be tried on; the same, until it is used up."""
        asker = "both" if role == "self" else "dev"
        if (given, asker) not in self._ready:
            self._ready[given, asker] = MAKERS[given](self, asker)
        return self._ready[given, asker]

    def used(self, given: str, role: str) -> None:
        """Take note that a launch is no longer what it was."""
        self._ready.pop((given, "both" if role == "self" else "dev"), None)

    def bearer(self, name: str) -> str:
        """Return a good token of somebody."""
        return self.bearers.named(name)

    def ask(self, asker: str, **more: Any) -> Any:
        """Have a launch asked for."""
        return self.world.ask(self.bearer(asker), **more)

    def decide(self, launch: Any, gate: str = "lead") -> None:
        """Have the approver say go."""
        assert self.world.decide(launch, self.bearer("lead"), gate).code == 200


def _waiting(stage: Stage, asker: str) -> Any:
    return stage.ask(asker)


def _scanned(stage: Stage, asker: str) -> Any:
    return stage.ask(asker, cost_center="scanned")


def _offered(stage: Stage, asker: str) -> Any:
    launch = stage.ask(asker)
    url = f"/v1/launches/{launch['id']}/offers"
    body = {"gate": "lead", "digest": launch["digest"], "lease": "7d"}
    answer = stage.world.call("POST", url, body, who=stage.bearer("lead"))
    assert answer.code == 200, answer.text
    return {**launch, "offer": answer.json["offers"][0]["digest"]}


def _coded(stage: Stage, asker: str) -> Any:
    launch = stage.ask(asker)
    return {**launch, "code": code_of(stage.world, launch)}


def code_of(world: World, launch: Any, whom: str = "lead") -> str:
    """Return the code that `notify` mails to somebody for the first gate of a launch."""
    gate = launch["gates"][0]
    claim = token.claim(
        keys="people",
        launch=launch["id"],
        gate=gate["name"],
        round=gate["round"],
        actor=actor(whom),
        digest=launch["digest"],
        expires_at=datetime.fromisoformat(gate["expires_at"]),
        epoch=world.gonogo.epoch,
    )
    payload = token.payload(claim)
    return token.write(payload, world.gonogo.macs.make("people", payload))


def _running(stage: Stage, asker: str) -> Any:
    launch = stage.ask(asker)
    stage.decide(launch)
    assert again(stage.world, "launch", cue(launch["id"], "launch.cleared")) == []
    return launch


def _failed(stage: Stage, asker: str) -> Any:
    with on_each_call(refusing("ec2.RunInstances", "UnauthorizedOperation")):
        launch = _running(stage, asker)
    assert stage.world.read(launch["id"], stage.bearer("dev"))["state"] == "FAILED"
    return launch


def _undelivered(stage: Stage, asker: str) -> Any:
    with on_each_call(refusing("sesv2.SendEmail", "MessageRejected")):
        launch = stage.ask(asker)
        stored = stage.world.gonogo.items.get(Launch, launch["id"])
        assert stored is not None
        (opened,) = [one.seq for one in stored.history if one.type == "gate.opened"]
        assert again(stage.world, "notify", cue(launch["id"], "gate.opened", opened)) == []
    id_ = delivery_id(launch["id"], "decide", actor("lead"), "lead", 1)
    return {**launch, "delivery": id_}


def _policy(stage: Stage, _asker: str) -> Any:
    files = {**FILES, "policies.cedar": FILES["policies.cedar"] + "\n// another\n"}
    body = {"files": files, "reason": "other"}
    answer = stage.world.call("PUT", "/v1/policy", body, who=stage.bearer("ops"))
    assert answer.code == 202, answer.text
    return answer.json


MAKERS: dict[str, Callable[[Stage, str], Any]] = {
    "waiting": _waiting,
    "scanned": _scanned,
    "offered": _offered,
    "coded": _coded,
    "running": _running,
    "failed": _failed,
    "undelivered": _undelivered,
    "policy": _policy,
}


def body_of(path: str, launch: Any, gate: str = "lead") -> Any:
    """Return a good body for a route that takes one."""
    of_the_gate = {"gate": gate, "digest": launch["digest"]}
    bodies: dict[str, Any] = {
        "/v1/launches": ASK,
        "/v1/launches/{id}/decisions": {**of_the_gate, "verdict": "approve"},
        "/v1/launches/{id}/notes": {"gate": gate, "text": "half done"},
        "/v1/launches/{id}/amend": {"lease": "7d"},
        "/v1/launches/{id}/offers": {**of_the_gate, "lease": "7d"},
        "/v1/launches/{id}/accept": {"digest": launch.get("offer", "0" * 64)},
        "/v1/launches/{id}/extend": {"until": "2027-01-01T00:00:00Z"},
        "/v1/launches/{id}/report": {"digest": launch["digest"], "outcome": "started"},
        "/v1/decisions": {"token": launch.get("code", "gng_AAAA"), "verdict": "approve"},
        "/v1/delegation": {"to": {"issuer": ISSUER, "subject": "stand-in"}, "until": "2026-12-01T00:00:00Z"},
        "/v1/policy": {"files": {**FILES, "tests.toml": "# other\n"}, "reason": "other"},
    }
    return bodies.get(path, {})


def routes() -> dict[tuple[str, str], Any]:
    """Return every route that the app has, by method and path."""
    return {(method, path): one for path, methods in app.routes.items() for method, one in methods.items()}


def takes_a_form(method: str, path: str) -> bool:
    """Tell whether a route takes what a page's form sends."""
    return FORM in routes()[method, path].content_types


def call(world: World, row: Row, launch: Any, who: str | None) -> Answer:
    """Call a route in good form."""
    of = launch.get("delivery", "d-none") if row.path.startswith("/v1/deliveries/") else launch["id"]
    url = row.path.replace("{id}", of).replace("{name}", "estimate")
    if row.path.startswith(("/v1/usage", "/v1/reports")):
        url += "?month=2026-11"
    if takes_a_form(row.method, row.path):
        sent = {"code": launch.get("code", "gng_AAAA"), "digest": launch["digest"], "answer": "GO"}
        headers = {"authorization": f"Bearer {who}"} if who else {}
        return world.form(url, headers, **sent)
    gate = "scan" if row.given == "scanned" else "lead"
    body = body_of(row.path, launch, gate) if row.method in ("POST", "PUT") else None
    return world.call(row.method, url, body, who=who)


WRITES = (
    "PutItem",
    "UpdateItem",
    "DeleteItem",
    "TransactWriteItems",
    "BatchWriteItem",
    "PutEvents",
    "RunInstances",
)
"""The calls to AWS by which the API could change anything."""


def each_cell(world: World, rows: list[Row]) -> dict[Row, dict[str, Answer]]:
    """Return what each row answers to each role."""
    stage = Stage(world)
    found: dict[Row, dict[str, Answer]] = {}
    for row in rows:
        world.clock.go(minutes=1)  # nobody fails too often
        cells = found[row] = {}
        for role in ROLES:
            launch, bearer = stage.launch(row.given, role), stage.bearers.of(role)
            with on_each_call() as calls:
                answer = cells[role] = call(world, row, launch, bearer)
            answer.written = [one for one in calls if one.endswith(WRITES)]
            if row.method != "GET" and answer.code < 300:
                stage.used(row.given, role)
    return found
