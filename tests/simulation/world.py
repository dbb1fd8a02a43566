"""A world that one seed decides of: people, time, queues, streams and faults; every function of app.py runs for real."""

from __future__ import annotations

import contextlib
import json
import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from local.aws import pretend

pretend()

from chalice.config import Config  # noqa: E402 - after the environment that boto3 reads
from chalice.local import ForbiddenError, LocalGateway  # noqa: E402

import app as switchboard  # noqa: E402
from gonogo import bootstrap  # noqa: E402
from gonogo.core import chain  # noqa: E402
from gonogo.core.budget import Ledger  # noqa: E402
from gonogo.core.bundle import digest_of  # noqa: E402
from gonogo.core.errors import BusyError, LaterError  # noqa: E402
from gonogo.core.event import cloud_event  # noqa: E402
from gonogo.core.gates import GateState  # noqa: E402
from gonogo.core.launch import Launch  # noqa: E402
from gonogo.core.states import State  # noqa: E402
from gonogo.core.usage import UsageDay  # noqa: E402
from local import pattern, template  # noqa: E402
from local.server import _one_request_per_thread  # noqa: E402
from tests import memory  # noqa: E402
from tests.simulation import rules  # noqa: E402
from tests.simulation.outside import Chance, Crash, Outside, fresh  # noqa: E402
from tests.simulation.people import FACTORY, People, as_body  # noqa: E402
from tests.simulation.witness import (  # noqa: E402
    ASKED_WITHIN,
    CODE,
    ENDS,
    SKEW,
    TOLD,
    Mail,
    Witness,
    read,
)

TEMPLATE = Path(__file__).parents[2] / "infra" / "template.yaml"
BEGINNING = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
WRONG_BY = 600
"""Seconds by which a function's clock may be wrong, either way."""
MEANWHILE = 0.03
"""Of all calls to the outside: how often others get something done just before it."""
OWN_ACCOUNT = "123456789012"
LOST = 0.02
TWICE = 0.3
"""Of EC2's events."""
FINAL = {State.REJECTED, State.EXPIRED, State.CANCELLED, State.TERMINATED, State.FAILED}
PATIENCE = 4
"""How often `wake` may end well and leave what was due: what it reads may lag behind."""
LONGEST_DRAIN = 4000


class BrokenError(AssertionError):
    """Something is not as it must be."""


class Answer:
    """What the API answered."""

    def __init__(self, raw: Mapping[str, Any]) -> None:
        self.code, self._body = int(raw["statusCode"]), raw["body"]

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self._body)


class Message:
    """One message in a queue."""

    def __init__(self, body: str, visible_at: datetime) -> None:
        self.body, self.visible_at, self.tries = body, visible_at, 0


class Queue:
    """One queue with its rules, as the template has them."""

    def __init__(self, function: str, hides: int, most: int, patterns: list[tuple[bool, Any]]) -> None:
        self.function, self.hides, self.most, self.patterns = (
            function,
            timedelta(seconds=hides),
            most,
            patterns,
        )
        self.messages: list[Message] = []
        self.dead: list[Message] = []

    def takes(self, envelope: Mapping[str, Any], *, ours: bool) -> bool:
        """Tell whether one of its rules lets the event through; `ours` is gonogo's own bus."""
        return any(on == ours and pattern.matches(wanted, envelope) for on, wanted in self.patterns)


@cache
def _wiring() -> list[tuple[str, int, int, list[tuple[bool, Any]]]]:
    resources = template.read(TEMPLATE)["Resources"]
    found = []
    for mapping in resources.values():
        source = mapping.get("Properties", {}).get("EventSourceArn", {})
        queue = source.get("Fn::GetAtt", [""])[0] if isinstance(source, dict) else ""
        if mapping.get("Type") != "AWS::Lambda::EventSourceMapping" or not queue.endswith("Queue"):
            continue
        rules = [
            ("EventBusName" in rule["Properties"], rule["Properties"]["EventPattern"])
            for rule in resources.values()
            if rule.get("Type") == "AWS::Events::Rule"
            and any(one["Arn"] == {"Fn::GetAtt": [queue, "Arn"]} for one in rule["Properties"]["Targets"])
        ]
        properties = resources[queue]["Properties"]
        most = properties["RedrivePolicy"]["maxReceiveCount"]
        function = mapping["Properties"]["FunctionName"]["Ref"].lower()
        found.append((function, properties["VisibilityTimeout"], most, rules))
    return found


class World:
    """One run. `step` does one thing; after each, what must always hold is looked at.

    `files` are a policy of `rules.known()`: who may what under it is held against what gonogo does.
    """

    def __init__(
        self,
        seed: int,
        files: Mapping[str, str],
        rate: float = 0.03,
        outside: Callable[..., Any] = Outside,
    ) -> None:
        self.seed = seed
        self.random = random.Random(seed)  # noqa: S311 - a seed, so that it runs again
        self.chance = Chance(self.random, rate)
        self.time = BEGINNING
        self.rules = next(
            one
            for one in (rules.every_kind(), rules.of_example(1), rules.of_example(2))
            if one[0].digest == digest_of(files)
        )
        self.witness = Witness(rules.known(), self.rules[0])
        self.outside: Any = outside(files, self.chance, lambda: self.time)
        self.people = People(self)
        self.queues = [Queue(*one) for one in _wiring()]
        self.skews = {
            name: timedelta(seconds=self.random.randint(-WRONG_BY, WRONG_BY))
            for name in ("api", "publish", "notify", "deliver", "launch", "observe", "wake", "anchor")
        }
        self.read = 0
        self.poisoned = 0
        self.lost: set[str] = set()
        self.heard: dict[str, Any] = {}
        self.did: Counter[str] = Counter()
        self.ends: dict[str, str] = {}
        self.mails: list[Mail] = []
        self._codes: list[str] = []
        self._overdue: dict[tuple[tuple[str, str], datetime], int] = {}
        self._posts_read = 0
        self._running: list[str] = []
        self._woken = self.time
        self._checked: dict[str, int] = {}
        self._delayed: list[tuple[datetime, dict[str, Any]]] = []
        bootstrap.install(self.outside)
        _one_request_per_thread(switchboard.app)
        self._gateway = LocalGateway(switchboard.app, Config())
        self.outside.sent_on.heard = self._published
        self.outside.cloud.heard = self._of_ec2
        self.outside.cloud.begun = self.witness.begun
        for record in self.outside.table.records:
            self._stored(record)
        self.outside.table.wrote = self._stored
        self.chance.meanwhile = self._meanwhile
        self._ledgers: dict[str, Any] = {}

    # -- what happens

    def step(self) -> None:
        """Do one thing that could happen now, and look at all that must hold."""
        ways: list[tuple[float, Callable[[], None]]] = [
            (4, self._somebody),
            (5, self._stream),
            (6, self._message),
            (1.5, self._minutes),
            (0.2, self._hours),
            (0.2, self._machine),
        ]
        (do,) = self.random.choices([way for _, way in ways], [weight for weight, _ in ways])
        self.did[do.__name__.strip("_")] += 1
        do()
        self.look()

    def _meanwhile(self) -> None:
        """Let others do something in the middle of what a function does."""
        if not self.chance.rate or len(self._running) != 1 or self.random.random() >= MEANWHILE:
            return
        ways = [self._somebody, self._somebody, self._message]
        if "publish" not in self._running:
            ways.append(self._stream)
        self.chance.struck["meanwhile"] += 1
        self.random.choice(ways)()

    def drain(self) -> None:
        """Let nothing go wrong any more, let people end what runs, and wait until nothing is left to happen."""
        self.chance.rate = 0.0
        self.skews = dict.fromkeys(self.skews, timedelta())
        self.outside.cloud.full, self.outside.cloud.refusal = set(), None
        for queue in self.queues:
            queue.messages += [Message(one.body, self.time) for one in queue.dead]
            queue.dead = []
        for _ in range(LONGEST_DRAIN):
            if self._work() or self._wind_up():
                continue
            comes = [one.visible_at for queue in self.queues for one in queue.messages]
            comes += [*self.outside.table.alarms().values(), *(at for at, _ in self._delayed)]
            if not comes:
                break
            self.time = max(self.time + timedelta(minutes=1), min(comes))
            self._wake()
            self.look()
        else:
            raise BrokenError(f"it does not come to rest: {self.outside.table.alarms()}")
        self.look()
        self.look_at_the_end()

    def _wind_up(self) -> bool:
        """Let people end what runs or waits, and systems report; tell whether that made any difference."""
        before = len(self.outside.table.records)
        for machine in self.people.strays:
            if machine.state != "terminated":
                self.outside.cloud.turn(machine.id, "terminated")
        for launch in self.outside.table.all(Launch):
            who, path = launch.question.requester.subject, f"/v1/launches/{launch.id}"
            if launch.question.plan.engine == "event":
                self._report(launch, path)
            elif launch.state in (State.RUNNING, State.STOPPED) and launch.wanted != "terminate":
                self.call("POST", f"{path}/terminate", {}, who)
            if launch.state is State.TERMINATED and launch.due_at is not None:
                self._review(launch, path)
            if launch.state is State.PENDING_APPROVAL and launch.updated_at < self.time - timedelta(days=1):
                self.call("POST", f"{path}/cancel", {}, who)
        return self._work() or before != len(self.outside.table.records)

    def _review(self, launch: Launch, path: str) -> None:
        for gate in launch.gates:
            opened_at = gate.opened_at or self.time
            if gate.is_after and gate.state is GateState.OPEN and opened_at < self.time - timedelta(hours=20):
                for who in self.people.deciders(gate.name):
                    self.people.says(who, launch.id, gate.name, "approve", launch.digest)
                    body = {"gate": gate.name, "verdict": "approve", "digest": launch.digest}
                    self.call("POST", f"{path}/decisions", body, who)

    def _report(self, launch: Launch, path: str) -> None:
        outcome = {State.LAUNCHING: "failed", State.RUNNING: "terminated", State.STOPPED: "terminated"}
        if launch.state in outcome:
            body = {"digest": launch.digest, "outcome": outcome[launch.state]}
            self.call("POST", f"{path}/report", body, FACTORY)

    def _work(self) -> bool:
        """Move all that can move now, and tell whether anything did."""
        before = (self.read, sum(len(one.messages) for one in self.queues), len(self.outside.table.records))
        while self.read < len(self.outside.table.records):
            self._stream()
        self._arrive()
        for queue in self.queues:
            for message in [one for one in queue.messages if one.visible_at <= self.time]:
                self._deliver(queue, [message])
        after = (self.read, sum(len(one.messages) for one in self.queues), len(self.outside.table.records))
        return before != after

    # -- people

    def _somebody(self) -> None:
        ways = self.people.ways()
        (do,) = self.random.choices([way for _, way in ways], [weight for weight, _ in ways])
        self.did[do.__name__] += 1
        do()

    def call(
        self,
        method: str,
        path: str,
        body: Any,
        who: str | None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer | None:
        """Send a request to the API; None where no answer comes."""
        sent = {"content-type": "application/json", **({"authorization": f"Bearer {who}"} if who else {})}
        answer: Answer | None = None
        request = getattr(switchboard.app, "current_request", None) if self._running else None
        with self._as("api"), contextlib.suppress(Crash):
            try:
                raw = self._gateway.handle_request(method, path, {**sent, **(headers or {})}, as_body(body))
                answer = Answer(raw)
            except ForbiddenError:
                return None
            finally:
                switchboard.app.current_request = request
        if answer is not None:
            wrong = answer.code >= 500 and answer.code != 503
            self.witness.must(not wrong, f"{method} {path} answers {answer.code}: {answer._body}")
        return answer

    def publish(self, wanted: rules.Rules) -> None:
        """Put rules in force, as whoever deploys does with `gonogo policy publish`."""
        rate, self.chance.rate = self.chance.rate, 0.0
        try:
            self.outside.publish_policy(wanted.files)
        finally:
            self.chance.rate = rate

    def codes(self) -> list[str]:
        """Return every code that was sent, oldest first; what else was sent is read too."""
        for to, raw in self.outside.mailed.sent[len(self.mails) :]:
            mail = read(to, self.outside.mailed.sent_at[len(self.mails)], raw)
            self.mails.append(mail)
            self.witness.mailed(to, mail.text)
            self._codes += CODE.findall(mail.text)
        for post in self.outside.posted.posts[self._posts_read :]:
            self.witness.posted(post)
            code = post["body"]["data"].get("token")
            self._codes += [code] if code else []
        self._posts_read = len(self.outside.posted.posts)
        return self._codes

    # -- machines and clocks

    def _machine(self) -> None:
        """Let a machine stop, start or end by itself."""
        now = self.time.replace(microsecond=0)
        live = [
            one
            for one in self.outside.cloud.machines.values()
            if one.state != "terminated"
            and one not in self.people.strays
            and now not in (one.began_at, one.changed_at)  # no machine is so quick
        ]
        if live:
            one = self.random.choice(live)
            state: Any = self.random.choice(
                ("stopped", "terminated") if one.state == "running" else ("running", "terminated")
            )
            self.outside.cloud.turn(one.id, state)

    def _minutes(self) -> None:
        self._pass(timedelta(seconds=self.random.choice((5, 40, 90, 300, 700))))

    def _hours(self) -> None:
        """Let hours go by; somebody wakes four times an hour: EC2 shows what has ended for no longer than one."""
        for quarter in range(self.random.choice((4, 8, 32))):
            self._pass(timedelta(minutes=15))
            if quarter % 4 == 3:
                self._stream()
                self._message()
                self._message()

    def _pass(self, span: timedelta) -> None:
        self.time += span
        self._arrive()
        if self.time - self._woken >= timedelta(minutes=1):
            self._wake()

    def _wake(self) -> None:
        self._woken = self.time
        due = [(key, at) for key, at in self.outside.table.alarms().items() if at < self.time - SKEW]
        if self._invoke("wake", {}) is not None:
            self._overdue = {one: self._overdue.get(one, 0) + 1 for one in due}
        self._arrive()

    def of_ec2(self, machine: memory.Machine, state: str) -> dict[str, Any]:
        """Return what EC2 sends of a machine that came into this state just now."""
        return {
            "version": "0",
            "id": f"ec2-{self.random.random()}",
            "source": "aws.ec2",
            "detail-type": "EC2 Instance State-change Notification",
            "account": machine.account or OWN_ACCOUNT,
            "time": self.time.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "region": machine.region,
            "resources": [],
            "detail": {"instance-id": machine.id, "state": state},
        }

    def _of_ec2(self, machine: memory.Machine) -> None:
        """Let EC2 tell of a change: sometimes never, sometimes twice, sometimes late."""
        event = self.of_ec2(machine, machine.state)
        if self.random.random() < LOST and self.chance.rate:
            self.lost.add(machine.id)
            self.chance.struck["EC2 event lost"] += 1
            return
        for _ in range(2 if self.random.random() < TWICE else 1):
            late = timedelta(seconds=self.random.choice((0, 0, 1, 5, 60, 900)))
            self._delayed.append((self.time + late, event))

    def _arrive(self) -> None:
        come = [event for at, event in self._delayed if at <= self.time]
        self._delayed = [(at, event) for at, event in self._delayed if at > self.time]
        for event in come:
            self._put(event, ours=False)

    # -- the bus, the stream, the queues

    def _stored(self, record: Mapping[str, Any]) -> None:
        change = record["dynamodb"]
        key = change["Keys"]["pk"]["S"]
        if change["Keys"]["sk"]["S"] == key.partition("#")[0]:
            self.witness.wrote(key, change.get("OldImage"), change["NewImage"])

    def _published(self, event: dict[str, Any]) -> None:
        known = self.heard.setdefault(event["id"], event)
        self.witness.must(known == event, f"{event['id']} means two things: {known} {event}")
        self.witness.published(event)
        envelope = {
            "version": "0",
            "id": f"eb-{len(self.heard)}",
            "source": "gonogo",
            "detail-type": event["type"],
            "account": "123456789012",
            "time": event["time"],
            "region": "us-east-1",
            "resources": [],
            "detail": event,
        }
        self._put(envelope, ours=True)

    def _of_another_version(self, event: dict[str, Any], queue: Queue) -> dict[str, Any]:
        """Return the event as newer code, or code of last year, may have written it: fields more, fields less."""
        roll = self.random.random()
        if queue.function == "anchor":
            return event  # what has no hash, or not its own, is put aside: see test_anchor.py
        if roll < 0.1:
            data = {**event["data"], "newer": {"field": 1}}
            return {**event, "dataschema": event["dataschema"] + "1", "newer": 1, "data": data}
        if roll < 0.15:
            return {
                key: value for key, value in event.items() if key not in ("dataschema", "hash", "prevhash")
            }
        return event

    def _put(self, envelope: Mapping[str, Any], *, ours: bool) -> None:
        for queue in self.queues:
            if queue.takes(envelope, ours=ours):
                whole = envelope
                if ours:
                    whole = {**envelope, "detail": self._of_another_version(envelope["detail"], queue)}
                late = timedelta(seconds=self.random.choice((0, 0, 0, 1, 30)))
                queue.messages.append(Message(json.dumps(whole), self.time + late))

    def deliver_forged(self, function: str, envelope: Mapping[str, Any]) -> None:
        """Put a message before a function that came over no bus."""
        (queue,) = [one for one in self.queues if one.function == function]
        queue.messages.append(Message(json.dumps(envelope), self.time))

    def _stream(self) -> None:
        """Hand a batch of the stream to `publish`, sometimes one that it has had, sometimes with poison in it."""
        records = self.outside.table.records
        if self.read and self.random.random() < 0.05 and self.chance.rate:
            start = self.random.randrange(self.read)
            self._invoke("publish", {"Records": fresh(records[start : min(self.read, start + 20)])})
            return
        batch = records[self.read : self.read + self.random.choice((1, 3, 20, 100))]
        if not batch:
            return
        given = fresh(batch)
        if self.random.random() < 0.03 and self.chance.rate:
            self.poisoned += 1
            poison = {
                "eventID": "p",
                "eventName": "MODIFY",
                "dynamodb": {
                    "Keys": {"pk": {"S": f"launch#poison-{self.poisoned}"}, "sk": {"S": "launch"}},
                    "NewImage": {"history": {"S": '[{"seq":1,'}},
                    "SequenceNumber": f"poison-{self.poisoned}",
                },
            }
            given.insert(self.random.randint(0, len(given)), poison)
        answer = self._invoke("publish", {"Records": given})
        if answer is None:
            return
        numbers = [one["dynamodb"]["SequenceNumber"] for one in given]
        failed = [numbers.index(one["itemIdentifier"]) for one in answer["batchItemFailures"]]
        done = [one for one in numbers[: min(failed, default=len(numbers))] if not one.startswith("poison")]
        self.read += len(done)

    def _message(self) -> None:
        """Deliver some messages of one queue, in any order."""
        waiting = [
            queue for queue in self.queues if any(one.visible_at <= self.time for one in queue.messages)
        ]
        if not waiting:
            if not self._running:
                self._minutes()
            return
        queue = self.random.choice(waiting)
        visible = [one for one in queue.messages if one.visible_at <= self.time]
        self._deliver(
            queue, self.random.sample(visible, min(len(visible), self.random.choice((1, 1, 3, 10))))
        )

    def _deliver(self, queue: Queue, messages: list[Message]) -> None:
        records = [{"messageId": str(number), "body": one.body} for number, one in enumerate(messages)]
        for one in messages:
            one.visible_at, one.tries = self.time + queue.hides, one.tries + 1
        answer = self._invoke(queue.function, {"Records": records})
        failed = {str(number) for number in range(len(messages))}
        if answer is not None:
            failed = {one["itemIdentifier"] for one in answer["batchItemFailures"]}
        for number, one in enumerate(messages):
            again = self.chance.rate and self.random.random() < 0.05
            if str(number) not in failed and not again:
                queue.messages.remove(one)
            elif one.tries >= queue.most:
                queue.messages.remove(one)
                queue.dead.append(one)

    def _invoke(self, function: str, event: Any) -> Any:
        """Run a function as Lambda does; None where it ended badly."""
        with self._as(function):
            try:
                return getattr(switchboard, function)(event, None) or {}
            except (Crash, LaterError, BusyError):
                return None
            except ExceptionGroup as several:
                _, surprise = several.split((LaterError, BusyError))
                if surprise is not None:
                    raise BrokenError(f"{function} is surprised") from surprise
                return None

    @contextlib.contextmanager
    def _as(self, function: str) -> Iterator[None]:
        before, since = self.outside.skew, self.witness.since
        self.outside.skew, self.witness.time = self.skews[function], self.time
        if not self._running:
            self.witness.since = len(self.witness.in_force) - 1
        self._running.append(function)
        try:
            yield
        finally:
            self._running.pop()
            self.outside.skew, self.witness.since = before, since

    # -- what must hold

    def _must(self, holds: object, what: str) -> None:
        if not holds:
            raise BrokenError(f"seed {self.seed}: {what}")

    def look(self) -> None:
        """Look at what must hold after every step."""
        self._must(not self.witness.found, "; ".join(self.witness.found[:3]))
        machines: dict[str, set[str]] = {}
        strays = {one.id for one in self.people.strays}
        for one in self.outside.cloud.machines.values():
            if one.state != "terminated" and one.id not in strays:
                machines.setdefault(one.tags["gonogo:launch"], set()).add(
                    one.token.rpartition("-")[0][:52] if one.token[52:] else one.token
                )
        for launch_id, tokens in machines.items():
            self._must(len(tokens) == 1, f"{launch_id} was launched {len(tokens)} times")
        for id_ in self.witness.lives:
            launch = self.outside.table.get(Launch, id_)
            if launch is None or self._checked.get(launch.id) == launch.version:
                continue
            self._checked[launch.id] = launch.version
            self._look_at(launch)
        alarms = self.outside.table.alarms()
        for (key, at), times in self._overdue.items():
            self._must(times < PATIENCE or alarms.get(key) != at, f"{key} is stuck since {at}")

    def _look_at(self, launch: Launch) -> None:
        ends = [one.type for one in self._history(launch) if one.type in ENDS]
        self._must(len(ends) <= 1, f"{launch.id} ended {ends}")
        before = self.ends.setdefault(launch.id, ends[0]) if ends else None
        self._must(not ends or before == ends[0], f"{launch.id} ended {before}, then {ends}")
        verified = chain.verify(fresh([cloud_event(launch.id, one) for one in self._history(launch)]))
        self._must(not verified.bad, f"the history of {launch.id}: {verified.bad}")
        if launch.state not in FINAL:
            self._must(
                launch.due_at is not None or self._rests(launch),
                f"{launch.id} is {launch.state} without an alarm",
            )
        if launch.state is State.LAUNCHING and launch.question.cost_center == "training" and not launch.undo:
            holds = [one.month for one in self.outside.table.all(Ledger) if launch.id in one.held]
            free = launch.question.plan.engine == "policy"
            self._must(holds or free, f"{launch.id} is launched and holds nothing of its budget")

    @staticmethod
    def _rests(launch: Launch) -> bool:
        """Tell whether nothing is ever to happen by itself."""
        return launch.state in (State.RUNNING, State.STOPPED) and launch.lease_ends_at is None

    def _history(self, launch: Launch) -> list[Any]:
        first = launch.history[0].seq if launch.history else 1
        older = self.outside.table.put_aside(Launch, launch.id) if first > 1 else []
        return [*(one for one in older if one.seq < first), *launch.history]

    def look_at_the_end(self) -> None:
        """Look at what must be so once nothing is left to happen."""
        self.codes()
        for launch in self.outside.table.all(Launch):
            self._must(launch.state in FINAL, f"{launch.id} is stuck in {launch.state}")
        missing = self.witness.committed.keys() - self.heard.keys()
        self._must(not missing, f"never published: {missing}")
        for queue in self.queues:
            self._must(not queue.dead, f"{queue.function} has dead letters: {queue.dead[:1]}")
        poison = [one for one in self.outside.dead.letters if "poison" in str(one.get("id"))]
        self._must(len(poison) == len(self.outside.dead.letters), f"dead: {self.outside.dead.letters}")
        self._look_at_what_is_left()
        self._look_at_the_mails()
        self._look_at_the_ledger()
        self._must(not self.witness.found, "; ".join(self.witness.found[:3]))

    def _look_at_what_is_left(self) -> None:
        """See that nothing runs on, nothing is held, and what nobody approved was told of."""
        left = [one.id for one in self.outside.cloud.machines.values() if one.state != "terminated"]
        self._must(not left, f"{left} run for nobody")
        held = {one.month: one.held for one in self.outside.table.all(Ledger) if one.held}
        self._must(not held, f"held for ever: {held}")
        told = {
            one["data"]["instance"] for one in self.heard.values() if one["type"] == "instance.unapproved"
        }
        for stray in self.people.strays:
            self._must(stray.id in told or not self._was_watched(stray), f"nobody was told of {stray.id}")
        strays = {one.id for one in self.people.strays}
        self._must(told <= strays, f"{told - strays} are said to be unapproved")

    def _was_watched(self, stray: memory.Machine) -> bool:
        """Tell whether a stray ran for an hour and more beside something of ours, at its place."""
        ((begin, end),) = self.outside.cloud.ran[stray.id]
        assert begin is not None
        spans = [
            (max(begin, since), min(end or self.time, until or self.time))
            for one in self.outside.cloud.machines.values()
            if one not in self.people.strays and (one.region, one.account) == (stray.region, stray.account)
            for since, until in self.outside.cloud.ran[one.id]
            if since is not None
        ]
        return any(until - since > timedelta(hours=1) for since, until in spans)

    def _look_at_the_mails(self) -> None:
        """See that whoever asked was told what became of it, and whoever was to decide was asked."""
        to: dict[str, list[Mail]] = {}
        for mail in self.mails:
            to.setdefault(mail.to.partition("@")[0], []).append(mail)
        for life in self.witness.lives.values():
            for subject in set(TOLD.values()):
                names = [name for name, begins in TOLD.items() if begins == subject]
                told = sum(life.types.count(name) for name in names)
                if life.facts["engine"] in ("lease", "policy"):
                    continue
                for who in life.askers:
                    got = {
                        one.delivery
                        for one in to.get(who, ())
                        if one.subject.startswith(subject) and life.id in one.text
                    }
                    no_mail = who in {*self.rules[0].services, "lead3"}
                    self._must(
                        no_mail or len(got) >= told,
                        f"{who} was told {len(got)} of {told} {names} of {life.id}",
                    )
            for name, gate in life.gates.items():
                stays = (gate.closed_at or self.time) - gate.opened_at
                if gate.kind != "human" or stays < ASKED_WITHIN or len(self.witness.in_force) > 1:
                    continue  # or who may has changed meanwhile
                said = {*gate.yes, *gate.no, *(one.actor for one in (*gate.yes.values(), *gate.no.values()))}
                for who in set(gate.approvers) - said:
                    asked = [
                        one
                        for one in to.get(who, ())
                        if life.id in one.text and one.at > gate.opened_at - SKEW
                    ]
                    self._must(
                        asked or who == "lead3", f"{who} was never asked to decide {name} of {life.id}"
                    )

    def _look_at_the_ledger(self) -> None:
        billed: Counter[str] = Counter()
        for day in self.outside.table.all(UsageDay):
            billed[day.facts.instance] += day.seconds
        heard: Counter[str] = Counter()
        for event in self.heard.values():
            if event["type"] == "usage.recorded":
                heard[event["data"]["instance"]] += event["data"]["seconds"]
        self._must(
            +billed == +heard, f"billed are {billed - heard}, and whoever listens heard {heard - billed}"
        )
        strays = {one.id for one in self.people.strays}
        self._must(not strays & billed.keys(), f"{strays} are billed, and are not ours")
        least = self.outside.policies.current().prices.least("ec2")
        for one, spans in self.outside.cloud.ran.items():
            if one in strays:
                continue
            true = sum(
                max(least, int((end - begin).total_seconds())) for begin, end in spans if begin and end
            )
            off = abs(billed[one] - true)
            self._must(
                off == 0 or one in self.lost, f"{one} ran {true} s ({spans}) and is billed {billed[one]}"
            )
