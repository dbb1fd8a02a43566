"""A world that one seed decides of: people, time, queues, streams and faults; every function of app.py runs for real."""

from __future__ import annotations

import contextlib
import email
import email.policy
import json
import random
import re
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
from gonogo.core.errors import BusyError, LaterError  # noqa: E402
from gonogo.core.event import cloud_event  # noqa: E402
from gonogo.core.gates import GateState  # noqa: E402
from gonogo.core.launch import Launch  # noqa: E402
from gonogo.core.plan import Plan  # noqa: E402
from gonogo.core.states import State  # noqa: E402
from gonogo.core.usage import UsageDay  # noqa: E402
from local import pattern, template  # noqa: E402
from local.server import _one_request_per_thread  # noqa: E402
from tests import memory  # noqa: E402
from tests.simulation.outside import Chance, Crash, Outside, fresh  # noqa: E402

TEMPLATE = Path(__file__).parents[2] / "infra" / "template.yaml"
BEGINNING = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
SKEW = 600
"""Seconds by which a function's clock may be wrong, either way."""
LOST = 0.02
TWICE = 0.3
"""Of EC2's events."""
TERMINAL = ("launch.rejected", "launch.expired", "launch.cancelled", "launch.terminated")
FINAL = {State.REJECTED, State.EXPIRED, State.CANCELLED, State.TERMINATED, State.FAILED}
PEOPLE = ("dev", "ops")
LEADS = ("lead", "lead2", "lead3")
DECIDERS = {"lead": LEADS, "finance": ("finance",)}
LONGEST_DRAIN = 4000


class BrokenError(AssertionError):
    """Something is not as it must be."""


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
    """One run. `step` does one thing; after each, what must always hold is looked at."""

    def __init__(self, seed: int, files: Mapping[str, str], rate: float = 0.03) -> None:
        self.seed = seed
        self.random = random.Random(seed)  # noqa: S311 - a seed, so that it runs again
        self.chance = Chance(self.random, rate)
        self.time = BEGINNING
        self.outside: Outside = Outside(files, self.chance, lambda: self.time)
        self.queues = [Queue(*one) for one in _wiring()]
        self.skews = {
            name: timedelta(seconds=self.random.randint(-SKEW, SKEW))
            for name in ("api", "publish", "notify", "deliver", "launch", "observe", "wake")
        }
        self.read = 0
        self.poisoned = 0
        self.lost: set[str] = set()
        self.heard: dict[str, Any] = {}
        self.did: Counter[str] = Counter()
        self.said: dict[tuple[str, str, str], set[str | None]] = {}
        self.surprises: list[str] = []
        self.asked: list[dict[str, Any]] = []
        self.ends: dict[str, str] = {}
        self._woken = self.time
        self._checked: dict[str, int] = {}
        self._delayed: list[tuple[datetime, dict[str, Any]]] = []
        bootstrap.install(self.outside)
        _one_request_per_thread(switchboard.app)
        self._gateway = LocalGateway(switchboard.app, Config())
        self.outside.sent_on.heard = self._published
        self.outside.cloud.heard = self._of_ec2
        self.outside.cloud.begun = self._launched

    # -- what happens

    def step(self) -> None:
        """Do one thing that could happen now, and look at all that must hold."""
        ways: list[tuple[float, Callable[[], None]]] = [
            (3, self._somebody),
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

    def drain(self) -> None:
        """Let nothing go wrong any more, let people end what runs, and wait until nothing is left to happen."""
        self.chance.rate = 0.0
        self.skews = dict.fromkeys(self.skews, timedelta())
        for queue in self.queues:
            queue.messages += [Message(one.body, self.time) for one in queue.dead]
            queue.dead = []
        for _ in range(LONGEST_DRAIN):
            if self._work():
                continue
            for launch in self.outside.table.all(Launch):
                if launch.state in (State.RUNNING, State.STOPPED) and launch.wanted != "terminate":
                    who = launch.question.requester.subject
                    self._call("POST", f"/v1/launches/{launch.id}/terminate", {}, who)
                if launch.state is State.PENDING_APPROVAL and launch.updated_at < self.time - timedelta(
                    days=1
                ):
                    self._call(
                        "POST", f"/v1/launches/{launch.id}/cancel", {}, launch.question.requester.subject
                    )
            if self._work():
                continue
            comes = [one.visible_at for queue in self.queues for one in queue.messages]
            comes += [*self.outside.table.alarms().values(), *(at for at, _ in self._delayed)]
            if not comes:
                break
            self.time = max(self.time + timedelta(minutes=1), min(comes))
            self._wake()
        else:
            raise BrokenError(f"it does not come to rest: {self.outside.table.alarms()}")
        self.look()
        self.look_at_the_end()

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
        doing = [self._submit, self._decide, self._decide, self._decide, self._by_link, self._by_link]
        doing += [self._revoke, self._cancel, self._change, self._amend, self._retry]
        self.random.choice(doing)()

    def _any_launch(self) -> dict[str, Any] | None:
        return self.random.choice(self.asked) if self.asked else None

    def _submit(self) -> None:
        if len(self.asked) >= 6:
            return
        who = self.random.choice(PEOPLE)
        body = {
            "template": self.random.choice(("web-small", "web-small", "gpu-large")),
            "parameters": {"count": self.random.choice((1, 2))},
            "reason": f"run {self.seed}",
            "cost_center": self.random.choice(("4711", "training")),
            "lease": self.random.choice(("1h", "6h", "2d")),
        }
        key = f"key-{self.seed}-{len(self.asked)}"
        for _ in range(6):
            answer = self._call("POST", "/v1/launches", body, who, {"idempotency-key": key})
            if answer is not None and answer["statusCode"] == 201:
                launch = json.loads(answer["body"])
                if launch["id"] not in {one["id"] for one in self.asked}:
                    self.asked.append({"id": launch["id"], "who": who})
                return

    def _digest(self, launch_id: str) -> str | None:
        found = self.outside.table.get(Launch, launch_id)
        return found.digest if found is not None else None

    def _decide(self) -> None:
        launch = self._any_launch()
        if launch is None:
            return
        gate = self.random.choice(tuple(DECIDERS))
        who = self.random.choice((*DECIDERS[gate], *DECIDERS[gate], "dev", "ops", "nobody"))
        verdict = "approve" if self.random.random() < 0.9 else "reject"
        digest = self._digest(launch["id"])
        if self.random.random() < 0.05:
            digest = "0" * 64
        self._says(launch["id"], gate, who, verdict, digest or "")
        body = {"gate": gate, "verdict": verdict, "digest": digest}
        answer = self._call("POST", f"/v1/launches/{launch['id']}/decisions", body, who)
        if answer is not None and answer["statusCode"] == 200:
            allowed = who in DECIDERS[gate] and who != launch["who"] and digest == self._digest(launch["id"])
            self._must(allowed, f"{who} decided {gate} of {launch['id']}, asked for by {launch['who']}")

    def _says(self, launch_id: str, gate: str, who: str, verdict: str, digest: str) -> None:
        """Keep what somebody may have said: whether it was taken is not known, if no answer comes."""
        if verdict == "approve":
            self.said.setdefault((launch_id, gate, who), set()).add(digest)

    def _by_link(self) -> None:
        mails = self.outside.mailed.sent
        if not mails:
            return
        to, raw = self.random.choice(mails)
        text = str(
            email.message_from_bytes(raw, policy=email.policy.default).get_body(("plain",)).get_content()  # type: ignore[union-attr]
        )
        found = re.search(r"gng_[A-Za-z0-9_-]+", text)
        if found is None:
            return
        who, code = to.partition("@")[0], found[0]
        if self.random.random() < 0.1:
            code = code[:-1] + ("A" if code[-1] != "A" else "B")
            answer = self._call("POST", "/v1/decisions", {"token": code, "verdict": "approve"}, None)
            self._must(answer is None or answer["statusCode"] >= 400, "a forged token was taken")
            return
        for launch in self.asked:
            for gate, deciders in DECIDERS.items():
                if who in deciders and f"{launch['id']}" in text:
                    self._says(launch["id"], gate, who, "approve", self._digest(launch["id"]) or "")
        self._call("POST", "/v1/decisions", {"token": code, "verdict": "approve"}, None)

    def _revoke(self) -> None:
        launch = self._any_launch()
        if launch is None:
            return
        gate = self.random.choice(tuple(DECIDERS))
        who = self.random.choice(DECIDERS[gate])
        body = {"gate": gate, "verdict": "revoke", "digest": self._digest(launch["id"])}
        answer = self._call("POST", f"/v1/launches/{launch['id']}/decisions", body, who)
        if answer is not None and answer["statusCode"] == 200:
            self.said[launch["id"], gate, who] = set()

    def _cancel(self) -> None:
        launch = self._any_launch()
        if launch is not None and self.random.random() < 0.3:
            self._call("POST", f"/v1/launches/{launch['id']}/cancel", {}, launch["who"])

    def _change(self) -> None:
        launch = self._any_launch()
        if launch is not None:
            wanted = self.random.choice(("stop", "start", "start", "terminate"))
            self._call("POST", f"/v1/launches/{launch['id']}/{wanted}", {}, launch["who"])

    def _retry(self) -> None:
        launch = self._any_launch()
        if launch is not None:
            self._call("POST", f"/v1/launches/{launch['id']}/retry", {}, launch["who"])

    def _amend(self) -> None:
        launch = self._any_launch()
        if launch is not None and self.random.random() < 0.4:
            body = {"parameters": {"count": self.random.choice((1, 2))}, "lease": "3h"}
            self._call("POST", f"/v1/launches/{launch['id']}/amend", body, launch["who"])

    def _call(
        self,
        method: str,
        path: str,
        body: Any,
        who: str | None,
        headers: Mapping[str, str] | None = None,
    ) -> dict[str, Any] | None:
        """Send a request to the API; None where no answer comes."""
        sent = {"content-type": "application/json", **({"authorization": f"Bearer {who}"} if who else {})}
        answer: dict[str, Any] | None = None
        with self._as("api"), contextlib.suppress(Crash):
            try:
                answer = self._gateway.handle_request(
                    method, path, {**sent, **(headers or {})}, json.dumps(body).encode()
                )
            except ForbiddenError:
                return None
        if answer is not None and answer["statusCode"] >= 500 and answer["statusCode"] != 503:
            raise BrokenError(f"{method} {path} answers {answer['statusCode']}: {answer['body']}")
        return answer

    # -- machines and clocks

    def _machine(self) -> None:
        """Let a machine stop, start or end by itself."""
        now = self.time.replace(microsecond=0)
        live = [
            one
            for one in self.outside.cloud.machines.values()
            if one.state != "terminated"
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
        for _ in range(self.random.choice((4, 8, 32))):
            self._pass(timedelta(minutes=15))

    def _pass(self, span: timedelta) -> None:
        self.time += span
        self._arrive()
        if self.time - self._woken >= timedelta(minutes=1):
            self._wake()

    def _wake(self) -> None:
        self._woken = self.time
        self._invoke("wake", {})
        self._arrive()

    def _of_ec2(self, machine: memory.Machine) -> None:
        """Let EC2 tell of a change: sometimes never, sometimes twice, sometimes late."""
        event = {
            "version": "0",
            "id": f"ec2-{self.random.random()}",
            "source": "aws.ec2",
            "detail-type": "EC2 Instance State-change Notification",
            "account": "123456789012",
            "time": self.time.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "region": machine.region,
            "resources": [],
            "detail": {"instance-id": machine.id, "state": machine.state},
        }
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

    def _published(self, event: dict[str, Any]) -> None:
        known = self.heard.setdefault(event["id"], event)
        self._must(known == event, f"{event['id']} means two things")
        envelope = {
            "version": "0",
            "id": f"eb-{len(self.heard)}",
            "source": "gonogo",
            "detail-type": event["type"],
            "account": "123456789012",
            "time": event["time"],
            "region": "us-east-1",
            "resources": [],
            "detail": self._of_another_version(event),
        }
        self._put(envelope, ours=True)

    def _of_another_version(self, event: dict[str, Any]) -> dict[str, Any]:
        """Return the event as newer code, or code of last year, may have written it: fields more, fields less."""
        roll = self.random.random()
        if roll < 0.1:
            return {**event, "dataschema": event["dataschema"] + "1", "newer": {"field": 1}}
        if roll < 0.15:
            return {key: value for key, value in event.items() if key not in ("data", "hash", "prevhash")}
        return event

    def _put(self, envelope: Mapping[str, Any], *, ours: bool) -> None:
        for queue in self.queues:
            whole = envelope
            if "data" not in envelope["detail"] and ours:
                whole = {**envelope, "detail": {**envelope["detail"], "data": {}}}
            if queue.takes(whole, ours=ours):
                late = timedelta(seconds=self.random.choice((0, 0, 0, 1, 30)))
                queue.messages.append(Message(json.dumps(whole), self.time + late))

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
        before, self.outside.skew = self.outside.skew, self.skews[function]
        try:
            yield
        finally:
            self.outside.skew = before

    # -- what must hold

    def _must(self, holds: object, what: str) -> None:
        if not holds:
            raise BrokenError(f"seed {self.seed}: {what}")

    def _launched(self, plan: Plan, token: str) -> None:
        """Look, at the moment when something is made, whether it may be."""
        launch = next((one for one in self.outside.table.all(Launch) if one.client_token() == token), None)
        self._must(launch is not None, "something is made that no launch asks for")
        assert launch is not None
        self._must(launch.state is State.LAUNCHING, f"{launch.id} is made while {launch.state}")
        self._must(launch.question.digest == launch.digest, f"{launch.id} is not what its digest says")
        self._must(launch.plan == plan, f"{launch.id} is made by another plan")
        asker = launch.question.requester.subject
        gates = {gate.name: gate for gate in launch.gates if not gate.is_after}
        needed = set() if asker == "ops" else {"lead"}
        if asker != "ops" and launch.question.price.monthly > 500:
            needed.add("finance")
        self._must(needed <= set(gates), f"{launch.id} is made without {needed - set(gates)}")
        for gate in gates.values():
            self._must(gate.state is GateState.GO, f"{launch.id} is made while {gate.name} is {gate.state}")
            said = {
                one.actor.subject
                for one in gate.counting
                if one.verdict == "approve"
                and launch.digest in self.said.get((launch.id, gate.name, one.actor.subject), set())
            }
            self._must(len(said) >= gate.quorum, f"{launch.id} is made with {said} for {gate.name}")
            self._must(asker not in said, f"{asker} approved {launch.id}")

    def look(self) -> None:
        """Look at what must hold after every step."""
        machines: dict[str, set[str]] = {}
        for one in self.outside.cloud.machines.values():
            if one.state != "terminated":
                machines.setdefault(one.tags["gonogo:launch"], set()).add(one.token)
        for launch_id, tokens in machines.items():
            self._must(len(tokens) == 1, f"{launch_id} was launched {len(tokens)} times")
        for launch in self.outside.table.all(Launch):
            if self._checked.get(launch.id) == launch.version:
                continue
            self._checked[launch.id] = launch.version
            ends = [one.type for one in self._history(launch) if one.type in TERMINAL]
            self._must(len(ends) <= 1, f"{launch.id} ended {ends}")
            before = self.ends.setdefault(launch.id, ends[0]) if ends else None
            self._must(not ends or before == ends[0], f"{launch.id} ended {before}, then {ends}")
            verified = chain.verify(fresh([cloud_event(launch.id, one) for one in self._history(launch)]))
            self._must(not verified.bad, f"the history of {launch.id}: {verified.bad}")
            if launch.state not in FINAL:
                self._must(launch.due_at is not None, f"{launch.id} is {launch.state} without an alarm")

    def _history(self, launch: Launch) -> list[Any]:
        first = launch.history[0].seq if launch.history else 1
        older = self.outside.table.put_aside(Launch, launch.id) if first > 1 else []
        return [*(one for one in older if one.seq < first), *launch.history]

    def look_at_the_end(self) -> None:
        """Look at what must be so once nothing is left to happen."""
        for launch in self.outside.table.all(Launch):
            self._must(launch.state in FINAL, f"{launch.id} is stuck in {launch.state}")
            told = {f"{launch.id}-{one.seq}" for one in self._history(launch)}
            self._must(told <= self.heard.keys(), f"never published: {told - self.heard.keys()}")
            for one in self._history(launch):
                event = fresh(cloud_event(launch.id, one))
                self._must(self.heard[event["id"]] == event, f"{event['id']} was published otherwise")
        for queue in self.queues:
            self._must(not queue.dead, f"{queue.function} has dead letters: {queue.dead[:1]}")
        poison = [one for one in self.outside.dead.letters if "poison" in str(one.get("id"))]
        self._must(len(poison) == len(self.outside.dead.letters), f"dead: {self.outside.dead.letters}")
        self._look_at_the_ledger()

    def _look_at_the_ledger(self) -> None:
        billed: Counter[str] = Counter()
        for day in self.outside.table.all(UsageDay):
            billed[day.facts.instance] += day.seconds
        least = self.outside.policies.current().prices.least("ec2")
        for one, spans in self.outside.cloud.ran.items():
            true = sum(
                max(least, int((end - begin).total_seconds())) for begin, end in spans if begin and end
            )
            off = abs(billed[one] - true)
            self._must(
                off == 0 or one in self.lost, f"{one} ran {true} s ({spans}) and is billed {billed[one]}"
            )
