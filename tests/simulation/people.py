"""What people, systems and strangers do to gonogo, each over HTTP or from outside, and what no answer may say."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from gonogo.core.errors import RefusedError
from gonogo.core.launch import Launch
from tests.core.builders import ISSUER
from tests.memory import Machine
from tests.simulation.rules import FACTORY, ROBOT, SCANNER, SUBNETS, Rules
from tests.simulation.witness import decoded, of_somebody_else, with_another_mac

if TYPE_CHECKING:
    from tests.simulation.world import World

MOST_LAUNCHES = 8
MOST_PROPOSALS = 2
OK, CREATED, ACCEPTED = 200, 201, 202
FORM = {"content-type": "application/x-www-form-urlencoded"}


@dataclass
class Asked:
    """A launch that somebody asked for, and with what."""

    id: str
    who: str


class People:
    """Everybody. Each of `ways` does one thing; what is drawn is drawn from the world's one source."""

    def __init__(self, world: World) -> None:
        self.world, self.random = world, world.random
        self.asked: list[Asked] = []
        self.tried = 0
        self.proposals = 0
        self.strays: list[Machine] = []
        self.stood_in: list[str] = []

    def ways(self) -> list[tuple[float, Callable[[], object]]]:
        """Return what may be done, and how often."""
        return [
            (4 if len(self.asked) < 3 else 1.5, self.submit),
            (7, self.decide),
            (7, self.by_code),
            (1, self.revoke),
            (0.5, self.cancel),
            (2, self.change),
            (1, self.retry),
            (0.7, self.amend),
            (0.6, self.offer),
            (0.6, self.accept),
            (0.7, self.extend),
            (1.2, self.delegate),
            (0.4, self.note),
            (2.5, self.report),
            (0.5, self.propose),
            (1, self.publish),
            (0.5, self.forge),
            (0.3, self.capacity),
            (0.15, self.stray),
            (0.6, self.read),
        ]

    # -- asking

    def submit(self) -> None:
        """Ask for something, again where no answer comes; sometimes with a key that was used."""
        if self.tried >= MOST_LAUNCHES:
            return
        rules, draw = self._rules(), self.random
        askers = sorted(rules.developers | rules.operators) if rules.services else ["dev", "ops"]
        who = draw.choice([*askers, "dev", "nobody", *(ROBOT for _ in rules.services)])
        body: dict[str, Any] = {
            "template": draw.choice(sorted(rules.needs)),
            "parameters": {"count": draw.choice((1, 2))},
            "reason": f"run {self.world.seed}",
            "cost_center": draw.choice(("4711", "training")),
            "lease": draw.choice(("1h", "6h", "2d")),
        }
        if rules.services and draw.random() < 0.2:
            body["on_behalf_of"] = {"issuer": ISSUER, "subject": draw.choice(("chief", "chief", "dev2"))}
        elif draw.random() < 0.25:
            body |= {"template": "web-small", "break_glass": True}
        self.tried += 1
        key = {"idempotency-key": f"key-{self.world.seed}-{self.tried}"}
        for _ in range(6):
            answer = self.world.call("POST", "/v1/launches", body, who, key)
            if answer is None:
                continue
            if answer.code != CREATED:
                return
            self._known(answer.json["id"], who)
            if draw.random() < 0.3:
                again = self.world.call("POST", "/v1/launches", body, who, key)
                self._must(
                    again is None or again.code >= 500 or again.json["id"] == answer.json["id"], "a key twice"
                )
                other = self.world.call("POST", "/v1/launches", {**body, "reason": "another"}, who, key)
                self._must(other is None or other.code in (422, 503), "a key for something else")
            return

    def _known(self, id_: str, who: str) -> None:
        if id_ not in {one.id for one in self.asked}:
            self.asked.append(Asked(id_, who))

    def propose(self) -> None:
        """Ask for other rules."""
        rules = self.world.rules
        if len(rules) == 1 or self.proposals >= MOST_PROPOSALS:
            return
        now = self._rules()
        wanted = self.random.choice([one for one in rules if one is not now])
        who = self.random.choice([*sorted(now.proposers), "dev"])
        self.proposals += 1
        body = {"files": dict(wanted.files), "reason": "It is time."}
        key = {"idempotency-key": f"policy-{self.world.seed}-{self.proposals}"}
        answer = self.world.call("PUT", "/v1/policy", body, who, key)
        if answer is not None and answer.code == ACCEPTED:
            self._must(who in now.proposers, f"{who} asks for another policy")
            self.world.witness.proposed[answer.json["id"]] = wanted.digest
            self._known(answer.json["id"], who)

    def publish(self) -> None:
        """Put other rules in force at once, as whoever deploys may."""
        if len(self.world.rules) > 1:
            self.world.publish(self.random.choice(self.world.rules))

    def amend(self) -> None:
        """Ask for something else instead."""
        launch = self._any()
        if launch is not None:
            body = {
                "parameters": {"count": self.random.choice((1, 2))},
                "lease": self.random.choice(("3h", "5h")),
            }
            self._post(launch, "amend", body, self._asker_or_anybody(launch))

    def extend(self) -> None:
        """Let something run for longer."""
        launch = self._any()
        if launch is None:
            return
        until = self.world.time + timedelta(hours=self.random.choice((2, 8, 30)))
        body = {"until": until.strftime("%Y-%m-%dT%H:00:00Z")}
        who = self._asker_or_anybody(launch)
        answer = self._post(launch, "extend", body, who)
        if answer is not None and answer.code == ACCEPTED and answer.json["id"] != launch.id:
            self._known(answer.json["id"], who)

    # -- deciding

    def decide(self) -> None:
        """Say something of a gate, signed in: whoever, whichever gate, sometimes of another digest."""
        launch = self._any()
        if launch is None:
            return
        open_ = [name for name, one in self._gates(launch).items() if one.outcome is None]
        gate = self.random.choice([*open_, *open_, *open_, "lead", "finance"])
        who = self.random.choice([*self.deciders(gate) * 3, *self._everybody()])
        if self.random.random() < 0.25:
            who = self.random.choice(self._who_may_not(launch, gate))
        verdict = "reject" if self.random.random() < 0.12 else "approve"
        digest = self._digest(launch)
        if self.random.random() < 0.05:
            digest = "0" * 64
        self.says(who, launch.id, gate, verdict, digest)
        self._post(launch, "decisions", {"gate": gate, "verdict": verdict, "digest": digest}, who)

    def by_code(self) -> None:
        """Say something by a code that somebody was sent; or try one that nobody was."""
        codes = self.world.codes()
        if not codes:
            return
        latest = codes[-12:] if self.random.random() < 0.8 else codes
        code = self.random.choice(latest)
        if self.random.random() < 0.2:
            self._forged(code)
            return
        said = decoded(code)
        verdict = self.random.choices(("approve", "reject", "revoke"), (16, 2, 1))[0]
        self.says(said.subject, said.launch, said.gate, verdict, said.digest.hex())
        if said.keys == "people" and self.random.random() < 0.4:
            self._on_the_page(code, said.digest.hex(), verdict)
            return
        answer = self.world.call("POST", "/v1/decisions", {"token": code, "verdict": verdict}, None)
        if answer is not None and answer.code == OK:
            self._must(answer.json["digest"] == said.digest.hex(), "a code counts for another digest")

    def _forged(self, code: str) -> None:
        way = self.random.randrange(6)
        forged = (
            with_another_mac(code),
            code + "=",
            f" {code}",
            code.upper(),
            of_somebody_else(code),
            code + "A",
        )[way]
        answer = self.world.call("POST", "/v1/decisions", {"token": forged, "verdict": "approve"}, None)
        self._must(answer is None or answer.code >= 400, f"a forged code is taken: {way}")

    def _on_the_page(self, code: str, digest: str, verdict: str) -> None:
        answer = {"approve": "GO", "reject": "NO-GO", "revoke": "REVOKE"}[verdict]
        fields = {"code": code, "digest": digest, "answer": answer, "comment": ""}
        self.world.call("POST", "/decide", urlencode(fields), None, FORM)

    def revoke(self) -> None:
        """Take something back."""
        launch = self._any()
        if launch is None:
            return
        given = [
            (name, said.actor) for name, gate in self._gates(launch).items() for said in gate.yes.values()
        ]
        if given:
            gate, who = self.random.choice(given)
            body = {"gate": gate, "verdict": "revoke", "digest": self._digest(launch)}
            self._post(launch, "decisions", body, who)

    def offer(self) -> None:
        """Say go to less."""
        launch = self._any()
        if launch is not None:
            who = self.random.choice([*self.deciders("lead"), "dev"])
            body = {"gate": "lead", "digest": self._digest(launch), "parameters": {"count": 1}, "lease": "1h"}
            self._post(launch, "offers", body, who)

    def accept(self) -> None:
        """Take what was offered."""
        launch = self._any()
        found = self.world.outside.table.get(Launch, launch.id) if launch is not None else None
        if launch is not None and found is not None and found.offers:
            body = {"digest": self.random.choice(found.offers).digest}
            self._post(launch, "accept", body, self._asker_or_anybody(launch))

    def delegate(self) -> None:
        """Let somebody decide in one's place, or no longer."""
        rules = self._rules()
        who = self.random.choice(sorted(rules.leads | rules.finance))
        to = self.random.choice([*self._everybody(), "deputy"])
        by = who if self.random.random() < 0.7 else self.random.choice(["ops", "dev"])
        path = f"/v1/delegation?of={ISSUER.replace(':', '%3A').replace('/', '%2F')}%23{who}"
        if self.random.random() < 0.3:
            answer = self.world.call("DELETE", path, {}, by)
            if answer is not None and answer.code == OK:
                self._only(who, None)
            return
        if by == who or by in rules.operators:
            self.world.witness.delegated.add((who, to))
        until = (self.world.time + timedelta(days=2)).strftime("%Y-%m-%dT%H:%M:%SZ")
        answer = self.world.call("PUT", path, {"to": {"issuer": ISSUER, "subject": to}, "until": until}, by)
        allowed = by == who or any(by in one.operators for one in self.world.witness.now_in_force())
        self._must(answer is None or answer.code != OK or allowed, f"{by} delegates for {who}")
        if answer is not None and answer.code == OK:
            self._only(who, to)

    def _only(self, who: str, to: str | None) -> None:
        """Keep that nobody but this one decides in somebody's place from now on."""
        known = self.world.witness.delegated
        gone = {one for one in known if one[0] == who and one[1] != to}
        self.stood_in += sorted(one for _, one in gone)
        known -= gone

    def note(self) -> None:
        """Say how far a scan is."""
        launch = self._any()
        if launch is not None:
            who = self.random.choice((SCANNER, SCANNER, "lead"))
            self._post(launch, "notes", {"gate": "scan", "text": f"{self.random.random():.0%}"}, who)

    # -- what runs

    def cancel(self) -> None:
        """Want it no longer."""
        launch = self._any()
        if launch is not None:
            self._post(launch, "cancel", {}, self._asker_or_anybody(launch))

    def change(self) -> None:
        """Stop it, start it, end it: whoever, sometimes two at once."""
        launch = self._any()
        if launch is not None:
            wanted = self.random.choice(("stop", "start", "start", "terminate"))
            self._post(launch, wanted, {}, self.random.choice((launch.who, launch.who, "ops", "lead")))

    def retry(self) -> None:
        """Try again what failed."""
        failed = [one for one in self.asked if self._types(one)[-1:] == ["launch.failed"]]
        launch = self.random.choice(failed) if failed else self._any()
        if launch is not None:
            self._post(launch, "retry", {}, self._asker_or_anybody(launch))

    def report(self) -> None:
        """Tell, as the outside system, what became of a batch; or as somebody else."""
        batches = [one for one in self.asked if self._facts(one).get("engine") == "event"]
        if not batches:
            return
        launch = self.random.choice(batches)
        outcome = self.random.choices(("started", "failed", "stopped", "terminated"), (8, 1, 1, 2))[0]
        who = FACTORY if self.random.random() < 0.9 else "dev"
        body: dict[str, Any] = {"digest": self._digest(launch), "outcome": outcome}
        if outcome == "started" and self.random.random() < 0.7:
            body["resources"] = ["job-1", "job-2"]
        answer = self._post(launch, "report", body, who)
        self._must(answer is None or answer.code >= 400 or who == FACTORY, f"{who} reports of {launch.id}")

    def read(self) -> None:
        """Look at things; that changes nothing."""
        launch = self._any()
        who = self.random.choice(self._everybody())
        paths = ["/v1/inbox", "/v1/launches", "/v1/usage?month=2026-11"]
        if launch is not None:
            paths += [f"/v1/launches/{launch.id}{more}" for more in ("", "/events", "/why")]
        self.world.call("GET", self.random.choice(paths), None, who)

    # -- what strangers and the cloud do

    def forge(self) -> None:
        """Put a message before the launcher that nothing happened for, and that lies."""
        launch = self._any()
        if launch is None:
            return
        cue = self.random.choice(("launch.cleared", "launch.change_requested"))
        lie = {"launch": {"id": launch.id, "state": "PENDING"}, "wanted": "terminate"}
        detail = {"type": cue, "subject": launch.id, "seq": self.random.randint(1, 9), "data": lie}
        self.world.deliver_forged("launch", {"source": "gonogo", "detail-type": cue, "detail": detail})

    def capacity(self) -> None:
        """Let the cloud have no room somewhere, or refuse everything, or have room again."""
        cloud = self.world.outside.cloud
        way = self.random.randrange(4)
        if way == 0:
            cloud.full = {(self.random.choice(SUBNETS), self.random.choice(("t3.micro", "t3.small")))}
        elif way == 1:
            cloud.refusal = RefusedError("UnauthorizedOperation", "You are not.")
        else:
            cloud.full, cloud.refusal = set(), None

    def stray(self) -> None:
        """Start a machine that gonogo knows nothing of, with the tag of a launch or without."""
        launch = self._any()
        tagged = launch is not None and self.random.random() < 0.5
        tags = {"gonogo:launch": launch.id} if launch is not None and tagged else {}
        self.strays.append(self.world.outside.cloud.strange("us-east-1", tags))

    # -- what they know

    def _any(self) -> Asked | None:
        return self.random.choice(self.asked) if self.asked else None

    def _rules(self) -> Rules:
        return self.world.witness.in_force[-1]

    def _everybody(self) -> list[str]:
        rules = self._rules()
        found = rules.developers | rules.leads | rules.finance | rules.operators | rules.services
        return [*sorted(found), *rules.others, "nobody"]

    def deciders(self, gate: str) -> list[str]:
        """Return who decides a gate, or would like to."""
        rules = self._rules()
        if gate == "scan":
            return [SCANNER, SCANNER, *sorted(rules.leads)]
        return sorted(rules.may_decide(gate))

    def _who_may_not(self, launch: Asked, gate: str) -> list[str]:
        """Return who must not decide, but has a reason to try: who had a part in it, who stood in, who could once."""
        life = self._life(launch)
        found = set() if life is None else set(life.barred)
        found |= {to for _, to in self.world.witness.delegated} | set(self.stood_in)
        found |= {one for rules in self.world.rules for one in rules.may_decide(gate, escalated=True)}
        barred = sorted(life.barred) if life is not None else []
        return barred if barred and self.random.random() < 0.5 else [*sorted(found), "deputy"]

    def _asker_or_anybody(self, launch: Asked) -> str:
        return launch.who if self.random.random() < 0.9 else self.random.choice(self._everybody())

    def _life(self, launch: Asked) -> Any:
        return self.world.witness.lives.get(launch.id)

    def _gates(self, launch: Asked) -> Mapping[str, Any]:
        life = self._life(launch)
        return life.gates if life is not None else {}

    def _types(self, launch: Asked) -> list[str]:
        life = self._life(launch)
        return life.types if life is not None else []

    def _facts(self, launch: Asked) -> Mapping[str, Any]:
        life = self._life(launch)
        return life.facts if life is not None else {}

    def _digest(self, launch: Asked) -> str:
        return str(self._facts(launch).get("digest", "0" * 64))

    def says(self, who: str, launch: str, gate: str, verdict: str, digest: str) -> None:
        """Keep what somebody may have said: whether it was taken is not known, if no answer comes."""
        self.world.witness.uttered[who, launch, gate, verdict].add(digest)

    def _post(self, launch: Asked, what: str, body: Any, who: str) -> Any:
        return self.world.call("POST", f"/v1/launches/{launch.id}/{what}", body, who)

    def _must(self, holds: object, what: str) -> None:
        self.world.witness.must(holds, what)


def as_body(body: Any) -> bytes:
    """Return a request's body: a form as it is, anything else as JSON."""
    if body is None:
        return b""
    return body.encode() if isinstance(body, str) else json.dumps(body).encode()
