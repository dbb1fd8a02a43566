"""What must hold, told by what the outside sees alone: writes, events, engine calls, mails, posts and answers.

No rule of gonogo's own is asked here: who may decide what is read from the tables in `rules`, and what happened
from the events, folded in a way of its own.
"""

from __future__ import annotations

import base64
import email
import json
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, cast

import msgspec

from gonogo.core.plan import Plan
from tests.memory import Machine
from tests.simulation.rules import OWNERS, Rules

ENDS = ("launch.rejected", "launch.expired", "launch.cancelled", "launch.terminated")
TOLD = {
    "launch.rejected": "NO-GO:",
    "launch.expired": "Expired:",
    "launch.started": "Running:",
    "launch.failed": "Failed:",
    "launch.change_failed": "Failed:",
}
"""What whoever asked must be told, and how the subject of that mail begins."""
CODE = re.compile(r"gng_[A-Za-z0-9_-]+")
SKEW = timedelta(minutes=21)
"""Two clocks that are ten minutes wrong, and the step between them."""
VALID_FOR = timedelta(hours=8)
ASKED_WITHIN = timedelta(hours=12)


@dataclass
class Said:
    """What one seat of a gate holds: who said go, to what, when."""

    actor: str
    digest: str
    at: datetime


@dataclass
class Gate:
    """One gate of one launch, as its events tell of it."""

    place: str
    kind: str
    round: int
    quorum: int
    approvers: tuple[str, ...]
    opened_at: datetime
    goes_at: datetime | None
    rule: str
    escalated: bool = False
    closed_at: datetime | None = None
    outcome: str | None = None
    passed: str | None = None
    yes: dict[str, Said] = field(default_factory=dict)
    no: dict[str, Said] = field(default_factory=dict)


@dataclass
class Life:
    """One launch, as its events tell of it."""

    id: str
    facts: Mapping[str, Any]
    gates: dict[str, Gate] = field(default_factory=dict)
    asked: tuple[str, ...] = ()
    amended_by: set[str] = field(default_factory=set)
    types: list[str] = field(default_factory=list)
    over_budget: dict[str, bool] = field(default_factory=dict)
    claimed: set[tuple[str, int]] = field(default_factory=set)
    glass: bool = False
    reviewed: bool = False

    @property
    def requester(self) -> str:
        """Whoever asked."""
        return str(self.facts["requester"]["subject"])

    @property
    def askers(self) -> set[str]:
        """Whoever asked, and for whom."""
        other = self.facts["on_behalf_of"]
        return {self.requester, *([other["subject"]] if other else ())}

    @property
    def barred(self) -> set[str]:
        """Whoever may never decide."""
        return self.askers | self.amended_by | {OWNERS[one] for one in self.askers if one in OWNERS}

    @property
    def ended(self) -> list[str]:
        """How it ended, each time that it is said to have."""
        return [one for one in self.types if one in ENDS]


class Witness:
    """Sees everything, and keeps what is not as it must be in `found`."""

    def __init__(self, known: Mapping[str, Rules], first: Rules) -> None:
        self.known = known
        self.in_force = [first]
        self.since = 0
        self.time = datetime.min.replace(tzinfo=UTC)
        self.found: list[str] = []
        self.lives: dict[str, Life] = {}
        self.committed: dict[str, dict[str, Any]] = {}
        self.uttered: dict[tuple[str, str, str, str], set[str]] = defaultdict(set)
        self.delegated: set[tuple[str, str]] = set()
        self.proposed: dict[str, str] = {}
        self.made: dict[str, list[str]] = defaultdict(list)
        self._seq: dict[str, int] = {}

    def must(self, holds: object, what: str) -> None:
        """Note what does not hold: an error raised here would be caught by whoever is being watched."""
        if not holds:
            self.found.append(what)

    def rules_of(self, life: Life) -> Rules:
        """Return the rules that a launch was judged by."""
        return self.known[life.facts["bundle"]]

    def now_in_force(self) -> list[Rules]:
        """Return all rules that were in force since the function began that runs now."""
        return self.in_force[self.since :]

    # -- writes and events

    def wrote(self, key: str, before: Mapping[str, Any] | None, after: Mapping[str, Any]) -> None:
        """See one write of one item: the events that it adds, and what becomes of a launch by it."""
        kind, _, id_ = key.partition("#")
        if "history" in after:
            last = self._seq.get(key, 0)
            events = json.loads(after["history"]["S"]) if int(after["seq"]["N"]) > last else []
            new = [one for one in events if one["seq"] > last]
            self.must(
                [one["seq"] for one in new] == list(range(last + 1, last + 1 + len(new))), f"a gap in {key}"
            )
            for one in new:
                self.committed[f"{id_}-{one['seq']}"] = one
                self._happened(kind, id_, one)
            self._seq[key] = last + len(new)
            if kind == "launch" and any(one["data"].get("verdict") == "reject" for one in new):
                self._rejected(self.lives[id_])
            if "gng_" in after["history"]["S"]:
                self.must(False, f"a code is stored in {key}")
        if kind == "launch":
            state = after["state"]["S"]
            if state == "LAUNCHING" and (before is None or before["state"]["S"] != "LAUNCHING"):
                self._claimed(self.lives[id_], int(after["attempt"]["N"]), after["digest"]["S"])

    def _happened(self, kind: str, id_: str, event: Mapping[str, Any]) -> None:
        name, data = event["type"], event["data"]
        if name == "bundle.published":
            self._changed_policy(data)
        elif name == "budget.reserved":
            life = self.lives.get(data["launch"])
            if life is not None:
                over = Decimal(data["committed"]) > self.in_force[-1].budget
                life.over_budget[data["month"]] = over
        if kind != "launch":
            return
        life = self.lives.get(id_)
        if life is None:
            life = self.lives[id_] = Life(id_, data["launch"])
        life.facts = data["launch"]
        if life.ended:
            after_all = name in ("gate.decided", "gate.closed", "gate.opened", "gate.escalated", "gate.noted")
            self.must(after_all or name == "approver.reminded", f"{id_}: {name} after it ended {life.ended}")
        life.types.append(name)
        handler = getattr(self, "_" + name.replace(".", "_"), None)
        if handler is not None:
            handler(life, data, datetime.fromisoformat(event["at"]))

    def _changed_policy(self, data: Mapping[str, Any]) -> None:
        if data["previous"] is None:
            return
        self.in_force.append(self.known[data["bundle"]])
        if data["change"] is None:
            return  # by whoever deploys
        by = [one for one in self.lives.values() if one.facts["engine"] == "policy" and one.claimed]
        self.must(
            any(self.proposed.get(one.id, data["bundle"]) == data["bundle"] for one in by),
            f"policy {data['bundle'][:8]} is in force without a launch",
        )

    def _launch_requested(self, life: Life, data: Mapping[str, Any], _at: datetime) -> None:
        life.asked, life.glass = tuple(data["gates"]), data["break_glass"]

    def _launch_amended(self, life: Life, data: Mapping[str, Any], _at: datetime) -> None:
        who = data["actor"]["subject"]
        self.must(who in life.askers, f"{who} amended {life.id}")
        life.amended_by.add(who)
        life.gates, life.asked = {}, tuple(data["gates"])

    def _gate_opened(self, life: Life, data: Mapping[str, Any], at: datetime) -> None:
        before = life.gates.get(data["gate"])
        self.must(before is None or data["round"] >= before.round, f"{life.id}: a round comes again")
        goes = data.get("goes_at")
        life.gates[data["gate"]] = Gate(
            place=data.get("place", "approval"),
            kind=data.get("kind", "human"),
            round=data["round"],
            quorum=data["quorum"],
            approvers=tuple(one["subject"] for one in data["approvers"]),
            opened_at=at,
            goes_at=datetime.fromisoformat(goes) if goes else None,
            escalated=before.escalated if before else False,
            rule=before.rule if before else data["gate"],
            yes=before.yes if before else {},
            no=before.no if before else {},
        )

    def _gate_escalated(self, life: Life, data: Mapping[str, Any], _at: datetime) -> None:
        gate = life.gates[data["gate"]]
        gate.escalated = True
        if gate.kind == "hook":
            gate.yes, gate.no, gate.rule = {}, {}, data["to"]

    def _gate_decided(self, life: Life, data: Mapping[str, Any], at: datetime) -> None:
        name, gate, digest = data["gate"], life.gates[data["gate"]], life.facts["digest"]
        actor, verdict = data["actor"]["subject"], data["verdict"]
        seat = data["instead_of"]["subject"] if data.get("instead_of") else actor
        where = f"{actor} says {verdict} to {name} of {life.id}"
        if verdict == "revoke":
            gone = [one for one, said in (*gate.yes.items(), *gate.no.items()) if actor in (one, said.actor)]
            self.must(gone, f"{where}: there was nothing")
            for one in gone:
                gate.yes.pop(one, None)
                gate.no.pop(one, None)
            return
        offered = data["channel"] == "offer"
        self.must(
            offered or digest in self.uttered[actor, life.id, name, verdict],
            f"{where}, who never said so of that",
        )
        self.must(actor not in life.barred and seat not in life.barred, f"{where}, who asked")
        self.must(
            seat == actor or (seat, actor) in self.delegated, f"{where} for {seat}, who did not delegate"
        )
        may = self._may_decide(life, name, gate)
        self.must(offered or any(seat in one for one in may), f"{where} for {seat}, who may not: {may}")
        if name in self.rules_of(life).signed_in_only:
            self.must(data["channel"] == "api" or offered, f"{where} by {data['channel']}")
        self.must(gate.outcome is None, f"{where}: the gate is closed")
        self.must(
            seat not in gate.yes
            or gate.yes[seat].digest != digest
            or gate.round != data["round"]
            or verdict == "reject"
            or self._lost(life, name, gate, seat),
            f"{where}: counted twice",
        )
        (gate.yes if verdict == "approve" else gate.no)[seat] = Said(actor, digest, at)

    def _rejected(self, life: Life) -> None:
        """See, after somebody said no, that a gate which one no is enough for is closed by it."""
        for name, gate in life.gates.items():
            enough = gate.no and self.rules_of(life).reject_quorum_of(gate.rule) == 1
            self.must(
                not enough or gate.outcome is not None, f"{life.id}: {name} is open after {list(gate.no)}"
            )

    def _lost(self, life: Life, name: str, gate: Gate, seat: str) -> bool:
        """Tell whether what somebody said before may have become void: their right was gone, or it is long ago."""
        del life, name
        return gate.round > 1 or self.time - gate.yes[seat].at > VALID_FOR - SKEW

    def _may_decide(self, life: Life, name: str, gate: Gate) -> list[frozenset[str]]:
        """Return who may decide by the pinned rules and by each of those that were in force since."""
        pinned = self.rules_of(life).may_decide(name, escalated=gate.escalated)
        if gate.place == "after_launch":
            return [one.may_decide(name, escalated=gate.escalated) for one in self.now_in_force()]
        return [pinned & one.may_decide(name, escalated=gate.escalated) for one in self.now_in_force()]

    def _gate_closed(self, life: Life, data: Mapping[str, Any], at: datetime) -> None:
        gate = life.gates[data["gate"]]
        gate.closed_at, gate.outcome, gate.passed = at, data["outcome"], data.get("passed")
        if data["gate"] == "review" and gate.outcome in ("go", "no_go"):
            life.reviewed = True
        if gate.kind == "timer" and gate.outcome == "go":
            come = gate.goes_at is not None and gate.goes_at <= self.time + SKEW
            self.must(come, f"{life.id}: {data['gate']} goes before its time, {gate.goes_at}")
        if gate.outcome == "go" and gate.passed is None:
            quorum = self.rules_of(life).quorum_of(gate.rule)
            self.must(len(gate.yes) >= quorum, f"{life.id}: {data['gate']} is GO by {list(gate.yes)}")
        if gate.outcome == "no_go" and gate.kind != "hook":
            quorum = self.rules_of(life).reject_quorum_of(gate.rule)
            self.must(len(gate.no) >= quorum, f"{life.id}: {data['gate']} is NO-GO by {list(gate.no)}")

    def _lease_extended(self, life: Life, data: Mapping[str, Any], _at: datetime) -> None:
        if data["by"] is None:
            cheap = data["until"] is not None and any(
                self._longer(life, data) < one.extends_below for one in self.now_in_force()
            )
            least = cheap or data["actor"]["subject"] in self._operators()
            self.must(least, f"the lease of {life.id} is extended without a gate")
            who = data["actor"]["subject"]
            self.must(who in life.askers or who in self._operators(), f"{who} extends {life.id}")
        else:
            by = self.lives.get(data["by"])
            self.must(by is not None and by.claimed, f"the lease of {life.id} is extended by {data['by']}")

    @staticmethod
    def _longer(life: Life, data: Mapping[str, Any]) -> Decimal:
        """Return what a longer lease costs."""
        longer = datetime.fromisoformat(data["until"]) - datetime.fromisoformat(data["previous"])
        return Decimal(life.facts["price"]["hourly"]) * (longer // timedelta(seconds=1)) / 3600

    def _operators(self) -> set[str]:
        return {one for rules in self.now_in_force() for one in rules.operators}

    def _launch_started(self, life: Life, data: Mapping[str, Any], _at: datetime) -> None:
        self.must(
            (life.facts["digest"], data["attempt"]) in life.claimed,
            f"{life.id} started without being claimed",
        )

    def _launch_cancelled(self, life: Life, data: Mapping[str, Any], _at: datetime) -> None:
        self.must(data["actor"]["subject"] in life.askers, f"{data['actor']} cancelled {life.id}")

    def _launch_change_requested(self, life: Life, data: Mapping[str, Any], _at: datetime) -> None:
        who = data["actor"]["subject"]
        may = who in life.askers or who in self._operators() or who == "clock"
        self.must(may, f"{who} wants {life.id} to {data['wanted']}")

    # -- the launch itself

    def _claimed(self, life: Life, attempt: int, digest: str) -> None:
        """See that a launch is taken for launching: every gate that policy asks for must say go, now."""
        life.claimed.add((digest, attempt))
        self.must(life.types and not life.ended, f"{life.id} is claimed after {life.ended}")
        self.must(digest == life.facts["digest"], f"{life.id} is claimed as what nobody asked for")
        needed = self._needed(life)
        if needed is None:
            self.must(False, f"{life.id} of {life.askers} is claimed, whom policy refuses")
            return
        for name in needed | {one for one, gate in life.gates.items() if gate.place != "after_launch"}:
            self._says_go(life, name, digest)
        if life.glass:
            others = [
                one
                for one in self.lives.values()
                if one.glass and one.requester == life.requester and one is not life and self._unreviewed(one)
            ]
            self.must(not others, f"{life.requester} breaks the glass for {life.id} again")
            self.must("review" in life.asked, f"{life.id} broke the glass, and nobody is to review it")

    def _unreviewed(self, life: Life) -> bool:
        """Tell whether a glass was broken, something was launched, and nobody has said what they think of that."""
        return bool(life.claimed) and not life.reviewed and not self._came_to_nothing(life)

    @staticmethod
    def _came_to_nothing(life: Life) -> bool:
        starts = [one for one in life.types if one in ("launch.started", "launch.failed", "launch.cancelled")]
        return bool(starts) and starts[-1] != "launch.started"

    def _needed(self, life: Life) -> set[str] | None:
        """Return the gates that policy asks for, by the rules alone; None where it refuses."""
        facts, pinned, now = life.facts, self.rules_of(life), self.now_in_force()
        if facts["engine"] == "policy":
            asks = life.requester in pinned.proposers and any(life.requester in one.proposers for one in now)
            return {"policy"} if asks else None
        if life.glass:
            may = all(one in pinned.developers for one in life.askers)
            return set() if may and facts["template"] == "web-small" else None
        needed: set[str] = set()
        for one in life.askers:
            if one in pinned.operators:
                if not any(one in rules.operators or one in rules.developers for rules in now):
                    return None
            elif one in pinned.developers and any(
                one in (rules.developers | rules.operators) for rules in now
            ):
                needed |= pinned.needs[facts["template"]]
                if any(life.over_budget.values()):
                    needed.add("finance")
            else:
                return None
        if facts["engine"] == "lease" and facts["template"] != "gpu-large":
            needed.discard("finance")  # what an extension costs a month is not known here
        return needed

    def _says_go(self, life: Life, name: str, digest: str) -> None:
        """See that a gate says go to just this, by enough of those who may still say so."""
        gate = life.gates.get(name)
        where = f"{life.id} is claimed, and {name}"
        if gate is None or gate.outcome != "go":
            self.must(False, f"{where} is {gate.outcome if gate else 'not there'}")
            return
        if gate.kind == "timer":
            self.must(gate.goes_at is not None and gate.goes_at <= self.time + SKEW, f"{where} has not come")
            return
        for_people = gate.kind == "human" or gate.escalated
        counted = {
            seat
            for seat, said in gate.yes.items()
            if said.digest == digest
            and not {seat, said.actor} & life.barred
            and any(seat in one for one in self._may_decide(life, name, gate))
            and (
                name != "lead" or self.rules_of(life).budget != 300 or self.time - said.at < VALID_FOR + SKEW
            )
        }
        quorum = self.rules_of(life).quorum_of(name if for_people else "")
        self.must(len(counted) >= quorum, f"{where} is GO by {sorted(counted)} of {sorted(gate.yes)}")

    def begun(self, plan: Plan, tags: Mapping[str, str], machines: Iterable[Machine]) -> None:
        """See that an engine makes something."""
        life = self.lives.get(tags.get("gonogo:launch", ""))
        if life is None:
            self.must(False, "something is made that no launch asks for")
            return
        digest = tags["gonogo:digest"]
        self.must(digest == life.facts["digest"], f"{life.id} is made as something else")
        self.must(any(digest == one for one, _ in life.claimed), f"{life.id} is made, and nobody claimed it")
        self.must(not life.ended, f"{life.id} is made after it ended {life.ended}")
        for one in machines:
            same = (one.region, one.image) == (plan.region, plan.spec["image_id"])
            self.must(
                same and one.kind in ("t3.micro", "t3.small", "p4d.24xlarge"), f"{one.id} is not of the plan"
            )
            self.made[life.id].append(one.id)

    # -- what people and subscribers get

    def published(self, event: Mapping[str, Any]) -> None:
        """See one event on the bus: it must be one that was committed, and say just that."""
        own = self.committed.get(event["id"])
        if own is None:
            self.must(False, f"{event['id']} is published, and never happened")
            return
        same = (event["type"], event["seq"], event["data"]) == (own["type"], own["seq"], own["data"])
        self.must(same, f"{event['id']} is published otherwise than it happened")
        self.must(not CODE.search(json.dumps(event)), f"a code is in {event['id']}")

    def posted(self, post: Mapping[str, Any]) -> None:
        """See a webhook's post: no code for people's gates goes where others read too."""
        data = post["body"]["data"]
        if post["url"].endswith("/room"):
            self.must("token" not in data, f"a code is posted to {post['url']}")
        elif "token" in data:
            code = decoded(data["token"])
            self.must(code.keys == "hook", f"a code by the wrong key is posted to {post['url']}")

    def mailed(self, to: str, text: str) -> None:
        """See a mail: a code in it is the receiver's own, of the people's key, and of no gate that wants a login."""
        for found in CODE.findall(text):
            code = decoded(found)
            self.must(code.subject == to.partition("@")[0], f"{to} is sent the code of {code.subject}")
            self.must(code.keys == "people", f"{to} is sent a code of the key {code.keys}")
            rules = self.rules_of(self.lives[code.launch])
            self.must(code.gate not in rules.signed_in_only, f"{to} is sent a code for {code.gate}")


class Code(msgspec.Struct, frozen=True, array_like=True):
    """What stands in a code, read as docs tell it."""

    form: int
    keys: str
    launch: str
    gate: str
    round: int
    issuer: str
    subject: str
    digest: bytes
    expires: int
    epoch: int


def decoded(code: str) -> Code:
    """Return what stands in a code."""
    body = code.removeprefix("gng_")
    return msgspec.msgpack.decode(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4))[:-32], type=Code)


def with_another_mac(code: str) -> str:
    """Return a code in canonical form with a MAC that no key made."""
    said, sign = _parts(code)
    return _written(said, bytes([sign[0] ^ 1]) + sign[1:])


def of_somebody_else(code: str) -> str:
    """Return a code in canonical form for another than whom its MAC was made for."""
    said, sign = _parts(code)
    said[6] = "lead" if said[6] != "lead" else "lead2"
    return _written(said, sign)


def _parts(code: str) -> tuple[list[Any], bytes]:
    body = code.removeprefix("gng_")
    raw = base64.urlsafe_b64decode(body + "=" * (-len(body) % 4))
    return msgspec.msgpack.decode(raw[:-32], type=list[Any]), raw[-32:]


def _written(said: list[Any], sign: bytes) -> str:
    return "gng_" + base64.urlsafe_b64encode(msgspec.msgpack.encode(said) + sign).rstrip(b"=").decode()


@dataclass(frozen=True)
class Mail:
    """One mail, as whoever gets it reads it."""

    to: str
    at: datetime
    delivery: str
    subject: str
    text: str


def read(to: str, at: datetime, raw: bytes) -> Mail:
    """Return a mail as it is read."""
    message = email.message_from_bytes(raw)
    plain = next(part for part in message.walk() if part.get_content_type() == "text/plain")
    body = cast("bytes", plain.get_payload(decode=True)).decode()
    return Mail(to, at, str(message["X-Gonogo-Delivery"]), str(message["Subject"]), body)
