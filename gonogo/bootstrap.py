"""The composition root: reads the environment once, and makes each part when it is first used."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING

import msgspec

from gonogo.core.errors import RefusedError
from gonogo.core.item import EPOCHS
from gonogo.core.limit import LAUNCHES
from gonogo.core.plan import LEASE_ENGINE, POLICY_ENGINE, UNNAMED_ENGINES
from gonogo.core.token import Keyring
from gonogo.ports import (
    Anchors,
    Bus,
    Caller,
    DeadLetters,
    Engine,
    Finder,
    Identity,
    Items,
    Limits,
    Macs,
    Mailer,
    Observer,
    Outside,
    Passed,
    Policies,
    Resolver,
    Secrets,
    SignIn,
)

if TYPE_CHECKING:
    from gonogo.aws.accounts import Clients, Part
    from gonogo.core.watch import Watch


class IssuerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """One identity provider: what its tokens must say, and where its keys are."""

    issuer: str
    audience: str
    jwks_uri: str


class SignInSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The public client that the pages are to the first identity provider, and where it signs people in."""

    client_id: str
    authorize_uri: str
    token_uri: str


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What the environment says; infra/template.yaml sets it for each function."""

    region: str
    table: str
    epoch: int
    bus: str = ""
    publish_dead: str = ""
    anchors: str = ""
    issuers: tuple[IssuerSettings, ...] = ()
    sign_in: SignInSettings | None = None
    public_url: str = ""
    people_keys: tuple[str, ...] = ()
    hook_keys: tuple[str, ...] = ()
    mail_from: str = ""
    scans: bool = False
    launches_per_hour: int = LAUNCHES.quota

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> Settings:
        """Read the settings.

        Raises:
            KeyError: GONOGO_TABLE, GONOGO_EPOCH or AWS_REGION is missing.
            ValueError: the epoch is not a number from 1 to 1000.
        """
        issuers = environ.get("GONOGO_ISSUERS") or "[]"
        return cls(
            region=environ.get("AWS_REGION") or environ["AWS_DEFAULT_REGION"],
            table=environ["GONOGO_TABLE"],
            epoch=_epoch(environ["GONOGO_EPOCH"]),
            bus=environ.get("GONOGO_BUS", ""),
            publish_dead=environ.get("GONOGO_PUBLISH_DEAD", ""),
            anchors=environ.get("GONOGO_ANCHORS", ""),
            issuers=msgspec.json.decode(issuers, type=tuple[IssuerSettings, ...]),
            sign_in=_sign_in(environ.get("GONOGO_SIGN_IN", "")),
            public_url=environ.get("GONOGO_PUBLIC_URL", "").rstrip("/") + "/",
            people_keys=_list(environ.get("GONOGO_PEOPLE_KEYS", "")),
            hook_keys=_list(environ.get("GONOGO_HOOK_KEYS", "")),
            mail_from=environ.get("GONOGO_MAIL_FROM", ""),
            scans=environ.get("GONOGO_SCAN", "off") == "on",
            launches_per_hour=int(environ.get("GONOGO_LAUNCHES_PER_HOUR") or LAUNCHES.quota),
        )


def _epoch(text: str) -> int:
    epoch = int(text)
    if not 1 <= epoch <= EPOCHS:
        raise ValueError(f"GONOGO_EPOCH: {epoch} is not a number from 1 to {EPOCHS}")
    return epoch


def _list(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _sign_in(text: str) -> SignInSettings | None:
    """Read how browsers sign in; a template whose parameters are empty says it with an empty client."""
    said = msgspec.json.decode(text, type=SignInSettings) if text else None
    return said if said and said.client_id else None


def utc_now() -> datetime:
    """Return the time, aware, in UTC."""
    return datetime.now(UTC)


def https_only(issuer: str) -> bool:
    """Tell whether people of this issuer may be trusted here: the example people may not."""
    return issuer.startswith("https://")


class Gonogo:
    """`ports.Outside` over AWS, part by part as it is needed."""

    def __init__(
        self,
        settings: Settings,
        *,
        now: Callable[[], datetime] = utc_now,
        trusts: Callable[[str], bool] = https_only,
        identity: Identity | None = None,
        caller: Caller | None = None,
    ) -> None:
        """Take the settings, and from local/ what must differ on one machine."""
        self.settings = settings
        self.now = now
        self.trusts = trusts
        self._identity = identity
        self._caller = caller
        self._engines: dict[str, Engine] = {}
        self._resolvers: dict[str, Engine] = {}
        self._observers: dict[str, Observer | None] = {}
        self.watched: dict[str, Watch] = {}

    @cached_property
    def items(self) -> Items:
        """The table."""
        from gonogo.aws.table import Table

        return Table(self.settings.table, self.settings.region, self.settings.epoch)

    @cached_property
    def passed(self) -> Passed:
        """What this epoch's pass found."""
        from gonogo.service.reconcile import Passes

        return Passes(self.items, self.settings.epoch)

    @cached_property
    def policies(self) -> Policies:
        """The policy."""
        from gonogo.service.policies import Policies as Stored

        return Stored(self.items, self.trusts)

    @cached_property
    def bus(self) -> Bus:
        """The event bus."""
        from gonogo.aws.bus import EventBridge

        return EventBridge(self.settings.bus, self.settings.region)

    @cached_property
    def dead_letters(self) -> DeadLetters:
        """Where `publish` puts poison aside."""
        from gonogo.aws.bus import Queue

        return Queue(self.settings.publish_dead, self.settings.region)

    @cached_property
    def anchors(self) -> Anchors:
        """Where the hashes of events are put."""
        from gonogo.aws.anchors import Bucket

        return Bucket(self.settings.anchors, self.settings.region)

    @cached_property
    def mailer(self) -> Mailer:
        """The mail service."""
        from gonogo.aws.mail import Ses

        return Ses(self.settings.mail_from, self.settings.region)

    @cached_property
    def macs(self) -> Macs:
        """The keys of approval tokens."""
        from gonogo.aws.tokens import Kms

        rings: dict[Keyring, tuple[str, ...]] = {
            "people": self.settings.people_keys,
            "hook": self.settings.hook_keys,
        }
        return Kms(rings, self.settings.region)

    @cached_property
    def secrets(self) -> Secrets:
        """The signing secrets of webhooks."""
        from gonogo.aws.secrets import Parameters

        return Parameters(self.settings.region)

    @cached_property
    def caller(self) -> Caller:
        """The way out to webhooks."""
        from gonogo.webhook import Caller as Strict
        from gonogo.webhook import Patient

        return Patient(self._caller or Strict())

    @cached_property
    def identity(self) -> Identity:
        """The verifier of bearer tokens."""
        if self._identity is not None:
            return self._identity
        from gonogo.oidc import Issuer, Oidc

        return Oidc(
            [
                Issuer(issuer=one.issuer, audience=one.audience, jwks_uri=one.jwks_uri)
                for one in self.settings.issuers
            ]
        )

    @cached_property
    def limits(self) -> Limits:
        """What each has done of late, in this process."""
        from gonogo.service.limits import Limits as Buckets

        most = msgspec.structs.replace(LAUNCHES, quota=self.settings.launches_per_hour)
        return Buckets(most)

    @property
    def scans(self) -> bool:
        """Whether every instance of a place is looked at, and not only those that have our tag."""
        return self.settings.scans

    @property
    def epoch(self) -> int:
        """The epoch of approval tokens."""
        return self.settings.epoch

    @property
    def public_url(self) -> str:
        """Where people reach the pages, with a trailing slash."""
        return self.settings.public_url

    @property
    def sign_in(self) -> SignIn | None:
        """How a browser signs somebody in, with the first identity provider."""
        client, issuers = self.settings.sign_in, self.settings.issuers
        if client is None or not issuers:
            return None
        return SignIn(
            client_id=client.client_id,
            authorize_uri=client.authorize_uri,
            token_uri=client.token_uri,
            issuer=issuers[0].issuer,
            audience=issuers[0].audience,
        )

    @property
    def mail_from(self) -> str:
        """The sender of mails."""
        return self.settings.mail_from

    def resolver(self, engine: str) -> Resolver:
        """Return the resolver of an engine; in another account it looks by the role that may only look."""
        return self._looking(engine)

    def finder(self, engine: str) -> Finder:
        """Return whoever looks for what a token of this engine made; in another account by the same role."""
        return self._looking(engine)

    def _looking(self, engine: str) -> Engine:
        if engine in UNNAMED_ENGINES:
            raise RefusedError("NoSuchEngine", "no template names this engine")
        if engine not in self._resolvers:
            from gonogo.aws import engines

            self._resolvers[engine] = engines.engine(engine, self._accounts("observer"))
        return self._resolvers[engine]

    def engine(self, engine: str) -> Engine:
        """Return the engine."""
        if engine not in self._engines:
            self._engines[engine] = self._made(engine)
        return self._engines[engine]

    def _made(self, engine: str) -> Engine:
        if engine == POLICY_ENGINE:
            from gonogo.service.policies import PolicyEngine

            return PolicyEngine(self.items, self.policies, self.now)
        if engine == LEASE_ENGINE:
            from gonogo.service.extend import LeaseEngine

            return LeaseEngine(self)
        from gonogo.aws import engines

        return engines.engine(engine, self._accounts("role"))

    def observer(self, engine: str) -> Observer | None:
        """Return the eyes on what an engine made."""
        if engine in UNNAMED_ENGINES:
            return None
        if engine not in self._observers:
            from gonogo.aws import engines

            self._observers[engine] = engines.observer(engine, self._accounts("observer"))
        return self._observers[engine]

    def _accounts(self, part: Part) -> Clients:
        from gonogo.aws.accounts import Accounts

        return Accounts(part, self.settings.region, self.now)

    def random(self, size: int) -> bytes:
        """Return random bytes that nobody can guess."""
        return secrets.token_bytes(size)


_installed: Outside | None = None


def install(outside: Outside) -> None:
    """Make this what `gonogo()` returns in this process."""
    global _installed  # noqa: PLW0603 - one process has one composition
    _installed = outside


def gonogo() -> Outside:
    """Return this process's composition, made from the environment at the first call."""
    if _installed is None:
        install(Gonogo(Settings.read(os.environ)))
    assert _installed is not None  # noqa: S101 - install() sets it
    return _installed
