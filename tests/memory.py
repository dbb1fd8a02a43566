"""Everything outside, in memory: as strict as the real things, and with nothing left to chance."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import cached_property, lru_cache
from typing import Any, TypeVar, cast
from unittest import mock

import msgspec

from gonogo import ports
from gonogo.aws.engines.event import Event as EventEngine
from gonogo.core import event as events
from gonogo.core.bundle import Bundle, digest_of
from gonogo.core.errors import (
    Fault,
    FullError,
    GoneError,
    InvalidError,
    ItemExistsError,
    LaterError,
    NotAuthenticatedError,
    PartialError,
    RefusedError,
    VersionConflictError,
)
from gonogo.core.event import Event
from gonogo.core.item import Item, begun_in, in_epoch
from gonogo.core.launch import InstanceState
from gonogo.core.plan import EVENT_ENGINE, LEASE_ENGINE, POLICY_ENGINE, UNNAMED_ENGINES, Place, Plan, Unit
from gonogo.core.token import Keyring
from gonogo.core.watch import Watch
from gonogo.ports import Page, PoisonError, Seen
from gonogo.service import policies, reconcile
from gonogo.service.extend import LeaseEngine
from gonogo.service.limits import Limits
from gonogo.service.publish import Change, Image
from gonogo.webhook import Patient

T = TypeVar("T", bound=Item)
S = TypeVar("S", bound=msgspec.Struct)

ISSUER = "http://gonogo.local"
REMEMBERED = 4096
BEGINNING = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)


class Clock:
    """A clock that stands until it is told to go."""

    def __init__(self, at: datetime = BEGINNING) -> None:
        self.time = at

    def __call__(self) -> datetime:
        """Return the time."""
        return self.time

    def go(self, **span: float) -> None:
        """Go on by so many hours, minutes and so forth."""
        self.time += timedelta(**span)


class TooLargeError(Exception):
    """The item has more bytes than DynamoDB takes."""


class Kept(msgspec.Struct, frozen=True):
    """All of a table, as it was."""

    rows: dict[tuple[str, str], dict[str, bytes]]
    images: dict[tuple[str, str], Image]
    aside: dict[tuple[str, str], dict[int, bytes]]


class Table:
    """`ports.Items`: each item is kept attribute by attribute, encoded, so that nobody holds what is stored."""

    LARGEST = 400 * 1024
    MOST_READ = 100

    def __init__(self, epoch: int = 1) -> None:
        self.epoch = epoch
        self.changes: list[Change] = []
        self._rows: dict[tuple[str, str], dict[str, bytes]] = {}
        self._images: dict[tuple[str, str], Image] = {}
        self._decoded: dict[tuple[type[Item], str], Item] = {}
        self._aside: dict[tuple[str, str], dict[int, bytes]] = {}
        self._lock = threading.RLock()

    def get(self, kind: type[T], id: str) -> T | None:  # noqa: A002
        """Return the item as it is now."""
        with self._lock:
            row = self._rows.get((kind.kind, id))
            if row is None:
                return None
            if (kind, id) not in self._decoded:
                self._decoded[kind, id] = in_epoch(_decoded(kind, row), self.epoch)
            return cast("T", self._decoded[kind, id])

    def get_many(self, kind: type[T], ids: Sequence[str]) -> dict[str, T]:
        """Return those that exist."""
        if len(set(ids)) > self.MOST_READ:
            raise ValueError("BatchGetItem takes 100 keys")
        found = {one: self.get(kind, one) for one in ids}
        return {one: item for one, item in found.items() if item is not None}

    def add(self, item: T) -> T:
        """Write a new item."""
        item = begun_in(item, self.epoch)
        with self._lock:
            if (item.kind, item.id) in self._rows:
                raise ItemExistsError(f"{item.kind} {item.id} exists")
            self._write(item, _encoded(item, item.__struct_fields__))
        return item

    def save(self, before: Item, after: Item) -> None:
        """Write what differs, if the version is that of `before`."""
        with self._lock:
            if len(after.history) > events.KEEP:
                oldest = after.history[: events.KEEP // 2]
                aside = self._aside.setdefault((after.kind, after.id), {})
                aside[oldest[0].seq] = msgspec.json.encode(oldest)
                after = msgspec.structs.replace(after, history=after.history[events.KEEP // 2 :])
            row = self._rows.get((after.kind, after.id))
            if row is None or row["version"] != b"%s%d" % (_MEMBER["version"], before.version):
                raise VersionConflictError(f"{after.kind} {after.id} is not at version {before.version}")
            fields = [
                name for name in after.__struct_fields__ if getattr(before, name) is not getattr(after, name)
            ]
            old, new = _encoded(before, fields), _encoded(after, fields)
            row = {**row, **{name: value for name, value in new.items() if old.get(name) != value}}
            for name in old.keys() - new.keys():
                del row[name]
            self._write(after, row)

    def feed(self, summary: type[S], feed: str, *, cursor: str | None, limit: int) -> Page:
        """Return one page of a feed."""
        return self._page(summary, "feed", feed, cursor, limit)

    def in_state(
        self, summary: type[S], state: str, *, cursor: str | None, limit: int, before: datetime | None = None
    ) -> Page:
        """Return one page of a state."""
        return self._page(summary, "state", state, cursor, limit, before)

    def due(self, now: datetime, limit: int) -> list[tuple[str, str]]:
        """Return what is due, the longest due first; here is one shard."""
        with self._lock:
            alarms = sorted((at, key) for key, at in self.alarms().items() if at <= now)
        return [key for _, key in alarms[:limit]]

    def put_aside(self, kind: type[Item], id: str) -> list[Event]:  # noqa: A002
        """Return the events put aside, oldest first."""
        with self._lock:
            aside = sorted(self._aside.get((kind.kind, id), {}).items())
        return [one for _, raw in aside for one in msgspec.json.decode(raw, type=tuple[Event, ...])]

    def keep(self) -> Kept:
        """Return all that is in it, as a point to which it can be restored."""
        with self._lock:
            aside = {key: dict(parts) for key, parts in self._aside.items()}
            return Kept(dict(self._rows), dict(self._images), aside)

    def restore(self, kept: Kept, epoch: int) -> None:
        """Put back what was kept, in another epoch; what was told of its changes since stays told."""
        with self._lock:
            self._rows, self._images = dict(kept.rows), dict(kept.images)
            self._aside = {key: dict(parts) for key, parts in kept.aside.items()}
            self._decoded.clear()
            self.epoch = epoch

    def alarms(self) -> dict[tuple[str, str], datetime]:
        """Return the alarm of every item that has one: for whoever plays time."""
        return {
            key: msgspec.json.decode(row["due_at"].removeprefix(_MEMBER["due_at"]), type=datetime)
            for key, row in self._rows.items()
            if "due_at" in row
        }

    def all(self, kind: type[T]) -> list[T]:
        """Return every item of a kind, as no function may."""
        rows = [row for (name, _), row in self._rows.items() if name == kind.kind]
        return [in_epoch(_decoded(kind, row), self.epoch) for row in rows]

    def _page(
        self,
        summary: type[S],
        index: str,
        value: str,
        cursor: str | None,
        limit: int,
        older_than: datetime | None = None,
    ) -> Page:
        before = f"{older_than.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}" if older_than is not None else "~"
        if cursor is not None:
            before = _position(cursor)
        with self._lock:
            rows = sorted(
                (
                    (row["#at"].decode(), row["#summary"])
                    for row in self._rows.values()
                    if row.get(f"#{index}") == value.encode() and row["#at"].decode() < before
                ),
                reverse=True,
            )
        shown = rows[:limit]
        more = base64.urlsafe_b64encode(shown[-1][0].encode()).decode() if len(rows) > limit else None
        return Page(tuple(msgspec.json.decode(raw, type=summary) for _, raw in shown), more)

    def _write(self, item: Item, row: dict[str, bytes]) -> None:
        if sum(map(len, row)) + sum(map(len, row.values())) > self.LARGEST:
            raise TooLargeError(f"{item.kind} {item.id}")
        key = item.kind, item.id
        for known in [one for one in self._decoded if (one[0].kind, one[1]) == key]:
            del self._decoded[known]
        before, after = self._images.get(key), _image(_joined(row, Image.__struct_fields__))
        self._rows[key], self._images[key] = row, after
        number = str(len(self.changes) + 1)
        self.changes.append(Change(number=number, item=f"{item.kind}#{item.id}", before=before, after=after))


def _encoded(item: Item, fields: Sequence[str]) -> dict[str, bytes]:
    """Return what is stored of an item: these fields, and under `#` what the indexes have of it."""
    found = {
        name: _MEMBER[name] + msgspec.json.encode(value)
        for name in fields
        if (value := getattr(item, name)) is not None
    }
    listed = item.listed()
    if listed.feed is not None:
        found["#feed"] = listed.feed.encode()
    if listed.state is not None:
        found["#state"] = str(listed.state).encode()
    if listed.summary is not None:
        found["#summary"] = msgspec.json.encode(listed.summary)
        found["#at"] = f"{item.at.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}#{item.id}".encode()
    return found


def _decoded(kind: type[T], row: Mapping[str, bytes]) -> T:
    return cast("T", _item(kind, _joined(row, kind.__struct_fields__)))


@lru_cache(maxsize=REMEMBERED)
def _item(kind: type[Item], raw: bytes) -> Item:
    """Return the item of these bytes: thousands of worlds that differ in one fault have nearly all in common."""
    return msgspec.json.decode(raw, type=kind)


@lru_cache(maxsize=REMEMBERED)
def _image(raw: bytes) -> Image:
    return msgspec.json.decode(raw, type=Image)


def _joined(row: Mapping[str, bytes], names: Sequence[str]) -> bytes:
    """Return these attributes, those that there are, as one JSON object."""
    return b"{" + b",".join([row[name] for name in names if name in row]) + b"}"


class _Member(dict[str, bytes]):
    """How a field of a JSON object begins."""

    def __missing__(self, name: str) -> bytes:
        self[name] = b'"%s":' % name.encode()
        return self[name]


_MEMBER = _Member()


def _position(cursor: str) -> str:
    try:
        text = base64.b64decode(cursor, altchars=b"-_", validate=True).decode()
        datetime.strptime(text.partition("#")[0], "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC)
    except ValueError:
        text = ""
    if not text.partition("#")[2] or base64.urlsafe_b64encode(text.encode()).decode() != cursor:
        raise InvalidError(Fault("/cursor", "cursor", "is not a cursor that this list gave"))
    return text


class Bus:
    """`ports.Bus`: keeps what went out, and tells whoever listens."""

    MOST = 10

    def __init__(self) -> None:
        self.published: list[dict[str, Any]] = []
        self.heard: Callable[[dict[str, Any]], None] = lambda _event: None
        self.poison: Callable[[dict[str, Any]], bool] = lambda _event: False

    def publish(self, events: Sequence[dict[str, Any]]) -> None:
        """Put at most ten events on the bus, as JSON has them."""
        if not 0 < len(events) <= self.MOST:
            raise ValueError("PutEvents takes 1 to 10 entries")
        poison = [index for index, event in enumerate(events) if self.poison(event)]
        for index, event in enumerate(events):
            if index not in poison:
                whole = json.loads(msgspec.json.encode(event))
                self.published.append(whole)
                self.heard(whole)
        if poison:
            raise PoisonError(poison, "MalformedDetail")


class DeadLetters:
    """`ports.DeadLetters`."""

    def __init__(self) -> None:
        self.letters: list[dict[str, Any]] = []

    def put(self, letter: Mapping[str, Any]) -> None:
        """Keep one, as JSON has it."""
        self.letters.append(json.loads(json.dumps(dict(letter))))


class Anchors:
    """`ports.Anchors`: what was ever put under a name, oldest first."""

    def __init__(self) -> None:
        self.files: dict[str, list[bytes]] = {}

    def put(self, name: str, lines: bytes) -> None:
        """Keep one file, besides what is kept under its name."""
        self.files.setdefault(name, []).append(lines)


class Mailer:
    """`ports.Mailer`."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, bytes]] = []

    def send(self, to: str, raw: bytes) -> None:
        """Keep one mail."""
        if to.count("@") != 1:
            raise RefusedError("BadRequestException", f"{to!r} is no address")
        self.sent.append((to, raw))


class Macs:
    """`ports.Macs`: each ring holds the current key and the previous ones."""

    def __init__(self) -> None:
        self.rings: dict[Keyring, list[bytes]] = {"people": [b"people key"], "hook": [b"hook key"]}

    def make(self, keys: Keyring, payload: bytes) -> bytes:
        """Make a MAC with the current key."""
        if not self.rings[keys]:
            raise LaterError(f"there is no {keys} key")
        return hmac.digest(self.rings[keys][0], payload, hashlib.sha256)

    def verify(self, keys: Keyring, payload: bytes, mac: bytes) -> bool:
        """Try all keys of the ring."""
        return any(
            hmac.compare_digest(hmac.digest(key, payload, hashlib.sha256), mac) for key in self.rings[keys]
        )


class Secrets:
    """`ports.Secrets`."""

    def __init__(self) -> None:
        self.known: dict[str, tuple[str, ...]] = {}

    def read(self, name: str) -> tuple[str, ...]:
        """Return the secrets by that name."""
        if name not in self.known:
            raise RefusedError("ParameterNotFound", f"there is no secret {name!r}")
        return self.known[name]


class Caller:
    """`ports.Caller`: keeps what is posted."""

    def __init__(self) -> None:
        self.posts: list[dict[str, Any]] = []

    def post(self, url: str, body: bytes, *, message_id: str, at: datetime, secrets: Sequence[str]) -> None:
        """Keep one post."""
        if not url.startswith("https://"):
            raise RefusedError("NotHttps", url)
        self.posts.append(
            {"url": url, "body": json.loads(body), "id": message_id, "at": at, "secrets": tuple(secrets)}
        )


class Said:
    """What a token says: `dev` is the person dev; `dev+group,group` brings group claims."""

    def __init__(self, token: str) -> None:
        name, _, groups = token.partition("+")
        self.issuer, self.subject = ISSUER, name
        self.claims: Mapping[str, tuple[str, ...]] = {"groups": tuple(groups.split(","))} if groups else {}


class Identity:
    """`ports.Identity` that takes a token for the name that it is."""

    def verify(self, token: str, now: datetime) -> Said:
        """Believe it, unless it says that it is forged."""
        del now
        if token.startswith("forged"):
            raise NotAuthenticatedError("It does not verify.")
        return Said(token)


class Machine(msgspec.Struct, kw_only=True):
    """One instance of the cloud; `began_at` and `changed_at` are when it was asked to start, and to stop."""

    id: str
    image: str
    kind: str
    region: str
    token: str
    tags: Mapping[str, str]
    account: str | None = None
    state: InstanceState = "running"
    on_its_way: bool = False
    began_at: datetime | None = None
    changed_at: datetime | None = None
    runs: list[tuple[datetime, datetime | None]] = []


class Cloud:
    """`ports.Engine`, `ports.Resolver` and `ports.Observer`: client tokens are honoured as EC2 does.

    The same token with the same parameters gives the same instances, with others it is a mismatch, which the
    engine answers by looking for what the token made; instances start and stop at once, and say so, unless they
    are `hushed`. What has ended is shown for an hour.
    """

    SHOWN = timedelta(hours=1)

    def __init__(self, now: Callable[[], datetime] = lambda: BEGINNING) -> None:
        self.machines: dict[str, Machine] = {}
        self.heard: Callable[[Machine], None] = lambda _machine: None
        self.hushed = False
        self.hidden: set[str] = set()
        self.refusal: RefusedError | None = None
        self.full: set[tuple[str | None, str]] = set()
        self.images = {"/aws/service/newest": "ami-0123456789abcdef0"}
        self._now = now
        self._by_token: dict[str, tuple[bytes, tuple[str, ...]]] = {}

    def resolve(
        self, spec: Mapping[str, Any], place: Place, files: Mapping[str, str]
    ) -> tuple[dict[str, Any], tuple[Unit, ...]]:
        """Put an image in the place of its alias."""
        del place, files
        if not isinstance(spec.get("instance_type"), str):
            raise InvalidError(Fault("/template", "spec", "names no instance type"))
        image = str(spec["image_id"])
        if image.startswith("resolve:ssm:"):
            image = self.images.get(image.removeprefix("resolve:ssm:"), self.images["/aws/service/newest"])
        count = int(spec.get("count", 1))
        return {**spec, "image_id": image, "count": count}, (Unit(str(spec["instance_type"]), count),)

    def launch(
        self, plan: Plan, *, token: str, tags: Mapping[str, str], files: ports.Files
    ) -> tuple[str, ...]:
        """Make the plan's instances subnet by subnet, or adopt them; where it is `full` there is no room."""
        del files
        made: list[str] = []
        subnets = plan.spec.get("subnet_ids") or [plan.spec.get("subnet_id")]
        each, more = divmod(plan.spec["count"], len(subnets))
        for number, subnet in enumerate(subnets):
            part = token if number == 0 else f"{token}-{number + 1}"
            count = each + (number < more)
            if count and part not in self._by_token and (subnet, plan.spec["instance_type"]) in self.full:
                if made:
                    raise PartialError("InsufficientInstanceCapacity", "None left.", made, full=True)
                raise FullError("InsufficientInstanceCapacity", "None left.")
            spec = {**plan.spec, "count": count, "subnet_id": subnet}
            made += self._part(msgspec.structs.replace(plan, spec=spec), part, tags) if count else ()
        return tuple(made)

    def _part(self, plan: Plan, token: str, tags: Mapping[str, str]) -> tuple[str, ...]:
        signature = msgspec.json.encode([plan.spec, sorted(tags.items())], order="deterministic")
        if token in self._by_token:
            before, ids = self._by_token[token]
            if before == signature:
                return ids
            found = self.find(plan, token=token)
            if not found:
                raise LaterError("IdempotentParameterMismatch; what the token made cannot be seen yet")
            return found
        if self.refusal is not None:
            raise self.refusal
        ids = tuple(f"i-{len(self.machines) + number:017x}" for number in range(1, plan.spec["count"] + 1))
        self._by_token[token] = signature, ids
        for one in ids:
            self.machines[one] = Machine(
                id=one,
                image=plan.spec["image_id"],
                kind=plan.spec["instance_type"],
                region=plan.region,
                account=plan.account.number if plan.account else None,
                token=token,
                tags=dict(tags),
                began_at=self._now(),
                runs=[(self._now(), None)],
            )
            self._tell(self.machines[one])
        return ids

    def find(self, plan: Plan, *, token: str) -> tuple[str, ...]:
        """Return what the token made, held against the plan."""
        made = [one for one in self.machines.values() if one.token == token]
        expected = (plan.spec["image_id"], plan.spec["instance_type"])
        if made and (
            len(made) != plan.spec["count"] or any((one.image, one.kind) != expected for one in made)
        ):
            raise LaterError("what was made under this client token is not what the plan says")
        return tuple(one.id for one in made)

    def stop(self, plan: Plan, resources: Sequence[str]) -> None:
        """Stop machines."""
        self._turn(plan, resources, "stopped")

    def start(self, plan: Plan, resources: Sequence[str]) -> None:
        """Start machines."""
        self._turn(plan, resources, "running")

    def terminate(self, plan: Plan, resources: Sequence[str]) -> None:
        """Terminate machines: those that are there, where some are gone."""
        there = [one for one in resources if one in self.machines]
        if there or not resources:
            self._turn(plan, there, "terminated")
        if len(there) < len(resources):
            raise GoneError("InvalidInstanceID.NotFound", "None by that id.")

    def look(self, resource: str, place: Place) -> Seen | None:
        """Return a machine as it is."""
        one = self.machines.get(resource)
        return _as_seen(one) if one is not None and self._is_shown(one, place) else None

    def survey(self, place: Place, *, ours: bool) -> Iterator[Sequence[Seen]]:
        """Return all machines of a place, two a page."""
        here = [one for one in self.machines.values() if self._is_shown(one, place)]
        shown = [_as_seen(one) for one in here if not ours or "gonogo:launch" in one.tags]
        for start in range(0, len(shown), 2):
            yield shown[start : start + 2]

    def _is_shown(self, one: Machine, place: Place) -> bool:
        account = place.account.number if place.account else None
        if (one.region, one.account) != (place.region, account) or one.id in self.hidden:
            return False
        ended_at = one.changed_at if one.state == "terminated" else None
        return ended_at is None or self._now() - ended_at < self.SHOWN

    def _turn(self, plan: Plan, resources: Sequence[str], state: InstanceState) -> None:
        if self.refusal is not None:
            raise self.refusal
        if not resources:
            raise RefusedError("MissingParameter", "no instance is named")
        for one in resources:
            if one not in self.machines or self.machines[one].region != plan.region:
                raise RefusedError("InvalidInstanceID.NotFound", one)
            if self.machines[one].state == "terminated" and state != "terminated":
                raise RefusedError("IncorrectInstanceState", f"{one} is terminated")
        for one in resources:
            self.turn(one, state)

    def turn(self, instance: str, state: InstanceState) -> None:
        """Turn one machine on or off, or let it end, whoever wants that."""
        machine = self.machines[instance]
        if machine.state != state:
            if state == "running":
                machine.began_at, machine.changed_at = self._now(), None
                machine.runs.append((self._now(), None))
            else:
                machine.changed_at = self._now()
                if machine.state == "running":
                    machine.runs[-1] = (machine.runs[-1][0], self._now())
            machine.state = state
            self._tell(machine)

    def _tell(self, machine: Machine) -> None:
        if not self.hushed:
            self.heard(machine)


def _as_seen(one: Machine) -> Seen:
    return Seen(
        id=one.id,
        kind=one.kind,
        state=None if one.on_its_way else one.state,
        ending=one.on_its_way and one.state == "terminated",
        client_token=one.token,
        launch=one.tags.get("gonogo:launch"),
        image=one.image,
        began_at=one.began_at,
        changed_at=one.changed_at,
    )


_ready: dict[str, Bundle] = {}
"""Bundles that were checked before: checking is the same for all, and dear."""


def _checked(files: Mapping[str, str], trusts: Callable[[str], bool], check: Any = policies.accept) -> Bundle:
    digest = digest_of(files)
    if digest not in _ready:
        _ready[digest] = check(files, trusts)
    return _ready[digest]


class Outside:
    """`ports.Outside`, of the parts above. `files` is the policy that is in force from the beginning."""

    public_url = "https://gonogo.example.com/"
    mail_from = "gonogo@example.com"
    sign_in = None
    scans = False

    def __init__(self, files: Mapping[str, str], clock: Clock | None = None) -> None:
        self.clock = clock or Clock()
        self.epoch = 1
        self.table = Table()
        self.cloud = Cloud(self.clock)
        self.sent_on = Bus()
        self.dead = DeadLetters()
        self.anchored = Anchors()
        self.posted = Caller()
        self.mailed = Mailer()
        self.keys = Macs()
        self.safe = Secrets()
        self.watched: dict[str, Watch] = {}
        self._drawn = 0
        self.publish_policy(files)

    @property
    def items(self) -> ports.Items:
        """The table."""
        return self.table

    @cached_property
    def passed(self) -> ports.Passed:
        """What this epoch's pass found."""
        return reconcile.Passes(self.items, self.epoch)

    @cached_property
    def policies(self) -> ports.Policies:
        """The policy, out of the table."""
        stored = policies.Policies(self.items, lambda _issuer: True)
        stored._ready = _ready
        return stored

    @property
    def bus(self) -> ports.Bus:
        """The event bus."""
        return self.sent_on

    @property
    def dead_letters(self) -> ports.DeadLetters:
        """Where poison is put aside."""
        return self.dead

    @property
    def anchors(self) -> ports.Anchors:
        """Where the hashes of events are put."""
        return self.anchored

    @property
    def mailer(self) -> ports.Mailer:
        """The mail service."""
        return self.mailed

    @property
    def macs(self) -> ports.Macs:
        """The keys of approval tokens."""
        return self.keys

    @property
    def secrets(self) -> ports.Secrets:
        """The signing secrets of webhooks."""
        return self.safe

    @cached_property
    def limits(self) -> ports.Limits:
        """What each has done of late."""
        return Limits()

    @cached_property
    def caller(self) -> ports.Caller:
        """The way out to webhooks."""
        return Patient(self.posted)

    @cached_property
    def identity(self) -> ports.Identity:
        """The verifier of bearer tokens."""
        return Identity()

    def resolver(self, engine: str) -> ports.Resolver:
        """Return the resolver of an engine."""
        self._known(engine)
        return EventEngine() if engine == EVENT_ENGINE else self.cloud

    def finder(self, engine: str) -> ports.Finder:
        """Return whoever looks for what a token of this engine made."""
        return self.engine(engine)

    def engine(self, engine: str) -> ports.Engine:
        """Return an engine."""
        if engine == POLICY_ENGINE:
            return policies.PolicyEngine(self.items, self.policies, self.now)
        if engine == LEASE_ENGINE:
            return LeaseEngine(self)
        self._known(engine)
        return EventEngine() if engine == EVENT_ENGINE else self.cloud

    def now(self) -> datetime:
        """Return the time."""
        return self.clock()

    def random(self, size: int) -> bytes:
        """Return bytes that nobody has drawn before."""
        self._drawn += 1
        return hashlib.sha512(str(self._drawn).encode()).digest()[:size]

    def restore(self, kept: Kept) -> None:
        """Put the table back as it was kept, and begin the next epoch, as a deployment does: nothing is remembered."""
        self.epoch += 1
        self.table.restore(kept, self.epoch)
        for name in ("passed", "policies", "limits", "caller", "identity"):
            self.__dict__.pop(name, None)
        self.watched = {}

    def publish_policy(self, files: Mapping[str, str]) -> Bundle:
        """Put a policy in force."""
        with mock.patch.object(policies, "accept", _checked):
            return policies.publish(self.items, files, lambda _issuer: True, self.now())

    def observer(self, engine: str) -> ports.Observer | None:
        """Return the eyes on what an engine made."""
        if engine in (*UNNAMED_ENGINES, EVENT_ENGINE):
            return None
        self._known(engine)
        return self.cloud

    @staticmethod
    def _known(engine: str) -> None:
        if engine not in ("ec2", EVENT_ENGINE):
            raise RefusedError("NoSuchEngine", f"there is no engine {engine!r}")
