"""Template and parameters become a plan: what exactly is launched, its price, the digest of the question."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from decimal import ROUND_UP, Decimal, InvalidOperation
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from gonogo.core import canonical, duration
from gonogo.core.actor import Actor
from gonogo.core.errors import Fault, InvalidError, NotPermittedError
from gonogo.core.event import Change, Price

HOURS_A_MONTH = 730
NEVER = "never"
"""The lease of what may run without an end, where its template allows that."""
ENDLESS = timedelta(days=3650)
"""As how long a lease without an end counts, in hours and in money; it is also the longest that ends."""
_END = r"$(?!\n)"
"""The end of a text in Python and ECMA-262 alike: the API's description holds these patterns too."""
LEAST_WARNING = timedelta(minutes=15)
"""A mail that fails is tried again after minutes: who is warned later than that may as well not be."""
_ROLE = r"^arn:aws[a-z-]*:iam::[0-9]{12}:role/[\w+=,.@/-]{1,512}" + _END


class Unit(msgspec.Struct, frozen=True):
    """So many of one thing that the price table knows, such as 2 of t3.micro."""

    kind: str
    quantity: int


class Account(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Another AWS account: the role that launches there, the one that only looks, and what both ask to be told.

    Roles are ARNs. AWS asks a third party to give an external id (IAM user guide, "The confused deputy problem").
    """

    role: Annotated[str, Meta(pattern=_ROLE)]
    observer: Annotated[str, Meta(pattern=_ROLE)]
    external_id: Annotated[str, Meta(pattern=r"^[\w+=,.@:/-]{2,1224}" + _END)]

    @property
    def number(self) -> str:
        """The twelve digits of the account."""
        return self.role.split(":")[4]


class Place(msgspec.Struct, frozen=True):
    """Where something is launched: in a region, of gonogo's own account unless it says otherwise."""

    region: str
    account: Account | None = None

    @property
    def number(self) -> str | None:
        """The twelve digits of the account, where it is not gonogo's own."""
        return self.account.number if self.account is not None else None


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """What is launched instead, where there is no capacity for what stands before it in the list."""

    spec: dict[str, Any]
    units: tuple[Unit, ...]


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What is launched, whole and resolved: the engine gets this and adds no default of its own.

    `choices` are tried in their order where there is no capacity for the spec. With `partial`, what could be
    made of it is kept; otherwise all is made or nothing stays.
    """

    template: str
    engine: str
    region: str
    parameters: dict[str, Any]
    spec: dict[str, Any]
    units: tuple[Unit, ...]
    account: Account | None = None
    choices: tuple[Choice, ...] = ()
    partial: bool = False

    @property
    def place(self) -> Place:
        """Where it is launched."""
        return Place(self.region, self.account)

    def chosen(self, choice: int) -> Plan:
        """Return the plan of one choice, which the engine gets: 1 is the spec itself, 2 the first of `choices`."""
        if choice == 1:
            return msgspec.structs.replace(self, choices=())
        one = self.choices[choice - 2]
        return msgspec.structs.replace(self, spec=one.spec, units=one.units, choices=())


class LaunchRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody asks for, in their own words; everything else is derived."""

    template: str
    parameters: dict[str, Any]
    reason: str
    cost_center: str
    name: str | None = None
    lease: str | None = None
    on_behalf_of: Actor | None = None
    launch_by: datetime | None = None
    break_glass: bool = False

    @property
    def digest(self) -> str:
        """The SHA-256 over its RFC 8785 JSON, in hex: the same for the same request, in any version."""
        return _digest(self)


class Lease(msgspec.Struct, frozen=True):
    """How long a launch of a template may run: what it gets unless it asks, and the most it may ask for.

    `warn` is how long before the end it is told; without it, a tenth of the lease, at least a quarter of an hour
    (half of a lease that is shorter than twice that) and at most three days.
    """

    default: str
    max: str
    warn: str | None = None


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """All that an approver is shown, and so all that the digest covers.

    After `launch_by` it is not launched any more. With `break_glass` it is launched first and reviewed after.
    """

    name: str | None
    reason: str
    cost_center: str
    requester: Actor
    on_behalf_of: Actor | None
    lease: str
    plan: Plan
    price: Price
    launch_by: datetime | None = None
    break_glass: bool = False

    @property
    def digest(self) -> str:
        """The SHA-256 over its RFC 8785 JSON, in hex."""
        return _digest(self)

    @property
    def changes_policy(self) -> bool:
        """Whether it is policy that is to be launched."""
        return self.plan.engine == POLICY_ENGINE

    @property
    def extends_lease(self) -> bool:
        """Whether it asks that another launch may run for longer."""
        return self.plan.engine == LEASE_ENGINE


_LATER: dict[str, Any] = {"launch_by": None, "break_glass": False}
_LATER_IN_PLANS: dict[str, Any] = {"account": None, "choices": (), "partial": False}


def _digest(asked: LaunchRequest | Question) -> str:
    """Return the digest without what came later and is not used: what is older keeps its digest."""
    plain = msgspec.to_builtins(asked)
    _without(plain, _LATER)
    if "plan" in plain:
        _without(plain["plan"], _LATER_IN_PLANS)
    return canonical.digest(plain)


def _without(plain: dict[str, Any], unused: Mapping[str, Any]) -> None:
    for name, value in unused.items():
        if plain[name] == value:
            del plain[name]


POLICY_ENGINE = "policy"
"""The engine that puts a policy bundle in force."""
LEASE_ENGINE = "lease"
"""The engine that lets another launch run for longer."""
UNNAMED_ENGINES = (POLICY_ENGINE, LEASE_ENGINE)
"""The engines that no template can name."""
EVENT_ENGINE = "event"
"""The engine that calls nothing: an outside system hears that it is cleared, launches it, and reports."""


def changes(before: Question, after: Question) -> tuple[Change, ...]:
    """Return what differs between two questions: plan, cost, and all else that an approver is shown.

    Paths are as in `lease`, `price.monthly` or `plan.spec.volumes[0].size_gib`; values are JSON text, or the
    text itself.
    """
    old, new = (dict(_leaves(msgspec.to_builtins(one))) for one in (before, after))
    return tuple(
        Change(path, old.get(path), new.get(path))
        for path in dict.fromkeys((*old, *new))
        if old.get(path) != new.get(path)
    )


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _leaves(inner, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list | tuple):
        for number, inner in enumerate(value):
            yield from _leaves(inner, f"{path}[{number}]")
    elif value is not None:
        yield path, value if isinstance(value, str) else msgspec.json.encode(value).decode()


class PriceTable(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an hour of a unit costs, by engine and region, as decimal strings in `currency`.

    `minimum` is, by engine, what each start of a unit costs at least: its price for so long, such as "60s" for
    Linux on EC2 (Amazon EC2 pricing, "On-Demand": per second, 60 seconds at least).
    """

    version: str
    currency: str
    hourly: dict[str, dict[str, dict[str, Decimal]]]
    minimum: dict[str, str] = {}

    def least(self, engine: str) -> int:
        """Return how many seconds each start of a unit of this engine is billed for at least."""
        text = self.minimum.get(engine)
        return int(duration.parse(text).total_seconds()) if text is not None else 0

    def of_unit(self, engine: str, region: str, kind: str) -> Decimal:
        """Return the price of one unit for one hour.

        Raises:
            NotPermittedError: the table does not know it; what has no price is not launched.
        """
        try:
            return self.hourly[engine][region][kind]
        except KeyError:
            raise NotPermittedError(
                f"The policy has no price for {kind!r} of {engine!r} in {region!r}, so it is not launched."
            ) from None

    def estimate(self, plan: Plan, lease: timedelta) -> Price:
        """Return what the plan, or the dearest of its choices, costs if it runs all the time.

        Amounts are to the hundredth, rounded up.

        Raises:
            NotPermittedError: a unit has no price, or it is more than can be reckoned with.
        """
        hourly = max(
            sum(
                (self.of_unit(plan.engine, plan.region, one.kind) * one.quantity for one in units), Decimal(0)
            )
            for units in (plan.units, *(choice.units for choice in plan.choices))
        )
        return Price(
            currency=self.currency,
            version=self.version,
            hourly=hourly,
            monthly=_cents(hourly * HOURS_A_MONTH),
            worst_case=cost_of(hourly, lease),
        )


def cost_of(hourly: Decimal, length: timedelta) -> Decimal:
    """Return what so long costs, begun seconds left out, to the hundredth, rounded up.

    Raises:
        NotPermittedError: it is more than can be reckoned with.
    """
    return _cents(hourly * int(length.total_seconds()) / 3600)


def _cents(amount: Decimal) -> Decimal:
    try:
        return amount.quantize(Decimal("0.01"), rounding=ROUND_UP)
    except InvalidOperation:
        raise NotPermittedError("It costs more than can be reckoned with.") from None


def lease_for(template: str, lease: Lease, asked: str | None) -> str:
    """Return the lease that the launch gets.

    Raises:
        InvalidError: it is no length of time, or longer than the template allows.
    """
    if asked is None:
        return lease.default
    try:
        length = lease_length(asked)
    except ValueError as error:
        raise InvalidError(Fault("/lease", "duration", str(error))) from error
    if lease.max != NEVER and (asked == NEVER or length > lease_length(lease.max)):
        raise InvalidError(
            Fault("/lease", "maximum", f"is longer than the {lease.max} that template {template!r} allows")
        )
    return asked


def lease_length(lease: str) -> timedelta:
    """Return how long a lease is; one without an end counts as ten years.

    Raises:
        ValueError: it is no length of time, nor `never`.
    """
    return ENDLESS if lease == NEVER else duration.parse(lease)


def warning(lease: str, warn: str | None) -> timedelta:
    """Return how long before the end of a lease it is told that it ends."""
    length = lease_length(lease)
    if warn is not None:
        return min(duration.parse(warn), length)
    return min(max(length / 10, LEAST_WARNING), timedelta(days=3), length / 2)


def fill(spec: Any, parameters: Mapping[str, Any]) -> Any:
    """Return the template's spec with each `{ parameter = "name" }` replaced by that parameter's value.

    Values are put in as they are and never into the middle of a string, so no value can change what
    stands beside it. A parameter that was not given takes its key along.

    Raises:
        InvalidError: never for a checked bundle and checked parameters; `_Missing` is handled inside.
    """
    if isinstance(spec, dict):
        if set(spec) == {"parameter"}:
            return parameters.get(spec["parameter"], _MISSING)
        filled = {key: fill(value, parameters) for key, value in spec.items()}
        return {key: value for key, value in filled.items() if value is not _MISSING}
    if isinstance(spec, list):
        return [value for value in (fill(one, parameters) for one in spec) if value is not _MISSING]
    return spec


_MISSING: Any = object()
