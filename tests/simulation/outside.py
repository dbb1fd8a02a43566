"""Everything outside, each call of which may go wrong by chance: one source of randomness decides of what happens."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any, cast

import msgspec

from gonogo import ports
from gonogo.aws.table import _attributes
from gonogo.core.errors import LaterError, VersionConflictError
from gonogo.core.item import Item
from gonogo.core.launch import InstanceState
from gonogo.core.plan import Plan
from tests import memory

CHANGES = frozenset({"add", "save", "publish", "put", "send", "post", "launch", "stop", "start", "terminate"})
EVENTUAL = frozenset({"feed", "in_state", "due"})
"""Reads of an index, which may show what was so a while ago."""


class Crash(BaseException):
    """The process ends here; whatever called it hears nothing."""


class Chance:
    """Decides what goes wrong, and counts it; `rate` of all calls do."""

    def __init__(self, source: random.Random, rate: float) -> None:
        self.random, self.rate = source, rate
        self.struck: Counter[str] = Counter()
        self.meanwhile: Callable[[], None] = lambda: None

    def call(self, name: str, operation: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        """Make a call, or what goes wrong in its place; others may do something just before it."""
        self.meanwhile()
        if self.random.random() >= self.rate:
            return operation(*arguments, **options)
        verb = name.rpartition(".")[2]
        ways = ["throttled", "no answer before", "crash before"]
        if verb in CHANGES:
            ways += ["no answer after", "crash after", "repeated"]
        if verb == "save":
            ways.append("conflict")
        wrong = self.random.choice(ways)
        self.struck[wrong] += 1
        if wrong == "throttled":
            raise LaterError(wrong, retry_after=1)
        if wrong == "no answer before":
            raise LaterError(wrong)
        if wrong == "crash before":
            raise Crash(name)
        if wrong == "conflict":
            raise VersionConflictError(f"{name}: another write came first")
        operation(*arguments, **options)
        if wrong == "no answer after":
            raise LaterError(wrong)
        if wrong == "crash after":
            raise Crash(name)
        return operation(*arguments, **options)


class Port:
    """A port whose calls go through `Chance`."""

    def __init__(self, name: str, inner: Any, chance: Chance) -> None:
        self._name, self._inner, self._chance = name, inner, chance

    def __getattr__(self, operation: str) -> Any:
        inner = getattr(self._inner, operation)

        def call(*arguments: Any, **options: Any) -> Any:
            return self._chance.call(f"{self._name}.{operation}", inner, *arguments, **options)

        return call


class Table(memory.Table):
    """The table, with the stream that DynamoDB makes of its changes, and indexes that lag behind."""

    def __init__(self, chance: Chance) -> None:
        super().__init__()
        self._chance = chance
        self._stored: dict[str, dict[str, Any]] = {}
        self._pages: dict[str, Any] = {}
        self.records: list[dict[str, Any]] = []
        self.wrote: Callable[[dict[str, Any]], None] = lambda _record: None

    def _write(self, item: Item, row: dict[str, bytes]) -> None:
        super()._write(item, row)
        key = f"{item.kind}#{item.id}"
        image = {
            "pk": {"S": key},
            "sk": {"S": item.kind},
            **_attributes(item, item.__struct_fields__),
        }
        number = str(len(self.records) + 1)
        change: dict[str, Any] = {"Keys": {"pk": image["pk"], "sk": image["sk"]}, "SequenceNumber": number}
        if key in self._stored:
            change["OldImage"] = self._stored[key]
        change["NewImage"] = self._stored[key] = image
        self.records.append({"eventID": number, "eventName": "MODIFY", "dynamodb": change})
        self.wrote(self.records[-1])

    def feed(self, summary: Any, feed: str, *, cursor: str | None, limit: int) -> ports.Page:
        """Return one page of a feed, sometimes as it was when somebody last read it."""
        found: ports.Page = self._stale(
            f"feed {feed} {cursor} {limit}",
            lambda: super(Table, self).feed(summary, feed, cursor=cursor, limit=limit),
        )
        return found

    def in_state(
        self,
        summary: Any,
        state: str,
        *,
        cursor: str | None,
        limit: int,
        before: datetime | None = None,
    ) -> ports.Page:
        """Return one page of a state, sometimes as it was when somebody last read it."""
        found: ports.Page = self._stale(
            f"state {state} {cursor} {limit} {before}",
            lambda: super(Table, self).in_state(summary, state, cursor=cursor, limit=limit, before=before),
        )
        return found

    def due(self, now: datetime, limit: int) -> list[tuple[str, str]]:
        """Return what is due, sometimes as it was when somebody last asked."""
        found: list[tuple[str, str]] = self._stale("due", lambda: super(Table, self).due(now, limit))
        return found

    def _stale(self, key: str, fresh: Callable[[], Any]) -> Any:
        if key in self._pages and self._chance.random.random() < self._chance.rate:
            self._chance.struck["stale read"] += 1
            return self._pages[key]
        self._pages[key] = fresh()
        return self._pages[key]


class Bus(memory.Bus):
    """A bus that sometimes takes only a part of a batch."""

    def __init__(self, chance: Chance) -> None:
        super().__init__()
        self._chance = chance

    def publish(self, events: Sequence[dict[str, Any]]) -> None:
        """Publish, or a part of it."""
        if len(events) > 1 and self._chance.random.random() < self._chance.rate:
            self._chance.struck["partial batch"] += 1
            some = [one for one in events if self._chance.random.random() < 0.5]
            if some:
                super().publish(some)
            raise LaterError("some of the entries failed")
        super().publish(events)


class Mailer(memory.Mailer):
    """A mail service that knows when each mail went out."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        super().__init__()
        self._now = now
        self.sent_at: list[datetime] = []

    def send(self, to: str, raw: bytes) -> None:
        """Keep one mail."""
        super().send(to, raw)
        self.sent_at.append(self._now())


class Cloud(memory.Cloud):
    """EC2 that keeps the whole truth: when each machine ran, whoever heard of it."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        super().__init__()
        self._now = now
        self.ran: dict[str, list[list[datetime | None]]] = {}
        self.begun: Callable[[Plan, Mapping[str, str], Sequence[memory.Machine]], None] = lambda *_made: None

    def launch(
        self, plan: Plan, *, token: str, tags: Mapping[str, str], files: ports.Files
    ) -> tuple[str, ...]:
        """Launch; what is new begins to run."""
        known = set(self.machines)
        heard, self.heard = self.heard, lambda _machine: None
        try:
            return super().launch(plan, token=token, tags=tags, files=files)
        finally:
            self.heard = heard
            new = [one for one in self.machines if one not in known]
            if new:
                self.begun(plan, tags, [self.machines[one] for one in new])
            for one in new:
                self._turned(one, "running")
                heard(self.machines[one])

    def strange(self, region: str, tags: Mapping[str, str]) -> memory.Machine:
        """Let somebody else start a machine, with whatever tags."""
        made = memory.Machine(
            id=f"i-{0xFFFF0000 + len(self.machines):017x}",
            image="ami-0fedcba9876543210",
            kind="t3.micro",
            region=region,
            token="of-somebody-else",
            tags=tags,
            runs=[(self._now(), None)],
        )
        self.machines[made.id] = made
        self._turned(made.id, "running")
        self.heard(made)
        return made

    def turn(self, instance: str, state: InstanceState) -> None:
        """Turn a machine; the truth first."""
        if self.machines[instance].state != state:
            self._turned(instance, state)
        super().turn(instance, state)

    def _turned(self, instance: str, state: InstanceState) -> None:
        at, machine = self._now().replace(microsecond=0), self.machines[instance]
        spans = self.ran.setdefault(instance, [])
        if state == "running":
            spans.append([at, None])
            machine.began_at = at
            return
        machine.changed_at = at
        if spans and spans[-1][1] is None:
            spans[-1][1] = at


class Outside(memory.Outside):
    """`ports.Outside` by chance. Each function has a clock of its own, which may be wrong by minutes."""

    table: Table
    cloud: Cloud
    mailed: Mailer
    scans = True

    def __init__(self, files: Mapping[str, str], chance: Chance, clock: Callable[[], datetime]) -> None:
        self.chance = chance
        self.skew = timedelta()
        self._true = clock
        self.secrets_known = {"lead": ("whsec_bGVhZA==",), "room": ("whsec_cm9vbQ==",)}
        rate, chance.rate = chance.rate, 0.0
        super().__init__(files)
        self.table = Table(chance)
        self.cloud = Cloud(clock)
        self.sent_on = Bus(chance)
        self.mailed = Mailer(clock)
        self.safe.known |= self.secrets_known
        self.publish_policy(files)
        chance.rate = rate

    def now(self) -> datetime:
        """Return the time as the function's own clock has it."""
        return self._true() + self.skew if hasattr(self, "_true") else datetime(2026, 11, 23, 9, tzinfo=UTC)

    @cached_property
    def items(self) -> ports.Items:  # type: ignore[override]
        """The table."""
        return cast("ports.Items", _Through(self, "table", "items"))

    @cached_property
    def policies(self) -> ports.Policies:
        """The policy, out of the table; what was checked before in this process is not checked again."""
        stored = cast("Any", super().policies)
        stored.check = lambda files: memory._checked(files, lambda _issuer: True)
        return cast("ports.Policies", stored)

    @cached_property
    def bus(self) -> ports.Bus:  # type: ignore[override]
        """The event bus."""
        return cast("ports.Bus", _Through(self, "sent_on", "bus"))

    @cached_property
    def dead_letters(self) -> ports.DeadLetters:  # type: ignore[override]
        """Where poison is put aside."""
        return cast("ports.DeadLetters", _Through(self, "dead", "dead_letters"))

    @cached_property
    def mailer(self) -> ports.Mailer:  # type: ignore[override]
        """The mail service."""
        return cast("ports.Mailer", _Through(self, "mailed", "mailer"))

    @cached_property
    def macs(self) -> ports.Macs:  # type: ignore[override]
        """The keys of approval tokens."""
        return cast("ports.Macs", _Through(self, "keys", "macs"))

    @cached_property
    def secrets(self) -> ports.Secrets:  # type: ignore[override]
        """The signing secrets of webhooks."""
        return cast("ports.Secrets", _Through(self, "safe", "secrets"))

    @cached_property
    def caller(self) -> ports.Caller:  # type: ignore[override]
        """The way out to webhooks."""
        return cast("ports.Caller", _Through(self, "posted", "caller"))

    def observer(self, engine: str) -> ports.Observer | None:
        """Return the eyes on what an engine made."""
        found = super().observer(engine)
        return None if found is None else cast("ports.Observer", Port("observer", found, self.chance))

    def resolver(self, engine: str) -> ports.Resolver:
        """Return the resolver of an engine."""
        return cast("ports.Resolver", Port("resolver", super().resolver(engine), self.chance))

    def engine(self, engine: str) -> ports.Engine:
        """Return an engine."""
        return cast("ports.Engine", Port("engine", super().engine(engine), self.chance))


class _Through:
    """A part of the outside, as it is when it is called: it may have been replaced since."""

    def __init__(self, outside: Outside, attribute: str, name: str) -> None:
        self._outside, self._attribute, self._name = outside, attribute, name

    def __getattr__(self, operation: str) -> Any:
        port = Port(self._name, getattr(self._outside, self._attribute), self._outside.chance)
        return getattr(port, operation)


def fresh(value: Any) -> Any:
    """Return a copy of JSON, as whoever receives it has one."""
    return msgspec.json.decode(msgspec.json.encode(value))
