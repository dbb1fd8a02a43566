"""What gonogo needs from outside, as Protocols; one suite in tests/contract holds every implementation."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol, TypeVar

import msgspec

from gonogo.core.bundle import Bundle
from gonogo.core.event import Event
from gonogo.core.item import Item
from gonogo.core.launch import InstanceState
from gonogo.core.limit import Limit
from gonogo.core.plan import Place, Plan, Unit
from gonogo.core.token import Keyring
from gonogo.core.watch import Watch

T = TypeVar("T", bound=Item)
S = TypeVar("S", bound=msgspec.Struct)


class Passed(Protocol):
    """What is known of the time that a restore of the table lost (`service.reconcile`)."""

    def lost(self) -> frozenset[str] | None:
        """Return the launches of which something was made then that is not on record; None: it is not known yet."""


class Page(msgspec.Struct, frozen=True):
    """One page of a list: summaries, newest first, and an opaque cursor where there are more."""

    items: tuple[Any, ...]
    cursor: str | None


class Items(Protocol):
    """The table. Reads of an item are consistent; every write is one conditional write of one item.

    An item that is read goes on in this epoch (`core.item.in_epoch`).
    """

    def get(self, kind: type[T], id: str) -> T | None:  # noqa: A002
        """Return the item as it is now, or None."""

    def get_many(self, kind: type[T], ids: Sequence[str]) -> dict[str, T]:
        """Return those of at most 100 items that exist, by id, as they are now."""

    def add(self, item: T) -> T:
        """Write a new item, and return it as it was written: its events numbered as this epoch's.

        Raises:
            ItemExistsError: there is one by that id.
        """

    def save(self, before: Item, after: Item) -> None:
        """Write what differs, if the stored version is still that of `before`; older events are put aside.

        Raises:
            VersionConflictError: it is not, and nothing was written.
        """

    def feed(self, summary: type[S], feed: str, *, cursor: str | None, limit: int) -> Page:
        """Return one page of a feed.

        Raises:
            InvalidError: the cursor is none of ours.
        """

    def in_state(
        self, summary: type[S], state: str, *, cursor: str | None, limit: int, before: datetime | None = None
    ) -> Page:
        """Return one page of the items in a state; the first page may begin with what is older than `before`.

        Raises:
            InvalidError: the cursor is none of ours.
        """

    def due(self, now: datetime, limit: int) -> list[tuple[str, str]]:
        """Return (kind, id) of items whose alarm is due, longest due first, `limit` of each shard at most."""

    def put_aside(self, kind: type[Item], id: str) -> list[Event]:  # noqa: A002
        """Return the events that were put aside from the item's history, oldest first."""


class History(msgspec.Struct, frozen=True):
    """All events of one item, oldest first."""

    id: str
    events: tuple[Event, ...]


class Part(msgspec.Struct, frozen=True):
    """Some of the table: the histories of the items in it, how many rows it is, and where to go on."""

    histories: tuple[History, ...]
    rows: int
    cursor: str | None


class Histories(Protocol):
    """Every item's history, part by part."""

    def part(self, since: datetime, kinds: Collection[str], *, cursor: str | None, limit: int) -> Part:
        """Return the next part: of these kinds of item, or of all; what has not changed since may be left out.

        Raises:
            InvalidError: the cursor is none of ours.
            LaterError: it could not be read now.
        """


class Bus(Protocol):
    """Where events go out."""

    def publish(self, events: Sequence[dict[str, Any]]) -> None:
        """Put CloudEvents on the bus, all of them, or raise.

        Raises:
            LaterError: throttled or out; some may have gone out, and all are to be put again.
            PoisonError: see `poison`, the indexes of those that the bus will never take; the rest went out.
        """


class PoisonError(Exception):
    """The bus takes these events never; the rest went out."""

    def __init__(self, poison: Sequence[int], why: str) -> None:
        """Keep their indexes and why."""
        self.poison = tuple(poison)
        super().__init__(why)


class DeadLetters(Protocol):
    """Where what can never be processed is put aside for people to look at."""

    def put(self, letter: Mapping[str, Any]) -> None:
        """Put one aside.

        Raises:
            LaterError: it could not be.
        """


class Mailer(Protocol):
    """Sends mail."""

    def send(self, to: str, raw: bytes) -> None:
        """Send one whole RFC 5322 message.

        Raises:
            RefusedError: it will never be taken.
            LaterError: it may have been sent, or not: try again.
        """


class Macs(Protocol):
    """Makes and verifies the MACs of approval tokens, with keys that nobody can read."""

    def make(self, keys: Keyring, payload: bytes) -> bytes:
        """Return the HMAC-SHA-256 of the payload by the ring's current key.

        Raises:
            LaterError: it could not be made now.
        """

    def verify(self, keys: Keyring, payload: bytes, mac: bytes) -> bool:
        """Tell whether the current or the previous key of the ring made this MAC.

        Raises:
            LaterError: that could not be told now.
        """


class Anchors(Protocol):
    """Where what is kept of events can be changed by nobody."""

    def put(self, name: str, lines: bytes) -> None:
        """Keep a file under its name; the same again changes nothing.

        Raises:
            LaterError: throttled or out; it may be kept.
            RefusedError: it is not kept.
        """


class Secrets(Protocol):
    """Signing secrets of webhooks, by name."""

    def read(self, name: str) -> tuple[str, ...]:
        """Return the secrets that are valid now, newest first.

        Raises:
            RefusedError: there is none by that name, or it may not be read.
            LaterError: that could not be told now.
        """


class Caller(Protocol):
    """Posts to webhooks of strangers, safely (see `gonogo.webhook`)."""

    def post(self, url: str, body: bytes, *, message_id: str, at: datetime, secrets: Sequence[str]) -> object:
        """Post one signed body.

        Raises:
            RefusedError: it will never be taken, or must not be called.
            LaterError: it may have been taken, or not: try again.
        """


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """An instance (or what else an engine makes) as the engine shows it.

    `state` is None while it is on the way from one to another, `ending` when that way is to its end.
    `began_at` is when it was last started, `changed_at` when it was last stopped or ended, where that is known.
    """

    id: str
    kind: str
    state: InstanceState | None
    client_token: str
    launch: str | None
    ending: bool = False
    image: str | None = None
    began_at: datetime | None = None
    changed_at: datetime | None = None


Files = Callable[[], Mapping[str, str]]
"""Returns the files of the bundle that a launch was judged by: path to text."""


class Resolver(Protocol):
    """The part of an engine that makes a template's filled spec whole, before anybody is asked."""

    def resolve(
        self, spec: Mapping[str, Any], place: Place, files: Mapping[str, str]
    ) -> tuple[dict[str, Any], tuple[Unit, ...]]:
        """Return the spec without any mutable reference, and what of it has a price.

        Args:
            spec: the template's, filled; what is resolved already stays as it is.
            place: where it is to be launched.
            files: the bundle's files, path to text.

        Raises:
            InvalidError: the spec is not one of this engine.
            LaterError: a reference could not be looked up now.
        """


class Claims(Protocol):
    """What a verified token says."""

    @property
    def issuer(self) -> str:
        """Who vouches."""

    @property
    def subject(self) -> str:
        """Whom it vouches for."""

    @property
    def claims(self) -> Mapping[str, tuple[str, ...]]:
        """Its claims that are lists of strings; no other is of use here."""


class Finder(Protocol):
    """The part of an engine that only looks for what a token made."""

    def find(self, plan: Plan, *, token: str) -> tuple[str, ...]:
        """Return what the token made, as far as can be seen; nothing proves nothing."""


class Engine(Resolver, Finder, Protocol):
    """Launches what was approved, and changes it. Only the launcher has one that may do more than resolve."""

    def launch(self, plan: Plan, *, token: str, tags: Mapping[str, str], files: Files) -> tuple[str, ...]:
        """Make what the plan says and nothing else; the same token adopts what it made before.

        Args:
            plan: of one choice. Its own `choices` and `partial` are the launcher's business.
            token: at most 52 ASCII characters; an engine that calls more than once adds a part of its own.
            tags: by which a resource is known as the launch's, where the engine can tag.
            files: the files of the bundle that the launch was judged by, read when asked for.

        Returns:
            The engine's ids of what was made, after comparing it with the plan.

        Raises:
            FullError: there is no capacity; nothing was made. Another choice may do.
            PartialError: it said no after some was made, which stands.
            RefusedError: the engine said no, definitely; nothing was made.
            MakingError: it is being made; the same call must be repeated to see what became of it.
            LaterError: unknown; the same call must be repeated.
        """

    def stop(self, plan: Plan, resources: Sequence[str]) -> None:
        """Stop them; RefusedError or LaterError as for `launch`."""

    def start(self, plan: Plan, resources: Sequence[str]) -> None:
        """Start them; RefusedError or LaterError as for `launch`."""

    def terminate(self, plan: Plan, resources: Sequence[str]) -> None:
        """Terminate them; RefusedError or LaterError as for `launch`.

        Raises:
            GoneError: some are not there, which may be for their being too new; the others are terminated.
        """


class Observer(Protocol):
    """Looks at what an engine made."""

    def look(self, resource: str, place: Place) -> Seen | None:
        """Return the resource as it is now, or None where there is none by that id.

        Raises:
            LaterError: that could not be told now.
        """

    def survey(self, place: Place, *, ours: bool) -> Iterator[Sequence[Seen]]:
        """Return page by page all that is there, ended things too while they are shown; `ours`: what has our tag.

        Raises:
            LaterError: that could not be told now.
        """


class Policies(Protocol):
    """The policy's bundles, read and checked."""

    def current(self) -> Bundle:
        """Return the bundle that is in force now.

        Raises:
            PolicyMissingError: there is none, or it is not to be trusted.
        """

    def pinned(self, digest: str) -> Bundle:
        """Return the bundle of this digest.

        Raises:
            PolicyMissingError: there is none, or it is not to be trusted.
        """

    def check(self, files: Mapping[str, str]) -> Bundle:
        """Return the bundle of these files, which is not put in force.

        Raises:
            BundleRefusedError: it breaks rules, or has people of an issuer that is not trusted here.
        """


class Identity(Protocol):
    """Verifies who is asking."""

    def verify(self, token: str, now: datetime) -> Claims:
        """Return what a bearer token says, once it is verified.

        Raises:
            NotAuthenticatedError: it does not verify.
            IssuerUnavailableError: that could not be told now.
        """


class Limits(Protocol):
    """What each has done of late, as far as this process knows."""

    @property
    def launches(self) -> Limit:
        """How many launches one actor may ask for, wherever they are asked for."""

    def use(self, limit: Limit, who: str, at: datetime) -> None:
        """Take one from somebody's bucket; TooManyError if it is empty."""

    def require(self, limit: Limit, who: str, at: datetime) -> None:
        """Raise TooManyError if somebody's bucket is empty; take nothing."""


_ADDRESS = re.compile(
    r"(https://[a-z0-9.-]+(:[0-9]+)?(/[a-z0-9_.~/%-]*)?|[a-z0-9_][a-z0-9_.~/%-]*)(\?[a-z0-9_.~/%=&-]*)?",
    re.ASCII | re.IGNORECASE,
)


class SignIn(msgspec.Struct, frozen=True, kw_only=True):
    """How a browser signs somebody in: as which client, where, and whose tokens for whom are taken then.

    An address is https, or relative to the pages.

    Raises:
        ValueError: an address is neither.
    """

    client_id: str
    authorize_uri: str
    token_uri: str
    issuer: str
    audience: str

    def __post_init__(self) -> None:
        """Refuse where nobody should be sent to."""
        for name in ("authorize_uri", "token_uri"):
            if not _ADDRESS.fullmatch(getattr(self, name)):
                raise ValueError(f"{name}: https, or relative to the pages, without a user or a fragment")


class Outside(Protocol):
    """Everything outside, as one use case or another needs it; each part is made when it is first used."""

    @property
    def items(self) -> Items:
        """The table."""

    @property
    def passed(self) -> Passed:
        """What this epoch's pass found."""

    @property
    def policies(self) -> Policies:
        """The policy."""

    @property
    def bus(self) -> Bus:
        """The event bus."""

    @property
    def dead_letters(self) -> DeadLetters:
        """Where `publish` puts poison aside."""

    @property
    def anchors(self) -> Anchors:
        """Where the hashes of events are put."""

    @property
    def mailer(self) -> Mailer:
        """The mail service."""

    @property
    def macs(self) -> Macs:
        """The keys of approval tokens."""

    @property
    def secrets(self) -> Secrets:
        """The signing secrets of webhooks."""

    @property
    def caller(self) -> Caller:
        """The way out to webhooks."""

    @property
    def identity(self) -> Identity:
        """The verifier of bearer tokens."""

    @property
    def limits(self) -> Limits:
        """What each has done of late."""

    @property
    def watched(self) -> dict[str, Watch]:
        """The watches that this process last saw, by id."""

    @property
    def scans(self) -> bool:
        """Whether every instance of a place is looked at, and not only those that have our tag."""

    @property
    def epoch(self) -> int:
        """The epoch of approval tokens: raising it makes every older token void."""

    @property
    def public_url(self) -> str:
        """Where people reach the pages, with a trailing slash."""

    @property
    def sign_in(self) -> SignIn | None:
        """How a browser signs somebody in; None where that is not configured."""

    @property
    def mail_from(self) -> str:
        """The sender of mails."""

    def resolver(self, engine: str) -> Resolver:
        """Return the resolver of an engine; RefusedError if there is none by that name."""

    def engine(self, engine: str) -> Engine:
        """Return the engine; RefusedError if there is none by that name."""

    def finder(self, engine: str) -> Finder:
        """Return whoever looks for what a token of this engine made; RefusedError if there is none by that name."""

    def observer(self, engine: str) -> Observer | None:
        """Return the eyes on what an engine made; None where nobody but outside systems can tell.

        Raises:
            RefusedError: there is no engine by that name.
        """

    def now(self) -> datetime:
        """Return the time, aware, in UTC."""

    def random(self, size: int) -> bytes:
        """Return random bytes that nobody can guess."""
